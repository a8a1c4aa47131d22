//! Every example template, run by real processes, with results that prove that every parent's output arrived.

use serde_json::{Value, json};
use stepwright_postgres_harness::Database;
use stepwright_tests::processes::{Deployment, plugin, template};

/// What came of the step at the end of a shape, for `n` = 4.
fn check(deployment: &Deployment, name: &str, step: &str, value: i64, trail: usize) {
    let task = run(deployment, &format!("shapes/{name}"), &json!({ "n": 4 }), 0);
    let output = &found(&task, step)["output"];
    assert_eq!(output["value"], value, "{name}");
    assert_eq!(output["trail"].as_array().expect("a trail").len(), trail, "{name}");
}

fn found<'a>(task: &'a Value, step: &str) -> &'a Value {
    let steps = task["steps_detail"].as_array().expect("steps");
    steps
        .iter()
        .find(|candidate| candidate["name"] == step)
        .unwrap_or_else(|| panic!("no step {step} in {task}"))
}

fn run(deployment: &Deployment, template: &str, context: &Value, code: i32) -> Value {
    let arguments = ["--json", "task", "run", template, "--json-input", &context.to_string(), "--wait"];
    let output = deployment.output(&arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{template}:\n{stdout}\n{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    let id = report["tasks"][0]["task"].to_string();
    deployment.json(&["task", "show", &id])
}

#[test]
fn every_shape_gives_its_number_and_every_order_its_end() {
    let deployment = Deployment::new();
    let orchestrator = deployment.start(&["orchestrate"]);
    let worker = deployment.start(&["work", "--name", "one"]);
    everything(&deployment);
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));
}

#[tokio::test]
async fn two_orchestrators_and_four_workers_do_the_same_at_one_server() {
    let database = Database::fresh().await;
    let deployment = Deployment::at(database.url());
    let orchestrators = [0, 1].map(|number| deployment.orchestrate(number));
    let workers = ["a", "b", "c", "d"].map(|name| deployment.work(name, 2));
    everything(&deployment);
    for worker in workers {
        assert_eq!(worker.terminate(), Some(0));
    }
    for orchestrator in orchestrators {
        assert_eq!(orchestrator.terminate(), Some(0));
    }
}

#[tokio::test]
async fn one_orchestrator_with_two_pumps_does_the_same() {
    let database = Database::fresh().await;
    let deployment = Deployment::at(database.url());
    let orchestrator = deployment.start(&["orchestrate", "--pumps", "2"]);
    let workers = ["a", "b"].map(|name| deployment.work(name, 1));
    deployment.until_linked(2, 2);
    everything(&deployment);
    for worker in workers {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(orchestrator.terminate(), Some(0));
}

fn everything(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("shop")]);
    let names = [
        "linear_4",
        "diamond",
        "merge_3_1",
        "tree_7",
        "mixed_dag_7",
        "fan_out_200",
        "order_fulfillment",
        "credit_card_payment",
    ];
    for name in names {
        deployment.succeed(&["template", "add", &template(name)]);
    }
    check(deployment, "linear_4", "fourth", 196, 4);
    check(deployment, "diamond", "bottom", 45, 4);
    check(deployment, "merge_3_1", "meet", 576, 4);
    check(deployment, "tree_7", "right_left", 36, 3);
    check(deployment, "mixed_dag_7", "g", 2_244, 7);
    check(deployment, "fan_out_200", "gather", 20_900, 202);
    orders(deployment);
    payments(deployment);
}

fn order(token: &str, sku: &str) -> Value {
    json!({
        "order_id": "ORD-1",
        "customer": { "id": "C-1", "email": "ada@example.org" },
        "items": [{ "sku": sku, "quantity": 2, "unit_price_cents": 500 }],
        "shipping": { "name": "Ada", "street": "1 High Street", "city": "London", "postal_code": "N1", "country": "GB" },
        "payment": { "card_token": token, "amount_cents": 1_000, "currency": "GBP" },
    })
}

fn orders(deployment: &Deployment) {
    let shipped = run(deployment, "shop/order_fulfillment", &order("tok_visa", "LAMP"), 0);
    assert_eq!(found(&shipped, "ship_order")["output"]["carrier"], "Royal Mail");
    // A failed step stops neither its siblings nor the books: the branch beside it runs to its end.
    let declined = run(deployment, "shop/order_fulfillment", &order("tok_stolen", "LAMP"), 2);
    assert_eq!(found(&declined, "process_payment")["failure"]["code"], "card_declined");
    assert_eq!(found(&declined, "reserve_inventory")["state"], "complete");
    assert_eq!(found(&declined, "ship_order")["state"], "pending");
    let sold_out = run(deployment, "shop/order_fulfillment", &order("tok_visa", "VASE-BLUE"), 2);
    assert_eq!(found(&sold_out, "reserve_inventory")["failure"]["code"], "out_of_stock");
    assert_eq!(found(&sold_out, "process_payment")["state"], "complete");
}

fn payments(deployment: &Deployment) {
    let payment = json!({
        "payment_ref": "P-1",
        "card": { "number": "4242424242424242", "expiry_year": 2035, "expiry_month": 1, "country": "US" },
        "amount_cents": 60_000, "currency": "GBP", "shop_country": "GB", "email": "ada@example.org",
    });
    // 40 points for the amount and 30 for the country: too many for either environment's idea of risk.
    let task = run(deployment, "shop/credit_card_payment", &payment, 2);
    assert_eq!(found(&task, "check_fraud")["failure"]["code"], "fraud_suspected");
    let mut usual = payment;
    usual["amount_cents"] = json!(1_999);
    run(deployment, "shop/credit_card_payment", &usual, 0);
    // In production 30 points are allowed, and no more; the same payment passes there too, with another letterhead.
    let arguments = [
        "--environment",
        "production",
        "--json",
        "task",
        "run",
        "shop/credit_card_payment",
        "--wait",
        "--json-input",
    ];
    let mut all = arguments.to_vec();
    let text = usual.to_string();
    all.push(&text);
    let report: Value = serde_json::from_str(&deployment.succeed(&all)).expect("JSON");
    let task = deployment.json(&["task", "show", &report["tasks"][0]["task"].to_string()]);
    assert_eq!(found(&task, "send_receipt")["output"]["from"], "receipts@shop.example");
}
