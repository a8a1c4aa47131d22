//! The life of a plugin: added, yanked, rolled back, quarantined, enabled, and forgotten once nobody needs it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, plugin, template};

/// The same component with other bytes: a custom section more, which says nothing.
pub(crate) fn variant(deployment: &Deployment, name: &str, mark: u8) -> String {
    let mut bytes = std::fs::read(plugin(name)).expect("a component");
    // Section 0, two bytes long: a name of one byte, and nothing in it.
    bytes.extend([0, 2, 1, mark]);
    let path = deployment.data().join(format!("{name}-{mark}.wasm"));
    std::fs::write(&path, bytes).expect("a file");
    path.to_string_lossy().into_owned()
}

fn refused(deployment: &Deployment, arguments: &[&str], expect: &[&str]) {
    let output = deployment.output(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    for text in expect {
        assert!(stderr.contains(text), "{arguments:?} should say '{text}':\n{stderr}");
    }
}

/// Three versions with different bytes, and a template that takes the newest.
fn shapes(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    for (mark, version) in [(b'a', "1.1.0"), (b'b', "1.2.0")] {
        deployment.succeed(&["plugin", "add", &variant(deployment, "shapes", mark), "--version", version]);
    }
    deployment.succeed(&["template", "add", &template("linear_4")]);
}

fn begin(deployment: &Deployment) -> String {
    let run = ["task", "run", "shapes/linear_4", "--json-input", "{\"n\": 4}"];
    deployment.json(&run)["tasks"][0]["task"].to_string()
}

fn show(deployment: &Deployment, version: &str) -> Value {
    deployment.json(&["plugin", "show", &format!("examples/shapes@{version}")])
}

fn states(deployment: &Deployment) -> Vec<(String, String)> {
    let listed = deployment.json(&["plugin", "list"]);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let state = |one: &Value| (text(&one["version"]), text(&one["state"]));
    listed["plugins"].as_array().expect("plugins").iter().map(state).collect()
}

#[test]
fn a_version_is_rolled_back_and_what_was_started_keeps_it() {
    let deployment = Deployment::new();
    shapes(&deployment);
    begin(&deployment);
    assert_eq!(show(&deployment, "1.2.0")["unfinished_tasks"], 1);
    assert_eq!(show(&deployment, "1.2.0")["templates"], json!(["shapes/linear_4@1.0.0 (development)"]));

    let why = ["--reason", "fourth squares twice", "--by", "ann"];
    let back = deployment.succeed(&[&["plugin", "rollback", "examples/shapes"], &why[..]].concat());
    assert!(
        back.contains("yanked examples/shapes@1.2.0; examples/shapes@1.1.0 is the newest again"),
        "{back}"
    );
    let uses = "new tasks of shapes/linear_4@1.0.0 (development) use examples/shapes@1.1.0";
    assert!(back.contains(uses), "{back}");
    begin(&deployment);
    let (new, old) = (show(&deployment, "1.1.0"), show(&deployment, "1.2.0"));
    assert_eq!(
        (&new["unfinished_tasks"], &new["state"], &new["changed"]),
        (&1.into(), &"enabled".into(), &Value::Null)
    );
    assert_eq!(
        (&old["unfinished_tasks"], &old["state"], &old["templates"]),
        (&1.into(), &"yanked".into(), &json!([]))
    );
    assert_eq!(
        (&old["changed"]["who"], &old["changed"]["why"]),
        (&"ann".into(), &"fourth squares twice".into())
    );
    let human = deployment.succeed(&["plugin", "show", "examples/shapes@1.2.0"]);
    assert!(human.contains("yanked, just now by ann: fourth squares twice"), "{human}");

    deployment.succeed(&["plugin", "rollback", "examples/shapes", "--to", "1.0.0"]);
    refused(&deployment, &["plugin", "rollback", "examples/shapes"], &["1.0.0 is its only enabled version"]);
    let to = ["plugin", "rollback", "examples/shapes", "--to", "1.2.0"];
    refused(&deployment, &to, &["1.2.0 is yanked", "plugin enable examples/shapes@1.2.0"]);
    let again = deployment.json(&["plugin", "enable", "examples/shapes@1.2.0"]);
    assert_eq!(
        (&again["before"], &again["state"], &again["changed"]),
        (&"yanked".into(), &"enabled".into(), &true.into())
    );
    begin(&deployment);
    assert_eq!(show(&deployment, "1.2.0")["unfinished_tasks"], 2);
}

#[test]
fn what_is_withdrawn_is_found_only_by_those_who_may_have_it() {
    let deployment = Deployment::new();
    shapes(&deployment);
    let text = std::fs::read_to_string(template("linear_4")).expect("a template");
    let exact = deployment.data().join("exact.yaml");
    let text = text.replace("template: linear_4", "template: exact").replace("@^1", "@=1.2.0");
    std::fs::write(&exact, text).expect("a file");
    let exact = exact.to_string_lossy().into_owned();

    deployment.succeed(&["plugin", "yank", "examples/shapes@1.2.0"]);
    deployment.succeed(&["template", "check", &exact]);
    deployment.succeed(&["plugin", "disable", "examples/shapes@1.2.0", "--reason", "no more"]);
    let expect = ["no version of 'examples/shapes' that satisfies =1.2.0 is enabled: 1.2.0 is disabled"];
    refused(&deployment, &["template", "add", &exact], &expect);
    let again = deployment.succeed(&["plugin", "disable", "examples/shapes@1.2.0"]);
    assert!(again.contains("was disabled before"), "{again}");
    // A version that was there keeps its state, and whoever adds it again is told.
    let add = ["plugin", "add", &variant(&deployment, "shapes", b'b'), "--version", "1.2.0"];
    let output = deployment.output(&add);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("it is disabled; 'stepwright plugin enable"),
        "{output:?}"
    );
    refused(
        &deployment,
        &["plugin", "yank", "examples/shapes"],
        &["several versions", "examples/shapes@1.1.0"],
    );
    refused(
        &deployment,
        &["plugin", "yank", "examples/shapes@9.0.0"],
        &["its versions are 1.0.0, 1.1.0, 1.2.0"],
    );
    refused(&deployment, &["plugin", "yank", "examples/none"], &["no plugin 'examples/none' is registered"]);
}

