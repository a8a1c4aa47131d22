//! Mistakes: each is answered with its code, its status, and its place.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use stepwright_api::{ApiOptions, Code};

use crate::rig::{Rig, TEMPLATE};

async fn check(rig: &Rig, (method, path): (Method, &str), body: Value, expect: (&str, &str)) {
    let reply = rig.ask(method, path, body.clone()).await;
    let shown = format!("{path} {body}: {}", reply.text);
    let (code, text) = expect;
    assert_eq!(reply.code(), code, "{shown}");
    let known = Code::find(code).unwrap();
    assert_eq!(reply.status, known.status(), "{shown}");
    assert_eq!(reply.json()["type"], known.url(), "{shown}");
    assert!(reply.text.contains(text), "{shown} should say {text}");
}

#[tokio::test]
async fn bodies_and_queries_that_cannot_be_understood_are_explained() {
    let rig = Rig::new().await;
    let start = || (Method::POST, "/v1/tasks");
    let good = || json!({ "template": "shop/order", "context": { "order_id": 1 } });
    let with = |field: &str, value: Value| {
        let mut task = good();
        task[field] = value;
        task
    };
    let bad = "invalid_request";
    for (body, expect) in [
        (json!({}), (bad, "missing field `template`")),
        (json!([]), (bad, "the body")),
        (with("contxt", json!(1)), (bad, "unknown field `contxt`")),
        (with("priority", json!("high")), (bad, "\"field\":\"priority\"")),
        (with("at", json!("tomorrow")), (bad, "RFC 3339")),
        (with("in", json!("soon")), (bad, "not a duration")),
        (
            json!({ "template": "shop/order", "at": "2030-01-01T00:00:00Z", "in": "5m" }),
            (bad, "exclude each other"),
        ),
        (with("template", json!("a\u{0}b")), (bad, "U+0000")),
        (with("template", json!("shop/nothing")), ("template_not_found", "registered are shop/order@1.0.0")),
        (with("template", json!("shop/order@9.9.9")), ("template_not_found", "shop/order@9.9.9")),
        (with("context", json!({ "order_id": "x" })), ("invalid_context", "\"field\":\"context.order_id\"")),
        (with("context", json!({ "order_id": 1, "items": [1] })), ("invalid_context", "context.items[0]")),
        (with("context", Value::Null), ("invalid_context", "\"field\":\"context\"")),
        (with("tags", json!({ "": "x" })), ("invalid_context", "\"field\":\"tags.\"")),
        (with("idempotency_key", json!("")), ("invalid_context", "\"field\":\"idempotency_key\"")),
    ] {
        check(&rig, start(), body, expect).await;
    }
    // Of several tasks, the one is named.
    for (second, expect) in [
        (with("priority", json!("high")), (bad, "\"field\":\"tasks[1].priority\"")),
        (json!({ "context": {} }), (bad, "tasks[1]: missing field `template`")),
        (
            with("template", json!("shop/nothing")),
            ("template_not_found", "tasks[1].template: there is no template"),
        ),
        (with("context", json!({})), ("invalid_context", "tasks[1].context")),
    ] {
        check(&rig, (Method::POST, "/v1/tasks/bulk"), json!({ "tasks": [good(), second] }), expect).await;
    }
    for (path, expect) in [
        ("/v1/tasks?limit=0", (bad, "1 to 1000")),
        ("/v1/tasks?before=0", (bad, "ids count from 1")),
        ("/v1/tasks?limit=many", (bad, "limit")),
        ("/v1/tasks?colour=red", (bad, "unknown field `colour`")),
        ("/v1/tasks?state=running", (bad, "known are pending, in_progress")),
        ("/v1/tasks?namespace=a%00b", (bad, "U+0000")),
        ("/v1/tasks/0", (bad, "ids count from 1")),
        ("/v1/tasks/twelve", (bad, "twelve")),
        ("/v1/tasks/12", ("task_not_found", "there is no task 12")),
        ("/v1/tasks/9223372036854775807", ("task_not_found", "9223372036854775807")),
        ("/v1/tasks/9223372036854775808", (bad, "9223372036854775808")),
        ("/v1/tasks/12/attempts", ("task_not_found", "12")),
        ("/v1/tasks/12/history", ("task_not_found", "12")),
        ("/v1/tasks/12/wait?timeout=1h", (bad, "at most 5m")),
        ("/v1/tasks/12/wait", ("task_not_found", "12")),
        ("/v1/batches?state=gone", (bad, "known are open")),
        ("/v1/batches?since=ever", (bad, "not a duration")),
        ("/v1/batches/12", ("batch_not_found", "12")),
        ("/v1/templates/shop/nothing", ("template_not_found", "shop/nothing")),
        ("/v1/templates/shop/order?version=2.0.0", ("template_not_found", "shop/order@2.0.0")),
        ("/v1/plugins/shop/nothing", ("plugin_not_found", "shop/nothing")),
        ("/v1/plugins/examples/shop/versions/2.0.0", ("plugin_not_found", "examples/shop@2.0.0")),
        ("/v1/errors/nonsense", ("not_found", "nonsense")),
        ("/v1/nothing", ("not_found", "/v1/openapi.json")),
        ("/", ("not_found", "'/'")),
    ] {
        check(&rig, (Method::GET, path), Value::Null, expect).await;
    }
    check(&rig, (Method::PUT, "/v1/tasks"), Value::Null, ("method_not_allowed", "PUT")).await;
    let refused = rig.ask(Method::PUT, "/v1/tasks", Value::Null).await;
    let mut known: Vec<&str> = refused.headers["allow"].split(',').collect();
    known.sort_unstable();
    assert_eq!(known, ["GET", "HEAD", "POST"]);
    let page = rig.get("/v1/errors/invalid_context").await;
    assert!(page.status == 200 && page.text.starts_with("invalid_context\n\n422: "), "{}", page.text);
}

