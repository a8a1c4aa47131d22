//! The tools of plugin authors: projects in every language, calls without a server, cases, figures, and components that are watched.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, Process, plugin, root};

/// The binary where an author has it: with the machine's tools, and what the examples have compiled already.
fn author(deployment: &Deployment, arguments: &[&str]) -> Command {
    let mut command = deployment.command(arguments);
    command.env("CARGO_TARGET_DIR", root().join("plugins/target"));
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

fn done(deployment: &Deployment, arguments: &[&str]) -> Output {
    author(deployment, arguments).output().expect("the binary starts")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A new project passes its own cases, and one that is changed is built again and says where it differs.
fn check(language: &str, source: &str, prepare: impl FnOnce(&Path)) {
    let deployment = Deployment::new();
    let folder = deployment.data().join("greeter");
    let sdk = root().join("plugin-sdk").to_string_lossy().into_owned();
    let mut new = vec!["plugin", "new", "--lang", language, "tutorial/greeter"];
    if language == "rust" {
        new.extend(["--sdk", &sdk]);
    }
    let made = done(&deployment, &new);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = text(&done(&deployment, &new).stderr);
    assert!(again.contains("greeter is not empty"), "{again}");
    prepare(&folder);

    let tested = done(&deployment, &["plugin", "test", "greeter"]);
    assert!(tested.status.success(), "{}\n{}", text(&tested.stdout), text(&tested.stderr));
    assert!(text(&tested.stdout).contains("2 passed, 0 failed"), "{}", text(&tested.stdout));

    // A second component of Python or Go would take many seconds to compile.
    if !["python", "go"].contains(&language) {
        let file = folder.join(source);
        let before = std::fs::read_to_string(&file).expect("the source");
        std::fs::write(&file, before.replace("Hello, ", "Goodbye, ")).expect("it can be written");
        let tested = done(&deployment, &["plugin", "test", "greeter"]);
        let (stdout, stderr) = (text(&tested.stdout), text(&tested.stderr));
        assert_eq!(tested.status.code(), Some(1), "{stdout}\n{stderr}");
        let place = "output /text: expected \"Hello, Ada!\", found \"Goodbye, Ada!\"";
        assert!(stdout.contains(place) && stdout.contains("1 passed, 1 failed"), "{stdout}");
        assert!(stdout.contains("log: info   greeting Ada attempt=1"), "{stdout}");
    }
    let wrong = ["--json", "plugin", "run", "greeter", "greet", "--json-input", "{\"name\": 7}"];
    let ran = done(&deployment, &wrong);
    assert_eq!(ran.status.code(), Some(1), "{}", text(&ran.stderr));
    let report: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let (error, uses) = (&report["error"], report["uses"].as_array().expect("uses"));
    assert_eq!((&error["class"], &error["code"]), (&json!("permanent"), &json!("invalid_input")), "{report}");
    let memory = uses.iter().find(|used| used["what"] == "memory").expect("memory");
    let (used, limit) = (memory["used"].as_u64().expect("bytes"), memory["limit"].as_u64().expect("bytes"));
    assert!(0 < used && used < limit, "{memory}");
}

#[test]
fn a_new_project_in_rust_passes_its_cases() {
    check("rust", "src/lib.rs", |folder| {
        std::fs::copy(root().join("plugins/Cargo.lock"), folder.join("Cargo.lock")).expect("a copy");
    });
}

#[test]
fn a_new_project_in_python_passes_its_cases() {
    check("python", "app.py", |folder| {
        symlink(root().join("plugins/target/polyglot/python"), folder.join(".venv")).expect("a link");
    });
}

#[test]
fn a_new_project_in_javascript_passes_its_cases() {
    check("js", "plugin.js", |folder| {
        let modules = root().join("plugins/target/polyglot/js/node_modules");
        symlink(modules, folder.join("node_modules")).expect("a link");
    });
}

/// What C and Go are built with.
fn with_module_tools(folder: &Path) {
    symlink(root().join("plugins/target/polyglot/modules"), folder.join(".venv")).expect("a link");
}

#[test]
fn a_new_project_in_c_passes_its_cases() {
    check("c", "plugin.c", with_module_tools);
}

#[test]
fn a_new_project_in_go_passes_its_cases() {
    check("go", "main.go", with_module_tools);
}

#[test]
fn one_call_shows_its_output_and_what_it_used() {
    let deployment = Deployment::new();
    let parent = deployment.data().join("parent.json");
    std::fs::write(&parent, "{\"lines\": [{\"sku\": \"LAMP\", \"quantity\": 5}]}").expect("a file");
    let config = deployment.data().join("config.json");
    std::fs::write(&config, "{\"pieces_max\": 4}").expect("a file");
    let parent = format!("reserve_inventory={}", parent.display());
    let (component, config) = (plugin("packing"), config.to_string_lossy().into_owned());
    let given = ["--json-input", "{\"order_id\": \"A-1\"}", "--step-config", &config, "--parent", &parent];
    let ran = done(&deployment, &[&["plugin", "run", &component, "pack_order"], &given[..]].concat());
    let packed: Value = serde_json::from_slice(&ran.stdout).expect("only the output is on stdout");
    assert_eq!(packed["parcels"].as_array().map(Vec::len), Some(2));
    let stderr = text(&ran.stderr);
    assert!(stderr.contains("order A-1 leaves in 2 parcels language=Rust"), "{stderr}");
    for used in ["cpu", "wall", "memory", "output", "log lines", "host calls"] {
        assert!(stderr.lines().any(|line| line.starts_with(used)), "no {used} in {stderr}");
    }
    // The same as a registered plugin, by its name.
    deployment.succeed(&["plugin", "add", &component]);
    let named =
        done(&deployment, &[&["plugin", "run", "examples/packing-rust", "pack_order"], &given[..]].concat());
    assert_eq!(named.stdout, ran.stdout);

    let spin =
        ["plugin", "run", &plugin("misbehave"), "spin", "--json-input", "{\"n\":1}", "--timeout", "200ms"];
    let ended = done(&deployment, &spin);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0));
    assert!(text(&ended.stderr).contains("timeout (wall_clock)"), "{}", text(&ended.stderr));

    let mut bench =
        vec!["plugin", "bench", component.as_str(), "pack_order", "--calls", "20", "--concurrency", "2"];
    bench.extend(given);
    let figures = deployment.json(&bench);
    assert_eq!((&figures["calls"], &figures["failed"]), (&json!(20), &json!(0)));
    for figure in ["compile_us", "load_us", "calls_per_second", "memory_bytes_peak"] {
        assert!(figures[figure].as_u64().expect("a number") > 0, "{figure} in {figures}");
    }
    let (p50, p99) = (figures["wall_us"]["p50"].as_u64(), figures["wall_us"]["p99"].as_u64());
    assert!(p50 <= p99 && figures["cpu_us"]["p50"].as_u64() > Some(0), "{figures}");
}

