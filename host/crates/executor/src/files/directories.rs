//! The granted directories of this machine: opened once, and held, so that a guest sees what the operator meant even when
//! somebody renames or replaces it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

/// Every directory that a grant named so far.
#[derive(Debug, Default)]
pub(crate) struct Directories(Mutex<HashMap<PathBuf, Arc<Dir>>>);

impl Directories {
    /// The directory, opened at its first use.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Arc<Dir>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = open.get(path) {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(Dir::open_ambient_dir(path, ambient_authority())?);
        open.insert(path.to_owned(), Arc::clone(&dir));
        Ok(dir)
    }
}

/// A path that leads to an open directory whatever becomes of its name. The WASI library opens directories by path only.
pub(crate) fn path_of(dir: &Dir) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}
