//! Directories that belong to one attempt and go with it.
//!
//! ```text
//! scratch/            of every process that is told to use it; nobody else may look in
//!   lock              held while a process comes and tidies up
//!   <random>/         of one process, which holds a lock on `lock` as long as it lives
//!     lock
//!     1/ 2/ …         of one attempt each
//! ```
//!
//! What a process leaves behind that was killed is removed by the next one that starts: its lock is free then.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, Permissions, PermissionsExt as _};
use rustix::fs::{FlockOperation, flock};

const LOCK: &str = "lock";

/// The place for such directories; made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `None` means the system's directory for temporary files.
    base: Option<PathBuf>,
    own: OnceLock<Own>,
}

/// This process's part.
#[derive(Debug)]
struct Own {
    base: Dir,
    name: String,
    dir: Arc<Dir>,
    next: AtomicU64,
    /// Held until the process ends.
    _lock: cap_std::fs::File,
}

impl Scratch {
    /// Uses this directory, creates it if it is missing, and removes what processes left there that are gone.
    pub(crate) fn open(base: &Path) -> io::Result<Self> {
        let scratch = Self { base: Some(base.to_owned()), own: OnceLock::new() };
        scratch.own()?;
        Ok(scratch)
    }

    fn own(&self) -> io::Result<&Own> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let own = match &self.base {
            Some(base) => Own::new(base)?,
            None => {
                // Of this user alone, for the directory for temporary files is everybody's.
                let user = rustix::process::geteuid().as_raw();
                Own::new(&std::env::temp_dir().join(format!("stepwright-scratch-{user}")))?
            }
        };
        Ok(self.own.get_or_init(|| own))
    }

    /// A fresh, empty directory.
    pub(crate) fn directory(&self) -> io::Result<Attempt> {
        let own = self.own()?;
        let name = own.next.fetch_add(1, Ordering::Relaxed).to_string();
        create_private(&own.dir, &name)?;
        let dir = own.dir.open_dir(&name)?;
        Ok(Attempt { home: Arc::clone(&own.dir), name, dir: Some(dir) })
    }
}

impl Own {
    fn new(path: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let base = Dir::open_ambient_dir(path, ambient_authority())?;
        // Fails where somebody else owns it: nothing of theirs is used.
        base.set_permissions(".", Permissions::from_mode(0o700))?;
        // One at a time: nobody takes a directory that is just being made for a leftover.
        let _turn = lock(&base, FlockOperation::LockExclusive)?;
        remove_leftovers(&base)?;
        let name = random_name()?;
        create_private(&base, &name)?;
        let dir = base.open_dir(&name)?;
        let held = lock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { base, name, dir: Arc::new(dir), next: AtomicU64::new(1), _lock: held })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.base, &self.name) {
            tracing::warn!(%error, directory = self.name, "a scratch directory could not be removed");
        }
    }
}

/// The directory of one attempt. Removed when it is dropped, or earlier and with the attempt's end waiting for it.
#[derive(Debug)]
pub(crate) struct Attempt {
    home: Arc<Dir>,
    name: String,
    dir: Option<Dir>,
}

impl Attempt {
    pub(crate) fn dir(&self) -> Option<&Dir> {
        self.dir.as_ref()
    }

    /// Removes it, on a thread where that may take its time.
    pub(crate) async fn remove(mut self) {
        if let Some(removing) = self.start_to_remove() {
            // It cannot panic, and whoever drops this future leaves it running.
            let _ = removing.await;
        }
    }

