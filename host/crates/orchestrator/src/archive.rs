//! Where finished tasks are written before they are removed: lines of JSON, one file for each day, durable before anything is
//! deleted. A task may be written twice, never less than once.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use stepwright_store::{AttemptRecord, BatchSummary, NoteRecord, Store, StoreError, TaskRecord};
use stepwright_workflow::{TaskId, Timestamp};

/// A directory of archived tasks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    folder: PathBuf,
}

/// Why nothing was archived, and so nothing may be removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to archive tasks in {}: {source}; is the disk full, or the directory not writable?", .path.display())]
pub struct ArchiveError {
    path: PathBuf,
    source: io::Error,
}

/// One line: everything that is known of a task.
#[derive(Debug, Serialize)]
struct Line {
    archived_at: Timestamp,
    #[serde(flatten)]
    record: TaskRecord,
    attempts: Vec<AttemptRecord>,
    notes: Vec<NoteRecord>,
    batches: Vec<BatchSummary>,
}

impl Archive {
    /// An archive in this directory, which is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the day of this moment, in UTC.
    pub fn file(&self, now: Timestamp) -> PathBuf {
        let day: String = now.to_string().chars().take(10).collect();
        self.folder.join(format!("tasks-{day}.jsonl"))
    }

    /// Appends lines and waits until they survive a power cut.
    pub async fn append(&self, lines: String, now: Timestamp) -> Result<(), ArchiveError> {
        let (folder, path) = (self.folder.clone(), self.file(now));
        let failed = {
            let path = path.clone();
            move |source| ArchiveError { path, source }
        };
        let written = tokio::task::spawn_blocking(move || write(&folder, &path, &lines)).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

/// What a task leaves behind, as one line; `None` if the task is gone.
pub(crate) async fn line(
    store: &dyn Store,
    task: TaskId,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    match read(store, task, now).await {
        // Another pruner may remove it between two of these reads.
        Err(StoreError::Inconsistent(_)) if store.task_states(&[task]).await?.is_empty() => Ok(None),
        read => read,
    }
}

async fn read(store: &dyn Store, task: TaskId, now: Timestamp) -> Result<Option<String>, StoreError> {
    let Some(record) = store.task(task).await? else { return Ok(None) };
    let line = Line {
        archived_at: now,
        record,
        attempts: store.attempts(task).await?,
        notes: store.notes(task).await?,
        batches: store.batches_of(task).await?,
    };
    stepwright_store::column::text(&line).map(Some)
}

fn write(folder: &Path, path: &Path, lines: &str) -> io::Result<()> {
    // What tasks carry is nobody else's business.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let begun = if ends_in_the_middle(&mut file)? { "\n" } else { "" };
    file.write_all(format!("{begun}{lines}").as_bytes())?;
    file.sync_all()?;
    // The names too: of the file in its directory, and of the directory, which may both be new.
    File::open(folder)?.sync_all()?;
    folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Whether a crash cut the last line short: its task is still in the database, and comes again on a line of its own.
fn ends_in_the_middle(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_stays_on_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive").join("tasks-1970-01-01.jsonl");
        let parent = path.parent().unwrap();
        write(parent, &path, "{\"id\":1}\n").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":2,\"na").unwrap();
        write(parent, &path, "{\"id\":2}\n{\"id\":3}\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"id\":1}\n{\"id\":2,\"na\n{\"id\":2}\n{\"id\":3}\n");
    }

    #[test]
    fn each_day_has_its_file() {
        let archive = Archive::new("old");
        assert_eq!(archive.file(Timestamp(1_795_455_005_007)), Path::new("old/tasks-2026-11-23.jsonl"));
    }

    #[tokio::test]
    async fn what_cannot_be_written_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::write(&taken, "a file").unwrap();
        let error = Archive::new(&taken).append("{}\n".to_owned(), Timestamp(0)).await.unwrap_err();
        assert!(error.to_string().contains("taken/tasks-1970-01-01.jsonl"), "{error}");
    }
}
