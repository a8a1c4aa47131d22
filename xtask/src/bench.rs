//! Starts the benchmarks in release mode.

use crate::run::{Outcome, cargo, run, section};
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
            "--package",
            "stepwright",
            "--package",
            "stepwright-benches",
        ]))
    })?;
    let mut command =
        cargo(["run", "--quiet", "--release", "--locked", "--package", "stepwright-benches", "--"]);
    section("workloads", || run(command.args(arguments)))
}
