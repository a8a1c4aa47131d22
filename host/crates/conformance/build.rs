//! Embeds the hostile component if it has been built: guests have a target and a workspace of their own.
#![allow(clippy::disallowed_methods, reason = "a build script is told everything by its environment")]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let built = Path::new(&manifest).join("../../../plugins/target/wasm32-wasip2/release/hostile.wasm");
    println!("cargo::rerun-if-changed={}", built.display());
    // A host that is built without its guests says so when it is asked for them.
    let bytes = if built.exists() { fs::read(&built)? } else { Vec::new() };
    fs::write(Path::new(&out).join("hostile.wasm"), bytes)
}
