//! Components through a real OCI registry: by tag and by digest, with and without a login, and everything that is not there.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;
use stepwright_tests::oci::{LOGIN, Registry};
use stepwright_tests::processes::{Deployment, plugin};

fn refused(deployment: &Deployment, arguments: &[&str], expect: &[&str]) {
    let output = deployment.output(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    for text in expect {
        assert!(stderr.contains(text), "{arguments:?} should say '{text}':\n{stderr}");
    }
}

fn file(deployment: &Deployment, name: &str) -> String {
    deployment.data().join(name).to_string_lossy().into_owned()
}

#[test]
fn a_component_travels_with_its_signatures_by_tag_and_by_digest() {
    let (deployment, registry) = (Deployment::new(), Registry::start(false));
    let component = file(&deployment, "shapes.wasm");
    std::fs::copy(plugin("shapes"), &component).expect("a copy");
    deployment.succeed(&["plugin", "keygen", "--out", &file(&deployment, "ann.pem")]);
    deployment.succeed(&["plugin", "sign", &component, "--key", &file(&deployment, "ann.pem")]);

    // Without a tag its version is one.
    let pushed = deployment.json(&["plugin", "push", &component, &registry.place("team/shapes")]);
    assert_eq!(pushed["place"], registry.place("team/shapes:1.0.0"));
    let manifest = registry.manifest("team/shapes", "1.0.0");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["digest"], pushed["digest"]);
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "examples/shapes");

    let pulled = file(&deployment, "pulled.wasm");
    deployment.succeed(&["plugin", "pull", &registry.place("team/shapes:1.0.0"), "--out", &pulled]);
    let bytes = |path: &str| std::fs::read(path).expect("a file");
    assert_eq!(bytes(&pulled), bytes(&component));
    deployment.succeed(&["plugin", "verify", &pulled, "--key", &file(&deployment, "ann.pub.pem")]);
    refused(
        &deployment,
        &["plugin", "pull", &registry.place("team/shapes:1.0.0"), "--out", &pulled],
        &["exists already"],
    );

    let by_digest =
        registry.place(&format!("team/shapes@{}", pushed["manifest"].as_str().expect("a digest")));
    let added = deployment.json(&["plugin", "add", &by_digest]);
    assert_eq!(
        (&added["plugins"][0]["added"], &added["plugins"][0]["source"]),
        (&"new".into(), &by_digest.clone().into())
    );
    let shown = deployment.json(&["plugin", "show", "examples/shapes"]);
    assert_eq!(
        (&shown["source"], shown["signed_by"].as_array().expect("a list").len()),
        (&by_digest.into(), 1)
    );

    // What is registered is pushed with what is known of it.
    deployment.succeed(&["plugin", "push", "examples/shapes", &registry.place("other/shapes:stable")]);
    let again = deployment.json(&["plugin", "pull", &registry.place("other/shapes:stable")]);
    assert_eq!((&again["digest"], &again["signatures"]), (&pushed["digest"], &1.into()));
    assert_eq!(again["file"], "shapes-1.0.0.wasm");
}

#[test]
fn what_is_not_there_or_no_component_is_named() {
    let (deployment, registry) = (Deployment::new(), Registry::start(false));
    let missing = registry.place("team/shapes:9");
    refused(&deployment, &["plugin", "add", &missing], &[&format!("there is no {missing}")]);
    registry.put_image("team/image", "1");
    let image = registry.place("team/image:1");
    let what = format!("{image} is no WebAssembly artifact");
    let expect = [what.as_str(), "vnd.oci.image.layer.v1.tar+gzip", "plugin push"];
    refused(&deployment, &["plugin", "add", &image], &expect);
    deployment.succeed(&["plugin", "push", &plugin("shapes"), &registry.place("team/shapes:1")]);
    let small =
        ["plugin", "pull", &registry.place("team/shapes:1"), "--set", "sandbox.component_bytes_max=1KiB"];
    refused(&deployment, &small, &["sandbox.component_bytes_max allows 1024"]);
    refused(
        &deployment,
        &["plugin", "pull", &registry.place("team/shapes")],
        &["neither a tag nor a digest"],
    );
    refused(
        &deployment,
        &["plugin", "add", "oci://shapes:1"],
        &["is no place in a registry", "oci://host[:port]"],
    );
    let digest = format!("team/shapes@sha256:{}", "0".repeat(64));
    refused(&deployment, &["plugin", "pull", &registry.place(&digest)], &["there is no oci://"]);
    refused(
        &deployment,
        &["plugin", "push", &plugin("shapes"), &registry.place(&digest)],
        &["name a tag, or none"],
    );
    let host = registry.host().to_owned();
    drop(registry);
    refused(
        &deployment,
        &["plugin", "pull", &format!("oci://{host}/team/shapes:1")],
        &["failed to reach the registry"],
    );
}

#[test]
fn a_registry_that_wants_a_login_gets_one() {
    let (deployment, registry) = (Deployment::new(), Registry::start(true));
    let (name, password) = LOGIN;
    let place = registry.place("team/shapes:1");
    let shapes = plugin("shapes");
    let push = ["plugin", "push", &shapes, &place];
    refused(&deployment, &push, &["does not let us: it wants a login", "STEPWRIGHT_OCI_USERNAME"]);

    let with_variables = |arguments: &[&str], password: &str| {
        let mut command = deployment.command(arguments);
        command.env("STEPWRIGHT_OCI_USERNAME", name).env("STEPWRIGHT_OCI_PASSWORD", password);
        command.output().expect("the binary starts")
    };
    let wrong = with_variables(&push, "guessed");
    let stderr = String::from_utf8_lossy(&wrong.stderr);
    assert!(stderr.contains("the name or the password is wrong") && !stderr.contains("guessed"), "{stderr}");
    let pushed = with_variables(&push, password);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));

    // From stdin.
    let pull = ["plugin", "pull", &place, "--out", "a.wasm", "--username", name, "--password-stdin"];
    let mut command = deployment.command(&pull);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let written = child.stdin.take().expect("a pipe").write_all(format!("{password}\n").as_bytes());
    written.expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // From what other tools have written.
    let auth = r#"{"auths": {"HOST": {"username": "NAME", "password": "WORD"}}}"#;
    let auth = auth.replace("HOST", registry.host()).replace("NAME", name).replace("WORD", password);
    std::fs::write(deployment.data().join("config.json"), auth).expect("a file");
    let mut command = deployment.command(&["--json", "plugin", "add", &place]);
    let output = command.env("DOCKER_CONFIG", deployment.data()).output().expect("the binary starts");
    let added: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(added["plugins"][0]["added"], "new", "{}", String::from_utf8_lossy(&output.stderr));
    refused(&deployment, &["plugin", "pull", &place, "--out", "b.wasm"], &["it wants a login"]);
}
