//! `batch list`.

use std::time::Duration;

use serde::Serialize;
use stepwright_store::{BatchFilter, BatchState, BatchSummary};
use stepwright_workflow::template::values::duration_ms;
use stepwright_workflow::{BatchId, Timestamp};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::ledger::worker;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// Which batches to list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    /// Only batches of workers with this name.
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Only batches in this state: open, reconciled, discrepancy or lost.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<BatchState>,
    /// Only batches that were made in this time, such as 1h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// List at most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Only batches older than this one: the way to the next page.
    #[arg(long, value_name = "ID")]
    before: Option<BatchId>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listed {
    batches: Vec<BatchSummary>,
    /// The last one listed, for `--before`, if there may be more.
    next: Option<BatchId>,
}

pub(super) async fn run(arguments: &ListArguments, context: &Context) -> Result<Exit, CliError> {
    let now = context.now();
    let filter = BatchFilter {
        worker: arguments.worker.clone(),
        state: arguments.state,
        since: arguments.since.map(|since| now.before(since)),
        before: arguments.before,
        limit: arguments.limit,
    };
    let batches = context.store().await?.batches(&filter).await?;
    let full = batches.len() as u64 == u64::from(arguments.limit);
    let next = batches.last().filter(|_| full).map(|batch| batch.id);
    if context.json {
        output::json(&Listed { batches, next })?;
    } else if batches.is_empty() {
        output::hint("no batch matches; without filters, 'stepwright batch list' lists the latest");
    } else {
        output::line(table(&batches, now, Paint::stdout()))?;
        if let Some(next) = next {
            output::hint(format_args!("there may be more: --before {next}, or a larger --limit"));
        }
    }
    Ok(Exit::Good)
}

fn state(text: &str) -> Result<BatchState, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = BatchState::ALL.iter().map(|state| state.as_str()).collect();
        format!("'{text}' is not a state of batches; known are {}", known.join(", "))
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_ms(text).map(Duration::from_millis)
}

fn table(batches: &[BatchSummary], now: Timestamp, paint: Paint) -> String {
    let names = ["ID", "STATE", "STEPS", "WORKER", "CREATED", "COMPLETED", "CLOSED", "ASKED AGAIN"];
    let mut columns = Columns::new(&names).right(&[0, 2, 7]);
    // How long after the batch was made.
    let later = |batch: &BatchSummary, at: Option<Timestamp>| {
        at.map(|at| format!("+{}", when::duration(at.since(batch.created_at)))).unwrap_or_default()
    };
    for batch in batches {
        let (tone, state) = super::show::standing(batch);
        columns.row([
            batch.id.into(),
            Entry::toned(tone, state),
            batch.steps.len().into(),
            worker(&batch.worker_name, &batch.incarnation).into(),
            when::ago(now, batch.created_at).into(),
            later(batch, batch.completed_at).into(),
            later(batch, batch.closed_at).into(),
            if batch.asked_again == 0 { 0.into() } else { Entry::toned(Tone::Calm, batch.asked_again) },
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::BatchEnd;
    use stepwright_workflow::{StepId, TaskId, WorkerId};

    #[test]
    fn a_batch_is_one_line() {
        let batch = BatchSummary {
            id: BatchId(12),
            worker: WorkerId(1),
            worker_name: "w1".to_owned(),
            incarnation: "0123456789".to_owned(),
            orchestrator: None,
            created_at: Timestamp(1_000),
            completed_at: Some(Timestamp(1_250)),
            closed_at: Some(Timestamp(3_000)),
            end: Some(BatchEnd::Discrepancy),
            asked_again: 2,
            steps: vec![(StepId::new(TaskId(1), 0), 1)],
        };
        let shown = table(&[batch], Timestamp(61_000), Paint::PLAIN);
        let cells: Vec<&str> = shown
            .lines()
            .last()
            .unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        assert_eq!(
            cells,
            ["12", "discrepancy", "1", "w1 (01234567)", "1 min 0 s ago", "+250 ms", "+2 s", "2"]
        );
    }

    #[test]
    fn states_are_checked() {
        assert_eq!(state("open"), Ok(BatchState::Open));
        assert!(state("done").unwrap_err().contains("known are open, reconciled, discrepancy, lost"));
    }
}