#[tokio::test]
async fn deeds_need_a_reason_and_something_to_be_done_to() {
    let rig = Rig::new().await;
    let started = rig.post("/v1/tasks", json!({ "template": "order", "context": { "order_id": 1 } })).await;
    let id = started.json()["id"].as_i64().unwrap();
    let why = || json!({ "reason": "because" });
    let at = |rest: &str| format!("/v1/tasks/{id}/{rest}");
    for (path, body, expect) in [
        (at("cancel"), json!({}), ("invalid_request", "missing field `reason`")),
        (at("cancel"), json!({ "reason": " " }), ("invalid_request", "\"field\":\"reason\"")),
        (at("cancel"), json!({ "reason": "x", "by": "" }), ("invalid_request", "\"field\":\"by\"")),
        (at("cancel"), json!({ "reason": "x".repeat(1_001) }), ("invalid_request", "at most 1000")),
        (at("cancel"), json!({ "reason": "x", "force": true }), ("invalid_request", "unknown field `force`")),
        (at("retry"), why(), ("conflict", "no step in error")),
        (at("steps/pay/retry"), why(), ("conflict", "pay")),
        (at("steps/ship/skip"), why(), ("step_not_found", "it has check, pay")),
        ("/v1/tasks/99/cancel".to_owned(), why(), ("task_not_found", "99")),
        ("/v1/tasks/99/pause".to_owned(), why(), ("task_not_found", "99")),
        ("/v1/tasks/99/resume".to_owned(), why(), ("task_not_found", "99")),
        (
            "/v1/plugins/examples/shop/versions/2.0.0/yank".to_owned(),
            why(),
            ("plugin_not_found", "its versions are 1.0.0"),
        ),
        ("/v1/pauses".to_owned(), why(), ("invalid_request", "missing field `target`")),
        (
            "/v1/tokens".to_owned(),
            json!({ "name": "12", "scope": "run" }),
            ("invalid_request", "not only digits"),
        ),
        (
            "/v1/tokens".to_owned(),
            json!({ "name": "a", "scope": "all" }),
            ("invalid_request", "unknown variant"),
        ),
        (
            "/v1/tokens".to_owned(),
            json!({ "name": "a", "scope": "run", "expires_in": "0s" }),
            ("invalid_request", "more than nothing"),
        ),
        ("/v1/tokens".to_owned(), json!({ "name": "run", "scope": "run" }), ("already_exists", "'run'")),
    ] {
        check(&rig, (Method::POST, &path), body, expect).await;
    }
    check(&rig, (Method::DELETE, "/v1/tokens/99"), Value::Null, ("token_not_found", "99")).await;
    for (kind, name, expect) in [
        ("task", "99", ("task_not_found", "99")),
        ("task", "9223372036854775807", ("task_not_found", "9223372036854775807")),
        ("task", "x", ("invalid_request", "'x' is no task")),
        ("template", "shop", ("invalid_request", "'shop' is no template")),
        ("template", "shop/order@1.0.0", ("invalid_request", "without a version")),
        ("template", "shop/nothing", ("template_not_found", "shop/nothing")),
        ("namespace", "nowhere", ("namespace_not_found", "nowhere")),
        ("plugin", "examples/none", ("plugin_not_found", "examples/none")),
        ("digest", "12ab", ("invalid_request", "12ab")),
    ] {
        let body = json!({ "target": { "kind": kind, "name": name }, "reason": "because" });
        check(&rig, (Method::POST, "/v1/pauses"), body, expect).await;
    }
    assert_eq!(rig.post(&at("cancel"), why()).await.status, 200);
    check(&rig, (Method::POST, &at("cancel")), why(), ("conflict", "is cancelled, which is final")).await;
}

