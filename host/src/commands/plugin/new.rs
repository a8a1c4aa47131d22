//! `plugin new`: a project of one's own, with a handler that works, its tests and its cases.

mod templates;

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use stepwright_registry::PluginName;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

pub(super) const EXAMPLES: &str = "\
Examples:
  stepwright plugin new --lang rust shop/charge
  stepwright plugin new --lang python shop/charge services/charge";

/// What to make.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArguments {
    /// The plugin's name.
    #[arg(value_name = "NAMESPACE/NAME")]
    name: PluginName,
    /// Where to make it: a directory that is empty or not there yet [default: NAME]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// What it is written in.
    #[arg(long, value_enum)]
    lang: Language,
    /// Take the Rust SDK from this checkout's 'plugin-sdk' instead of the version that belongs to this program.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// The languages that there is a project for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Language {
    /// A component of about 100 KB; needs cargo.
    Rust,
    /// One of 18 MB with CPython in it; needs python3 with its venv module.
    Python,
    /// One of 1 MB with QuickJS in it; needs node and npm.
    Js,
    /// One of 5 MB with Go's runtime in it; needs python3 with its venv module, which fetches Go.
    Go,
    /// One of 50 KB; needs python3 with its venv module, which fetches a compiler.
    C,
}

/// What the places in the files of a project are filled with.
pub(super) struct Filling {
    /// `namespace/name`.
    pub(super) plugin: String,
    /// The name's second half.
    pub(super) short: String,
    /// The value of the dependency on the Rust SDK.
    pub(super) sdk: String,
}

impl Filling {
    fn fill(&self, text: &str) -> String {
        let Self { plugin, short, sdk } = self;
        text.replace("{{plugin}}", plugin).replace("{{short}}", short).replace("{{sdk}}", sdk)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    plugin: &'a str,
    language: Language,
    directory: String,
    files: Vec<&'static str>,
}

pub(crate) fn run(arguments: &NewArguments, context: &Context) -> Result<Exit, CliError> {
    let short = arguments.name.name().to_owned();
    let directory = arguments.directory.clone().unwrap_or_else(|| PathBuf::from(&short));
    let sdk = sdk(arguments)?;
    must_be_empty(&directory)?;
    let filling = Filling { plugin: arguments.name.to_string(), short, sdk };
    let mut files = Vec::new();
    for (path, text) in templates::files(arguments.lang) {
        write(&directory.join(path), filling.fill(text).as_bytes())?;
        files.push(*path);
    }
    if let Some((path, bytes)) = templates::adapter(arguments.lang) {
        write(&directory.join(path), bytes)?;
        files.push(path);
    }
    let directory = directory.display().to_string();
    let report = Report { plugin: &filling.plugin, language: arguments.lang, directory, files };
    tell(&report, context)?;
    Ok(Exit::Good)
}

/// How Cargo.toml names the SDK: the version of this very program, or a checkout.
fn sdk(arguments: &NewArguments) -> Result<String, CliError> {
    let Some(path) = &arguments.sdk else { return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION"))) };
    if arguments.lang != Language::Rust {
        return Err(CliError::new("--sdk names the Rust SDK; leave it out, or use --lang rust"));
    }
    if !path.join("Cargo.toml").is_file() {
        return Err(CliError::new(format!(
            "--sdk {}: there is no Cargo.toml; name the 'plugin-sdk' directory of a checkout",
            path.display()
        )));
    }
    let path = path.canonicalize().map_err(|error| failed("find", path, &error))?;
    Ok(format!("{{ path = {} }}", toml::Value::String(path.display().to_string())))
}

fn must_be_empty(directory: &Path) -> Result<(), CliError> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(CliError::new(format!(
                "the directory {} is not empty; name another one after the plugin's name",
                directory.display()
            ))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look into", directory, &error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).create(folder);
    made.map_err(|error| failed("make the directory", folder, &error))?;
    let written = File::create_new(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| failed("write", path, &error))
}

fn failed(action: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("failed to {action} {}: {error}", path.display()))
}

fn tell(report: &Report<'_>, context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(report);
    }
    let Report { plugin, directory, files, .. } = report;
    output::line(format_args!("{directory}: made {plugin} with {}", files.join(", ")))?;
    output::hint(format_args!(
        "try it with 'stepwright plugin test {directory}', register it with 'stepwright plugin build {directory} --add'"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_in_every_file_is_filled_and_each_project_has_what_it_needs() {
        let filling =
            Filling { plugin: "shop/charge".to_owned(), short: "charge".to_owned(), sdk: "\"1\"".to_owned() };
        for language in Language::value_variants() {
            let files = templates::files(*language);
            let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            for wanted in [".gitignore", "README.md", "cases/a_guest_is_greeted.json"] {
                assert!(paths.contains(&wanted), "{language:?} has no {wanted}");
            }
            for (path, text) in files {
                let filled = filling.fill(text);
                assert!(!filled.contains("{{"), "{language:?}: {path} has a place that nothing fills");
            }
        }
    }

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        must_be_empty(folder.path()).unwrap();
        must_be_empty(&folder.path().join("new")).unwrap();
        std::fs::write(folder.path().join("notes"), "").unwrap();
        let error = format!("{:?}", must_be_empty(folder.path()).unwrap_err());
        assert!(error.contains("is not empty"), "{error}");
        let error = format!("{:?}", write(&folder.path().join("notes"), b"text").unwrap_err());
        assert!(error.contains("notes"), "{error}");
    }
}
