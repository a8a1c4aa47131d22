//! The HTTP API of real processes: from an upload to a result, with tokens, TLS, and an end.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use stepwright_tests::http::Client;
use stepwright_tests::processes::{Deployment, Process, plugin, root, template};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Where a process said that its API is.
fn api(process: &Process) -> Client {
    let ready: Value = serde_json::from_str(process.ready()).expect("JSON");
    Client::new(ready["api"].as_str().expect("it serves the API"))
}

/// Registers the shapes and one of their templates.
fn register(client: &Client) {
    let component = std::fs::read(plugin("shapes")).expect("a component");
    let added = client.send("POST", "/v1/plugins", ("application/wasm", &component)).json();
    assert_eq!((&added["name"], &added["created"]), (&json!("examples/shapes"), &json!(true)), "{added}");
    let text = std::fs::read(template("linear_4")).expect("a template");
    let added = client.send("POST", "/v1/templates", ("application/yaml", &text)).json();
    assert_eq!((&added["name"], &added["created"]), (&json!("linear_4"), &json!(true)), "{added}");
}

const SLOW: &str = "shapes/linear_4";

#[test]
fn an_uploaded_component_runs_to_its_result() {
    let deployment = Deployment::new();
    let dev = deployment.start(&["--json", "dev", "--set", "api.waits_per_token_max=1"]);
    let client = api(&dev);
    assert_eq!(client.get("/v1/ready").status, 200);
    register(&client);
    let again = client.send(
        "POST",
        "/v1/plugins",
        ("application/wasm", &std::fs::read(plugin("shapes")).expect("it")),
    );
    assert_eq!((again.status, &again.json()["created"]), (200, &json!(false)));
    let refused = client.send("POST", "/v1/plugins", ("application/wasm", b"nothing"));
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("invalid_plugin")));
    assert!(client.get("/v1/plugins/examples/shapes").json()["versions"][0]["source"] == "upload");

    let started = client
        .post("/v1/tasks", &json!({ "template": SLOW, "context": { "n": 4 }, "idempotency_key": "four" }));
    assert_eq!(started.status, 201);
    let id = started.json()["id"].clone();
    // The wait ends with the task, long before its time is over.
    let waited = client.get(&format!("/v1/tasks/{id}/wait?timeout=5m")).json();
    assert_eq!((&waited["settled"], &waited["state"]), (&json!(true), &json!("complete")), "{waited}");
    assert_eq!(waited["steps_detail"][3]["output"]["value"], 196);
    // What is written down is complete once its batches are closed, which is after the task has settled.
    while client.get("/v1/batches?state=open").json()["batches"] != json!([]) {}
    let attempts = client.get(&format!("/v1/tasks/{id}/attempts")).json();
    assert_eq!(attempts["attempts"].as_array().expect("attempts").len(), 4);
    let history = client.get(&format!("/v1/tasks/{id}/history")).json();
    let kinds: Vec<&Value> =
        history["history"].as_array().expect("lines").iter().map(|line| &line["kind"]).collect();
    assert!(kinds.contains(&&json!("claimed")) && kinds.contains(&&json!("settled")), "{kinds:?}");
    // The command line tells the same.
    let shown = deployment.json(&["task", "show", &id.to_string(), "--history"]);
    assert_eq!(shown["history"], history["history"]);
    let batch = client.get("/v1/batches?limit=1").json()["batches"][0]["id"].clone();
    assert_eq!(
        client.get(&format!("/v1/batches/{batch}")).json(),
        deployment.json(&["batch", "show", &batch.to_string()])
    );
    let again = client
        .post("/v1/tasks", &json!({ "template": SLOW, "context": { "n": 4 }, "idempotency_key": "four" }));
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("complete")));

    let many: Vec<Value> = (1..=50).map(|n| json!({ "template": SLOW, "context": { "n": n } })).collect();
    let many = client.post("/v1/tasks/bulk", &json!({ "tasks": many })).json();
    let last = many["tasks"][49]["id"].clone();
    assert_eq!(client.get(&format!("/v1/tasks/{last}/wait?timeout=5m")).json()["state"], "complete");
    assert_eq!(client.get("/v1/workers").json()["workers"][0]["state"], "joined");

    // A wait ends with what is so when the process is told to stop. There is one place to wait in, so that a second one is refused as
    // soon as the first has it.
    let later =
        client.post("/v1/tasks", &json!({ "template": SLOW, "context": { "n": 1 }, "in": "1h" })).json();
    let path = format!("/v1/tasks/{}/wait", later["id"]);
    let (waiter, long) = (client.clone(), format!("{path}?timeout=5m"));
    let waiting = std::thread::spawn(move || {
        loop {
            let reply = waiter.get(&long);
            if reply.status != 429 {
                return reply.json();
            }
        }
    });
    while client.get(&format!("{path}?timeout=0s")).status != 429 {}
    assert_eq!(dev.terminate(), Some(0));
    let waited = waiting.join().expect("it was answered");
    assert_eq!((&waited["settled"], &waited["state"]), (&json!(false), &json!("pending")));
}

