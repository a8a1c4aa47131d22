//! The command line as its users meet it: bad input, refusals, misbehaving plugins, and repair.

use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, plugin, template};

fn refused(deployment: &Deployment, arguments: &[&str], expect: &[&str]) {
    let output = deployment.output(arguments);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    for text in expect {
        assert!(stderr.contains(text), "{arguments:?} should say '{text}':\n{stderr}");
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(deployment: &Deployment, name: &str, content: &[u8]) -> String {
    let path = deployment.data().join(name);
    std::fs::write(&path, content).expect("a file");
    path.to_string_lossy().into_owned()
}

#[test]
fn bad_templates_are_refused_with_every_problem_and_nothing_is_stored() {
    let deployment = Deployment::new();
    let bad = "template: Bad\nnamespace: test\nversion: 1\nstep:\n  - { name: a, handler: x }\n";
    let bad = file(&deployment, "bad.yaml", bad.as_bytes());
    let expect = [
        "bad.yaml:1:11: template: 'Bad' is not a name",
        "bad.yaml:3:10: version:",
        "unknown key 'step'; did you mean 'steps'?",
    ];
    refused(&deployment, &["template", "check", &bad], &expect);
    refused(&deployment, &["template", "add", &template("diamond"), &bad], &expect);
    assert_eq!(deployment.json(&["template", "list"])["templates"], json!([]));
    // A good file whose plugin is not there yet.
    refused(
        &deployment,
        &["template", "add", &template("diamond")],
        &["no plugin 'examples/shapes' is registered"],
    );
}

#[test]
fn what_is_no_plugin_is_refused_with_wanted_against_offered() {
    let deployment = Deployment::new();
    let text = file(&deployment, "text.wasm", b"hello");
    refused(&deployment, &["plugin", "add", &text], &["text.wasm", "not WebAssembly"]);
    let module = file(&deployment, "module.wasm", b"\0asm\x01\0\0\0");
    refused(&deployment, &["plugin", "add", &module], &["core module", "wasm32-wasip2"]);
    let empty = file(&deployment, "empty.wasm", b"\0asm\x0d\0\x01\0");
    refused(
        &deployment,
        &["plugin", "add", &empty, &plugin("shapes")],
        &["does not export stepwright:step/handler@0.1.0"],
    );
    assert_eq!(deployment.json(&["plugin", "list"])["plugins"], json!([]));
    // The same bytes again change nothing; the same version with other bytes is refused.
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    let other = ["plugin", "add", &plugin("shop"), "--name", "examples/shapes", "--version", "1.0.0"];
    refused(&deployment, &other, &["examples/shapes@1.0.0", "new version"]);
}

#[test]
fn a_context_that_does_not_fit_starts_nothing() {
    let deployment = Deployment::new();
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("diamond")]);
    let run = ["task", "run", "shapes/diamond", "--json-input", "{\"n\": \"four\"}"];
    refused(&deployment, &run, &["/n: \"four\" is not of type \"integer\""]);
    let lines = b"{\"context\":{\"n\":1}}\n{\"context\":{}}\n{\"contxt\":1}\n";
    let batch = file(&deployment, "batch.jsonl", lines);
    refused(
        &deployment,
        &["task", "run", "diamond", "--batch", &batch],
        &["line 2: \"n\" is a required property", "line 3: unknown field `contxt`"],
    );
    refused(
        &deployment,
        &["task", "run", "shapes/diamnd"],
        &["there is no template 'shapes/diamnd'", "shapes/diamond@1.0.0"],
    );
    assert_eq!(deployment.json(&["task", "list"])["tasks"], json!([]));
    refused(&deployment, &["task", "show", "99"], &["there is no task 99"]);
}

#[test]
fn a_second_orchestrator_and_what_is_in_use_are_named() {
    let deployment = Deployment::new();
    let first = deployment.start(&["orchestrate"]);
    refused(&deployment, &["orchestrate"], &["another orchestrator (process ", "stop it first"]);
    assert_eq!(first.terminate(), Some(0));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(
        &deployment,
        &["orchestrate", "--gate-listen", &address],
        &[&format!("{address} is in use by another process"), "choose another port"],
    );
    let missing = deployment.data().join("nowhere/x.db").to_string_lossy().into_owned();
    refused(&deployment, &["--db", &missing, "task", "list"], &["nowhere does not exist; create it first"]);
    let rubbish = file(&deployment, "rubbish.db", &[7; 4_096]);
    refused(&deployment, &["--db", &rubbish, "task", "list"], &["rubbish.db", "no SQLite database"]);
}

