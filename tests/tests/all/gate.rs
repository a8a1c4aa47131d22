//! A gate with TLS and a worker on the other side of it, as processes: its token is made, replaced and revoked while it works.

use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use stepwright_tests::processes::{Deployment, Process, plugin, template};

const RUN: [&str; 8] =
    ["task", "run", "shapes/linear_4", "--json-input", "{\"n\":4}", "--wait", "--timeout", "60s"];

/// An orchestrator whose gate has a certificate, and wants one of its workers.
struct Secured {
    deployment: Deployment,
    gate: String,
    orchestrator: Process,
}

impl Secured {
    fn new(deployment: Deployment) -> Self {
        certificates(&deployment);
        let path = |name: &str| deployment.data().join(name).display().to_string();
        let config = format!(
            "[gate]\nlisten = '127.0.0.1:0'\ntls_certificate = '{}'\ntls_key = '{}'\ntls_client_ca = '{ca}'\n\
             [worker]\ntls_ca = '{ca}'\ntls_certificate = '{}'\ntls_key = '{}'\n",
            path("gate.pem"),
            path("gate.key"),
            path("worker.pem"),
            path("worker.key"),
            ca = path("ca.pem"),
        );
        std::fs::write(deployment.data().join("stepwright.toml"), config).expect("a file");
        let orchestrator = deployment.start(&["--json", "orchestrate"]);
        let ready: Value = serde_json::from_str(orchestrator.ready()).expect("JSON");
        let gate = ready["gate"].as_str().expect("a gate").to_owned();
        deployment.succeed(&["plugin", "add", &plugin("shapes")]);
        deployment.succeed(&["template", "add", &template("linear_4")]);
        Self { gate, deployment, orchestrator }
    }

    /// A worker that comes in with the secret in this file.
    fn work(&self, name: &str, token: &str) -> Process {
        let setting = format!("worker.token_file={}", self.file(token));
        self.deployment.start(&["work", "--name", name, "--orchestrator", &self.gate, "--set", &setting])
    }

    fn file(&self, name: &str) -> String {
        self.deployment.data().join(name).display().to_string()
    }

    /// Asks until the newest worker of this name stands so.
    fn until(&self, name: &str, state: &str) {
        loop {
            let listed = self.deployment.json(&["worker", "list", "--all"]);
            let workers = listed["workers"].as_array().expect("workers");
            if workers
                .iter()
                .find(|worker| worker["name"] == name)
                .is_some_and(|worker| worker["state"] == state)
            {
                return;
            }
        }
    }

    fn tokens(&self) -> Vec<Value> {
        self.deployment.json(&["token", "list", "--all"])["tokens"].as_array().expect("tokens").clone()
    }
}

/// An authority, and a certificate each for the gate and for workers.
fn certificates(deployment: &Deployment) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "tests");
    let issuer = Issuer::new(params.clone(), KeyPair::generate().expect("a key"));
    let ca = params.self_signed(issuer.key()).expect("a certificate");
    write(deployment.data().join("ca.pem"), &ca.pem());
    for (name, subject) in [("gate", "127.0.0.1"), ("worker", "worker")] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![subject.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        write(deployment.data().join(format!("{name}.pem")), &certificate.pem());
        write(deployment.data().join(format!("{name}.key")), &key.serialize_pem());
    }
}

fn write(path: PathBuf, text: &str) {
    use std::io::Write as _;
    let file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    file.expect("a file").write_all(text.as_bytes()).expect("a file");
}

