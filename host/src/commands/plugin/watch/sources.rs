//! What a watched place is made of: names, sizes and times of its sources, to tell a change from noise such as a build's own files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::CliError;

/// The sources of a place as they were at one time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, SystemTime)>);

/// The components that a path stands for: itself, or those in the folder that it is.
pub(super) fn components(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failed(path, &error))? {
        let path = entry.map_err(|error| failed(path, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The fingerprint of single files. One that has just gone is none of them.
pub(super) fn of(files: &[PathBuf]) -> Result<Fingerprint, CliError> {
    let mut found = Vec::new();
    for file in files {
        if let Ok(metadata) = file.metadata() {
            let modified = metadata.modified().map_err(|error| failed(file, &error))?;
            found.push((file.clone(), metadata.len(), modified));
        }
    }
    found.sort();
    Ok(Fingerprint(found))
}

/// The fingerprint of a project's sources.
pub(super) fn fingerprint(folder: &Path) -> Result<Fingerprint, CliError> {
    let files = crate::commands::plugin::project::sources(folder).map_err(|error| failed(folder, &error))?;
    of(&files)
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("failed to look at {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_of_a_source_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        file("src/lib.rs", "one");
        let first = fingerprint(folder.path()).unwrap();
        file("target/release/x.wasm", "built");
        file(".venv/lib", "fetched");
        file("build/x.wasm", "built");
        assert_eq!(fingerprint(folder.path()).unwrap(), first);
        file("src/lib.rs", "another");
        assert_ne!(fingerprint(folder.path()).unwrap(), first);
        file("new.wasm", "");
        assert_eq!(components(folder.path()).unwrap(), [folder.path().join("new.wasm")]);
    }
}
