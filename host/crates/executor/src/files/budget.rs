//! How much one attempt may still write, exactly, whichever way it writes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::journal::Journal;

/// Files, directories and links that one attempt may create. Each costs an inode and time to remove.
pub(crate) const ENTRIES_MAX: u32 = 10_000;

/// Whether something lies in the attempt's own directory or in a granted one. Each has bytes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// A granted directory, by its place among the preopened ones.
    Granted(u32),
    /// The attempt's own directory.
    Scratch,
}

/// What is left of one attempt's writing.
#[derive(Debug)]
pub(crate) struct Budget {
    granted: Purse,
    scratch: Purse,
    entries_left: AtomicU32,
    written: AtomicU64,
    journal: Journal,
}

#[derive(Debug)]
struct Purse {
    limit: &'static str,
    max: u64,
    left: AtomicU64,
}

impl Purse {
    fn new(limit: &'static str, max: u64) -> Self {
        Self { limit, max, left: AtomicU64::new(max) }
    }

    /// Takes as much as is there, and says how much that was.
    fn take(&self, wanted: u64) -> u64 {
        let rest = |left: u64| Some(left.saturating_sub(wanted));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        before.unwrap_or_default().min(wanted)
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Budget {
    /// `granted` bytes for all granted directories together, `scratch` bytes for the attempt's own.
    pub(crate) fn new(granted: u64, scratch: u64, journal: Journal) -> Self {
        Self {
            granted: Purse::new("file_bytes_max", granted),
            scratch: Purse::new("scratch_bytes", scratch),
            entries_left: AtomicU32::new(ENTRIES_MAX),
            written: AtomicU64::new(0),
            journal,
        }
    }

    fn purse(&self, room: Room) -> &Purse {
        match room {
            Room::Granted(_) => &self.granted,
            Room::Scratch => &self.scratch,
        }
    }

    /// Takes up to so many bytes for a write; the rest must not be written.
    pub(crate) fn write_some(&self, room: Room, bytes: u64) -> u64 {
        let taken = self.purse(room).take(bytes);
        self.written.fetch_add(taken, Ordering::Relaxed);
        if taken < bytes {
            self.note_bytes(room);
        }
        taken
    }

    /// Takes so many bytes for a write, or none if there are not as many.
    pub(crate) fn write_all(&self, room: Room, bytes: u64) -> bool {
        let fits = self.grow(room, bytes);
        if fits {
            self.written.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Takes bytes by which a file grows without being written: a hole, which may be filled later.
    pub(crate) fn grow(&self, room: Room, bytes: u64) -> bool {
        let taken = self.purse(room).take(bytes);
        if taken < bytes {
            self.purse(room).give_back(taken);
            self.note_bytes(room);
        }
        taken == bytes
    }

    /// Bytes that could still be written.
    pub(crate) fn left(&self, room: Room) -> u64 {
        self.purse(room).left.load(Ordering::Relaxed)
    }

    /// Takes one entry that is about to be created.
    pub(crate) fn create(&self) -> bool {
        let fits =
            self.entries_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if fits.is_err() {
            let what = format!("{ENTRIES_MAX} files, directories and links");
            self.journal
                .notice(format!("the limit file_entries_max is reached: an attempt may create {what}"));
        }
        fits.is_ok()
    }

    /// Gives an entry back that was not created after all.
    pub(crate) fn not_created(&self) {
        self.entries_left.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn note_bytes(&self, room: Room) {
        let Purse { limit, max, .. } = self.purse(room);
        self.journal.notice(format!("the limit {limit} is reached: an attempt may write {max} bytes there"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;

    #[test]
    fn bytes_and_entries_are_counted_exactly_and_rooms_apart() {
        let journal = Journal::new(&EngineOptions::default());
        let budget = Budget::new(10, 5, journal.clone());
        let granted = Room::Granted(3);
        assert!(budget.write_all(granted, 6) && !budget.write_all(granted, 5));
        assert_eq!((budget.left(granted), budget.left(Room::Scratch)), (4, 5));
        assert_eq!((budget.write_some(granted, 9), budget.write_some(granted, 1)), (4, 0));
        assert!(budget.grow(Room::Scratch, 5) && !budget.grow(Room::Scratch, 1));
        assert_eq!(budget.written(), 10);
        assert!((0..ENTRIES_MAX).all(|_| budget.create()) && !budget.create());
        budget.not_created();
        assert!(budget.create());
        let noted: Vec<String> = journal.take().lines.into_iter().map(|line| line.message).collect();
        assert_eq!(
            noted,
            [
                "the limit file_bytes_max is reached: an attempt may write 10 bytes there",
                "the limit scratch_bytes is reached: an attempt may write 5 bytes there",
                "the limit file_entries_max is reached: an attempt may create 10000 files, directories and links",
            ]
        );
    }
}