#[test]
fn settings_are_shown_with_their_origin_and_mistakes_are_all_named() {
    let deployment = Deployment::new();
    file(&deployment, "stepwright.toml", b"[worker]\nslots = 3\n");
    let shown = deployment.json(&["--set", "worker.drain=3s", "config", "show"]);
    assert_eq!(shown["worker.slots"]["value"], "3");
    assert_eq!(shown["worker.slots"]["origin"]["place"], "stepwright.toml:2:1");
    assert_eq!(shown["worker.drain"]["origin"]["layer"], "flag");
    let bad = file(&deployment, "bad.toml", b"[worker]\nslot = 3\n[sandbox]\nmemory = '64'\n");
    let expect = [
        "bad.toml:2:1: worker.slot: unknown setting; did you mean 'worker.slots'?",
        "sandbox.memory: '64' is not a size",
    ];
    refused(&deployment, &["--config", &bad, "config", "check"], &expect);
    let output =
        deployment.command(&["config", "check"]).env("STEPWRIGHT_SLOTS", "1").output().expect("it starts");
    assert!(stderr(&output).contains("STEPWRIGHT_SLOTS: unknown variable"), "{}", stderr(&output));
    assert!(deployment.succeed(&["completions", "bash"]).contains("_stepwright"));
    deployment.succeed(&["db", "migrate"]);
    assert_eq!(deployment.json(&["db", "status"])["current"], true);
}

const MISBEHAVE: &str = "
template: misbehave
namespace: test
version: 1.0.0
plugin: fixtures/misbehave@^1
defaults: { timeout: 10m, retry: { limit: 1 }, limits: { cpu: 10m, memory: 32MiB, output: 1KiB } }
steps:
  - { name: spin, handler: spin, limits: { cpu: 300ms } }
  - { name: sleep, handler: sleep, timeout: 300ms }
  - { name: explode, handler: explode }
  - { name: leave, handler: leave }
  - { name: hoard, handler: hoard }
  - { name: recurse, handler: recurse }
  - { name: ramble, handler: ramble }
  - { name: chatter, handler: chatter }
  - { name: stumble, handler: stumble, retry: { limit: 3, base: 10ms } }
  - { name: look_around, handler: look_around }
  - { name: again, handler: count_calls, depends_on: once }
  - { name: once, handler: count_calls }
";

fn add_misbehave(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("misbehave")]);
    let path = file(deployment, "misbehave.yaml", MISBEHAVE.as_bytes());
    deployment.succeed(&["template", "add", &path]);
}

fn step<'a>(task: &'a Value, name: &str) -> &'a Value {
    let steps = task["steps_detail"].as_array().expect("steps");
    steps.iter().find(|step| step["name"] == name).expect("the step is there")
}

