//! What an operator meets on a bad day: what was mistyped, who is not there, and what the log says of it.

use std::io::pipe;
use std::process::Stdio;

use serde_json::{Value, json};
use stepwright_tests::http::Client;
use stepwright_tests::processes::{Deployment, Process, plugin, template};

/// What a command that failed said.
fn refusal(deployment: &Deployment, arguments: &[&str]) -> String {
    let output = deployment.output(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// A script that repairs tasks in error must not take a typing mistake for one.
#[test]
fn a_command_that_cannot_be_read_is_a_failure_like_any_other() {
    let deployment = Deployment::new();
    for arguments in [
        &["task", "list", "--state", "foo"][..],
        &["task", "run", "a/b", "--wait", "--timeout", "5x"],
        &["task", "unheard"],
        &["--unheard"],
    ] {
        assert!(refusal(&deployment, arguments).starts_with("error: "), "{arguments:?}");
        let said = refusal(&deployment, &[&["--json"], arguments].concat());
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert!(said["error"].as_str().is_some_and(|error| !error.starts_with("error")), "{said}");
    }
    assert_eq!(deployment.output(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_setting_that_is_wrong_is_refused_before_anything_starts() {
    let deployment = Deployment::new();
    let check = |flags: &[&str]| refusal(&deployment, &[flags, &["config", "check"]].concat());
    let said = check(&["--log-level", "warning"]);
    assert!(said.contains("log.level: 'warning' is no level; write error, warn, info"), "{said}");
    for address in ["mysql://ann:s3cret@h/d", "Postgres://ann:s3cret@h/d"] {
        let said = refusal(&Deployment::at(address.to_owned()), &["task", "list"]);
        assert!(said.contains("is no address of PostgreSQL") && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn whoever_reads_no_further_ends_no_command_in_disorder() {
    let deployment = Deployment::new();
    for arguments in [&["config", "show"][..], &["--json", "config", "show"], &["completions", "bash"]] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let mut command = deployment.command(arguments);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("it starts");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}");
    }
}

#[test]
fn who_is_not_there_is_said() {
    let deployment = Deployment::new();
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("linear_4")]);
    deployment.succeed(&["task", "run", "shapes/linear_4", "--json-input", "{\"n\": 4}"]);
    let nobody = "no orchestrator is running, so nothing goes on";
    assert!(deployment.succeed(&["task", "show", "1"]).contains(nobody));
    let mut work = deployment.work_command("w", 1);
    work.arg("--log-level").arg("warn");
    let worker = Process::start_logged(work);
    worker.until_logged("no orchestrator answers", 1);
    let hasty = ["orchestrate", "--set", "orchestrator.reconnect_grace=100ms"];
    let orchestrator = Process::start_logged(deployment.command(&hasty));
    assert_eq!(deployment.output(&["task", "watch", "1", "--timeout", "5m"]).status.code(), Some(0));
    assert!(!deployment.succeed(&["task", "show", "1"]).contains(nobody));
    worker.kill();
    orchestrator.until_logged("a worker that is not connected here is lost", 1);
    assert_eq!(orchestrator.terminate(), Some(0));
}

/// Nobody has to guess which line of the log belongs to which answer.
#[test]
fn what_failed_for_a_request_is_logged_with_its_id() {
    let deployment = Deployment::new();
    let away = ["--json", "dev", "--set", "registry.url=http://ann:s3cret@127.0.0.1:1/p"];
    let dev = Process::start_logged(deployment.command(&away));
    let ready: Value = serde_json::from_str(dev.ready()).expect("JSON");
    let client = Client::new(ready["api"].as_str().expect("it serves the API"));
    let component = std::fs::read(plugin("shapes")).expect("it is built");
    let answer = client.send("POST", "/v1/plugins", ("application/wasm", &component));
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("unavailable")));
    let id = &answer.headers["x-request-id"];
    dev.until_logged(&format!("\"id\":\"{id}\""), 1);
    dev.until_logged("http://ann:***@127.0.0.1:1/p/", 1);
    assert_eq!(dev.terminate(), Some(0));
}
