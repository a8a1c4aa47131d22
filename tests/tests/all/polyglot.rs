//! One step in three languages: built by their own toolchains, packed in one task, and compared by its last step.

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, plugin, polyglot, root};

#[test]
fn the_same_step_in_three_languages_agrees() {
    let deployment = Deployment::new();
    let _dev = deployment.start(&["dev"]);
    let (python, js) = (polyglot("packing_python"), polyglot("packing_js"));
    let added =
        deployment.json(&["plugin", "add", &plugin("shop"), &plugin("packing"), &python, &js])["plugins"]
            .take();
    let template = root().join("plugins/polyglot/packing.yaml").to_string_lossy().into_owned();
    deployment.succeed(&["template", "add", &template]);

    // What a plugin says of a step does not depend on its language.
    let described = |name: &str| {
        let is_it = |plugin: &&Value| plugin["name"] == format!("examples/packing-{name}");
        let plugin = added.as_array().expect("plugins").iter().find(is_it).expect("it was added");
        let handlers = plugin["handlers"].as_array().expect("handlers");
        let handler = handlers.iter().find(|handler| handler["name"] == "pack_order").expect("it packs");
        let schema: Value =
            serde_json::from_str(handler["input_schema"].as_str().expect("a schema")).expect("JSON");
        (
            handler["summary"].clone(),
            schema["required"].clone(),
            schema["properties"]["order_id"]["type"].clone(),
        )
    };
    assert_eq!(described("python"), described("rust"));
    assert_eq!(described("js"), described("rust"));

    let order = json!({
        "order_id": "A-1",
        "customer": { "id": "C-1", "email": "ada@example.org" },
        "items": [
            { "sku": "LAMP", "quantity": 3, "unit_price_cents": 4_000 },
            { "sku": "BULB", "quantity": 6, "unit_price_cents": 500 },
        ],
        "shipping": { "name": "Ada", "street": "1 High St", "city": "London", "postal_code": "N1", "country": "GB" },
        "payment": { "card_token": "tok_visa", "amount_cents": 15_000, "currency": "GBP" },
    });
    deployment.succeed(&["task", "run", "shop/packing", "--json-input", &order.to_string(), "--wait"]);
    let task = deployment.json(&["task", "show", "1"]);
    let step = |name: &str| {
        let steps = task["steps_detail"].as_array().expect("steps");
        steps.iter().find(|step| step["name"] == name).expect("the step")["output"].clone()
    };
    let agreed =
        json!({ "steps": ["pack_in_rust", "pack_in_python", "pack_in_js"], "parcels": 3, "pieces": 9 });
    assert_eq!(step("compare_parcels"), agreed);
    assert_eq!(step("pack_in_python"), step("pack_in_js"));

    // The same cases for all; what is compiled already is not compiled again.
    let cases = root().join("plugins/polyglot/cases").to_string_lossy().into_owned();
    for component in [plugin("packing"), python, js] {
        let tested = deployment.json(&["plugin", "test", &component, "--cases", &cases]);
        assert_eq!((&tested["passed"], &tested["failed"]), (&json!(4), &json!(0)), "{tested}");
    }
}
