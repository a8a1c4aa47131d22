//! Where sockets live: a folder that nobody else can enter.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The longest path of a unix socket, without the ending zero (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// A place where no socket can or should be.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The folder cannot be made or read.
    #[error("failed to use the run directory {}: {source}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else may enter it.
    #[error(
        "the run directory {} has mode {mode:o}, so other users could reach the sockets in it; run 'chmod 700 {}'",
        .path.display(), .path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the run directory {} belongs to user {owner}; choose another with --run-dir", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The system allows no socket name as long.
    #[error(
        "the socket path {} has {} bytes, and the system allows {PATH_BYTES_MAX}; choose a shorter --run-dir",
        .path.display(), .path.as_os_str().len()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// Somebody listens there.
    #[error("{} is in use: another orchestrator runs with this run directory; stop it, or choose another --run-dir", .path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else than a socket is there.
    #[error("{} is in the way: it is not a socket; remove it", .path.display())]
    Obstructed {
        /// The file.
        path: PathBuf,
    },
}

/// Makes sure that a folder exists, belongs to this user, and is closed to everybody else (mode 0700).
pub fn private_folder(path: &Path) -> Result<(), PathError> {
    // The parent of a bare file name is the empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let io = |source| PathError::Io { path: path.to_owned(), source };
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error)),
    }
    let metadata = std::fs::metadata(path).map_err(io)?;
    let owner = metadata.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(PathError::Foreign { path: path.to_owned(), owner });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 { Err(PathError::Open { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// Makes a socket's path free: removes what a dead process left, refuses what a live one uses.
pub(crate) fn free_socket(path: &Path) -> Result<(), PathError> {
    short_enough(path)?;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(PathError::Obstructed { path: path.to_owned() });
    }
    if UnixStream::connect(path).is_ok() {
        return Err(PathError::InUse { path: path.to_owned() });
    }
    std::fs::remove_file(path).map_err(|source| PathError::Io { path: path.to_owned(), source })
}

pub(crate) fn short_enough(path: &Path) -> Result<(), PathError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        Err(PathError::TooLong { path: path.to_owned() })
    } else {
        Ok(())
    }
}
