//! The files that a guest sees: granted directories, and one of its own. The WASI library keeps paths within them; this module
//! decides which there are, how much is written, and what is never opened.

mod budget;
mod directories;
mod scratch;
mod stream;
mod wasi;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

pub(crate) use crate::files::budget::ENTRIES_MAX;
use crate::files::budget::{Budget, Room};
pub(crate) use crate::files::directories::Directories;
use crate::files::directories::path_of;
pub(crate) use crate::files::scratch::{Attempt, Scratch};
use crate::reach::Asker;

/// Where a guest finds its own directory.
const SCRATCH: &str = "/scratch";

/// What one attempt sees and may write. Without grants it is nothing.
#[derive(Debug, Default)]
pub(crate) struct Files {
    budget: Option<Arc<Budget>>,
    /// The rooms of the preopened directories, in their order.
    preopens: Vec<Room>,
    /// The rooms of open descriptors, by their number.
    rooms: HashMap<u32, Room>,
}

/// A granted directory cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the granted directory '{}' cannot be opened on this machine: {source}", .path.display())]
pub(crate) struct NoDirectory {
    path: PathBuf,
    source: std::io::Error,
}

impl Files {
    /// Opens what the grants name, and hands it to the guest's context. The attempt's own directory lives as long as what is
    /// returned beside.
    pub(crate) fn open(
        asker: &Asker,
        wasi: &mut WasiCtxBuilder,
        file_bytes_max: u64,
    ) -> Result<(Self, Option<Attempt>), NoDirectory> {
        let (grants, outside) = (&asker.grants, &asker.outside);
        if grants.directories.is_empty() && grants.scratch_bytes.is_none() {
            return Ok((Self::default(), None));
        }
        let budget = Budget::new(file_bytes_max, grants.scratch_bytes.unwrap_or(0), asker.journal.clone());
        let mut files = Self { budget: Some(Arc::new(budget)), ..Self::default() };
        for (place, granted) in (0..).zip(&grants.directories) {
            let missing = |source| NoDirectory { path: granted.host.clone(), source };
            let dir = outside.directories.open(&granted.host).map_err(missing)?;
            let perms = if granted.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            let opened = wasi.preopened_dir(path_of(&dir), &granted.guest, perms);
            opened.map_err(|error| missing(std::io::Error::other(format!("{error:#}"))))?;
            files.preopens.push(Room::Granted(place));
        }
        let Some(_) = grants.scratch_bytes else { return Ok((files, None)) };
        let missing = |source| NoDirectory { path: PathBuf::from(SCRATCH), source };
        let own = outside.scratch.directory().map_err(missing)?;
        if let Some(dir) = own.dir() {
            let opened = wasi.preopened_dir(path_of(dir), SCRATCH, FsPerms::ReadWrite);
            opened.map_err(|error| missing(std::io::Error::other(format!("{error:#}"))))?;
            files.preopens.push(Room::Scratch);
        }
        Ok((files, Some(own)))
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.budget.as_ref().map_or(0, |budget| budget.written())
    }
}
