//! `stepwright worker`: who runs steps.

use clap::Subcommand;
use serde::Serialize;
use stepwright_store::{WorkerRecord, WorkerState};
use stepwright_workflow::Timestamp;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// What can be asked about workers.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// List workers: where they run, how much they take, and what they hold.
    #[command(after_help = "Examples:\n  stepwright worker list\n  stepwright worker list --all --json")]
    List(ListArguments),
}

/// Which workers to list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    /// Also list workers that left or were lost.
    #[arg(long)]
    all: bool,
    /// List at most so many, the latest first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Does what was asked.
pub(crate) async fn run(command: WorkerCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        WorkerCommand::List(arguments) => list(&arguments, context).await,
    }
}

#[derive(Serialize)]
struct Listed {
    workers: Vec<WorkerRecord>,
}

async fn list(arguments: &ListArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let state = (!arguments.all).then_some(WorkerState::Joined);
    let workers = store.workers(state, arguments.limit).await?;
    if context.json {
        output::json(&Listed { workers })?;
    } else if workers.is_empty() {
        output::hint(
            "no worker is there; start one with 'stepwright work', or everything with 'stepwright dev'",
        );
    } else {
        output::line(table(&workers, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(workers: &[WorkerRecord], now: Timestamp, paint: Paint) -> String {
    let names = ["ID", "NAME", "STATE", "HOST", "PID", "SLOTS", "HOLDS", "JOINED", "SEEN"];
    let mut columns = Columns::new(&names).right(&[0, 4, 5, 6]);
    for worker in workers {
        let tone = match worker.state {
            WorkerState::Joined => Tone::Good,
            WorkerState::Left => Tone::Faint,
            WorkerState::Lost => Tone::Bad,
        };
        columns.row([
            worker.id.into(),
            (&worker.name).into(),
            Entry::toned(tone, worker.state.as_str()),
            (&worker.host).into(),
            worker.pid.into(),
            worker.slots.into(),
            worker.steps_held.into(),
            when::ago(now, worker.joined_at).into(),
            when::ago(now, worker.seen_at).into(),
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::WorkerId;

    #[test]
    fn a_worker_is_one_line() {
        let worker = WorkerRecord {
            id: WorkerId(3),
            name: "worker-1".to_owned(),
            incarnation: "9f".to_owned(),
            host: "box".to_owned(),
            pid: 4_711,
            slots: 16,
            state: WorkerState::Joined,
            joined_at: Timestamp(0),
            seen_at: Timestamp(59_500),
            steps_held: 12,
        };
        let expect = "\
ID  NAME      STATE   HOST   PID  SLOTS  HOLDS  JOINED        SEEN
 3  worker-1  joined  box   4711     16     12  1 min 0 s ago  just now";
        let shown = table(&[worker], Timestamp(60_000), Paint::PLAIN);
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>(),
            expect.split_whitespace().collect::<Vec<_>>()
        );
    }
}
