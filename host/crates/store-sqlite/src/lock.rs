//! One orchestrator per database file: an advisory lock on a file beside it, which the system frees with the process.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Held for as long as an orchestrator runs.
#[derive(Debug)]
pub struct OrchestratorLock(#[allow(dead_code, reason = "the open file is the lock")] File);

/// Why the lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another orchestrator{} serves the database {}; stop it first, or give this one a database of its own",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .database.display()
    )]
    Held {
        /// The database file.
        database: PathBuf,
        /// The other process.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("failed to lock {}: {source}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl OrchestratorLock {
    /// Takes the lock of a database file, or says who has it. Never waits.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held { database: database.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(error) => return Err(io(error.into())),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(Self(file))
    }
}
