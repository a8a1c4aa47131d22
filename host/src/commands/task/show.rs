//! `task show`: everything that is known about one task, and what to do about it.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store::performance::ORCHESTRATOR_SILENT_MS;
use stepwright_store::{AttemptRecord, AttemptStatus, NoteRecord, Store, StoreError, TaskRecord};
use stepwright_workflow::finalize::{ExecutionStatus, RecommendedAction};
use stepwright_workflow::insight::{Bottleneck, CriticalPath, Reasons, StepReason, TaskContext};
use stepwright_workflow::{TaskId, Timestamp};

use super::books::Books;
use super::history;
use super::ledger;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::when;
use crate::watch::{Tree, one_line};

/// Steps whose advice is written out; the next ones would say the same.
const ADVICE_STEPS_MAX: usize = 3;

/// Steps of the critical path that are named; of a longer one the first and the last of them are.
const PATH_STEPS_MAX: usize = 8;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// The task.
    #[arg(value_name = "ID")]
    task: TaskId,
    /// Also list the attempts that completed.
    #[arg(long)]
    attempts: bool,
    /// Also print what the attempts logged.
    #[arg(long)]
    logs: bool,
    /// Print instead everything that ever happened to it, oldest first.
    #[arg(long)]
    history: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    record: &'a TaskRecord,
    execution_status: ExecutionStatus,
    recommended_action: RecommendedAction,
    completion_percent: u8,
    /// How far each step is from those that wait for nothing.
    dependency_levels: BTreeMap<String, u16>,
    /// Steps that could be claimed now.
    viable_steps: Vec<String>,
    critical_path: CriticalPath,
    bottleneck: Option<Bottleneck>,
    /// Steps that wait, run or failed.
    reasons: Vec<StepReason>,
    attempts: &'a [AttemptRecord],
    notes: &'a [NoteRecord],
}

/// What was read about a task.
struct Known {
    record: TaskRecord,
    attempts: Vec<AttemptRecord>,
    notes: Vec<NoteRecord>,
    /// Those that were seen in the last minute.
    orchestrators: usize,
    now: Timestamp,
}

