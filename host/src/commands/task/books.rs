//! What the ledger has about one task, read and told: for the command line and for the HTTP API.

use stepwright_api::view::HistoryEvent;
use stepwright_store::{AttemptRecord, BatchSummary, NoteRecord, Store, StoreError, TaskRecord};
use stepwright_workflow::{BatchId, Plan};

use super::history::{self, Event, Ledger};

/// See the module.
pub(super) struct Books {
    plan: Plan,
    attempts: Vec<AttemptRecord>,
    notes: Vec<NoteRecord>,
    batches: Vec<BatchSummary>,
    batch_notes: Vec<NoteRecord>,
}

impl Books {
    /// Reads everything about a task.
    pub(super) async fn read(store: &dyn Store, record: &TaskRecord) -> Result<Self, StoreError> {
        let (task, plan) = (record.summary.id, record.summary.plan);
        let missing = || StoreError::Inconsistent(format!("plan {plan} of task {task} is not stored"));
        let plan = store.plan(plan).await?.ok_or_else(missing)?;
        let batches = store.batches_of(task).await?;
        let ids: Vec<BatchId> = batches.iter().map(|batch| batch.id).collect();
        Ok(Self {
            plan,
            attempts: store.attempts(task).await?,
            notes: store.notes(task).await?,
            batch_notes: store.batch_notes(&ids).await?,
            batches,
        })
    }

    /// The lines of the task's history, oldest first.
    pub(super) fn history<'a>(&'a self, record: &'a TaskRecord) -> Vec<Event<'a>> {
        let Self { plan, attempts, notes, batches, batch_notes } = self;
        history::history(&Ledger { record, plan, attempts, notes, batches, batch_notes })
    }
}

/// The history of a task, as the HTTP API tells it.
pub(crate) async fn events(store: &dyn Store, record: &TaskRecord) -> Result<Vec<HistoryEvent>, StoreError> {
    let books = Books::read(store, record).await?;
    Ok(books.history(record).into_iter().map(told).collect())
}

fn told(event: Event<'_>) -> HistoryEvent {
    let kind = serde_json::to_value(event.kind).unwrap_or_default();
    HistoryEvent {
        at: event.at.0,
        kind: kind.as_str().unwrap_or_default().to_owned(),
        step: event.step.map(str::to_owned),
        attempt: event.attempt,
        batch: event.batch.map(|batch| batch.0),
        worker: event.worker.map(str::to_owned),
        incarnation: event.incarnation.map(str::to_owned),
        plugin: event.plugin.map(|digest| digest.to_string()),
        what: event.what,
        changed: event.changed,
    }
}
