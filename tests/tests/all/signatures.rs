//! Whose signatures a plugin needs before it is registered.

use serde_json::Value;
use stepwright_tests::processes::{Deployment, plugin};

struct Author {
    deployment: Deployment,
    component: String,
}

impl Author {
    /// Two keys, a component, and rules that trust the first key.
    fn new(policy: &str) -> Self {
        let deployment = Deployment::new();
        let at = |name: &str| deployment.data().join(name).to_string_lossy().into_owned();
        std::fs::copy(plugin("shapes"), at("shapes.wasm")).expect("a copy");
        for name in ["ann.pem", "bob.pem"] {
            deployment.succeed(&["plugin", "keygen", "--out", &at(name)]);
        }
        let rules = format!(
            "[[trust]]\nnamespace = 'examples'\npolicy = '{policy}'\nkeys = ['{}']\n",
            at("ann.pub.pem")
        );
        std::fs::write(at("stepwright.toml"), rules).expect("a file");
        let component = at("shapes.wasm");
        Self { deployment, component }
    }

    fn sign(&self, key: &str) -> Value {
        let key = self.deployment.data().join(key).to_string_lossy().into_owned();
        self.deployment.json(&["plugin", "sign", &self.component, "--key", &key])
    }

    fn add(&self) -> std::process::Output {
        self.deployment.output(&["--json", "plugin", "add", &self.component])
    }
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_unsigned_plugin_is_refused_and_a_signed_one_is_not() {
    let author = Author::new("require");
    let refused = stderr(&author.add());
    for expect in [
        "plugins are not trusted; nothing was stored",
        "signatures are there of none",
        "plugin sign FILE --key KEY",
    ] {
        assert!(refused.contains(expect), "{refused}");
    }
    assert_eq!(author.deployment.json(&["plugin", "list"])["plugins"], serde_json::json!([]));
    assert!(
        !author.deployment.data().join("plugins").exists()
            || std::fs::read_dir(author.deployment.data().join("plugins")).expect("a folder").count() == 0
    );

    // A stranger's signature does not help; a trusted one beside it does.
    let bob = author.sign("bob.pem");
    let refused = stderr(&author.add());
    assert!(refused.contains(bob["key"].as_str().expect("a key")), "{refused}");
    let both = author.sign("ann.pem");
    assert_eq!(both["signatures"].as_array().expect("signatures").len(), 2);
    let added = author.add();
    assert!(added.status.success(), "{}", stderr(&added));
    let shown = author.deployment.json(&["plugin", "show", "examples/shapes"]);
    assert_eq!(shown["trust"], format!("trusted, by key {}", both["key"].as_str().expect("a key")));

    // Another namespace has no rule.
    let other = ["plugin", "add", &plugin("shapes"), "--name", "lab/shapes"];
    author.deployment.succeed(&other);
    // Changed bytes are nobody's.
    let mut bytes = std::fs::read(&author.component).expect("a component");
    bytes.extend([0, 2, 1, b'x']);
    std::fs::write(&author.component, bytes).expect("a file");
    let changed = author.deployment.output(&["plugin", "add", &author.component, "--version", "1.1.0"]);
    assert!(stderr(&changed).contains("for other bytes than these"), "{}", stderr(&changed));
}

#[test]
fn a_warning_is_only_a_warning_and_a_signature_comes_later() {
    let author = Author::new("warn");
    let added = author.add();
    assert!(added.status.success());
    let report: Value = serde_json::from_slice(&added.stdout).expect("JSON");
    assert!(
        report["plugins"][0]["warning"].as_str().expect("a warning").contains("trusted keys are"),
        "{report}"
    );
    author.sign("ann.pem");
    let signed: Value = serde_json::from_slice(&author.add().stdout).expect("JSON");
    assert_eq!(
        (&signed["plugins"][0]["added"], &signed["plugins"][0]["warning"]),
        (&"signed".into(), &Value::Null)
    );
    std::fs::remove_file(format!("{}.sig", author.component)).expect("a file");
    let again: Value = serde_json::from_slice(&author.add().stdout).expect("JSON");
    assert_eq!(
        (&again["plugins"][0]["added"], &again["plugins"][0]["warning"]),
        (&"unchanged".into(), &Value::Null)
    );
}

#[test]
fn signatures_are_verified_by_hand() {
    let author = Author::new("off");
    let at = |name: &str| author.deployment.data().join(name).to_string_lossy().into_owned();
    author.sign("ann.pem");
    let (ann, bob) = (at("ann.pub.pem"), at("bob.pub.pem"));
    let verified =
        author.deployment.json(&["plugin", "verify", &author.component, "--key", &bob, "--key", &ann]);
    assert_eq!(verified["signed_by"].as_array().expect("keys").len(), 1);
    let refused = author.deployment.output(&["plugin", "verify", &author.component, "--key", &bob]);
    assert!(stderr(&refused).contains("none of the keys"), "{}", stderr(&refused));
    let private = author.deployment.output(&["plugin", "verify", &author.component, "--key", &at("ann.pem")]);
    assert!(stderr(&private).contains("ann.pem: it is no Ed25519 public key"), "{}", stderr(&private));
    let again = author.deployment.output(&["plugin", "keygen", "--out", &at("ann.pem")]);
    assert!(stderr(&again).contains("exists already, and a key is never replaced"), "{}", stderr(&again));
    let elsewhere = at("elsewhere.sig");
    author.deployment.succeed(&[
        "plugin",
        "sign",
        &author.component,
        "--key",
        &at("bob.pem"),
        "--out",
        &elsewhere,
    ]);
    author.deployment.succeed(&[
        "plugin",
        "verify",
        &author.component,
        "--key",
        &bob,
        "--signature",
        &elsewhere,
    ]);
    // A configuration with a key that is not there names the file.
    std::fs::remove_file(&ann).expect("a file");
    let broken = author.add();
    assert!(stderr(&broken).contains("trust.keys: failed to open"), "{}", stderr(&broken));
}
