//! A worker process with one hostile step among five: every honest one completes, every hostile one ends in its class, and the
//! process is afterwards as it was before.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use stepwright_conformance::{MISDEEDS, Misdeed};
use stepwright_tests::processes::{Deployment, Process, plugin, template};

/// Tasks of each misdeed.
const OF_EACH: usize = 3;
/// Four honest steps for each hostile one.
const HONEST: usize = 4 * OF_EACH * MISDEEDS.len();
/// What the process may have grown by: what its allocator keeps, and the pages that the pool keeps of each of four places.
const MEMORY_MARGIN_KIB: u64 = 64 << 10;

fn begin(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("hostile")]);
    for misdeed in MISDEEDS {
        let file = deployment.data().join(format!("{}.yaml", misdeed.name));
        fs::write(&file, misdeed.template()).expect("a file");
        deployment.succeed(&["template", "add", &file.to_string_lossy()]);
    }
    deployment.succeed(&["template", "add", &template("noop_1")]);
}

/// Starts tasks of one template, and returns their numbers.
fn start(deployment: &Deployment, template: &str, context: &Value, tasks: usize) -> Vec<String> {
    let mut lines = String::new();
    for _ in 0..tasks {
        let _ = writeln!(lines, "{}", json!({ "context": context }));
    }
    let file = deployment.data().join("tasks.jsonl");
    fs::write(&file, lines).expect("a file");
    let started = deployment.json(&["task", "run", template, "--batch", &file.to_string_lossy()]);
    let started = started["tasks"].as_array().expect("tasks");
    assert_eq!(started.len(), tasks);
    started.iter().map(|task| task["task"].to_string()).collect()
}

/// Until a task has settled.
fn settled(deployment: &Deployment, task: &str) -> Value {
    loop {
        let shown = deployment.json(&["task", "show", task]);
        if shown["state"] == "complete" || shown["state"] == "error" {
            return shown;
        }
    }
}

/// So many tasks of each misdeed, and four times as many honest ones; all of them end as they must.
fn round(deployment: &Deployment, of_each: usize, honest: usize) {
    let mut hostile: Vec<(&Misdeed, Vec<String>)> = Vec::new();
    for misdeed in MISDEEDS {
        let context = serde_json::from_str(misdeed.context).expect("JSON");
        let template = format!("hostile/{}", misdeed.name);
        hostile.push((misdeed, start(deployment, &template, &context, of_each)));
    }
    let honest = start(deployment, "shapes/noop_1", &json!({ "n": 1 }), honest);
    for task in &honest {
        assert_eq!(settled(deployment, task)["state"], "complete");
    }
    for (misdeed, tasks) in hostile {
        for task in tasks {
            let shown = settled(deployment, &task);
            let failure = &shown["steps_detail"][0]["failure"];
            let expected = (json!(misdeed.class.as_str()), json!(misdeed.code));
            assert_eq!((&failure["class"], &failure["code"]), (&expected.0, &expected.1), "{failure}");
        }
    }
}

/// Open descriptors of a process, images of loaded plugins aside, and its resident memory in KiB.
fn held(process: &Process) -> (usize, u64) {
    let folder = format!("/proc/{}", process.pid().as_raw_nonzero());
    let targets = fs::read_dir(format!("{folder}/fd")).expect("descriptors");
    let targets = targets.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let descriptors =
        targets.filter(|target| !target.to_string_lossy().contains("wasm-memory-image")).count();
    let status = fs::read_to_string(format!("{folder}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib = line.trim().strip_suffix(" kB").and_then(|kib| kib.trim().parse().ok()).expect("a number");
    (descriptors, kib)
}

#[test]
fn honest_steps_complete_among_hostile_ones_and_the_worker_is_as_before() {
    let deployment = Deployment::new();
    let orchestrator = deployment.start(&["orchestrate"]);
    let worker = deployment.start(&["work", "--name", "mixed", "--slots", "4"]);
    begin(&deployment);
    // Plugins are loaded, places of the pool used, and connections made.
    round(&deployment, 1, 4);
    let before = held(&worker);
    round(&deployment, OF_EACH, HONEST);
    let after = held(&worker);
    assert!(after.0 <= before.0, "{} descriptors, before it {}", after.0, before.0);
    assert!(after.1 <= before.1 + MEMORY_MARGIN_KIB, "{} KiB of memory, before it {} KiB", after.1, before.1);
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));
}
