//! Words for what the ledger holds: who, how it ended, and what that changed.

use stepwright_store::{BatchEnd, BatchSummary, NoteKind, NoteRecord};
use stepwright_workflow::Timestamp;
use stepwright_workflow::step::StepState;

use crate::watch::one_line;

/// A worker's name with the beginning of its incarnation.
pub(crate) fn worker(name: &str, incarnation: &str) -> String {
    let short: String = incarnation.chars().take(8).collect();
    format!("{} ({})", one_line(name), one_line(&short))
}

/// What became of a step whose attempt failed or was lost; empty for lines of before that was kept.
pub(crate) fn consequence(state: Option<StepState>, retry_at: Option<Timestamp>) -> String {
    match (state, retry_at) {
        (Some(StepState::Ready), Some(at)) => format!("retry scheduled for {at}"),
        (Some(StepState::Ready), None) => "step ready again".to_owned(),
        (Some(state), _) => format!("step in {state}"),
        (None, _) => String::new(),
    }
}

/// What a note's event changed. Outcomes that are late, doubled or different change nothing: that is what the fence is for.
/// `lost` says that the attempt which the note names was lost in the end.
pub(crate) fn changed_by(note: &NoteRecord, lost: bool) -> &'static str {
    match note.kind {
        NoteKind::Late | NoteKind::Duplicate => "nothing",
        NoteKind::Discrepancy if lost => "the attempt is lost",
        NoteKind::Discrepancy => "nothing: what was recorded stands",
        NoteKind::LeaseLost if note.step.is_some() => "its outcome will not be applied",
        NoteKind::LeaseLost => "its unreported attempts are lost",
        NoteKind::Operator | NoteKind::Repaired => "",
    }
}

/// How a batch ended.
pub(crate) fn how_closed(batch: &BatchSummary, end: BatchEnd) -> String {
    let again = match batch.asked_again {
        0 => String::new(),
        1 => ", after one outcome had to be asked for again".to_owned(),
        many => format!(", after {many} outcomes had to be asked for again"),
    };
    match end {
        BatchEnd::Reconciled if batch.completed_at.is_none() => "batch closed".to_owned(),
        BatchEnd::Reconciled => format!("batch completion reconciled: equal to what was recorded{again}"),
        BatchEnd::Discrepancy => format!("batch completion reconciled, with discrepancies{again}"),
        BatchEnd::Lost => "batch lost".to_owned(),
    }
}
