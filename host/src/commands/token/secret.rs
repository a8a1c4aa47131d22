//! Secrets: drawn, and written where only their owner reads them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use stepwright_transport::gate::Token;

use crate::clock::random_bits;
use crate::error::CliError;

/// 256 bits of the system's randomness.
pub(crate) fn draw() -> Result<Token, CliError> {
    Ok(Token::from_random(&random_bits()?))
}

/// A secret in a file beside the one that it is for, so that a failure in between leaves that one as it was, and whoever reads
/// it finds a whole secret. Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    beside: PathBuf,
}

impl SecretFile {
    /// For a file that must not be there yet.
    pub(crate) fn new(path: &Path, secret: &str) -> Result<Self, CliError> {
        if path.exists() {
            return Err(CliError::new(format!(
                "{} exists already; name another file, or use 'stepwright token rotate', which replaces it",
                path.display()
            )));
        }
        Self::replacing(path, secret)
    }

    /// For a file that may be there.
    pub(crate) fn replacing(path: &Path, secret: &str) -> Result<Self, CliError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let written = File::options().write(true).create_new(true).mode(0o600).open(&beside);
        let written = written.and_then(|mut file| {
            file.write_all(format!("{secret}\n").as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), beside })
    }

    /// Puts it in its place.
    pub(crate) fn keep(self) -> Result<PathBuf, CliError> {
        std::fs::rename(&self.beside, &self.path).map_err(|error| failed(&self.path, &error))?;
        Ok(self.path.clone())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.beside);
    }
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("failed to write the secret to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_secret_is_in_place_only_once_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = draw().unwrap();
        drop(SecretFile::new(&path, secret.reveal()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        SecretFile::new(&path, secret.reveal()).unwrap().keep().unwrap();
        assert_eq!(Token::read(&path).unwrap(), secret);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(SecretFile::new(&path, "other").is_err());
        let other = draw().unwrap();
        SecretFile::replacing(&path, other.reveal()).unwrap().keep().unwrap();
        assert_eq!(Token::read(&path).unwrap(), other);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
