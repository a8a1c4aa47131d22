//! The shared secret of the gate: kept in a file that only its owner can read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A secret of 16 to 128 visible ASCII characters. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("failed to read the gate's token from {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the token file {} has mode {mode:o}, so other users could read it; run 'chmod 600 {}'", .path.display(), .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Its content is no token.
    #[error("the token in {} has {length} characters; it must have 16 to 128 visible ASCII characters and nothing else", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
}

impl Token {
    /// Reads a token from a file of mode 0600.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(1_024).read_to_string(&mut text).map_err(io)?;
        let text = text.trim_end();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(16..=128).contains(&text.len()) {
            return Err(TokenError::Content { path: path.to_owned(), length: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads the token, or makes a random one of 256 bits if there is no file yet.
    pub fn read_or_create(path: &Path) -> Result<Self, TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let mut random = [0_u8; 32];
                getrandom::fill(&mut random).map_err(|error| io(io::Error::other(error.to_string())))?;
                let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
                Ok(Self(text))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(io(error)),
        }
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub(crate) fn matches(&self, other: &str) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(other.as_bytes())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_token_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = Token::read_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Token::read_or_create(&path).unwrap(), made);
        assert!(made.matches(made.as_str()) && !made.matches("another"));
        assert_eq!(format!("{made:?}"), "Token(…)");
    }

    #[test]
    fn a_token_that_others_can_read_or_that_is_too_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .unwrap()
            .write_all(&[b'x'; 64])
            .unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Open { mode: 0o644, .. })));
        let short = folder.path().join("short");
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&short)
            .unwrap()
            .write_all(b"secret")
            .unwrap();
        assert!(matches!(Token::read(&short), Err(TokenError::Content { length: 6, .. })));
    }
}
