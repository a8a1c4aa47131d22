//! A task's attempts, logs and notes, for people.

use serde::Deserialize;
use stepwright_store::{AttemptRecord, AttemptStatus, NoteRecord, TaskRecord};
use stepwright_workflow::Timestamp;

use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::one_line;

/// Attempts as a table, in the order given.
pub(super) fn attempts(attempts: &[&AttemptRecord], now: Timestamp, paint: Paint) -> String {
    let names = ["STEP", "ATTEMPT", "ENDED", "WHEN", "TOOK", "CPU", "MEMORY", "WORKER", "PLUGIN", "FAILURE"];
    let mut columns = Columns::new(&names).right(&[1, 4, 5, 6]);
    for attempt in attempts {
        let tone = if attempt.status == AttemptStatus::Completed { Tone::Good } else { Tone::Bad };
        let failure = attempt.failure.as_ref().map(|failure| one_line(&failure.to_string()));
        columns.row([
            (&attempt.step_name).into(),
            attempt.attempt.into(),
            Entry::toned(tone, attempt.status.as_str()),
            when::ago(now, attempt.recorded_at).into(),
            when::micros(attempt.execution_us).into(),
            when::micros(attempt.cpu_us).into(),
            when::bytes(attempt.memory_bytes_peak).into(),
            one_line(&attempt.worker_name).into(),
            attempt.plugin.short().into(),
            failure.unwrap_or_default().into(),
        ]);
    }
    columns.render(paint)
}

/// A line of an attempt's log, as workers send it.
#[derive(Deserialize)]
struct LogLine {
    level: String,
    message: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
}

/// What the attempts logged, as far as it was kept.
pub(super) fn logs(attempts: &[AttemptRecord], paint: Paint) -> String {
    let mut lines = Vec::new();
    for attempt in attempts {
        let Some(log) = &attempt.log else { continue };
        let heading = format!("{}, attempt {}", attempt.step_name, attempt.attempt);
        lines.push(paint.of(Tone::Strong, &heading));
        match log.read::<Vec<LogLine>>() {
            Ok(logged) => lines.extend(logged.iter().map(|line| log_line(line, paint))),
            Err(error) => lines.push(format!("  its log cannot be read: {error}")),
        }
    }
    if lines.is_empty() {
        return "no log was kept: it is kept of attempts that failed".to_owned();
    }
    lines.join("\n")
}

fn log_line(line: &LogLine, paint: Paint) -> String {
    let tone = match line.level.as_str() {
        "error" | "stderr" => Tone::Bad,
        "warn" => Tone::Calm,
        "trace" | "debug" => Tone::Faint,
        _ => Tone::Busy,
    };
    let mut text = format!("  {} {}", paint.of(tone, &one_line(&line.level)), one_line(&line.message));
    for (name, value) in &line.fields {
        text.push_str(&paint.of(Tone::Faint, &format!(" {}={}", one_line(name), one_line(value))));
    }
    // As a denied call does, which ends with the configuration that would allow it: to be copied from here as it stands.
    for more in line.message.lines().skip(1) {
        text.push('\n');
        text.push_str(&one_line(more));
    }
    text
}

/// What else happened, oldest first.
pub(super) fn notes(notes: &[NoteRecord], record: &TaskRecord, paint: Paint) -> String {
    let mut columns = Columns::new(&["NOTED", "KIND", "STEP", "ATTEMPT", "WHAT"]);
    for note in notes {
        let position = note.step.map(|step| usize::from(step.position()));
        let step = position.and_then(|position| record.steps_detail.get(position));
        columns.row([
            note.at.into(),
            note.kind.as_str().into(),
            step.map(|step| step.name.as_str()).unwrap_or_default().into(),
            note.attempt.map(|attempt| attempt.to_string()).unwrap_or_default().into(),
            one_line(&note.detail).into(),
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples;
    use stepwright_store::{NoteKind, Usage};
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::{BatchId, Digest, Failure, FailureClass, Payload, StepId, TaskId, WorkerId};

    fn attempt() -> AttemptRecord {
        AttemptRecord {
            step: StepId::new(TaskId(7), 0),
            step_name: "pay".to_owned(),
            attempt: 2,
            batch: BatchId(3),
            worker: WorkerId(1),
            worker_name: "worker-1".to_owned(),
            plugin: Digest::of(b"component"),
            status: AttemptStatus::Failed,
            failure: Some(Failure::new(FailureClass::Timeout, "took longer than 30 s\nsecond line")),
            digest: None,
            started_at: None,
            recorded_at: Timestamp(2_000),
            execution_us: 30_000_000,
            cpu_us: 900,
            memory_bytes_peak: 1_179_648,
            usage: Usage::default(),
            led_to: None,
            retry_at: None,
            log: Some(
                Payload::parse(r#"[{"level":"warn","message":"slow\u001b[2J","fields":[["gateway","a"]]}]"#)
                    .unwrap(),
            ),
        }
    }

    fn cells(line: &str) -> Vec<&str> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn an_attempt_is_one_line() {
        let shown = attempts(&[&attempt()], Timestamp(12_000), Paint::PLAIN);
        let digest = Digest::of(b"component").short();
        assert_eq!(
            cells(shown.lines().last().unwrap()),
            [
                "pay",
                "2",
                "failed",
                "10 s ago",
                "30 s",
                "900 µs",
                "1.1 MiB",
                "worker-1",
                &digest,
                "timeout: took longer than 30 s"
            ]
        );
    }

    #[test]
    fn a_log_cannot_move_the_cursor() {
        assert_eq!(logs(&[attempt()], Paint::PLAIN), "pay, attempt 2\n  warn slow [2J gateway=a");
        let long = r#"[{"level":"warn","message":"denied:\n[[grants]]\nhttp = []"}]"#;
        let denied = AttemptRecord { log: Some(Payload::parse(long).unwrap()), ..attempt() };
        assert_eq!(logs(&[denied], Paint::PLAIN), "pay, attempt 2\n  warn denied:\n[[grants]]\nhttp = []");
        let silent = AttemptRecord { log: None, ..attempt() };
        assert!(logs(&[silent], Paint::PLAIN).contains("no log was kept"));
    }

    #[test]
    fn a_note_names_its_step() {
        let record = samples::task(7, &[("pay", StepState::Error, &[])]);
        let note = NoteRecord {
            at: Timestamp(0),
            step: Some(StepId::new(TaskId(7), 0)),
            batch: None,
            attempt: None,
            kind: NoteKind::Operator,
            detail: "ann retried: gateway is back".to_owned(),
        };
        let shown = notes(&[note], &record, Paint::PLAIN);
        assert_eq!(
            cells(shown.lines().last().unwrap()),
            ["1970-01-01T00:00:00.000Z", "operator", "pay", "-", "ann retried: gateway is back"]
        );
    }
}
