//! Workers without a file of anybody's: they get their components from their orchestrators, on this machine and through a gate,
//! damaged ones and large ones, and also when an orchestrator dies in between.

use std::path::PathBuf;
use std::process::Command;

use stepwright_tests::processes::{Deployment, Process, plugin, template};

const RUN: [&str; 8] =
    ["task", "run", "shapes/linear_4", "--json-input", "{\"n\":4}", "--wait", "--timeout", "120s"];

/// A component with so many bytes more, which mean nothing.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    let mut content = b"\x07padding".to_vec();
    content.resize(content.len() + bytes, b'x');
    let mut padded = component.to_vec();
    // A custom section: id 0, and its size in LEB128.
    padded.push(0);
    let mut size = content.len();
    while size >= 0x80 {
        padded.push(u8::try_from(size & 0x7f).unwrap_or(0) | 0x80);
        size >>= 7;
    }
    padded.push(u8::try_from(size).unwrap_or(0));
    padded.extend(content);
    padded
}

/// Registers the plugin with so many bytes more, and a template that uses it. Returns its file in the orchestrator's folder.
fn register(deployment: &Deployment, padding: usize) -> PathBuf {
    let component = std::fs::read(plugin("shapes")).expect("a component");
    let file = deployment.data().join("shapes.wasm");
    std::fs::write(&file, padded(&component, padding)).expect("a file");
    let added = deployment.json(&["plugin", "add", &file.to_string_lossy()]);
    deployment.succeed(&["template", "add", &template("linear_4")]);
    let digest = added["plugins"][0]["digest"].as_str().expect("a digest");
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    deployment.data().join(format!("plugins/{hex}.wasm"))
}

/// What starts a worker that shares nothing with the orchestrators of this deployment.
fn stranger(elsewhere: &Deployment, orchestrators: &str, more: &[&str]) -> Command {
    let arguments =
        ["work", "--slots", "1", "--set", "worker.discover=false", "--orchestrator", orchestrators];
    elsewhere.command(&[&arguments[..], more].concat())
}

fn components(elsewhere: &Deployment) -> Vec<u64> {
    let entries = std::fs::read_dir(elsewhere.data().join("cache/components")).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let components = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    components.map(|path| path.metadata().expect("a file").len()).collect()
}

#[test]
fn a_worker_gets_ten_megabytes_over_ipc_and_through_a_gate() {
    let deployment = Deployment::new();
    let (_orchestrator, gate) = deployment.orchestrate_with_gate(0, "127.0.0.1:0");
    let file = register(&deployment, 10 << 20);
    let token = format!("worker.token_file={}", deployment.data().join("worker.token").display());
    let socket = deployment.socket_of(0);
    for (orchestrator, more) in [(socket, vec![]), (format!("tcp://{gate}"), vec!["--set", &token])] {
        let elsewhere = Deployment::new();
        let worker = Process::start(stranger(&elsewhere, &orchestrator, &more));
        // It ends well only if every task is complete.
        deployment.succeed(&RUN);
        assert_eq!(components(&elsewhere), [file.metadata().expect("a file").len()]);
        assert!(!elsewhere.data().join("plugins").exists());
        assert_eq!(worker.terminate(), Some(0));
    }
}

#[test]
fn a_damaged_component_is_refused_and_named_and_a_mended_one_runs() {
    let deployment = Deployment::new();
    let _orchestrator = deployment.orchestrate(0);
    let file = register(&deployment, 0);
    let good = std::fs::read(&file).expect("a component");
    let mut damaged = good.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    std::fs::write(&file, &damaged).expect("a file");
    let elsewhere = Deployment::new();
    let _worker = Process::start(stranger(&elsewhere, &deployment.socket_of(0), &[]));
    let output = deployment.output(&[&["--json"], &RUN[..]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = deployment.json(&["task", "list"]);
    let id = listed["tasks"][0]["id"].to_string();
    let shown = deployment.json(&["task", "show", id.trim_matches('"')]).to_string();
    let hex = file.file_stem().expect("a name").to_string_lossy();
    assert!(shown.contains("plugin_corrupt") && shown.contains(&*hex), "{shown}");
    assert!(components(&elsewhere).is_empty(), "nothing of it was kept");
    std::fs::write(&file, &good).expect("a file");
    deployment.succeed(&RUN);
    assert_eq!(components(&elsewhere).len(), 1);
}

#[test]
fn a_component_arrives_although_its_orchestrator_is_killed_on_the_way() {
    let deployment = Deployment::new();
    let orchestrator = deployment.orchestrate(0);
    let file = register(&deployment, 30 << 20);
    let elsewhere = Deployment::new();
    let log = ["--log-level", "info,stepwright_worker=debug"];
    let worker = Process::start_logged(stranger(&elsewhere, &deployment.socket_of(0), &log));
    let task = deployment.spawn(&RUN);
    worker.until_logged("asks for a part of a component", 4);
    orchestrator.kill();
    let _orchestrator = deployment.orchestrate(0);
    assert_eq!(task.wait(), Some(0));
    assert_eq!(components(&elsewhere), [file.metadata().expect("a file").len()]);
    // It is there for the next worker, whatever the orchestrators have.
    worker.kill();
    std::fs::remove_file(&file).expect("a file");
    let _worker = Process::start(stranger(&elsewhere, &deployment.socket_of(0), &[]));
    deployment.succeed(&RUN);
}
