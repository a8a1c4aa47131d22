//! The stream of events.

use axum::http::Request;
use serde_json::{Value, json};
use stepwright_store::Events as _;
use stepwright_workflow::Timestamp;

use crate::rig::{Rig, Stream};

async fn names(stream: &mut Stream<'_>, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(stream.next().await.1);
    }
    names
}

#[tokio::test]
async fn what_happens_is_told_from_any_position_on() {
    let rig = Rig::new().await;
    let mut all = rig.stream("/v1/events?after=0", None).await;
    assert_eq!(names(&mut all, 2).await, ["plugin.registered", "template.registered"]);
    let context = json!({ "template": "shop/order", "context": { "order_id": 1 } });
    let id = rig.post("/v1/tasks", context.clone()).await.json()["id"].clone();
    let other = rig.post("/v1/tasks", context).await.json()["id"].clone();
    assert_eq!(
        names(&mut all, 4).await,
        ["task.initialized", "step.viable", "task.initialized", "step.viable"]
    );

    // One task, from its beginning, with names in place of numbers.
    let mut one = rig.stream(&format!("/v1/events?task={id}"), None).await;
    let (first, name, data) = one.next().await;
    assert_eq!((name.as_str(), &data["position"]), ("task.initialized", &json!(first)));
    assert_eq!(
        (&data["task"], &data["namespace"], &data["template"], &data["version"]),
        (&id, &json!("shop"), &json!("order"), &json!("1.0.0"))
    );
    assert_eq!(data.get("step"), None, "what does not belong to it is left out");
    let (second, name, data) = one.next().await;
    assert_eq!((name.as_str(), &data["step"]), ("step.viable", &json!("check")));
    // What happens while it is told.
    let cancelled = rig.post(&format!("/v1/tasks/{id}/cancel"), json!({ "reason": "tried" })).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    assert_eq!(names(&mut one, 3).await, ["step.cancelled", "step.cancelled", "task.cancelled"]);

    // Behind a position, which may stand in the header that browsers send when they come back.
    for (path, header) in [
        (format!("/v1/events?after={first}&task={id}"), None),
        (format!("/v1/events?after=0&task={id}"), Some(first.as_str())),
    ] {
        let mut again = rig.stream(&path, header).await;
        assert_eq!(again.next().await.0, second, "{path}");
    }
    let mut some = rig.stream("/v1/events?after=0&name=task.cancelled,template.*", None).await;
    assert_eq!(names(&mut some, 2).await, ["template.registered", "task.cancelled"]);
    let mut nobodys = rig.stream("/v1/events?after=0&namespace=shop&template=order&name=task.*", None).await;
    let told: Vec<Value> = vec![nobodys.next().await.2, nobodys.next().await.2, nobodys.next().await.2];
    assert_eq!(told.iter().map(|event| &event["task"]).collect::<Vec<_>>(), [&id, &other, &id]);
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let rig = Rig::new().await;
    for (query, field) in [
        ("after=yesterday", "after"),
        ("after=1-", "after"),
        ("name=task.vanished", "name"),
        ("task=0", "none"),
        ("since=1", "none"),
    ] {
        let refused = rig.get(&format!("/v1/events?{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{query}");
        let named = refused.json()["errors"][0]["field"].as_str().unwrap_or("none").to_owned();
        assert_eq!(named, field, "{query}: {}", refused.text);
    }
    let last =
        Request::get("/v1/events").header("authorization", "Bearer sw_read").header("last-event-id", "x");
    let refused = rig.send(last.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(refused.code(), "invalid_request", "{}", refused.text);
    // What is not kept any more is said, and from where on something is.
    for _ in 0..3 {
        let context = json!({ "template": "shop/order", "context": { "order_id": 1 } });
        rig.post("/v1/tasks", context).await;
    }
    assert_eq!(rig.store.remove_events(Timestamp(i64::MAX), 100).await.unwrap(), 4);
    let gone = rig.get("/v1/events?after=1-0").await;
    assert_eq!((gone.status.as_u16(), gone.code().as_str()), (410, "events_expired"), "{}", gone.text);
    assert!(gone.json()["detail"].as_str().unwrap().contains("follow position 4"), "{}", gone.text);
    let mut kept = rig.stream("/v1/events?after=4", None).await;
    assert_eq!(names(&mut kept, 2).await, ["task.initialized", "step.viable"]);
}

/// The reference has a line for each event, with what the code says of it.
#[test]
fn every_event_is_in_the_reference() {
    let page = include_str!("../../../../../docs/reference/events.md");
    for (name, what) in stepwright_orchestrator::feed::EventName::ALL {
        let line = format!("| `{}` | {} |", name.as_str(), what.trim());
        assert!(page.contains(&line), "{line}");
    }
}
