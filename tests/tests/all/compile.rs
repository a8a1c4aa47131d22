//! The compiler's process, as the binary starts it: bombs end at their limits, and honest components compile after them.

use std::fmt::Write as _;

use stepwright_tests::processes::{Deployment, plugin};

/// A component whose one function has so many loops in each other, over so many variables: Cranelift takes time and memory for
/// each pair of them.
fn bomb(loops: usize, variables: usize) -> String {
    let mut text = String::from("(component (core module (func (param i32)");
    let _ = write!(text, "(local {})", "i64 ".repeat(variables));
    for at in 0..loops {
        let (from, to) = (at % variables + 1, (at * 7 + 3) % variables + 1);
        let _ =
            write!(text, "loop local.get {from} local.get {to} i64.add local.set {to} local.get 0 br_if 0 ");
    }
    text.push_str(&"end ".repeat(loops));
    text.push_str(")))");
    text
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused_and_the_next_one_compiles() {
    let deployment = Deployment::new();
    let file = deployment.data().join("bomb.wasm");
    std::fs::write(&file, wat::parse_str(bomb(1_500, 1_500)).expect("a component")).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let refused = |limit: &str, expect: &str| {
        let output = deployment.output(&["plugin", "add", &file, "--set", limit]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expect), "{stderr}");
    };
    refused(
        "sandbox.compile_time=1s",
        "could not be compiled within 1 s of CPU; if it is to be trusted, raise sandbox.compile_time",
    );
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    // Its code was kept for the workers of this folder.
    let compiled = std::fs::read_dir(deployment.data().join("compiled")).expect("a folder");
    let names: Vec<_> = compiled.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().any(|name| name.to_string_lossy().ends_with(".compiled")), "{names:?}");
}

#[test]
fn the_compilers_process_answers_whoever_starts_it_and_nothing_else() {
    let deployment = Deployment::new();
    let output = deployment.output(&["compile-component"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}
