//! A plugin's project, and how it becomes a component: by Cargo, or by the commands that its own file names.

mod cargo;
mod commands;

use std::io;
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::input;

use commands::Commands;
pub(super) use commands::MANIFEST;

/// Folders that hold no sources; so does every one that begins with a dot.
const NO_SOURCES: &[&str] = &["node_modules", "target", "build", "__pycache__", "stepwright-data"];

/// The files that a project is made from: all of them but components, and what tools keep beside them.
pub(super) fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if !entry.file_type()?.is_dir() {
                found.extend((!name.ends_with(".wasm")).then_some(path));
            } else if !name.starts_with('.') && !NO_SOURCES.contains(&&*name) {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

/// Cargo's own file.
const CARGO: &str = "Cargo.toml";

/// Where a plugin's sources are.
#[derive(Debug)]
pub(super) struct Project {
    folder: PathBuf,
    builder: Builder,
}

#[derive(Debug)]
enum Builder {
    /// The manifest of a crate or a workspace.
    Cargo(PathBuf),
    Commands(Box<Commands>),
}

impl Project {
    /// The project in a folder, or the one that a file of a known name describes.
    pub(super) fn find(path: &Path) -> Result<Self, CliError> {
        let (cargo, commands) = (path.join(CARGO), path.join(MANIFEST));
        let is_called = |name: &str| path.is_file() && path.file_name().is_some_and(|file| file == name);
        let (file, is_cargo) = if is_called(CARGO) {
            (path.to_owned(), true)
        } else if is_called(MANIFEST) {
            (path.to_owned(), false)
        } else if cargo.is_file() {
            (cargo, true)
        } else if commands.is_file() {
            (commands, false)
        } else {
            return Err(CliError::new(format!(
                "{} holds neither {CARGO} nor {MANIFEST}; name a plugin's directory, begin one with 'stepwright plugin new', \
                 or build it your way and use 'stepwright plugin add'",
                input::name(path)
            )));
        };
        // Programs within the folder are started by their whole path.
        let file = std::path::absolute(file)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let builder = match is_cargo {
            true => Builder::Cargo(file),
            false => Builder::Commands(Box::new(Commands::read(&file)?)),
        };
        Ok(Self { folder, builder })
    }

    /// Whether a folder is a project's.
    pub(super) fn is_in(folder: &Path) -> bool {
        [CARGO, MANIFEST].iter().any(|file| folder.join(file).is_file())
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds it and returns its components. What the tools print goes to stderr.
    pub(super) async fn build(&self) -> Result<Vec<PathBuf>, CliError> {
        match &self.builder {
            Builder::Cargo(manifest) => cargo::build(manifest).await,
            Builder::Commands(commands) => Ok(vec![commands.build(&self.folder).await?]),
        }
    }

    /// Its only component, built if anything was changed since the last build.
    pub(super) async fn component(&self) -> Result<PathBuf, CliError> {
        let mut built = self.build_if_changed().await?;
        match (built.pop(), built.len()) {
            (Some(component), 0) => Ok(component),
            (_, others) => Err(CliError::new(format!(
                "{} builds {} components; name the directory of one, or a component's file",
                self.folder.display(),
                others + 1
            ))),
        }
    }

    async fn build_if_changed(&self) -> Result<Vec<PathBuf>, CliError> {
        match &self.builder {
            // Cargo knows by itself.
            Builder::Cargo(_) => self.build().await,
            Builder::Commands(commands) => match commands.fresh(&self.folder) {
                Some(component) => Ok(vec![component]),
                None => self.build().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_known_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:?}", Project::find(folder.path()).unwrap_err());
        assert!(error.contains("Cargo.toml") && error.contains("plugin new"), "{error}");
        let manifest = folder.path().join(MANIFEST);
        std::fs::write(&manifest, "language = 'c'\ncomponent = 'a.wasm'\nbuild = [['make']]").unwrap();
        for path in [folder.path(), &manifest] {
            let found = Project::find(path).unwrap();
            assert!(matches!(found.builder, Builder::Commands(_)));
            assert_eq!(found.folder(), folder.path());
        }
        std::fs::write(folder.path().join(CARGO), "").unwrap();
        assert!(matches!(Project::find(folder.path()).unwrap().builder, Builder::Cargo(_)));
    }
}
