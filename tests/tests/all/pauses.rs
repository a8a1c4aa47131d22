//! What people pause stays where it is and goes on; a start may lie ahead; a plugin whose workers keep dying is paused by itself.

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, Process, plugin, template};
use stepwright_tests::rig::TestClock;
use stepwright_workflow::Clock as _;

/// Long enough to be caught at it.
const NAP: &str = "
template: nap
namespace: test
version: 1.0.0
plugin: fixtures/misbehave@^1
steps:
  - { name: nap, handler: nap, config: { ms: 2000 } }
";

/// Ends when somebody ends it.
const SLEEP: &str = "
template: sleep
namespace: test
version: 1.0.0
plugin: fixtures/misbehave@^1
steps:
  - { name: sleep, handler: nap, timeout: 15m, config: { ms: 600000 } }
";

/// A killed worker is lost at once, and one that is only slow is not.
const QUICK: [&str; 6] = [
    "--set",
    "orchestrator.lease=800ms",
    "--set",
    "orchestrator.heartbeat=20s",
    "--set",
    "orchestrator.reconnect_grace=150ms",
];

fn begin(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("misbehave")]);
    for (name, text) in [("nap.yaml", NAP), ("sleep.yaml", SLEEP)] {
        let file = deployment.data().join(name);
        std::fs::write(&file, text).expect("a file");
        deployment.succeed(&["template", "add", &file.to_string_lossy()]);
    }
    deployment.succeed(&["template", "add", &template("linear_4")]);
}

fn start(deployment: &Deployment, template: &str, more: &[&str]) -> String {
    let mut arguments = vec!["task", "run", template, "--json-input", "{\"n\": 4}"];
    arguments.extend(more);
    deployment.json(&arguments)["tasks"][0]["task"].to_string()
}

/// Looks at a task until it is as wanted.
fn until(deployment: &Deployment, task: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let shown = deployment.json(&["task", "show", task]);
        if wanted(&shown) {
            return shown;
        }
    }
}

#[test]
fn what_is_paused_waits_and_goes_on() {
    let deployment = Deployment::new();
    let _dev = deployment.start(&["dev", "--slots", "2"]);
    begin(&deployment);
    let paused =
        deployment.json(&["pause", "template", "shapes/linear_4", "--reason", "stock", "--by", "ann"]);
    assert_eq!(paused, json!({ "scope": "template", "name": "shapes/linear_4", "changed": true }));
    let task = start(&deployment, "shapes/linear_4", &[]);
    // The other one is claimed after it: whatever could begin has begun.
    let other = start(&deployment, "test/nap", &["--wait"]);
    assert_eq!(until(&deployment, &other, |_| true)["state"], "complete");
    let shown = until(&deployment, &task, |_| true);
    assert_eq!((&shown["state"], &shown["execution_status"]), (&json!("pending"), &json!("paused")));
    assert_eq!(shown["recommended_action"], "resume");
    assert_eq!(shown["reasons"][0]["why"], "template shapes/linear_4 was paused by ann: stock");
    assert_eq!(shown["pauses"][0]["name"], "shapes/linear_4");
    assert!(deployment.succeed(&["doctor"]).contains("exactly one thing"));

    // A task may be covered twice, and goes on when nothing covers it any more.
    deployment.succeed(&["pause", "task", &task]);
    assert_eq!(deployment.json(&["pause", "list"])["pauses"].as_array().expect("pauses").len(), 2);
    deployment.succeed(&["resume", "template", "shapes/linear_4"]);
    assert_eq!(until(&deployment, &task, |_| true)["execution_status"], "paused");
    deployment.succeed(&["resume", "task", &task]);
    let done = until(&deployment, &task, |shown| shown["state"] == "complete");
    let notes: Vec<&str> =
        done["notes"].as_array().expect("notes").iter().filter_map(|note| note["detail"].as_str()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].ends_with("paused the task") && notes[1].ends_with("resumed the task"), "{notes:?}");
    let again = deployment.json(&["resume", "task", &task]);
    assert_eq!(again["changed"], false);
    let output = deployment.output(&["pause", "template", "shapes/linaer_4"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("known are"), "{stderr}");
}

#[test]
fn a_start_may_lie_ahead() {
    let deployment = Deployment::new();
    let _dev = deployment.start(&["dev"]);
    begin(&deployment);
    let far = start(&deployment, "shapes/linear_4", &["--at", "2999-01-01T00:00:00+01:00"]);
    let said = TestClock.now();
    let near = start(&deployment, "shapes/linear_4", &["--in", "400ms", "--wait"]);
    let near = until(&deployment, &near, |_| true);
    assert_eq!(near["state"], "complete");
    // From the moment of asking, which is a little before that of its creation.
    let waited = near["started_at"].as_i64().expect("a moment") - said.0;
    assert!(waited >= 400, "{waited} ms");
    let far = until(&deployment, &far, |_| true);
    assert_eq!((&far["state"], &far["execution_status"]), (&json!("pending"), &json!("waiting_for_retry")));
    let why = far["reasons"][0]["why"].as_str().expect("a reason");
    assert!(why.ends_with("at 2998-12-31T23:00:00.000Z"), "{why}");
}

/// Starts a worker, and kills it as soon as it holds a step.
fn kill_one(deployment: &Deployment, name: &str) {
    let worker = deployment.start(&["work", "--name", name, "--slots", "1"]);
    deployment.until_holding(name, 1);
    worker.kill();
    deployment.until_lost(name);
}

#[test]
fn a_plugin_whose_workers_keep_dying_is_quarantined() {
    let deployment = Deployment::new();
    let orchestrator: Process = deployment.start(&[&["orchestrate"], &QUICK[..]].concat());
    begin(&deployment);
    let mut sleeping = Vec::new();
    let mut killed = 0;
    let quarantined = |deployment: &Deployment| deployment.json(&["pause", "list"])["pauses"].clone();
    while quarantined(&deployment) == json!([]) {
        assert!(killed < 12, "{killed} workers died of it");
        sleeping.push(start(&deployment, "test/sleep", &[]));
        killed += 1;
        kill_one(&deployment, &format!("victim-{killed}"));
    }
    assert!(killed >= 3, "two may be an accident");
    let pauses = quarantined(&deployment);
    assert_eq!((&pauses[0]["scope"], &pauses[0]["who"]), (&json!("digest"), &json!("stepwright")));
    assert!(pauses[0]["why"].as_str().expect("a reason").contains("quarantined"), "{pauses}");

    // Others go on, and what was started of it waits until somebody trusts it again.
    let survivor = deployment.start(&["work", "--name", "survivor", "--slots", "1"]);
    let nap = start(&deployment, "test/nap", &[]);
    let other = start(&deployment, "shapes/linear_4", &["--wait"]);
    assert_eq!(until(&deployment, &other, |_| true)["state"], "complete");
    assert_eq!(until(&deployment, &nap, |_| true)["execution_status"], "paused");
    for task in &sleeping {
        deployment.succeed(&["task", "cancel", task]);
    }
    let digest = pauses[0]["name"].as_str().expect("a digest");
    deployment.succeed(&["resume", "digest", &digest[..19], "--reason", "looked at it"]);
    until(&deployment, &nap, |shown| shown["state"] == "complete");
    assert_eq!(survivor.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));
}
