//! What a round leaves in the books: ends of batches, notes, and events.

use stepwright_store::{ClosedBatch, NewEvents, NewNote, Result};
use stepwright_workflow::{BatchId, Timestamp};

use super::PostgresRound;
use crate::encode;
use crate::error::engine;

impl PostgresRound {
    pub(super) async fn close(&mut self, batches: &[ClosedBatch], now: Timestamp) -> Result<()> {
        self.events.at(now);
        if !batches.is_empty() {
            let ids: Vec<i64> = batches.iter().map(|closed| closed.batch.0).collect();
            let ends: Vec<&str> = batches.iter().map(|closed| closed.end.as_str()).collect();
            let completed: Vec<Option<i64>> =
                batches.iter().map(|closed| closed.completed_at.map(|at| at.0)).collect();
            let asked_again: Vec<i64> = batches.iter().map(|closed| i64::from(closed.asked_again)).collect();
            let closed = run!(
                self,
                "close batches",
                fetch_all,
                "queries/close_batches.sql",
                &ids,
                &ends as &[&str],
                &completed as &[Option<i64>],
                &asked_again,
                now.0
            );
            let closed: Vec<BatchId> = closed.into_iter().map(|row| BatchId(row.id)).collect();
            self.events.at(now).closed(batches, &closed);
        }
        Ok(())
    }

    pub(super) async fn write_notes(&mut self, notes: &[NewNote], now: Timestamp) -> Result<()> {
        self.events.at(now).noted(notes);
        if !notes.is_empty() {
            let tasks: Vec<Option<i64>> = notes.iter().map(|note| note.task.map(|task| task.0)).collect();
            let steps: Vec<Option<i64>> = notes.iter().map(|note| note.step.map(|step| step.0)).collect();
            let batches: Vec<Option<i64>> =
                notes.iter().map(|note| note.batch.map(|batch| batch.0)).collect();
            let attempts: Vec<Option<i64>> = notes.iter().map(|note| note.attempt.map(i64::from)).collect();
            let kinds: Vec<&str> = notes.iter().map(|note| note.kind.as_str()).collect();
            let details: Vec<String> = notes.iter().map(|note| encode::shown(&note.detail)).collect();
            run!(
                self,
                "write notes",
                execute,
                "queries/notes_insert.sql",
                &tasks as &[Option<i64>],
                &steps as &[Option<i64>],
                &batches as &[Option<i64>],
                &attempts as &[Option<i64>],
                &kinds as &[&str],
                &details,
                now.0
            );
        }
        Ok(())
    }

    /// The last statement before the commit: see the function in the migrations.
    pub(super) async fn write_events(&mut self) -> Result<()> {
        if let Some(NewEvents { first_task, last_task, at, content }) = self.events.take()? {
            run!(
                self,
                "write events",
                fetch_one,
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
