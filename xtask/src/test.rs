//! Everything that must pass before a change lands.

use stepwright_postgres_harness::{Cluster, Durability};

use crate::run::{Outcome, cargo, run, section};
use crate::{gem, polyglot, sqlx, tidy, tools};

pub(crate) fn test(arguments: &[String]) -> Outcome {
    let fast = match arguments {
        [] => false,
        [flag] if flag == "--fast" => true,
        other => return Err(format!("unknown arguments {other:?}; known is --fast")),
    };
    section("tools", || {
        tools::wasm_target()
            .and_then(|()| tools::nextest())
            .and_then(|()| tools::postgres())
            .and_then(|()| tools::oci_registry())
            .and_then(|()| tools::ruby())
    })?;
    section("repository checks", tidy::tidy)?;
    section("guests", || {
        // Much of the other languages' time is spent waiting for downloads.
        let others = std::thread::spawn(polyglot::build);
        tools::build_plugins().and_then(|()| tools::test_plugins())?;
        others.join().map_err(|_| "building the guests in other languages panicked".to_owned())??;
        polyglot::test()
    })?;
    if !fast {
        section("lints and query descriptions", sqlx::lint)?;
    }
    // The process tests start the binary itself, which a test build alone would not make. Both at once: without the tests, the
    // dependencies have other features, and most of them would be built twice.
    section("build", || {
        run(&mut cargo(["build", "--quiet", "--locked", "--workspace", "--bins", "--tests"]))
    })?;
    section("tests", nextest)?;
    section("gem", gem::test)?;
    if !fast {
        section("documentation", || {
            run(cargo(["doc", "--quiet", "--locked", "--no-deps", "--workspace"])
                .env("RUSTDOCFLAGS", "-D warnings"))?;
            run(&mut cargo(["test", "--quiet", "--locked", "--doc", "--package", "stepwright-sdk"]))
        })?;
    }
    Ok(())
}

/// Every test, with one PostgreSQL for all of them rather than one for each; three for every two processors, since many wait for
/// leases and sockets most of their time.
fn nextest() -> Outcome {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).div_ceil(2) * 3;
    let mut command = cargo(["nextest", "run", "--locked", "--workspace"]);
    command.args(["--test-threads", &threads.to_string()]);
    if std::env::var_os("DATABASE_URL").is_some() {
        return run(&mut command);
    }
    let cluster = Cluster::start(Durability::None)?;
    run(command.env("DATABASE_URL", cluster.url("postgres")))
}
