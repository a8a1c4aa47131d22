//! `dev` beside workers from outside: a process like any other that runs components, one that serves handlers of its own, and
//! one that comes through the gate. Whoever of them is killed, its steps are taken over.

use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::{Value, json};
use stepwright_tests::http::Client;
use stepwright_tests::liar::{Liar, line, truth};
use stepwright_tests::processes::{Deployment, Process, plugin};
use stepwright_tests::rig::hello;
use stepwright_transport::wire::{Hello, Serves};
use stepwright_transport::zmq::{self, ConnectOptions};

/// As many steps as two workers share, and one that neither of them runs.
const TEMPLATE: &str = "
template: spread
namespace: test
version: 1.0.0
plugin: examples/shapes@^1
steps:
  - { name: a, handler: start }
  - { name: b, handler: start }
  - { name: c, handler: start }
  - { name: d, handler: start }
  - { name: e, handler: start }
  - { name: f, handler: start }
  - { name: charge, plugin: external, handler: charge, depends_on: [a, b, c, d, e, f] }
";

/// A `dev` to join. Only a connection that is gone tells that a worker is: nobody is taken for dead on a busy machine, nor when he
/// says nothing for three heartbeats.
struct Dev {
    deployment: Deployment,
    process: Process,
    socket: String,
    client: Client,
}

impl Dev {
    fn start(more: &[&str]) -> Self {
        let deployment = Deployment::new();
        let patience =
            ["orchestrator.heartbeat=20s", "orchestrator.lease=10m", "orchestrator.reconnect_grace=100ms"];
        let mut arguments = vec!["--json", "dev", "--name", "inside"];
        arguments.extend(patience.iter().flat_map(|setting| ["--set", setting]));
        let process = deployment.start(&[&arguments, more].concat());
        let ready: Value = serde_json::from_str(process.ready()).expect("JSON");
        let client = Client::new(ready["api"].as_str().expect("it serves the API"));
        let socket = ready["socket"].as_str().and_then(|url| url.strip_prefix("ipc://")).expect("a socket");
        let socket = socket.to_owned();
        deployment.succeed(&["plugin", "add", &plugin("shapes")]);
        let template = deployment.data().join("spread.yaml");
        std::fs::write(&template, TEMPLATE).expect("a file");
        deployment.succeed(&["template", "add", &template.to_string_lossy()]);
        Self { deployment, process, socket, client }
    }

    fn begin(&self) -> Value {
        let started =
            self.client.post("/v1/tasks", &json!({ "template": "test/spread", "context": { "n": 1 } }));
        started.json()["id"].clone()
    }

    /// How often each worker ended an attempt so.
    fn ended(&self, task: &Value, status: &str, worker: &str) -> usize {
        let told = self.client.get(&format!("/v1/tasks/{task}/attempts")).json();
        let attempts = told["attempts"].as_array().expect("attempts").iter();
        attempts.filter(|one| one["status"] == status && one["worker_name"] == worker).count()
    }

    fn until_joined(&self, name: &str) {
        while !self.client.get("/v1/workers").json()["workers"]
            .as_array()
            .expect("workers")
            .iter()
            .any(|worker| worker["name"] == name && worker["state"] == "joined")
        {}
    }

    /// A worker at the socket that serves `charge`.
    async fn external(&self, name: &str) -> Liar {
        let options = ConnectOptions {
            routes: vec![PathBuf::from(&self.socket)].into(),
            incarnation: name.to_owned(),
            message_bytes_max: 8 << 20,
        };
        let serves = Serves { wasm: false, external: vec!["charge".to_owned()] };
        let hello = Hello { name: name.to_owned(), incarnation: name.to_owned(), serves, ..hello() };
        Liar::join_as(Box::new(zmq::connect(options).expect("a port")), hello).await
    }
}

