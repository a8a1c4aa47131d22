//! The gem: its tests, and the packages of it and of the host for this platform.

use std::process::Command;

use crate::run::{Outcome, cargo, root, run, section, target};
use crate::tools;

/// Runs the gem's tests against the host and the guests that are built.
pub(crate) fn test() -> Outcome {
    run(rake(&["test"]).env("REQUIRE_HOST", "1"))
}

/// Builds the gem, and the one that carries the host for this platform, into `ruby/pkg`.
pub(crate) fn gem(arguments: &[String]) -> Outcome {
    if let [first, ..] = arguments {
        return Err(format!("unknown argument '{first}'; it takes none"));
    }
    section("tools", tools::ruby)?;
    section("release build", || {
        run(&mut cargo(["build", "--quiet", "--release", "--locked", "--workspace", "--bin", "stepwright"]))
    })?;
    section("gems", || run(rake(&["build"]).env("BINARY", target().join("release/stepwright"))))
}

fn rake(arguments: &[&str]) -> Command {
    let mut command = Command::new("rake");
    command.current_dir(root().join("ruby")).arg("--quiet").args(arguments);
    command
}
