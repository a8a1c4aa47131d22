//! Templates, plugins, pauses, tokens, and the process itself.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use stepwright_orchestrator::catalog::PreparedTemplates;
use stepwright_store::Store as _;

use crate::rig::{NOW, Rig, TEMPLATE, plugin};

#[tokio::test]
async fn templates_and_plugins_are_shown_with_what_they_are_made_of() {
    let rig = Rig::new().await;
    let listed = rig.get("/v1/templates").await.json();
    let template =
        json!({ "namespace": "shop", "name": "order", "version": "1.0.0", "registered_at": NOW.0 });
    assert_eq!(listed, json!({ "templates": [template] }));
    let shown = rig.get("/v1/templates/shop/order?version=1.0.0").await.json();
    assert_eq!((&shown["name"], &shown["source"]), (&json!("order"), &json!(TEMPLATE)));
    let plan = rig.get("/v1/templates/shop/order/plan").await.json();
    assert_eq!(
        (&plan["environment"], &plan["steps"][1]["parents"]),
        (&json!("development"), &json!(["check"]))
    );
    assert_eq!(plan["steps"][0]["plugin"], "examples/shop");

    let listed = rig.get("/v1/plugins").await.json();
    assert_eq!(listed["plugins"][0]["handlers"], json!(["check", "pay"]));
    let versions = rig.get("/v1/plugins/examples/shop").await.json();
    assert_eq!(versions["versions"], listed["plugins"]);
    let path = "/v1/plugins/examples/shop/versions/1.0.0";
    let shown = rig.get(path).await.json();
    assert_eq!((&shown["state"], &shown["changed"]), (&json!("enabled"), &Value::Null));
    assert_eq!(shown["handlers"][0]["input_schema"], json!({ "type": "object" }));
    assert_eq!(shown["handlers"][1]["input_schema"], Value::Null);

    // What was prepared before is not what is started now.
    let started = json!({ "template": "order", "context": { "order_id": 1 } });
    assert_eq!(rig.post("/v1/tasks", started.clone()).await.status, 201);
    let deed = |verb: &str| format!("{path}/{verb}");
    let why = || json!({ "reason": "it is wrong", "by": "ann" });
    for (verb, state) in [("disable", "disabled"), ("yank", "yanked"), ("quarantine", "quarantined")] {
        let changed = rig.post(&deed(verb), why()).await.json();
        assert_eq!(
            (&changed["state"], &changed["changed"]["by"]),
            (&json!(state), &json!("ann (token admin)"))
        );
    }
    assert_eq!(rig.post(&deed("yank"), why()).await.code(), "conflict");
    let refused = rig.get("/v1/templates/shop/order/plan").await;
    assert_eq!(refused.code(), "invalid_template", "{}", refused.text);
    assert_eq!(rig.post("/v1/tasks", started.clone()).await.code(), "invalid_template");
    assert_eq!(rig.post(&deed("enable"), why()).await.json()["state"], "enabled");
    assert_eq!(rig.post("/v1/tasks", started).await.status, 201);
    assert_eq!(rig.get("/v1/pauses").await.json(), json!({ "pauses": [] }));
}

#[tokio::test]
async fn pauses_are_made_and_taken_away() {
    let rig = Rig::new().await;
    for (kind, name) in [("template", "shop/order"), ("namespace", "shop"), ("plugin", "examples/shop")] {
        let order = json!({ "target": { "kind": kind, "name": name }, "reason": "stocktaking" });
        let target = order["target"].clone();
        for (method, status, changed) in [
            (Method::POST, 201, true),
            (Method::POST, 200, false),
            (Method::DELETE, 200, true),
            (Method::DELETE, 200, false),
        ] {
            let done = rig.ask(method, "/v1/pauses", order.clone()).await;
            assert_eq!(
                (done.status.as_u16(), done.json()),
                (status, json!({ "target": target, "changed": changed }))
            );
        }
    }
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let rig = Rig::new().await;
    let order = json!({ "name": "shop", "scope": "run", "expires_in": "90d", "by": "ann" });
    let made = rig.post("/v1/tokens", order.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["secret"], &made["token"]["scope"]), (&json!("sw_drawn-1"), &json!("run")));
    assert_eq!(made["token"]["created_by"], "ann (token admin)");
    assert_eq!(made["token"]["expires_at"], NOW.0 + 90 * 24 * 3_600_000);
    assert_eq!(rig.post("/v1/tokens", order).await.code(), "already_exists");
    let listed = rig.get("/v1/tokens").await;
    assert!(!listed.text.contains("sw_"), "{}", listed.text);
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 6);
    let path = format!("/v1/tokens/{}", made["token"]["id"]);
    for _ in 0..2 {
        let revoked = rig.ask(Method::DELETE, &path, Value::Null).await.json();
        assert_eq!(revoked["revoked_at"], NOW.0);
    }
}

#[tokio::test]
async fn the_process_says_how_it_is_and_what_it_serves() {
    let rig = Rig::new().await;
    let free = |path: &'static str| rig.send(Request::get(path).body(Body::empty()).unwrap());
    let health = free("/v1/health").await;
    assert_eq!(health.json(), json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }));
    assert_eq!(health.headers["x-request-id"], "0000000000000007");
    let ready = free("/v1/ready").await.json();
    assert_eq!((&ready["status"], &ready["checks"][1]["name"]), (&json!("ready"), &json!("database")));
    let document = free("/v1/openapi.json").await.json();
    assert!(document["paths"]["/v1/tasks/{id}"]["get"]["security"][0]["token"] == json!(["read"]));
    assert_eq!(rig.get("/v1/workers?all=true").await.json(), json!({ "workers": [] }));
    assert_eq!(rig.get("/v1/orchestrators").await.json(), json!({ "orchestrators": [] }));
    use stepwright_store::Store as _;
    rig.store.close().await;
    let away = free("/v1/ready").await;
    assert_eq!(
        (away.status.as_u16(), &away.json()["checks"][1]["ok"]),
        (503, &json!(false)),
        "{}",
        away.text
    );
}

#[tokio::test]
async fn a_template_is_prepared_once_and_again_when_anything_about_it_has_changed() {
    let rig = Rig::new().await;
    let templates = PreparedTemplates::new("development");
    let get = async |reference: &str| templates.get(&*rig.store, reference).await.unwrap();
    let first = get("shop/order").await;
    let before = rig.store.counters();
    let again = get("shop/order").await;
    assert_eq!(rig.store.counters().statements - before.statements, 1);
    assert!(Arc::ptr_eq(&first, &again) && first.plan.steps[0].plugin_version == "1.0.0");

    rig.store.add_plugin(&plugin("1.1.0"), NOW).await.unwrap();
    let newer = get("shop/order").await;
    assert_eq!(newer.plan.steps[0].plugin_version, "1.1.0");
    let text = TEMPLATE.replace("version: 1.0.0", "version: 2.0.0");
    assert_eq!(rig.yaml(&text).await.status, 201);
    assert_eq!(get("shop/order").await.plan.version, "2.0.0");
    // The version that is named is still the same.
    let (pinned, kept) = (get("shop/order@1.0.0").await, get("shop/order@1.0.0").await);
    assert!(Arc::ptr_eq(&pinned, &kept) && pinned.id == newer.id);
}
