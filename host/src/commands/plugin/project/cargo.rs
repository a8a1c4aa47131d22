//! Plugins in Rust: Cargo does the work; here its answers are read.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::error::CliError;
use crate::output;

/// The target of every plugin.
const TARGET: &str = "wasm32-wasip2";

/// Builds, and returns the components that the named crate, or each of a workspace's, gave.
pub(super) async fn build(manifest: &Path) -> Result<Vec<PathBuf>, CliError> {
    prepare_target().await?;
    cargo_build(manifest).await
}

/// Adds the target if rustup manages the toolchain and does not have it. Without rustup, Cargo will say what is missing.
async fn prepare_target() -> Result<(), CliError> {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output().await;
    let Ok(listed) = listed else { return Ok(()) };
    let installed = String::from_utf8_lossy(&listed.stdout);
    if !listed.status.success() || installed.lines().any(|target| target.trim() == TARGET) {
        return Ok(());
    }
    output::hint(format_args!("the target {TARGET} is not installed: running 'rustup target add {TARGET}'"));
    let added = Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).status().await;
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CliError::new(format!("'rustup target add {TARGET}' ended with {status}"))),
        Err(error) => Err(CliError::caused("failed to start rustup", &error)),
    }
}

async fn cargo_build(manifest: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    // Its progress and its diagnostics go straight to the person.
    cargo
        .arg("--manifest-path")
        .arg(manifest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let started = cargo.spawn().map_err(|error| {
        CliError::caused(
            "failed to start cargo, which builds plugins; install Rust from https://rustup.rs",
            &error,
        )
    })?;
    let built = started.wait_with_output().await?;
    if !built.status.success() {
        return Err(CliError::new(format!("cargo could not build {}; see above", manifest.display())));
    }
    let files = components(&String::from_utf8_lossy(&built.stdout));
    if files.is_empty() {
        return Err(CliError::new(format!(
            "{} gives no component; add 'crate-type = [\"cdylib\"]' to its [lib] section",
            manifest.display()
        )));
    }
    Ok(files)
}

/// One of Cargo's messages, as far as it matters here (the Cargo book, "External tools").
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The components among the files that Cargo says it made.
fn components(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let files = messages
        .filter(|message| message.reason == "compiler-artifact")
        .flat_map(|message| message.filenames);
    files.filter(|file| file.extension().is_some_and(|extension| extension == "wasm")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib","/t/libserde.rmeta"],"fresh":true}"#,
            "\nsome text that is no message\n",
            r#"{"reason":"build-script-executed","filenames":["/t/no.wasm"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","filenames":["/t/shop.wasm"],"fresh":false}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(components(messages), [PathBuf::from("/t/shop.wasm")]);
    }
}
