//! `stepwright.plugin.toml`: the commands that build a plugin in any language, as its author would type them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use serde::Deserialize;
use tokio::process::Command;

use super::sources;
use crate::error::CliError;
use crate::{input, output};

/// The file's name.
pub(in crate::commands::plugin) const MANIFEST: &str = "stepwright.plugin.toml";
/// The largest such file, in bytes: a handful of lines.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commands {
    /// For people.
    language: String,
    /// What the commands make, relative to the file.
    component: PathBuf,
    /// Where this is missing, `setup` runs first.
    tool: Option<PathBuf>,
    /// Fetches the tools into the project.
    #[serde(default)]
    setup: Vec<Vec<String>>,
    /// Makes the component.
    build: Vec<Vec<String>>,
}

impl Commands {
    pub(super) fn read(file: &Path) -> Result<Self, CliError> {
        let text = input::text(file, MANIFEST_BYTES_MAX)?;
        let wrong = |problem: &str| CliError::new(format!("{}: {problem}", file.display()));
        let commands: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end()))?;
        if commands.build.is_empty() {
            return Err(wrong(
                "build: there is no command; write at least one, such as build = [[\"make\", \"plugin.wasm\"]]",
            ));
        }
        if commands.setup.iter().chain(&commands.build).any(Vec::is_empty) {
            return Err(wrong("a command is empty; write the program and its arguments as texts in a list"));
        }
        if commands.tool.is_none() && !commands.setup.is_empty() {
            return Err(wrong("setup needs 'tool', the file whose absence makes it run"));
        }
        Ok(commands)
    }

    pub(super) async fn build(&self, folder: &Path) -> Result<PathBuf, CliError> {
        if let Some(tool) = self.tool.as_ref().filter(|tool| !folder.join(tool).exists()) {
            output::hint(format_args!(
                "{} is missing; fetching the tools for {}",
                tool.display(),
                self.language
            ));
            for command in &self.setup {
                run(folder, command, true).await?;
            }
        }
        let component = folder.join(&self.component);
        if let Some(parent) = component.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| CliError::new(format!("failed to make {}: {error}", parent.display())))?;
        }
        for command in &self.build {
            run(folder, command, false).await?;
        }
        if component.is_file() {
            return Ok(component);
        }
        Err(CliError::new(format!(
            "the commands of {MANIFEST} have run and there is no {}; 'component' must name what they make",
            component.display()
        )))
    }

    /// The component, if it is newer than everything that it is made from.
    pub(super) fn fresh(&self, folder: &Path) -> Option<PathBuf> {
        let component = folder.join(&self.component);
        let built = component.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let newest = newest(folder).ok()??;
        (newest < built).then_some(component)
    }
}

/// When a source was last changed.
fn newest(folder: &Path) -> io::Result<Option<SystemTime>> {
    let changed = |file: PathBuf| file.metadata()?.modified();
    let times: Vec<SystemTime> = sources(folder)?.into_iter().map(changed).collect::<io::Result<_>>()?;
    Ok(times.into_iter().max())
}

/// Runs one command in the project's folder; what it prints goes to stderr.
async fn run(folder: &Path, words: &[String], told: bool) -> Result<(), CliError> {
    let shown = words.join(" ");
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    if told {
        output::hint(format_args!("  {shown}"));
    }
    // A path is one within the project; a bare name is looked up as the shell would.
    let program = if program.contains('/') { folder.join(program) } else { PathBuf::from(program) };
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(io::stderr()).kill_on_drop(true);
    let status = command.status().await.map_err(|error| {
        CliError::new(format!("failed to start '{shown}' in {}: {error}", folder.display()))
    })?;
    if status.success() {
        return Ok(());
    }
    Err(CliError::new(format!("'{shown}' in {} ended with {status}; see above", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> (tempfile::TempDir, Result<Commands, CliError>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        let read = Commands::read(&folder.path().join(MANIFEST));
        (folder, read)
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_the_reason() {
        for (text, expect) in [
            ("language = 'c'\ncomponent = 'a'\nbuild = []", "build: there is no command"),
            ("language = 'c'\ncomponent = 'a'\nbuild = [[]]", "a command is empty"),
            ("language = 'c'\ncomponent = 'a'\nbuild = [['x']]\nsetup = [['y']]", "setup needs 'tool'"),
            ("lang = 'c'", "unknown field `lang`"),
        ] {
            let error = format!("{:?}", project(text).1.unwrap_err());
            assert!(error.contains(expect) && error.contains(MANIFEST), "{error}");
        }
    }

    #[tokio::test]
    async fn commands_run_in_the_folder_and_tools_are_fetched_once() {
        let (folder, commands) = project(
            "language = 'shell'\ncomponent = 'out/a.wasm'\ntool = 'tool'\nsetup = [['sh', '-c', 'echo once >> tool']]\n\
             build = [['sh', '-c', 'cat tool source > out/a.wasm']]",
        );
        let commands = commands.unwrap();
        assert_eq!(commands.fresh(folder.path()), None);
        let error = format!("{:?}", commands.build(folder.path()).await.unwrap_err());
        assert!(error.contains("cat tool source") && error.contains("exit status: 1"), "{error}");
        std::fs::write(folder.path().join("source"), "text").unwrap();
        let component = commands.build(folder.path()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&component).unwrap(), "once\ntext");
        // The source is older than the component, until somebody touches it.
        let later = |path: &Path, seconds| {
            let file = std::fs::File::options().append(true).open(path).unwrap();
            file.set_modified(
                file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(seconds),
            )
            .unwrap();
        };
        later(&component, 10);
        assert_eq!(commands.fresh(folder.path()), Some(component));
        later(&folder.path().join("source"), 20);
        assert_eq!(commands.fresh(folder.path()), None);
    }

    #[tokio::test]
    async fn a_build_that_makes_something_else_is_told() {
        let (folder, commands) = project("language = 'c'\ncomponent = 'out/a.wasm'\nbuild = [['true']]");
        let error = format!("{:?}", commands.unwrap().build(folder.path()).await.unwrap_err());
        assert!(error.contains("out/a.wasm") && error.contains("'component'"), "{error}");
    }
}
