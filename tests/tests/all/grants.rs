//! What plugins may reach, as operators come by it: from a call that was refused, and from what was observed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, plugin};

/// A server that answers every request with a greeting, for as long as the test's process is there.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let mut line = String::new();
            // A request without a body ends with an empty line.
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            let _ = reader.into_inner().write_all(answer.as_bytes());
        }
    });
    address
}

/// What the guest is asked to do.
fn call(server: SocketAddr) -> String {
    json!({ "method": "GET", "url": format!("http://{server}/greeting"), "good": true }).to_string()
}

/// The configuration file, where the binary looks for it.
fn configuration(deployment: &Deployment) -> PathBuf {
    deployment.data().join("stepwright.toml")
}

#[test]
fn a_call_without_a_server_has_the_grants_of_the_configuration() {
    let (deployment, server) = (Deployment::new(), server());
    let (component, call) = (plugin("caller"), call(server));
    let run = ["--json", "plugin", "run", &component, "call", "--json-input", &call];
    let refused = deployment.output(&run);
    assert_eq!(refused.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(report["error"]["code"], "http_request_denied", "{report}");
    // People see the entry as it is to be pasted.
    let shown = deployment.output(&run[1..]);
    let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.contains("[[grants]]") && shown.contains("plugin = \"fixtures/caller\""), "{shown}");
    let message = report["log"][0]["message"].as_str().expect("a message");
    let (_, entry) = message.split_once("would allow it:\n").expect("an entry");
    let granting = |namespace: &str| {
        std::fs::write(configuration(&deployment), format!("{entry}\n{namespace}\n")).expect("a file");
    };

    granting("namespace = 'orders'");
    assert_eq!(deployment.output(&run).status.code(), Some(1), "it is for tasks of another namespace");
    let orders = [&run[..], &["--namespace", "orders"]].concat();
    assert_eq!(deployment.output(&orders).status.code(), Some(0));
    granting("");
    let answered: Value = serde_json::from_str(&deployment.succeed(&run)).expect("JSON");
    assert_eq!((&answered["output"]["status"], &answered["output"]["body"]), (&json!(200), &json!("hello")));
    let mut bench = vec!["plugin", "bench"];
    bench.extend(&run[3..]);
    bench.extend(["--calls", "3"]);
    assert_eq!(deployment.json(&bench)["failed"], 0);

    // What is registered under another name has that one's grants.
    deployment.succeed(&["plugin", "add", &component, "--name", "orders/caller"]);
    let named = ["plugin", "run", "orders/caller", "call", "--json-input", &call];
    assert_eq!(deployment.output(&named).status.code(), Some(1));
}

#[test]
fn what_was_observed_is_suggested_and_then_allowed() {
    let (deployment, server) = (Deployment::new(), server());
    let file = deployment.data().join("template.yaml");
    let template = "template: call\nnamespace: orders\nversion: 1.0.0\nplugin: fixtures/caller@^1\n\
                    steps:\n  - { name: call, handler: call }\n";
    std::fs::write(&file, template).expect("a file");
    deployment.succeed(&["plugin", "add", &plugin("caller")]);
    deployment.succeed(&["template", "add", &file.to_string_lossy()]);
    let call = call(server);
    let run = ["task", "run", "orders/call", "--json-input", &call, "--wait"];

    let dev = deployment.start(&["dev", "--observe"]);
    assert_eq!(deployment.output(&run).status.code(), Some(2), "the address is not public");
    // What was observed is complete once the process has ended.
    assert_eq!(dev.terminate(), Some(0));
    let suggested = deployment.succeed(&["grants", "suggest", "--plugin", "fixtures/caller"]);
    let http = format!("http = [\"GET http://{server}\"]");
    assert!(suggested.contains("plugin = \"fixtures/caller\"") && suggested.contains(&http), "{suggested}");
    assert_eq!(deployment.succeed(&["grants", "suggest", "--plugin", "shop/shop"]), "");

    std::fs::write(configuration(&deployment), suggested).expect("a file");
    let _dev = deployment.start(&["dev"]);
    deployment.succeed(&run);
    let output = deployment.json(&["task", "show", "2"])["steps_detail"][0]["output"].take();
    assert_eq!(output["body"], "hello");
}
