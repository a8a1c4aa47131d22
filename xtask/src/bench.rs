//! Starts the benchmarks in release mode.

use std::process::Command;

use crate::run::{Outcome, cargo, root, run, section, target};
use crate::tools;

pub(crate) fn bench(arguments: &[String]) -> Outcome {
    section("guests", || tools::wasm_target().and_then(|()| tools::build_plugins()))?;
    if arguments.iter().any(|argument| argument == "--micro") {
        return section("micro benchmarks", || {
            run(&mut cargo(["bench", "--locked", "--package", "stepwright-benches"]))
        });
    }
    section("release build", || {
        run(&mut cargo([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--workspace",
            "--bin",
            "stepwright",
            "--bin",
            "stepwright-benches",
        ]))
    })?;
    let mut command = Command::new(target().join("release/stepwright-benches"));
    section("workloads", || run(command.current_dir(root()).args(arguments)))
}
