//! `batch show`: everything that the ledger has about one batch.

use stepwright_store::{
    AttemptStatus, BatchEnd, BatchRecord, BatchStep, BatchSummary, NoteRecord, StoreError,
};
use stepwright_workflow::{BatchId, Timestamp, plugin_reference};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::ledger::{changed_by, consequence, how_closed};
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::one_line;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// The batch.
    #[arg(value_name = "ID")]
    batch: BatchId,
}

pub(super) async fn run(arguments: &ShowArguments, context: &Context) -> Result<Exit, CliError> {
    let batch = arguments.batch;
    let record = context.store().await?.batch(batch).await?;
    let record = record.ok_or_else(|| StoreError::NotFound { subject: format!("batch {batch}") })?;
    if context.json {
        output::json(&record)?;
    } else {
        output::line(render(&record, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// A batch's state with its colour.
pub(super) fn standing(batch: &BatchSummary) -> (Tone, &'static str) {
    match batch.end {
        None => (Tone::Busy, "open"),
        Some(end @ BatchEnd::Reconciled) => (Tone::Good, end.as_str()),
        Some(end) => (Tone::Bad, end.as_str()),
    }
}

fn render(record: &BatchRecord, now: Timestamp, paint: Paint) -> String {
    let batch = &record.summary;
    let (tone, state) = standing(batch);
    let mut lines = vec![
        format!("batch {}  {}  {} steps", batch.id, paint.of(tone, state), batch.steps.len()),
        format!("worker        {}, incarnation {}", worker_name(batch), one_line(&batch.incarnation)),
    ];
    if let Some(orchestrator) = &batch.orchestrator {
        lines.push(format!("orchestrator  {}", one_line(orchestrator)));
    }
    lines.push(format!("created       {}, {}", batch.created_at, when::ago(now, batch.created_at)));
    if let Some(at) = batch.completed_at {
        lines.push(format!("completion    {at}, {} later", when::duration(at.since(batch.created_at))));
    }
    match (batch.closed_at, batch.end) {
        (Some(at), Some(end)) => lines.push(format!("closed        {at}: {}", how_closed(batch, end))),
        _ => lines.push("closed        not yet".to_owned()),
    }
    let mut parts = vec![lines.join("\n"), steps(&record.steps_detail, paint)];
    if !record.notes.is_empty() {
        parts.push(notes(record, paint));
    }
    parts.join("\n\n")
}

fn worker_name(batch: &BatchSummary) -> String {
    format!("{} ({})", one_line(&batch.worker_name), batch.worker)
}

fn steps(steps: &[BatchStep], paint: Paint) -> String {
    let names = [
        "TASK",
        "STEP",
        "ATTEMPT",
        "PLUGIN",
        "COMPONENT",
        "RECORDED",
        "STATUS",
        "TOOK",
        "OUTCOME",
        "CHANGED",
    ];
    let mut columns = Columns::new(&names).right(&[0, 2, 7]);
    for step in steps {
        let planned = step.planned.as_ref();
        let name = planned.map_or_else(|| format!("({})", step.step.position()), |step| step.name.clone());
        let plugin = planned.map(|planned| plugin_reference(&planned.plugin, &planned.plugin_version));
        columns.row([
            step.task.into(),
            name.into(),
            step.attempt.into(),
            plugin.unwrap_or_default().into(),
            planned.map(|planned| planned.plugin_digest.short()).unwrap_or_default().into(),
            step.recorded_at.map(|at| at.to_string()).unwrap_or_default().into(),
            status(step),
            step.execution_us.map(when::micros).unwrap_or_default().into(),
            step.digest.map(|digest| digest.short()).unwrap_or_default().into(),
            changed(step).into(),
        ]);
    }
    columns.render(paint)
}

fn status(step: &BatchStep) -> Entry {
    match step.status {
        None if step.planned.is_none() => Entry::toned(Tone::Faint, "task removed"),
        None => Entry::toned(Tone::Faint, "not recorded"),
        Some(status @ AttemptStatus::Completed) => Entry::toned(Tone::Good, status.as_str()),
        Some(status) => Entry::toned(Tone::Bad, status.as_str()),
    }
}

fn changed(step: &BatchStep) -> String {
    match step.status {
        None => String::new(),
        Some(AttemptStatus::Completed) => "step complete".to_owned(),
        Some(_) => consequence(step.led_to, step.retry_at),
    }
}

/// What else happened, oldest first.
fn notes(record: &BatchRecord, paint: Paint) -> String {
    let mut columns = Columns::new(&["NOTED", "KIND", "TASK", "STEP", "ATTEMPT", "WHAT", "CHANGED"]);
    for note in &record.notes {
        let step = of_note(record, note);
        let name = step.and_then(|step| step.planned.as_ref()).map(|planned| planned.name.clone());
        let position = note.step.map(|step| format!("({})", step.position()));
        let lost = step.is_some_and(|step| step.status == Some(AttemptStatus::Lost));
        columns.row([
            note.at.into(),
            note.kind.as_str().into(),
            note.step.map(|step| step.task().to_string()).unwrap_or_default().into(),
            name.or(position).unwrap_or_default().into(),
            note.attempt.map(|attempt| attempt.to_string()).unwrap_or_default().into(),
            one_line(&note.detail).into(),
            changed_by(note, lost).into(),
        ]);
    }
    columns.render(paint)
}

fn of_note<'a>(record: &'a BatchRecord, note: &NoteRecord) -> Option<&'a BatchStep> {
    let step = note.step?;
    record.steps_detail.iter().find(|known| known.step == step && Some(known.attempt) == note.attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::{NoteKind, PlannedStep};
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::{Digest, StepId, TaskId, WorkerId};

    fn step(position: u16, status: Option<AttemptStatus>) -> BatchStep {
        BatchStep {
            step: StepId::new(TaskId(7), position),
            task: TaskId(7),
            attempt: 1,
            planned: Some(PlannedStep {
                name: format!("s{position}"),
                plugin: "shop/steps".to_owned(),
                plugin_version: "1.0.0".to_owned(),
                plugin_digest: Digest::of(b"component"),
            }),
            status,
            recorded_at: status.map(|_| Timestamp(1_500)),
            execution_us: status.map(|_| 1_200),
            digest: None,
            failure: None,
            led_to: (status == Some(AttemptStatus::Lost)).then_some(StepState::Ready),
            retry_at: None,
        }
    }

    fn cells(line: &str) -> Vec<&str> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn a_batch_tells_who_what_and_how_it_ended() {
        let note = |kind, step: Option<StepId>| NoteRecord {
            at: Timestamp(2_000),
            step,
            batch: Some(BatchId(3)),
            attempt: step.map(|_| 1),
            kind,
            detail: "noted".to_owned(),
        };
        let of = |position| Some(StepId::new(TaskId(7), position));
        let record = BatchRecord {
            summary: BatchSummary {
                id: BatchId(3),
                worker: WorkerId(4),
                worker_name: "w1".to_owned(),
                incarnation: "0123456789".to_owned(),
                orchestrator: Some("orc".to_owned()),
                created_at: Timestamp(1_000),
                completed_at: Some(Timestamp(2_000)),
                closed_at: Some(Timestamp(2_000)),
                end: Some(BatchEnd::Discrepancy),
                asked_again: 1,
                steps: vec![(StepId::new(TaskId(7), 0), 1), (StepId::new(TaskId(7), 1), 1)],
            },
            steps_detail: vec![
                step(0, Some(AttemptStatus::Completed)),
                step(1, Some(AttemptStatus::Lost)),
                BatchStep { planned: None, ..step(2, None) },
            ],
            notes: vec![
                note(NoteKind::Discrepancy, of(0)),
                note(NoteKind::Discrepancy, of(1)),
                note(NoteKind::Duplicate, None),
            ],
        };
        let shown = render(&record, Timestamp(61_000), Paint::PLAIN);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "batch 3  discrepancy  2 steps",
                "worker        w1 (4), incarnation 0123456789",
                "orchestrator  orc",
                "created       1970-01-01T00:00:01.000Z, 1 min 0 s ago",
                "completion    1970-01-01T00:00:02.000Z, 1 s later",
                "closed        1970-01-01T00:00:02.000Z: batch completion reconciled, with discrepancies, after one outcome had \
                 to be asked for again",
            ]
        );
        let digest = Digest::of(b"component").short();
        assert_eq!(
            cells(lines[9]),
            [
                "7",
                "s1",
                "1",
                "shop/steps@1.0.0",
                &digest,
                "1970-01-01T00:00:01.500Z",
                "lost",
                "1.2 ms",
                "-",
                "step ready again"
            ]
        );
        assert_eq!(cells(lines[10])[..3], ["7", "(2)", "1"]);
        assert!(lines[10].contains("task removed"));
        let changed: Vec<&str> = lines[13..].iter().map(|line| *cells(line).last().unwrap()).collect();
        assert_eq!(changed, ["nothing: what was recorded stands", "the attempt is lost", "nothing"]);
    }
}
