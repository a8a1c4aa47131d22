//! Tasks from their start to their end, by hand.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::rig::{Reply, Rig};

fn order(number: i64) -> Value {
    json!({ "template": "shop/order", "context": { "order_id": number } })
}

async fn with_key(rig: &Rig, header: Option<&str>, body: Option<&str>) -> Reply {
    let mut task = order(1);
    if let Some(key) = body {
        task["idempotency_key"] = json!(key);
    }
    let mut request = Request::post("/v1/tasks")
        .header("authorization", "Bearer sw_run")
        .header("content-type", "application/json")
        .header("x-request-id", "mine-7");
    if let Some(key) = header {
        request = request.header("idempotency-key", key);
    }
    rig.send(request.body(Body::from(task.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_task_is_started_once_for_a_key_wherever_it_stands() {
    let rig = Rig::new().await;
    let first = with_key(&rig, None, Some("order-1")).await;
    assert_eq!((first.status.as_u16(), first.headers["x-request-id"].as_str()), (201, "mine-7"));
    let started = first.json();
    let id = started["id"].as_i64().unwrap();
    assert_eq!(started["created"], true);
    assert_eq!(
        (&started["namespace"], &started["template"], &started["version"]),
        (&json!("shop"), &json!("order"), &json!("1.0.0"))
    );
    assert_eq!(
        started["steps"],
        json!([
            { "id": id << 16, "name": "check", "handler": "check", "parents": [], "state": "ready" },
            { "id": (id << 16) + 1, "name": "pay", "handler": "pay", "parents": ["check"], "state": "pending" },
        ])
    );
    for (header, body) in
        [(Some("order-1"), None), (None, Some("order-1")), (Some("order-1"), Some("order-1"))]
    {
        let again = with_key(&rig, header, body).await;
        let mut expect = started.clone();
        expect["created"] = json!(false);
        assert_eq!((again.status.as_u16(), again.json()), (200, expect));
    }
    assert_eq!(with_key(&rig, Some("order-2"), Some("order-1")).await.code(), "invalid_request");
    assert_eq!(with_key(&rig, Some("order 2"), None).await.code(), "invalid_request");
    assert_eq!(with_key(&rig, Some("order-2"), None).await.status, 201);
    assert_eq!(with_key(&rig, None, None).await.status, 201);
    assert_eq!(rig.get("/v1/tasks").await.json()["tasks"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn many_are_started_together_or_none() {
    let rig = Rig::new().await;
    let mut tasks: Vec<Value> = (0..20).map(order).collect();
    tasks[3]["context"] = json!({ "order_id": "three" });
    tasks[7]["context"] = json!({});
    let refused = rig.post("/v1/tasks/bulk", json!({ "tasks": tasks })).await;
    assert_eq!(refused.code(), "invalid_context");
    let fields: Vec<Value> =
        refused.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["tasks[3].context.order_id", "tasks[7].context"]);
    tasks[3] = order(3);
    tasks[7] = json!({ "template": "shop/nothing" });
    assert_eq!(rig.post("/v1/tasks/bulk", json!({ "tasks": tasks })).await.code(), "template_not_found");
    assert_eq!(rig.post("/v1/tasks/bulk", json!({ "tasks": [] })).await.code(), "invalid_request");
    assert_eq!(rig.get("/v1/tasks").await.json(), json!({ "tasks": [], "next": null }));

    tasks[7] = order(7);
    tasks[8] = json!({ "template": "order", "context": { "order_id": 8 }, "idempotency_key": "8", "tags": { "kind": "b" }, "priority": 5, "in": "1h" });
    tasks[9] = tasks[8].clone();
    let started = rig.post("/v1/tasks/bulk", json!({ "tasks": tasks })).await;
    assert_eq!(started.status, 200, "{}", started.text);
    let started = started.json()["tasks"].as_array().unwrap().clone();
    assert_eq!(started.len(), 20);
    assert_eq!((&started[8]["id"], &started[8]["created"]), (&started[9]["id"], &json!(true)));
    assert_eq!(started[9]["created"], false);

    // Pages, newest first.
    let page =
        rig.get("/v1/tasks?limit=15&template=order&namespace=shop&state=pending,in_progress").await.json();
    let next = page["next"].as_i64().unwrap();
    assert_eq!(page["tasks"].as_array().unwrap().len(), 15);
    let rest = rig.get(&format!("/v1/tasks?limit=15&before={next}")).await.json();
    assert_eq!((rest["tasks"].as_array().unwrap().len(), &rest["next"]), (4, &Value::Null));
    let task = rig.get(&format!("/v1/tasks/{}", started[8]["id"])).await.json();
    assert_eq!(
        (&task["priority"], &task["tags"], &task["idempotency_key"]),
        (&json!(5), &json!({ "kind": "b" }), &json!("8"))
    );
    assert_eq!(task["execution_status"], "waiting_for_retry");
    let header = Request::post("/v1/tasks/bulk")
        .header("authorization", "Bearer sw_run")
        .header("content-type", "application/json")
        .header("idempotency-key", "all");
    let refused =
        rig.send(header.body(Body::from(json!({ "tasks": [order(1)] }).to_string())).unwrap()).await;
    assert_eq!(refused.code(), "invalid_request");
}

#[tokio::test]
async fn a_person_takes_a_task_to_its_end_and_everybody_sees_who_and_why() {
    let rig = Rig::new().await;
    let id = rig.post("/v1/tasks", order(1)).await.json()["id"].as_i64().unwrap();
    let at = |rest: &str| format!("/v1/tasks/{id}{rest}");
    let why = |reason: &str| json!({ "reason": reason, "by": "bea" });
    let paused = rig.post(&at("/pause"), why("stocktaking")).await.json();
    assert_eq!(paused["pauses"][0]["target"], json!({ "kind": "task", "name": id.to_string() }));
    assert_eq!(
        (&paused["pauses"][0]["by"], &paused["pauses"][0]["reason"]),
        (&json!("bea (token admin)"), &json!("stocktaking"))
    );
    assert_eq!(rig.get("/v1/pauses").await.json()["pauses"], paused["pauses"]);
    let resumed = rig.post(&at("/resume"), json!({ "reason": "done" })).await.json();
    assert_eq!(resumed["pauses"], json!([]));

    // Whoever waits is told when it has ended, and gets what is there when the time is over.
    let early = rig.get(&at("/wait?timeout=0s")).await.json();
    assert_eq!((&early["settled"], &early["state"]), (&json!(false), &json!("pending")));
    let resolved = rig
        .post(&at("/steps/check/resolve"), json!({ "reason": "by phone", "output": { "ok": true } }))
        .await;
    let resolved = resolved.json();
    assert_eq!(resolved["steps_detail"][0]["output"], json!({ "ok": true }));
    assert_eq!(
        (&resolved["steps_detail"][0]["state"], &resolved["completion_percent"]),
        (&json!("resolved_manually"), &json!(50))
    );
    let waiting_path = at("/wait?timeout=5m");
    let waiting = rig.get(&waiting_path);
    let skipping = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        rig.post(&at("/steps/pay/skip"), json!({ "reason": "a gift" })).await
    };
    let (waited, skipped) = tokio::join!(waiting, skipping);
    assert_eq!(skipped.json()["state"], "complete", "{}", skipped.text);
    let waited = waited.json();
    assert_eq!(
        (&waited["settled"], &waited["state"], &waited["id"]),
        (&json!(true), &json!("complete"), &json!(id))
    );

    let history = rig.get(&at("/history")).await.json();
    assert_eq!((&history["task"], &history["history"][0]["kind"]), (&json!(id), &json!("created")));
    assert_eq!(rig.get(&at("/attempts")).await.json(), json!({ "attempts": [] }));
    let other = rig.post("/v1/tasks", order(2)).await.json()["id"].as_i64().unwrap();
    let done = rig.post(&format!("/v1/tasks/{other}/resolve"), why("not needed")).await.json();
    assert_eq!(
        (&done["state"], &done["recommended_action"]),
        (&json!("resolved_manually"), &json!("finalize_task"))
    );
    assert_eq!(
        rig.ask(Method::GET, "/v1/batches?limit=10", Value::Null).await.json(),
        json!({ "batches": [], "next": null })
    );
}