#[tokio::test]
async fn templates_and_components_say_what_is_wrong_with_them() {
    let rig = Rig::new().await;
    let twice = rig.yaml(TEMPLATE).await;
    assert_eq!((twice.status.as_u16(), &twice.json()["created"]), (200, &json!(false)));
    let changed =
        rig.yaml(&TEMPLATE.replace("order_id: { type: integer }", "order_id: { type: string }")).await;
    assert_eq!(changed.code(), "already_exists", "{}", changed.text);
    let broken = rig
        .yaml(&TEMPLATE.replace("version: 1.0.0", "version: one").replace("handler: pay", "handler: sell"))
        .await;
    assert_eq!(broken.code(), "invalid_template", "{}", broken.text);
    assert!(
        broken.json()["errors"][0]["field"].as_str().unwrap().starts_with("line 3, column "),
        "{}",
        broken.text
    );
    let unknown = rig.yaml(&TEMPLATE.replace("handler: pay", "handler: sell")).await;
    assert!(unknown.code() == "invalid_template" && unknown.text.contains("sell"), "{}", unknown.text);
    assert_eq!(rig.yaml("\u{0}").await.code(), "invalid_template");
    let in_json = rig.post("/v1/templates", json!({ "source": TEMPLATE })).await;
    assert_eq!(in_json.status, 200);

    let send = |path: &'static str, kind: Option<&'static str>, body: &'static [u8]| {
        let mut request = Request::post(path).header("authorization", "Bearer sw_admin");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        rig.send(request.body(Body::from(body)).unwrap())
    };
    let wasm = Some("application/wasm");
    assert_eq!(send("/v1/plugins", None, b"\0asm").await.code(), "unsupported_media_type");
    assert_eq!(send("/v1/plugins", Some("text/plain"), b"\0asm").await.code(), "unsupported_media_type");
    assert_eq!(send("/v1/templates", Some("image/png"), b"").await.code(), "unsupported_media_type");
    assert_eq!(send("/v1/tasks", Some("text/plain"), b"{}").await.code(), "unsupported_media_type");
    assert_eq!(send("/v1/tasks", Some("application/json"), b"{").await.code(), "invalid_request");
    assert_eq!(send("/v1/plugins", wasm, b"nothing").await.code(), "invalid_plugin");
    assert_eq!(send("/v1/plugins", wasm, b"\x01").await.code(), "already_exists");
    assert_eq!(send("/v1/plugins?signature=%21", wasm, b"\0").await.code(), "invalid_request");
    let sent = send("/v1/plugins?name=shop/mine&version=2.0.0&signature=W10%3D", wasm, b"\0asm").await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let sent = sent.json();
    assert_eq!(
        (&sent["name"], &sent["version"], &sent["warning"]),
        (&json!("shop/mine"), &json!("2.0.0"), &json!("[]"))
    );
}

#[tokio::test]
async fn limits_are_kept_and_named() {
    let options = ApiOptions {
        body_bytes_max: 1_000,
        bulk_bytes_max: 200,
        component_bytes_max: 50,
        open: true,
        ..ApiOptions::default()
    };
    let wide = Rig::with(ApiOptions { payload_bytes_max: 30, ..ApiOptions::default() }).await;
    let large = json!({ "template": "order", "context": { "order_id": 1, "items": ["x".repeat(30)] } });
    let refused = wide.post("/v1/tasks", large).await;
    assert!(refused.code() == "invalid_context" && refused.text.contains("allows 30"), "{}", refused.text);

    let rig = Rig::with(options.clone()).await;
    let send = |path: &'static str, kind: &'static str, bytes: usize, length: bool| {
        let mut request = Request::post(path).header("host", "localhost").header("content-type", kind);
        if length {
            request = request.header("content-length", bytes);
        }
        rig.send(request.body(Body::from(vec![b' '; bytes])).unwrap())
    };
    // With a length that says so, and without.
    for length in [true, false] {
        for (path, kind, most) in [
            ("/v1/tasks", "application/json", 1_000),
            ("/v1/tasks/bulk", "application/json", 200),
            ("/v1/plugins", "application/wasm", 50),
        ] {
            let refused = send(path, kind, most + 1, length).await;
            assert_eq!(
                (refused.code().as_str(), refused.status.as_u16()),
                ("payload_too_large", 413),
                "{path}"
            );
            assert!(refused.text.contains(&format!("at most {most} bytes")), "{}", refused.text);
            assert_ne!(send(path, kind, most, length).await.code(), "payload_too_large", "{path}");
        }
    }
    let slow = Rig::with(ApiOptions { requests_per_second: 1, ..options }).await;
    let mut refused = 0;
    for _ in 0..20 {
        let reply = slow.get("/v1/pauses").await;
        if reply.status == 429 {
            assert_eq!(reply.code(), "rate_limited");
            assert!(reply.headers["retry-after"].parse::<u64>().unwrap() > 0);
            refused += 1;
        }
    }
    assert!(refused > 0, "20 requests at once were answered, one a second is allowed");
}