pub(crate) async fn run(arguments: &ShowArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let task = arguments.task;
    let record =
        store.task(task).await?.ok_or_else(|| StoreError::NotFound { subject: format!("task {task}") })?;
    if arguments.history {
        return tell(&*store, &record, context).await;
    }
    let (attempts, notes) = (store.attempts(task).await?, store.notes(task).await?);
    let now = context.now();
    let there = store.orchestrators().await?;
    let orchestrators = there.iter().filter(|one| now.0 - one.seen_at.0 <= ORCHESTRATOR_SILENT_MS).count();
    let known = Known { record, attempts, notes, orchestrators, now };
    if context.json {
        output::json(&known.shown())?;
    } else {
        output::line(known.render(arguments, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// What `--history --json` prints.
#[derive(Serialize)]
struct Told<'a> {
    task: TaskId,
    history: Vec<history::Event<'a>>,
}

async fn tell(store: &dyn Store, record: &TaskRecord, context: &Context) -> Result<Exit, CliError> {
    let books = Books::read(store, record).await?;
    let history = books.history(record);
    if context.json {
        output::json(&Told { task: record.summary.id, history })?;
    } else {
        output::line(history::table(&history, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

impl Known {
    fn context(&self) -> TaskContext {
        TaskContext::of(&self.record.view(&self.attempts), self.now)
    }

    fn shown(&self) -> Shown<'_> {
        let context = self.context();
        Shown {
            record: &self.record,
            execution_status: context.execution_status,
            recommended_action: context.recommended_action,
            completion_percent: context.completion_percent,
            dependency_levels: context.dependency_levels,
            viable_steps: context.viable_steps,
            critical_path: context.critical_path,
            bottleneck: context.bottleneck,
            reasons: context.reasons,
            attempts: &self.attempts,
            notes: &self.notes,
        }
    }

    fn render(&self, arguments: &ShowArguments, paint: Paint) -> String {
        let mut parts =
            vec![Tree::of(&self.record.steps_detail).lines(&self.record, self.now, paint).join("\n")];
        let context = self.context();
        parts.push([self.facts()].into_iter().chain(insights(&context)).collect::<Vec<_>>().join("\n"));
        let is_told = |attempt: &&AttemptRecord| {
            arguments.attempts || arguments.logs || attempt.status != AttemptStatus::Completed
        };
        let attempts: Vec<&AttemptRecord> = self.attempts.iter().filter(is_told).collect();
        if !attempts.is_empty() {
            parts.push(ledger::attempts(&attempts, self.now, paint));
        }
        if arguments.logs {
            parts.push(ledger::logs(&self.attempts, paint));
        }
        if !self.notes.is_empty() {
            parts.push(ledger::notes(&self.notes, &self.record, paint));
        }
        parts.push(self.advice(context.recommended_action, paint));
        parts.join("\n\n")
    }

    fn facts(&self) -> String {
        let task = &self.record.summary;
        let mut facts = format!("created {}", task.created_at);
        if let Some(key) = &task.idempotency_key {
            facts.push_str(&format!(", key {key}"));
        }
        if task.priority != 0 {
            facts.push_str(&format!(", priority {}", task.priority));
        }
        for (name, value) in &self.record.tags {
            facts.push_str(&format!(", {}={}", one_line(name), one_line(value)));
        }
        facts
    }

    fn advice(&self, action: RecommendedAction, paint: Paint) -> String {
        let sentence = match action {
            RecommendedAction::ExecuteReadySteps => "steps are ready: make sure that a worker is there",
            RecommendedAction::WaitForCompletion => "nothing to do: it runs, or waits for its next attempt",
            RecommendedAction::WaitForDependencies => "nothing to do: steps wait for those before them",
            RecommendedAction::Resume => "it goes on when what is paused is resumed",
            RecommendedAction::HandleFailures => {
                "it goes on when the steps in error are retried, resolved or skipped"
            }
            RecommendedAction::FinalizeTask => "nothing to do: it has ended",
        };
        let mut lines = vec![paint.of(Tone::Strong, sentence)];
        if self.orchestrators == 0 && action != RecommendedAction::FinalizeTask {
            let nobody = "no orchestrator is running, so nothing goes on; start 'stepwright orchestrate' or 'stepwright dev'";
            lines.insert(0, paint.of(Tone::Strong, nobody));
        }
        let view = self.record.view(&[]);
        let reasons = Reasons::of(&view, self.now);
        let advice =
            view.steps.iter().filter_map(|step| Some(format!("  {}: {}", step.name, reasons.advice(step)?)));
        lines.extend(advice.take(if action == RecommendedAction::FinalizeTask {
            0
        } else {
            ADVICE_STEPS_MAX
        }));
        lines.join("\n")
    }
}

/// The critical path and the bottleneck, a line each.
fn insights(context: &TaskContext) -> Vec<String> {
    let mut lines = Vec::new();
    let CriticalPath { steps, time_us, unfinished } = &context.critical_path;
    if !steps.is_empty() {
        let half = PATH_STEPS_MAX / 2;
        let named: Vec<&str> = match steps.len() {
            ..=PATH_STEPS_MAX => steps.iter().map(String::as_str).collect(),
            all => {
                let ends = steps[..half].iter().map(String::as_str);
                ends.chain(["…"]).chain(steps[all - half..].iter().map(String::as_str)).collect()
            }
        };
        let rest = if *unfinished == 0 {
            String::new()
        } else {
            format!(", {unfinished} of {} unfinished", steps.len())
        };
        lines.push(format!("critical path: {}, {}{rest}", named.join(" → "), when::micros(*time_us)));
    }
    if let Some(Bottleneck { step, why, .. }) = &context.bottleneck {
        lines.push(format!("bottleneck: {step}: {why}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_told_by_its_ends() {
        let names: Vec<String> = (0..20).map(|step| format!("s{step}")).collect();
        let parents: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let steps: Vec<(&str, StepState, &[&str])> = (0..20)
            .map(|at| {
                (
                    names[at].as_str(),
                    StepState::Complete,
                    if at == 0 { &[][..] } else { &parents[at - 1][..] },
                )
            })
            .collect();
        let record = samples::task(7, &steps);
        let context = TaskContext::of(&record.view(&[]), Timestamp(0));
        let line = "critical path: s0 → s1 → s2 → s3 → … → s16 → s17 → s18 → s19, 24 ms";
        assert_eq!(insights(&context)[0], line);
    }

    use crate::watch::samples;
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::task::TaskState;
    use stepwright_workflow::{Failure, FailureClass, Payload};

    fn known() -> Known {
        let mut record = samples::task(
            7,
            &[("validate", StepState::Complete, &[]), ("pay", StepState::Error, &["validate"])],
        );
        record.summary.state = TaskState::Error;
        record.summary.idempotency_key = Some("order-7".to_owned());
        record.summary.finished_at = Some(Timestamp(1_300));
        record.context = Payload::parse("{\"order_id\": 7}").unwrap();
        record.tags = vec![("kind".to_owned(), "declined".to_owned())];
        let failure = Failure::new(FailureClass::Permanent, "the card was declined").with_code("declined");
        record.steps_detail[1].failure = Some(failure);
        Known { record, attempts: Vec::new(), notes: Vec::new(), orchestrators: 1, now: Timestamp(5_000) }
    }

    #[test]
    fn a_task_says_why_it_stands_and_what_to_do() {
        let arguments = ShowArguments { task: TaskId(7), attempts: false, logs: false, history: false };
        let expect = "\
#7 shop/order@1.0.0  error  1 of 2 steps  1.3 s
✔ validate  1.2 ms
└─ ✖ pay    1 attempt · permanent (declined): the card was declined

created 1970-01-01T00:00:00.000Z, key order-7, kind=declined
critical path: validate → pay, 1.2 ms, 1 of 2 unfinished
bottleneck: pay: failed: permanent (declined): the card was declined

it goes on when the steps in error are retried, resolved or skipped
  pay: 'stepwright task retry 7 --step pay' tries it again, 'task resolve 7 --step pay --output JSON' gives it an output, \
'task skip 7 --step pay' goes on without it";
        assert_eq!(known().render(&arguments, Paint::PLAIN), expect);
    }

    #[test]
    fn the_json_is_one_object_with_the_task_at_its_top() {
        let text = serde_json::to_string(&known().shown()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["id"], 7);
        assert_eq!(json["state"], "error");
        assert_eq!(json["context"]["order_id"], 7);
        assert_eq!(json["execution_status"], "blocked_by_failures");
        assert_eq!(json["recommended_action"], "handle_failures");
        assert_eq!(json["completion_percent"], 50);
        assert_eq!(json["steps_detail"][1]["failure"]["code"], "declined");
        assert_eq!(json["reasons"][0]["step"], "pay");
        assert_eq!(json["critical_path"]["steps"], serde_json::json!(["validate", "pay"]));
        assert_eq!(
            (&json["bottleneck"]["step"], &json["bottleneck"]["kind"]),
            (&"pay".into(), &"failed".into())
        );
        assert_eq!(json["dependency_levels"]["pay"], 1);
        assert_eq!(json["viable_steps"], serde_json::json!([]));
        assert_eq!(json["attempts"], serde_json::json!([]));
    }
}