#[test]
fn what_comes_into_a_watched_folder_is_registered() {
    let deployment = Deployment::new();
    let folder = deployment.data().join("watched");
    std::fs::create_dir(&folder).expect("a folder");
    let put = |name: &str, from: &str| {
        // Written beside, then put there in one step, as most tools do.
        let beside = deployment.data().join("beside");
        std::fs::copy(from, &beside).expect("a copy");
        std::fs::rename(beside, folder.join(name)).expect("it can be put there");
    };
    put("a.wasm", &plugin("shapes"));
    let path = folder.to_string_lossy().into_owned();
    let mut dev = Process::start(deployment.command(&["--json", "dev", "--watch", &path]));
    let next = |dev: &mut Process| -> Value {
        let line = dev.line().expect("it runs on");
        serde_json::from_str(&line).expect("JSON")
    };
    let shapes = next(&mut dev);
    assert!(shapes["plugin"].as_str().expect("a text").starts_with("examples/shapes@1.0.0+dev."), "{shapes}");
    deployment.succeed(&["template", "add", &stepwright_tests::processes::template("diamond")]);
    // Not a plugin: told, and what was there stays.
    put("b.wasm", &root().join("Cargo.toml").to_string_lossy());
    put("c.wasm", &plugin("packing"));
    let packing = next(&mut dev);
    assert!(packing["plugin"].as_str().expect("a text").starts_with("examples/packing-rust@"), "{packing}");
    assert_eq!(packing["used_by"], json!([]));
    // The same plugin as other bytes: the next task runs it.
    put("a.wasm", &plugin("shop"));
    assert_eq!(next(&mut dev)["used_by"], json!([]));
    put("d.wasm", &plugin("shapes"));
    let run = ["task", "run", "shapes/diamond", "--json-input", "{\"n\": 4}", "--wait", "--timeout", "60s"];
    deployment.succeed(&run);
    assert_eq!(dev.terminate(), Some(0));
}
