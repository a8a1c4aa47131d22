//! What a build needs beyond Rust, fetched where it is missing.

use std::process::Command;

use crate::run::{Outcome, cargo, read, root, run, works};

const WASM_TARGET: &str = "wasm32-wasip2";
const GUESTS: &str = "plugins/Cargo.toml";

/// Makes sure that guests can be compiled.
pub(crate) fn wasm_target() -> Outcome {
    let listed = read(Command::new("rustup").current_dir(root()).args(["target", "list", "--installed"]));
    match listed {
        Ok(targets) if targets.lines().any(|target| target == WASM_TARGET) => Ok(()),
        Ok(_) => run(Command::new("rustup").current_dir(root()).args(["target", "add", WASM_TARGET])),
        // A Rust that did not come from rustup: the build itself will say whether the target is there.
        Err(_) => Ok(()),
    }
}

/// Makes sure that the test runner is there.
pub(crate) fn nextest() -> Outcome {
    if works(&mut cargo(["nextest", "--version"])) {
        return Ok(());
    }
    eprintln!("cargo-nextest is not installed; installing it");
    // Compiling it takes minutes; its makers offer it built for the common machines.
    let fetched =
        "curl -LsSf https://get.nexte.st/latest/linux | tar xz -C \"${CARGO_HOME:-$HOME/.cargo}/bin\"";
    if cfg!(all(target_os = "linux", target_arch = "x86_64"))
        && works(Command::new("sh").args(["-c", fetched]))
        && works(&mut cargo(["nextest", "--version"]))
    {
        return Ok(());
    }
    run(&mut cargo(["install", "--locked", "cargo-nextest"]))
}

/// Makes sure that the tests find a PostgreSQL: a server that they are told of, or the programs to make one.
pub(crate) fn postgres() -> Outcome {
    if std::env::var_os("DATABASE_URL").is_some() || stepwright_postgres_harness::programs().is_ok() {
        return Ok(());
    }
    install("PostgreSQL", &["postgresql"])?;
    stepwright_postgres_harness::programs().map(|_| ())
}

/// Makes sure that the tests find an OCI registry to push to.
pub(crate) fn oci_registry() -> Outcome {
    let is_there = || works(Command::new("docker-registry").arg("--version"));
    if is_there() {
        return Ok(());
    }
    install("an OCI registry", &["docker-registry"])?;
    if is_there() {
        return Ok(());
    }
    Err("there is no 'docker-registry'; install the package of that name (Debian, Ubuntu), or put the CNCF distribution's \
         'registry' into the path under that name"
        .to_owned())
}

/// What the gem's tests are run with.
const RUBY: &[&str] = &["ruby", "rake", "ruby-minitest", "ruby-ffi-rzmq", "ruby-railties"];

/// Makes sure that the gem's tests can run: Ruby with rake, minitest, the bindings of libzmq, and Rails' railties.
pub(crate) fn ruby() -> Outcome {
    let needed = "require 'minitest'; require 'ffi-rzmq'; require 'rails/railtie'";
    let is_there =
        || works(Command::new("ruby").args(["-e", needed])) && works(Command::new("rake").arg("--version"));
    if is_there() {
        return Ok(());
    }
    install("Ruby", RUBY)?;
    if is_there() {
        return Ok(());
    }
    Err(format!(
        "Ruby is not there with all that the gem's tests need; install {} (Debian, Ubuntu)",
        RUBY.join(", ")
    ))
}

/// Installs packages where that can be done unasked: as root, with apt-get. Elsewhere the caller says what to do.
fn install(what: &str, packages: &[&str]) -> Outcome {
    if works(Command::new("apt-get").arg("--version"))
        && read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
    {
        eprintln!("{what} is not installed; installing it");
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        run(Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(())
}

/// Builds every guest: the example plugins and the hostile fixtures.
pub(crate) fn build_plugins() -> Outcome {
    run(&mut cargo([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        WASM_TARGET,
        "--manifest-path",
        GUESTS,
        "--workspace",
    ]))
}

/// Where a built guest lies.
pub(crate) fn plugin(name: &str) -> std::path::PathBuf {
    root().join(format!("plugins/target/{WASM_TARGET}/release/{name}.wasm"))
}

/// Runs the guests' own tests natively, and their lints.
pub(crate) fn test_plugins() -> Outcome {
    run(&mut cargo(["test", "--quiet", "--locked", "--manifest-path", GUESTS, "--workspace"]))
}
