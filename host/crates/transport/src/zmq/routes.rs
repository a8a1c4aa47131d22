//! Where a worker's connection may lead, which may change while it works.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sockets of orchestrators, or of tunnels to them: the first is home, the others are turned to while it does not answer.
/// Cheap to clone; every clone is the same list.
#[derive(Debug, Clone, Default)]
pub struct Routes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    paths: Mutex<Vec<PathBuf>>,
    /// Whether each connection that was made, and that the port's owner has not heard of yet, leads home.
    arrivals: Mutex<VecDeque<bool>>,
    at_home: AtomicBool,
}

impl Routes {
    /// At least one path, or nothing is ever connected to.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self(Arc::new(Shared { paths: Mutex::new(paths), ..Shared::default() }))
    }

    /// Another list, from the next try to connect on. A connection that stands is kept.
    pub fn set(&self, paths: Vec<PathBuf>) {
        *self.paths() = paths;
    }

    /// Whether the connection that the port's owner heard of last stands and leads home.
    pub fn at_home(&self) -> bool {
        self.0.at_home.load(Ordering::Relaxed)
    }

    /// A connection was made.
    pub(super) fn arrived(&self, at_home: bool) {
        self.arrivals().push_back(at_home);
    }

    /// The port's owner hears of the next connection, or of the end of one.
    pub(super) fn heard(&self, connected: bool) {
        let at_home = connected && self.arrivals().pop_front().unwrap_or(false);
        self.0.at_home.store(at_home, Ordering::Relaxed);
    }

    fn arrivals(&self) -> MutexGuard<'_, VecDeque<bool>> {
        self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<PathBuf> {
        self.paths().clone()
    }

    fn paths(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Vec<PathBuf>> for Routes {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self::new(paths)
    }
}
