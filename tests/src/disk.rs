//! A disk for one process that can be full, and have room again.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// See the module.
pub enum Disk {
    /// A small file system in memory, which a file fills.
    Small(SmallDisk),
    /// The machine's own, on which the process may not make any file longer.
    Limited {
        /// Where it is.
        folder: tempfile::TempDir,
    },
}

/// See [`Disk::Small`].
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// A file system of so many MiB. An error says why there can be none here.
    pub fn small(mebibytes: u32) -> Result<Self, String> {
        let folder = folder();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=0700"), "tmpfs"])
            .arg(folder.path());
        match mount.output() {
            Ok(output) if output.status.success() => Ok(Self::Small(SmallDisk { folder })),
            Ok(output) => Err(format!("mounting failed: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("there is no program 'mount': {error}")),
        }
    }

    /// A limit on the length of files, which works everywhere.
    pub fn limited() -> Self {
        Self::Limited { folder: folder() }
    }

    /// Where the database goes.
    pub fn path(&self) -> &Path {
        match self {
            Self::Small(disk) => disk.folder.path(),
            Self::Limited { folder } => folder.path(),
        }
    }

    /// A command whose process lives through a full disk: beyond its limit it would get a signal that ends it.
    pub fn on(&self, command: &Command) -> Command {
        let mut patient = Command::new("sh");
        patient.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(command.get_program());
        patient.args(command.get_args()).env_clear();
        if let Some(folder) = command.get_current_dir() {
            patient.current_dir(folder);
        }
        patient
    }

    /// From now on the process cannot write anything more.
    pub fn fill(&self, process: Pid) {
        match self {
            Self::Small(disk) => disk.fill(),
            Self::Limited { .. } => limit(process, Some(1)),
        }
    }

    /// From now on it can.
    pub fn make_room(&self, process: Pid) {
        match self {
            Self::Small(disk) => std::fs::remove_file(disk.filler()).expect("it was filled"),
            Self::Limited { .. } => limit(process, None),
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("sw-disk-").tempdir().expect("a temporary folder")
}

fn limit(process: Pid, bytes: Option<u64>) {
    // The hard limit stays as it is, so that the other can be lifted again.
    let hard = rustix::process::getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: bytes.or(hard), maximum: hard };
    prlimit(Some(process), Resource::Fsize, limit).expect("it is our child");
}

impl SmallDisk {
    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        // Down to the last page.
        for size in [1 << 20, 4 << 10] {
            let block = vec![0; size];
            loop {
                match filler.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("failed to fill the disk: {error}"),
                }
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}
