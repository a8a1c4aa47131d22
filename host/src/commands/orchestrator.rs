//! `stepwright orchestrator`: who deals steps out.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;
use stepwright_store::OrchestratorRecord;
use stepwright_store::performance::ORCHESTRATOR_SILENT_MS;
use stepwright_workflow::Timestamp;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// What can be asked about orchestrators.
#[derive(Debug, Subcommand)]
pub(crate) enum OrchestratorCommand {
    /// List orchestrators: where workers reach them, how many links of workers each speaks for, and what they counted.
    #[command(
        after_help = "AUDITED steps were proved not to be stuck, REPAIRED ones were, DISCREPANCIES are reports that contradict what was recorded: \
        since each started, as of SEEN. --json has every total.\n\nExamples:\n  stepwright orchestrator list\n  stepwright orchestrator list --json"
    )]
    List,
}

/// Does what was asked.
pub(crate) async fn run(command: OrchestratorCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        OrchestratorCommand::List => list(context).await,
    }
}

#[derive(Serialize)]
struct Listed {
    orchestrators: Vec<OrchestratorRecord>,
}

async fn list(context: &Context) -> Result<Exit, CliError> {
    let orchestrators = context.store().await?.orchestrators().await?;
    if context.json {
        output::json(&Listed { orchestrators })?;
    } else if orchestrators.is_empty() {
        output::hint(
            "no orchestrator is there; start one with 'stepwright orchestrate', or everything with 'stepwright dev'",
        );
    } else {
        output::line(table(&orchestrators, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(orchestrators: &[OrchestratorRecord], now: Timestamp, paint: Paint) -> String {
    let names = [
        "INCARNATION",
        "HOST",
        "PID",
        "PUMP",
        "WORKERS",
        "AUDITED",
        "REPAIRED",
        "DISCREPANCIES",
        "STARTED",
        "SEEN",
        "ENDPOINTS",
    ];
    let mut columns = Columns::new(&names).right(&[2, 4, 5, 6, 7]);
    for orchestrator in orchestrators {
        let silent = now.0 - orchestrator.seen_at.0 > ORCHESTRATOR_SILENT_MS;
        let seen = when::ago(now, orchestrator.seen_at);
        let totals: BTreeMap<String, u64> = orchestrator.totals.read().unwrap_or_default();
        let total = |name: &str| totals.get(name).copied().unwrap_or(0);
        let wrong = |count: u64| if count > 0 { Entry::toned(Tone::Bad, count) } else { count.into() };
        columns.row([
            orchestrator.incarnation.get(..8).unwrap_or(&orchestrator.incarnation).into(),
            (&orchestrator.host).into(),
            orchestrator.pid.into(),
            format!("{} of {}", orchestrator.pump, orchestrator.pumps).into(),
            orchestrator.workers.into(),
            total("steps_audited").into(),
            wrong(total("contradictions_repaired")),
            wrong(total("discrepancies")),
            when::ago(now, orchestrator.started_at).into(),
            if silent { Entry::toned(Tone::Bad, seen) } else { seen.into() },
            orchestrator.endpoints.join(" ").into(),
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::Payload;

    #[test]
    fn an_orchestrator_is_one_line() {
        let orchestrator = OrchestratorRecord {
            incarnation: "0a1b2c3d4e5f6071".to_owned(),
            host: "box".to_owned(),
            pid: 4_711,
            pump: 2,
            pumps: 2,
            endpoints: vec!["ipc://box/run/o-2.sock".to_owned(), "tcp://10.0.0.1:5555/2".to_owned()],
            started_at: Timestamp(0),
            seen_at: Timestamp(59_500),
            totals: Payload::parse("{\"steps_audited\":120,\"contradictions_repaired\":1}").unwrap(),
            workers: 3,
        };
        let expect = "\
INCARNATION  HOST   PID  PUMP    WORKERS  AUDITED  REPAIRED  DISCREPANCIES  STARTED        SEEN      ENDPOINTS
0a1b2c3d     box   4711  2 of 2        3      120         1              0  1 min 0 s ago  just now  ipc://box/run/o-2.sock tcp://10.0.0.1:5555/2";
        let shown = table(&[orchestrator], Timestamp(60_000), Paint::PLAIN);
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>(),
            expect.split_whitespace().collect::<Vec<_>>()
        );
    }
}
