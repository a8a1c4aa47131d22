//! The simulator, on demand: see `tests/src/sim`.

use crate::run::{Outcome, cargo, run};

pub(crate) fn simulate(arguments: &[String]) -> Outcome {
    let mut command =
        cargo(["run", "--quiet", "--locked", "--package", "stepwright-tests", "--bin", "simulate", "--"]);
    run(command.args(arguments))
}