    fn start_to_remove(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        self.dir.take()?;
        let (home, name) = (Arc::clone(&self.home), std::mem::take(&mut self.name));
        let work = move || {
            if let Err(error) = remove(&home, &name) {
                tracing::warn!(%error, directory = name, "a step's scratch directory could not be removed");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => Some(runtime.spawn_blocking(work)),
            Err(_) => {
                work();
                None
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        drop(self.start_to_remove());
    }
}

fn create_private(dir: &Dir, name: &str) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    dir.create_dir_with(name, &builder)
}

fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Takes the lock of a directory; it is given back when the file is closed, also by the end of the process.
fn lock(dir: &Dir, how: FlockOperation) -> io::Result<cap_std::fs::File> {
    let file = dir.open_with(LOCK, OpenOptions::new().write(true).create(true))?;
    flock(file.as_fd(), how)?;
    Ok(file)
}

/// Removes the directories of processes that hold their lock no more.
fn remove_leftovers(base: &Dir) -> io::Result<()> {
    for entry in base.entries()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let gone = base.open_dir(&name).and_then(|dir| lock(&dir, FlockOperation::NonBlockingLockExclusive));
        if gone.is_ok()
            && let Err(error) = remove(base, &name)
        {
            tracing::warn!(%error, directory = name, "a leftover scratch directory could not be removed");
        }
    }
    Ok(())
}

/// Removes a directory and all in it. However deep a guest nested directories, this needs two descriptors and no stack:
/// what lies in a directory is first moved up.
fn remove(home: &Dir, name: &str) -> io::Result<()> {
    let dir = match home.open_dir(name) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (prefix, mut moved) = (random_name()?, 0_u64);
    loop {
        let mut empty = true;
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            empty = false;
            if entry.file_type()?.is_dir() {
                let below = dir.open_dir(&name)?;
                for child in below.entries()? {
                    moved += 1;
                    below.rename(child?.file_name(), &dir, format!("{prefix}-{moved}"))?;
                }
                // Something may have come in between; then the next round finds it.
                let _ = dir.remove_dir(&name);
            } else {
                dir.remove_file(&name)?;
            }
        }
        if empty {
            return home.remove_dir(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a directory, without its lock.
    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != LOCK).collect()
    }

    #[test]
    fn directories_are_fresh_private_and_gone_with_their_attempt() {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().join("scratch");
        let scratch = Scratch::open(&base).unwrap();
        let (one, other) = (scratch.directory().unwrap(), scratch.directory().unwrap());
        one.dir().unwrap().write("a", "x").unwrap();
        let own = base.join(&names(&base)[0]);
        use std::os::unix::fs::PermissionsExt as _;
        for path in [base.clone(), own.clone(), own.join("1")] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }
        assert_eq!(names(&own).len(), 2);
        drop(one);
        assert!(!own.join("1").exists() && own.join("2").exists());
        drop(other);
        drop(scratch);
        assert!(names(&base).is_empty());
    }

    #[test]
    fn depth_links_and_numbers_do_not_keep_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let outside = home.path().join("precious");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "kept").unwrap();
        let scratch = Scratch::open(&home.path().join("scratch")).unwrap();
        let attempt = scratch.directory().unwrap();
        let mut at = attempt.dir().unwrap().try_clone().unwrap();
        for _ in 0..3_000 {
            at.create_dir("d").unwrap();
            at.write("f", "x").unwrap();
            at = at.open_dir("d").unwrap();
        }
        let base = home.path().join("scratch");
        let own = base.join(&names(&base)[0]);
        std::os::unix::fs::symlink(&outside, own.join("1/link")).unwrap();
        drop(at);
        drop(attempt);
        assert!(names(&own).is_empty());
        assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "kept");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_holds_is_not() {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().join("scratch");
        let living = Scratch::open(&base).unwrap();
        let held = living.directory().unwrap();
        std::fs::create_dir_all(base.join("dead/7/deep")).unwrap();
        std::fs::write(base.join("dead/lock"), "").unwrap();
        std::fs::write(base.join("dead/7/deep/file"), "x").unwrap();
        let next = Scratch::open(&base).unwrap();
        assert!(!base.join("dead").exists());
        assert_eq!(names(&base).len(), 2);
        assert!(held.dir().unwrap().exists("."));
        drop(next);
        assert_eq!(names(&base).len(), 1);
    }
}