#[test]
fn each_misdeed_fails_its_own_step_with_its_class_and_the_others_go_on() {
    let deployment = Deployment::new();
    let _dev = deployment.start(&["dev"]);
    add_misbehave(&deployment);
    let output =
        deployment.output(&["task", "run", "test/misbehave", "--json-input", "{\"n\": 2000}", "--wait"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let task = deployment.json(&["task", "show", "1"]);
    let failure = |name: &str| {
        let failure = &step(&task, name)["failure"];
        (
            failure["class"].as_str().unwrap_or("none").to_owned(),
            failure["code"].as_str().unwrap_or("none").to_owned(),
        )
    };
    let check = |name: &str, class: &str, code: &str| {
        assert_eq!(failure(name), (class.to_owned(), code.to_owned()), "{name}");
    };
    check("spin", "timeout", "cpu");
    check("sleep", "timeout", "wall_clock");
    check("explode", "trap", "unreachable_code_reached");
    check("leave", "trap", "exit");
    check("hoard", "memory", "memory_bytes");
    // A Rust guest keeps its own stack in its memory, and that ends first.
    check("recurse", "trap", "memory_out_of_bounds");
    check("ramble", "output_too_large", "output_bytes");
    check("stumble", "retryable", "stumbled");
    assert_eq!(step(&task, "stumble")["attempt"], 3);
    let message = step(&task, "explode")["failure"]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("the boiler burst"), "{message}");
    assert_eq!(step(&task, "chatter")["output"], 2_000);
    let seen = json!({ "files": false, "environment": 0, "arguments": 0, "network": false, "secret": false });
    assert_eq!(step(&task, "look_around")["output"], seen);
    // A fresh instance for every attempt: nothing of an earlier one is left.
    assert_eq!((&step(&task, "once")["output"], &step(&task, "again")["output"]), (&json!(1), &json!(1)));
}

#[test]
fn a_failed_task_can_be_repaired_and_a_running_one_stopped() {
    let deployment = Deployment::new();
    let _dev = deployment.start(&["dev"]);
    deployment.succeed(&["plugin", "add", &plugin("misbehave")]);
    let text = "
template: repair
namespace: test
version: 1.0.0
plugin: fixtures/misbehave@^1
defaults: { retry: { limit: 1 } }
steps:
  - { name: first, handler: stumble }
  - { name: second, handler: echo, depends_on: first }
";
    let path = file(&deployment, "repair.yaml", text.as_bytes());
    deployment.succeed(&["template", "add", &path]);
    let fail = ["task", "run", "test/repair", "--json-input", "{\"n\": 1}", "--wait"];
    assert_eq!(deployment.output(&fail).status.code(), Some(2));
    // It stumbles once: the operator's second attempt succeeds.
    deployment.succeed(&["task", "retry", "1", "--reason", "the floor was swept"]);
    assert_eq!(deployment.output(&["task", "watch", "1", "--timeout", "60s"]).status.code(), Some(0));
    assert_eq!(step(&deployment.json(&["task", "show", "1"]), "first")["output"], 2);
    assert_eq!(deployment.output(&fail).status.code(), Some(2));
    deployment.succeed(&[
        "task",
        "resolve",
        "2",
        "--step",
        "first",
        "--output",
        "{\"by\":\"hand\"}",
        "--reason",
        "done by hand",
    ]);
    assert_eq!(deployment.output(&["task", "watch", "2", "--timeout", "60s"]).status.code(), Some(0));
    let task = deployment.json(&["task", "show", "2"]);
    assert_eq!(step(&task, "second")["output"]["parents"], json!([["first", { "by": "hand" }]]));
    assert!(task.to_string().contains("done by hand"), "the ledger says why: {task}");

    let endless = "
template: endless
namespace: test
version: 1.0.0
plugin: fixtures/misbehave@^1
steps: [{ name: only, handler: wait_for_cancel }]
";
    let path = file(&deployment, "endless.yaml", endless.as_bytes());
    deployment.succeed(&["template", "add", &path]);
    deployment.succeed(&["task", "run", "test/endless"]);
    let timed_out = deployment.output(&["task", "watch", "3", "--timeout", "100ms"]);
    assert_eq!(timed_out.status.code(), Some(4));
    deployment.succeed(&["task", "cancel", "3", "--reason", "enough"]);
    assert_eq!(deployment.output(&["task", "watch", "3", "--timeout", "60s"]).status.code(), Some(3));
}

#[test]
fn a_worker_elsewhere_comes_in_through_the_gate() {
    let deployment = Deployment::new();
    let orchestrator = deployment.start(&["--json", "orchestrate", "--gate-listen", "127.0.0.1:0"]);
    let ready: Value = serde_json::from_str(orchestrator.ready()).expect("JSON");
    let gate = ready["gate"].as_str().expect("a gate");
    let token = deployment.data().join("worker.token").to_string_lossy().into_owned();
    deployment.succeed(&["token", "create", "--name", "far", "--out", &token]);
    let worker = deployment.start(&["work", "--orchestrator", gate, "--name", "far"]);
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("linear_4")]);
    let run = ["task", "run", "shapes/linear_4", "--json-input", "{\"n\":4}", "--wait", "--timeout", "60s"];
    deployment.succeed(&run);
    let workers = deployment.json(&["worker", "list"]);
    assert_eq!(workers["workers"][0]["name"], "far");
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));
}
