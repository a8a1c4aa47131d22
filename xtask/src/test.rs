//! Everything that must pass before a change lands.

use crate::run::{Outcome, cargo, run, section};
use crate::{sqlx, tidy, tools};

pub(crate) fn test(arguments: &[String]) -> Outcome {
    let fast = match arguments {
        [] => false,
        [flag] if flag == "--fast" => true,
        other => return Err(format!("unknown arguments {other:?}; known is --fast")),
    };
    section("tools", || tools::wasm_target().and_then(|()| tools::nextest()))?;
    section("repository checks", tidy::tidy)?;
    section("guests", || tools::build_plugins().and_then(|()| tools::test_plugins()))?;
    if !fast {
        section("clippy", || {
            run(&mut cargo([
                "clippy",
                "--quiet",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]))
        })?;
        section("query descriptions", || sqlx::sqlx(&["--check".to_owned()]))?;
    }
    // The process tests start the binary itself, which a test build alone would not make.
    section("build", || run(&mut cargo(["build", "--quiet", "--locked", "--workspace", "--bins"])))?;
    section("tests", || run(&mut cargo(["nextest", "run", "--locked", "--workspace"])))?;
    if !fast {
        section("documentation", || {
            run(cargo(["doc", "--quiet", "--locked", "--no-deps", "--workspace"])
                .env("RUSTDOCFLAGS", "-D warnings"))?;
            run(&mut cargo(["test", "--quiet", "--locked", "--doc", "--package", "stepwright-sdk"]))
        })?;
    }
    Ok(())
}
