//! Secrets: where they go, where they do not, and what a step leaves behind.

use std::sync::Arc;

use serde_json::{Value, json};
use stepwright_executor::egress::{FakeAnswer, FakeHttp, FakeRequest};
use stepwright_executor::grants::SecretGrant;
use stepwright_executor::{Control, Egress, EgressOptions, EngineOptions, Executor as _, Grants};
use stepwright_workflow::FailureClass;

use crate::bench::{Reach, failed, http, output, secret, warnings};

const VALUE: &str = "s3cr3t \"&/value";

fn reach(secrets: Vec<SecretGrant>, answers: Vec<FakeAnswer>) -> (Reach, Arc<FakeHttp>) {
    let fake = Arc::new(FakeHttp::new(answers));
    let egress = Egress::fake(EgressOptions::default(), Arc::clone(&fake));
    let grants =
        Grants { http: http(&["https://api.test", "https://other.test"]), secrets, ..Grants::default() };
    (Reach::with(EngineOptions::default(), grants, |executor| executor.with_egress(egress)), fake)
}

fn any(method: &str, url: &str) -> FakeAnswer {
    FakeAnswer { repeatedly: true, ..FakeAnswer::new(method, url) }
}

fn header<'a>(request: &'a FakeRequest, name: &str) -> &'a str {
    request.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placeholder_becomes_the_value_on_the_way_to_granted_hosts_only() {
    let encoded = "s3cr3t%20%22%26%2Fvalue";
    let answers = vec![
        any("POST", &format!("https://api.test/v1/{encoded}?key={encoded}")),
        any("POST", "https://api.test/"),
    ];
    let narrow = SecretGrant { hosts: vec!["other.test".to_owned()], ..secret("narrow", "for the other") };
    let (reach, fake) = reach(vec![secret("key", VALUE), narrow], answers);
    let to = |more: Value| {
        let mut request = json!({ "authority": "api.test", "method": "POST", "secrets": ["key"] });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let placeholder_bytes = "stepwright-secret-key-".len() + 32;
    let length = |around: usize| {
        json!([
            ["content-type", "application/json"],
            ["content-length", (placeholder_bytes + around).to_string()]
        ])
    };
    let (answers, report) = reach
        .fetch(json!([
            to(json!({ "path": "/v1/$key?key=$key", "headers": [["authorization", "Bearer $key"]], "body": "$key" })),
            to(json!({ "headers": length(8), "body": "{\"k\":\"$key\"}" })),
            to(json!({ "headers": [["content-type", "application/x-www-form-urlencoded"]], "body": "k=$key" })),
            to(json!({ "basic": ["me", "key"] })),
            to(json!({ "secrets": ["narrow"], "headers": [["x-key", "$narrow"]] })),
            to(json!({ "secrets": ["narrow"], "body": "a $narrow" })),
            to(json!({ "basic": ["me", "narrow"] })),
            to(json!({ "authority": "elsewhere.test", "body": "$key" })),
        ]))
        .await;
    for answer in &answers[..4] {
        assert_eq!(answer["status"], 200, "{answers:?} {:?}", warnings(&report));
    }
    for answer in &answers[4..] {
        assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied", "{answers:?}");
    }
    let came = fake.requests();
    assert_eq!(came.len(), 4);
    assert_eq!(
        (header(&came[0], "authorization"), came[0].body.as_slice()),
        (&*format!("Bearer {VALUE}"), VALUE.as_bytes())
    );
    assert_eq!(came[1].body, br#"{"k":"s3cr3t \"&/value"}"#);
    assert_eq!(header(&came[1], "content-length"), "");
    assert_eq!(came[2].body, format!("k={encoded}").as_bytes());
    assert_eq!(header(&came[3], "authorization"), "Basic bWU6czNjcjN0ICImL3ZhbHVl");
    let said = warnings(&report);
    assert!(said[0].starts_with("POST https://api.test was denied: the request holds the secret 'narrow', which is not for this host."), "{said:?}");
    assert!(
        said[0].ends_with("secrets = [{ name = \"narrow\", env = \"NARROW\", hosts = [\"api.test\"] }]"),
        "{said:?}"
    );
    let left_behind = format!("{report:?}");
    assert!(!left_behind.contains("s3cr3t") && !left_behind.contains("for the other"), "{left_behind}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_are_not_granted_are_not_there_and_revealed_ones_are() {
    let revealed = SecretGrant { revealed: true, ..secret("plain", VALUE) };
    let (reach, _) = reach(vec![secret("key", VALUE), revealed], Vec::new());
    let report = reach.run("tell", json!({ "secrets": ["key", "plain", "missing"] })).await;
    assert_eq!(output(&report)["secrets"], json!(["placeholder key", "15 bytes", null]));
    assert_eq!(
        warnings(&report),
        ["the secret 'missing' was denied: no grant names it. This in the configuration would allow it:\n\
          [[grants]]\nplugin = \"fixtures/reach\"\nsecrets = [{ name = \"missing\", env = \"MISSING\" }]"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_stands_in_nothing_that_a_step_leaves_behind() {
    let revealed = SecretGrant { revealed: true, ..secret("key", VALUE) };
    let (reach, _) = reach(vec![revealed], Vec::new());
    for way in ["log", "print", "panic", "error", "output", "nested"] {
        let report = reach.run("slip", json!({ "secret": "key", "way": way })).await;
        let left_behind = format!("{report:?}");
        assert!(!left_behind.contains("s3cr3t"), "{way}: {left_behind}");
        match way {
            "log" => {
                let line = &report.log[0];
                assert_eq!(line.message, "the key is [secret key]");
                assert_eq!(line.fields, [("key".to_owned(), "[secret key]".to_owned())]);
            }
            "print" => assert!(
                left_behind.contains("printed [secret key]")
                    && left_behind.contains("complained [secret key]")
            ),
            "panic" => assert!(failed(&report).message.contains("it printed: [secret key]"), "{left_behind}"),
            "error" => {
                let error = failed(&report);
                assert_eq!(
                    (error.message.as_str(), error.code.as_deref()),
                    ("[secret key] was wrong", Some("[secret key]"))
                );
                assert_eq!(error.details.as_ref().unwrap().as_str(), "{\"used\":[\"[secret key]\"]}");
            }
            _ => {
                let error = failed(&report);
                assert_eq!((error.class, error.retryable), (FailureClass::InvalidOutput, false));
                assert_eq!(error.code.as_deref(), Some("secret_in_output"));
            }
        }
    }
    let control = Control::default();
    let call = reach.call("slip", &json!({ "secret": "key", "way": "progress" }));
    reach.executor.execute(call, control.clone()).await.unwrap();
    assert_eq!(control.take_progress(), Some((0.5, "[secret key]".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_a_host_sends_back_does_not_get_into_the_output() {
    let echo = FakeAnswer {
        response_body: format!("you sent {VALUE}").into_bytes(),
        ..FakeAnswer::new("GET", "https://api.test/")
    };
    let (reach, _) = reach(vec![secret("key", VALUE)], vec![echo]);
    let report = reach.run("fetch", json!({ "requests": [{ "authority": "api.test" }] })).await;
    assert_eq!(failed(&report).code.as_deref(), Some("secret_in_output"));
}
