//! A worker's secret for the gate: kept in a file that only its owner can read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use stepwright_workflow::Digest;

/// What our secrets begin with, so that people and scanners for leaked secrets know one when they see it.
const PREFIX: &str = "sw_";

/// A secret of 16 to 128 visible ASCII characters. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no file.
    #[error(
        "there is no token file {}; make a token where the orchestrator's database is, with \
         'stepwright token create --name NAME --out FILE', and put the file there, or name it in worker.token_file",
        .path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read the token file {}: {source}", .path.display())]
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
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TokenError::Missing { path: path.to_owned() },
            _ => io(error),
        })?;
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

    /// A new secret of 256 random bits, which the caller draws.
    pub fn from_random(bits: &[u8; 32]) -> Self {
        Self(bits.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }

    /// What is kept of it: its SHA-256.
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The secret, to be shown once or sent to a gate.
    pub fn reveal(&self) -> &str {
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
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    fn file(folder: &tempfile::TempDir, mode: u32, content: &[u8]) -> PathBuf {
        let path = folder.path().join(format!("token-{mode:o}-{}", content.len()));
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(content).unwrap();
        path
    }

    #[test]
    fn a_secret_reads_back_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let made = Token::from_random(&[0xa7; 32]);
        assert_eq!(made.reveal(), format!("sw_{}", "a7".repeat(32)));
        let path = file(&folder, 0o600, format!("{}\n", made.reveal()).as_bytes());
        let read = Token::read(&path).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.hash(), Digest::of(made.reveal().as_bytes()));
        assert_ne!(read.hash(), Token::from_random(&[0xa8; 32]).hash());
        assert_eq!(format!("{made:?}"), "Token(…)");
    }

    #[test]
    fn a_file_that_others_can_read_or_without_a_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = Token::read(&file(&folder, 0o644, &[b'x'; 64]));
        assert!(matches!(open, Err(TokenError::Open { mode: 0o644, .. })));
        let short = Token::read(&file(&folder, 0o600, b"secret"));
        assert!(matches!(short, Err(TokenError::Content { length: 6, .. })));
        let missing = Token::read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("stepwright token create"), "{missing}");
    }
}