#[test]
fn a_quarantine_holds_up_what_has_it_and_enabling_it_ends_that() {
    let deployment = Deployment::new();
    shapes(&deployment);
    let task = begin(&deployment);
    let why = ["--reason", "calls strangers", "--by", "ann"];
    let quarantine = [&["plugin", "quarantine", "examples/shapes@1.2.0"], &why[..]].concat();
    let done = deployment.json(&quarantine);
    assert_eq!((&done["state"], &done["paused"]), (&"quarantined".into(), &true.into()));
    let pauses = deployment.json(&["pause", "list"])["pauses"].clone();
    assert_eq!(
        (&pauses[0]["scope"], &pauses[0]["who"], &pauses[0]["why"]),
        (&"digest".into(), &"ann".into(), &"calls strangers".into())
    );
    assert_eq!(show(&deployment, "1.2.0")["pauses"], pauses);
    let status =
        |deployment: &Deployment| deployment.json(&["task", "show", &task])["execution_status"].clone();
    assert_eq!(status(&deployment), "paused");
    refused(&deployment, &["plugin", "yank", "examples/shapes@1.2.0"], &["is quarantined", "plugin enable"]);
    let kept = deployment.json(&["plugin", "gc", "--older-than", "0s"]);
    assert!(kept["versions"][0]["kept"].as_str().expect("a reason").contains("quarantined"), "{kept}");

    let enabled = deployment.json(&["plugin", "enable", "examples/shapes@1.2.0"]);
    assert_eq!((&enabled["before"], &enabled["paused"]), (&"quarantined".into(), &false.into()));
    assert_eq!(deployment.json(&["pause", "list"])["pauses"], json!([]));
    assert_ne!(status(&deployment), "paused");
}