#[test]
fn the_loopback_is_open_until_a_token_is_made() {
    let deployment = Deployment::new();
    let dev = deployment.start(&["--json", "dev"]);
    let client = api(&dev);
    assert_eq!(client.get("/v1/tasks").status, 200);
    let secret = deployment.succeed(&["token", "create", "--name", "shop", "--scope", "run"]);
    while client.get("/v1/tasks").status != 401 {}
    let shop = client.with_token(&secret);
    assert_eq!(shop.get("/v1/tasks").status, 200);
    assert_eq!(shop.get("/v1/tokens").json()["code"], "forbidden");
    // The gate's tokens are another thing.
    let worker = deployment.succeed(&["token", "create", "--name", "shop"]);
    while client.with_token(&worker).get("/v1/tasks").status != 403 {}
    deployment.succeed(&["token", "revoke", "shop"]);
    while shop.get("/v1/tasks").status != 401 {}
    // And it does not open again.
    assert_eq!(client.get("/v1/tasks").json()["code"], "unauthorized");
    assert_eq!(client.get("/v1/health").status, 200);
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn an_orchestrator_serves_it_with_tls_and_tokens_where_it_is_told_to() {
    let deployment = Deployment::new();
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = |name: &str, text: &str| {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = deployment.data().join(name);
        let file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        file.expect("a file").write_all(text.as_bytes()).expect("a file");
        path.display().to_string()
    };
    let certificate_file = format!("api.tls_certificate={}", file("api.pem", &certificate.pem()));
    let key_file = format!("api.tls_key={}", file("api.key", &key.serialize_pem()));
    let secret = deployment.succeed(&["token", "create", "--name", "board", "--scope", "read"]);
    let quiet = deployment.start(&["--json", "orchestrate"]);
    assert!(serde_json::from_str::<Value>(quiet.ready()).expect("JSON")["api"].is_null());
    assert_eq!(quiet.terminate(), Some(0));
    let arguments = ["--json", "orchestrate", "--api-listen", "127.0.0.1:0"];
    let orchestrator =
        deployment.start(&[&arguments[..], &["--set", &certificate_file, "--set", &key_file]].concat());
    assert!(orchestrator.ready().contains("https://127.0.0.1:"), "{}", orchestrator.ready());
    let client = api(&orchestrator);
    let ready: Value = serde_json::from_str(orchestrator.ready()).expect("JSON");
    let address =
        ready["api"].as_str().and_then(|url| url.strip_prefix("https://")).expect("an address").to_owned();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let ask = |client: &Client, path: &str| {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let tls = ClientConnection::new(config.clone(), name).expect("TLS");
        let stream = StreamOwned::new(tls, TcpStream::connect(&address).expect("it listens"));
        client.send_over(stream, ("GET", path), ("application/json", b""))
    };
    assert_eq!(ask(&client, "/v1/health").status, 200);
    assert_eq!(ask(&client, "/v1/orchestrators").json()["code"], "unauthorized");
    let reader = client.with_token(&secret);
    let listed = || ask(&reader, "/v1/orchestrators").json()["orchestrators"].as_array().map(Vec::len);
    // It is there a moment before it is listed, and the one before it is listed no more.
    while listed().expect("orchestrators") != 1 {}
    assert_eq!(orchestrator.terminate(), Some(0));
}

#[test]
fn a_place_that_is_taken_or_not_safe_is_explained() {
    let deployment = Deployment::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (arguments, expect) in [
        (
            ["dev", "--api-listen", &address],
            "another process listens there, perhaps another 'stepwright dev'",
        ),
        (["orchestrate", "--api-listen", &address], "choose another place with --api-listen or api.listen"),
        (["dev", "--api-listen", "0.0.0.0:0"], "is beyond the loopback and would encrypt nothing"),
        (["dev", "--api-listen", "everywhere"], "is not an address and a port"),
    ] {
        let output = deployment.output(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(expect), "{arguments:?}: {stderr}");
    }
    // Told to go without encryption, it asks for a token all the same: also of this machine, and while there is none.
    let plain = ["--json", "dev", "--api-listen", "0.0.0.0:0", "--set", "api.allow_plaintext=true"];
    let plain = deployment.start(&plain);
    assert_eq!(api(&plain).get("/v1/tasks").json()["code"], "unauthorized");
    assert_eq!(plain.terminate(), Some(0));
    let off = deployment.start(&["--json", "dev", "--api-listen", "off"]);
    assert!(serde_json::from_str::<Value>(off.ready()).expect("JSON")["api"].is_null());
    assert_eq!(off.terminate(), Some(0));
    assert!(root().join("docs/reference/openapi.json").exists());
}