fn a_worker_works_through_tls_until_its_token_is_revoked(deployment: Deployment) {
    let secured = Secured::new(deployment);
    let deployment = &secured.deployment;
    let file = secured.file("pool.token");
    // Without a token it does not even start, and is told what to do.
    let setting = format!("worker.token_file={file}");
    let refused = deployment.output(&["work", "--orchestrator", &secured.gate, "--set", &setting]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && stderr.contains("stepwright token create"), "{stderr}");

    // A token that is made while the gate is open works at once.
    let made = deployment.json(&["token", "create", "--name", "pool", "--out", &file, "--by", "ann"]);
    assert_eq!((&made["token"]["name"], &made["secret"]), (&"pool".into(), &Value::Null));
    assert_eq!(std::fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
    let worker = secured.work("far", "pool.token");
    deployment.succeed(&RUN);

    // Both secrets work for a while: the old one in a process that runs, the new one in the next.
    let first = std::fs::read_to_string(&file).expect("a secret");
    deployment.json(&["token", "rotate", "pool", "--out", &file, "--grace", "1h"]);
    assert_ne!(std::fs::read_to_string(&file).expect("a secret"), first);
    let second = secured.work("near", "pool.token");
    secured.until("near", "joined");
    secured.until("far", "joined");
    let ids: Vec<String> = secured.tokens().iter().map(|token| token["id"].to_string()).collect();
    assert_eq!(ids.len(), 2);

    // The old one is revoked: its connection closes, and the worker comes back with the new secret in its file.
    deployment.succeed(&["token", "revoke", &ids[0]]);
    secured.until("far", "joined");
    deployment.succeed(&RUN);

    // All of them are: nobody is there any more, and nobody new comes in.
    deployment.succeed(&["token", "revoke", "pool"]);
    secured.until("far", "lost");
    secured.until("near", "lost");
    let late = secured.work("late", "pool.token");
    let waiting =
        ["task", "run", "shapes/linear_4", "--json-input", "{\"n\":4}", "--wait", "--timeout", "2s"];
    assert_eq!(deployment.output(&waiting).status.code(), Some(4), "nobody is there to run it");
    let listed = deployment.json(&["worker", "list", "--all"]);
    assert!(listed["workers"].as_array().expect("workers").iter().all(|worker| worker["name"] != "late"));

    // A new token for the name, and everybody is back.
    std::fs::remove_file(&file).expect("a file");
    deployment.succeed(&["token", "create", "--name", "pool", "--out", &file]);
    secured.until("late", "joined");
    deployment.succeed(&RUN);
    let states: Vec<bool> = secured.tokens().iter().map(|token| token["revoked_at"].is_null()).collect();
    assert_eq!(states, [false, false, true]);
    for worker in [worker, second, late] {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(secured.orchestrator.terminate(), Some(0));
}

#[test]
fn in_sqlite_a_worker_works_through_tls_until_its_token_is_revoked() {
    a_worker_works_through_tls_until_its_token_is_revoked(Deployment::new());
}

#[tokio::test]
async fn in_postgresql_a_worker_works_through_tls_until_its_token_is_revoked() {
    let database = stepwright_postgres_harness::Database::fresh().await;
    let deployment = Deployment::at(database.url());
    tokio::task::spawn_blocking(move || a_worker_works_through_tls_until_its_token_is_revoked(deployment))
        .await
        .expect("it passes");
}

#[test]
fn a_rotated_token_expires_after_its_grace() {
    let secured = Secured::new(Deployment::new());
    let deployment = &secured.deployment;
    let file = secured.file("pool.token");
    deployment.succeed(&["token", "create", "--name", "pool", "--out", &file]);
    // What this worker reads is never replaced.
    std::fs::hard_link(&file, secured.file("forgotten.token")).expect("a link");
    let forgetful = secured.work("forgetful", "forgotten.token");
    let careful = secured.work("careful", "pool.token");
    deployment.succeed(&RUN);
    secured.until("forgetful", "joined");
    secured.until("careful", "joined");
    deployment.succeed(&["token", "rotate", "pool", "--out", &file, "--grace", "0s"]);
    secured.until("forgetful", "lost");
    secured.until("careful", "joined");
    deployment.succeed(&RUN);
    for worker in [forgetful, careful] {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(secured.orchestrator.terminate(), Some(0));
}

#[test]
fn tokens_are_named_once_and_their_mistakes_are_explained() {
    let deployment = Deployment::new();
    let refused = |arguments: &[&str], expect: &str| {
        let output = deployment.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(expect),
            "{arguments:?} should say '{expect}':\n{stderr}"
        );
    };
    let secret = deployment.succeed(&["token", "create", "--name", "pool", "--expires", "90d"]);
    assert!(secret.starts_with("sw_") && secret.trim_end().len() == 67, "{secret}");
    refused(&["token", "create", "--name", "pool"], "there is a valid token of the name 'pool' already");
    refused(&["token", "create", "--name", "12"], "not only digits");
    refused(&["token", "create", "--name", "box", "--expires", "soon"], "is not a duration");
    refused(&["token", "rotate", "box"], "there is no valid token of the name 'box'");
    refused(&["token", "revoke", "box"], "there is no valid token 'box'");
    let taken = deployment.data().join("taken");
    std::fs::write(&taken, "mine").expect("a file");
    refused(&["token", "create", "--name", "box", "--out", &taken.display().to_string()], "exists already");
    assert_eq!(std::fs::read_to_string(&taken).expect("a file"), "mine");
    let listed = deployment.succeed(&["token", "list"]);
    assert!(listed.contains("pool") && !listed.contains("sw_") && !listed.contains("box"), "{listed}");
    let rotated = deployment.json(&["token", "rotate", "pool"]);
    assert_eq!(rotated["secret"].as_str().map(str::len), Some(67));
    assert_eq!(deployment.json(&["token", "list"])["tokens"].as_array().map(Vec::len), Some(2));
    let revoked = deployment.json(&["token", "revoke", "pool"]);
    assert_eq!(revoked["revoked"].as_array().map(Vec::len), Some(2));
    assert_eq!(deployment.json(&["token", "list"])["tokens"].as_array().map(Vec::len), Some(0));

    // A gate without TLS stays on this machine, unless it is told otherwise in so many words.
    refused(
        &["orchestrate", "--gate-listen", "0.0.0.0:0"],
        "is beyond the loopback and would encrypt nothing",
    );
    refused(&["work", "--orchestrator", "tls://127.0.0.1:1"], "worker.tls_ca");
}