#[test]
fn garbage_goes_once_nobody_needs_it() {
    let deployment = Deployment::new();
    shapes(&deployment);
    let task = begin(&deployment);
    deployment.succeed(&["plugin", "rollback", "examples/shapes"]);
    deployment.succeed(&["plugin", "disable", "examples/shapes@1.0.0"]);
    let sweep = |more: &[&str]| deployment.json(&[&["plugin", "gc"], more].concat());
    let fates = |report: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fate = |one: &Value| (text(&one["plugin"]), text(&one["kept"]));
        report["versions"].as_array().expect("versions").iter().map(fate).collect()
    };
    let fate = |version: &str, kept: &str| (format!("examples/shapes@{version}"), kept.to_owned());
    assert_eq!(
        fates(&sweep(&[])),
        [fate("1.0.0", "disabled not long enough ago"), fate("1.2.0", "pinned by 1 unfinished task")]
    );
    let dry = sweep(&["--dry-run", "--older-than", "0s"]);
    assert_eq!(fates(&dry)[0], fate("1.0.0", ""));
    assert_eq!(dry["blobs"][0]["kept"], "put there within the last hour: somebody may be registering it");
    assert_eq!(states(&deployment).len(), 3, "a dry run removes nothing");

    deployment.succeed(&["task", "cancel", &task]);
    assert_eq!(fates(&sweep(&["--older-than", "0s"])), [fate("1.0.0", ""), fate("1.2.0", "")]);
    assert_eq!(states(&deployment), [("1.1.0".to_owned(), "enabled".to_owned())]);
    let young = sweep(&[]);
    assert_eq!(young["blobs"].as_array().expect("blobs").len(), 2);

    let folder = deployment.data().join("plugins");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for entry in std::fs::read_dir(&folder).expect("the plugins") {
        let file = std::fs::File::options().append(true).open(entry.expect("a file").path()).expect("a file");
        file.set_modified(long_ago).expect("its age");
    }
    let old = sweep(&[]);
    assert!(old["blobs"].as_array().expect("blobs").iter().all(|blob| blob["kept"] == Value::Null), "{old}");
    assert!(old["bytes_removed"].as_u64().expect("a number") > 0);
    assert_eq!(std::fs::read_dir(&folder).expect("the plugins").count(), 1);
    assert_eq!(show(&deployment, "1.1.0")["stored"], true);
    let output = deployment.output(&["plugin", "gc"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is nothing to remove"), "{output:?}");
}

#[test]
fn a_new_version_is_shown_beside_the_one_before() {
    let deployment = Deployment::new();
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    let added = deployment.json(&[
        "plugin",
        "add",
        &plugin("shop"),
        "--name",
        "examples/shapes",
        "--version",
        "1.1.0",
    ]);
    let difference = &added["plugins"][0]["difference"];
    assert_eq!(difference["since"], "1.0.0");
    let handlers =
        difference["changes"].as_array().expect("changes").iter().find(|one| one["kind"] == "handlers");
    let handlers = handlers.expect("other handlers");
    assert!(!handlers["added"].as_array().expect("a list").is_empty(), "{difference}");
    assert!(!handlers["removed"].as_array().expect("a list").is_empty(), "{difference}");
    let same = deployment.succeed(&[
        "plugin",
        "add",
        &variant(&deployment, "shop", b'x'),
        "--name",
        "examples/shapes",
        "--version",
        "1.2.0",
    ]);
    assert!(same.contains("asks for the same as 1.1.0"), "{same}");
}

#[test]
fn plugins_are_kept_where_the_settings_say() {
    let deployment = Deployment::new();
    let shared = deployment.data().join("shared/plugins");
    let url = format!("registry.url=file://{}", shared.display());
    deployment.succeed(&["plugin", "add", &plugin("shapes"), "--set", &url]);
    assert_eq!(std::fs::read_dir(&shared).expect("the place").count(), 1);
    let shown = deployment.json(&["plugin", "show", "examples/shapes", "--set", &url]);
    assert_eq!(shown["stored"], true);
    assert_eq!(deployment.json(&["plugin", "show", "examples/shapes"])["stored"], false);
    let wrong = ["plugin", "list", "--set", "registry.url=ftp://ann:s3cret@host/x"];
    refused(&deployment, &wrong, &["registry.url", "ftp://ann:***@host/x", "s3://bucket/prefix"]);
}