#[tokio::test]
async fn workers_from_outside_share_the_work_and_are_outlived() {
    let dev = Dev::start(&[]);
    let endpoint = loop {
        let listed = dev.deployment.json(&["orchestrator", "list"]);
        if let Some(endpoint) = listed["orchestrators"][0]["endpoints"][0].as_str() {
            break endpoint.to_owned();
        }
    };
    assert!(endpoint.starts_with("ipc://") && endpoint.ends_with(&dev.socket), "{endpoint}");
    // It has nothing of the other's but the way to its socket: components come over that.
    let far = Deployment::new();
    let outside = far.start(&["work", "--name", "outside", "--slots", "2", "--orchestrator", &dev.socket]);
    dev.until_joined("outside");
    let mut first = dev.external("first").await;

    let task = dev.begin();
    let batch = first.batch().await;
    let told: Vec<_> = batch.steps.iter().map(truth).collect();
    first.report(batch.batch, told.clone());
    first.complete(batch.batch, told.iter().map(line).collect());
    first.until_closed(batch.batch).await;
    let ended = dev.client.get(&format!("/v1/tasks/{task}/wait?timeout=5m")).json();
    assert_eq!(
        (&ended["state"], &ended["steps_detail"][6]["external"]),
        (&json!("complete"), &json!("charge"))
    );
    for (worker, steps) in [("inside", 1..=5), ("outside", 1..=5), ("first", 1..=1)] {
        let ended = dev.ended(&task, "completed", worker);
        assert!(steps.contains(&ended), "{worker} ended {ended}");
    }

    // One that stands still holds its steps until it is killed.
    outside.suspend();
    let task = dev.begin();
    dev.deployment.until_holding("outside", 1);
    outside.kill();
    // So does one that took its step and goes without a word.
    let batch = first.batch().await;
    assert_eq!((batch.steps[0].name.as_str(), batch.steps[0].attempt), ("charge", 1));
    first.close().await;
    let mut second = dev.external("second").await;
    let batch = second.batch().await;
    assert_eq!((batch.steps[0].name.as_str(), batch.steps[0].attempt), ("charge", 2));
    second.report(batch.batch, batch.steps.iter().map(truth).collect());
    let ended = dev.client.get(&format!("/v1/tasks/{task}/wait?timeout=5m")).json();
    assert_eq!(ended["state"], "complete", "{ended}");
    assert_eq!((dev.ended(&task, "completed", "inside"), dev.ended(&task, "completed", "second")), (6, 1));
    assert!(dev.ended(&task, "lost", "outside") > 0 && dev.ended(&task, "lost", "first") == 1);
    second.close().await;
    assert_eq!(dev.process.terminate(), Some(0));
}

#[test]
fn its_gate_has_the_rules_of_every_gate() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let deployment = Deployment::new();
    for (listen, expect) in [
        ("0.0.0.0:0", "gate.listen: 0.0.0.0:0 is beyond the loopback and would encrypt nothing"),
        (&address, "is in use by another process; stop it, or choose another port for the gate"),
    ] {
        let output = deployment.output(&["dev", "--gate-listen", listen]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(expect), "{listen}: {stderr}");
    }
    let dev = Dev::start(&["--gate-listen", "127.0.0.1:0"]);
    let ready: Value = serde_json::from_str(dev.process.ready()).expect("JSON");
    let gate = ready["gate"].as_str().expect("a gate");
    let far = Deployment::new();
    let token = far.data().join("worker.token").to_string_lossy().into_owned();
    let work = ["work", "--name", "far", "--orchestrator", gate];
    let refused = far.output(&work);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stepwright token create"));
    // The API stays open: this token is not for it.
    dev.deployment.succeed(&["token", "create", "--name", "far", "--out", &token]);
    let worker = far.start(&work);
    dev.until_joined("far");
    dev.deployment.succeed(&["token", "revoke", "far"]);
    dev.deployment.until_lost("far");
    assert_eq!((worker.terminate(), dev.process.terminate()), (Some(0), Some(0)));
}
