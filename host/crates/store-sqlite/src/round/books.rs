//! What a round leaves in the books: ends of batches, notes, who was told to stop, and events.

use stepwright_store::row::key;
use stepwright_store::{ClosedBatch, NewEvents, NewNote, Result};
use stepwright_workflow::{AttemptKey, BatchId, Timestamp, WorkerId};

use super::SqliteRound;
use crate::encode;
use crate::error::engine;

impl SqliteRound {
    pub(super) async fn close(&mut self, batches: &[ClosedBatch], now: Timestamp) -> Result<()> {
        self.events.at(now);
        if !batches.is_empty() {
            let rows =
                encode::array(batches.iter().map(|closed| {
                    (closed.batch, closed.end.as_str(), closed.completed_at, closed.asked_again)
                }))?;
            let closed = run!(self, "close batches", fetch_all, "queries/close_batches.sql", rows, now.0);
            let closed: Vec<BatchId> = closed.into_iter().map(|row| BatchId(row.id)).collect();
            self.events.at(now).closed(batches, &closed);
        }
        Ok(())
    }

    pub(super) async fn write_notes(&mut self, notes: &[NewNote], now: Timestamp) -> Result<()> {
        self.events.at(now).noted(notes);
        if !notes.is_empty() {
            let rows =
                encode::array(notes.iter().map(|NewNote { step, task, batch, attempt, kind, detail }| {
                    (task, step, batch, attempt, kind.as_str(), detail)
                }))?;
            run!(self, "write notes", execute, "queries/notes_insert.sql", rows, now.0);
        }
        Ok(())
    }

    pub(super) async fn take_told_to_stop(&mut self, workers: &[WorkerId]) -> Result<Vec<AttemptKey>> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let workers = encode::array(workers)?;
        let rows = run!(self, "find attempts to stop", fetch_all, "queries/to_stop.sql", workers);
        if !rows.is_empty() {
            let steps = encode::array(rows.iter().map(|row| row.id))?;
            run!(self, "mark attempts as told to stop", execute, "queries/told_to_stop.sql", steps);
        }
        rows.into_iter().map(|row| key(row.id, row.attempt, row.batch_id)).collect()
    }

    /// The last statement before the commit.
    pub(super) async fn write_events(&mut self) -> Result<()> {
        if let Some(NewEvents { first_task, last_task, at, content }) = self.events.take()? {
            run!(
                self,
                "write events",
                execute,
                "queries/events_insert.sql",
                at,
                first_task,
                last_task,
                content
            );
        }
        Ok(())
    }
}
