//! What changed between two looks at a task: one line each, for logs and for programs.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use stepwright_store::{StepRecord, TaskRecord};
use stepwright_workflow::insight::Reasons;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{StepId, TaskId, Timestamp};

use crate::output::when;

/// One change. As JSON it is one line of `--watch --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A step moved.
    Step {
        /// Its task.
        task: TaskId,
        /// Its name.
        step: String,
        /// Where it stands now.
        state: StepState,
        /// Attempts so far.
        attempt: u32,
        /// Why, or how long it took; empty if there is nothing to say.
        detail: String,
    },
    /// The task moved.
    Task {
        /// The task.
        task: TaskId,
        /// Where it stands now.
        state: TaskState,
        /// How many of its steps finished well.
        steps_finished: u32,
        /// How many steps it has.
        steps: u32,
        /// How long it has existed, or took, in milliseconds.
        elapsed_ms: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { task, step, state, attempt, detail } => {
                write!(f, "#{task} {step}: {state}")?;
                if *attempt > 1 {
                    write!(f, ", attempt {attempt}")?;
                }
                if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
            }
            Self::Task { task, state, steps_finished, steps, elapsed_ms } => {
                let elapsed = when::micros(elapsed_ms.saturating_mul(1_000));
                write!(f, "#{task} {state}: {steps_finished} of {steps} steps, {elapsed}")
            }
        }
    }
}

/// Remembers what was told about a task.
#[derive(Debug, Default)]
pub(crate) struct Told {
    steps: HashMap<StepId, (StepState, u32)>,
    task: Option<TaskState>,
}

impl Told {
    /// Everything that is new since the last call, steps by position and the task last. A step that waits for its parents
    /// is no news.
    pub(crate) fn news(&mut self, record: &TaskRecord, now: Timestamp) -> Vec<Change> {
        let view = record.view(&[]);
        let reasons = Reasons::of(&view, now);
        let mut news = Vec::new();
        for step in &record.steps_detail {
            let standing = (step.state, step.attempt);
            let before = self.steps.insert(step.id, standing);
            if before.unwrap_or((StepState::Pending, 0)) != standing {
                news.push(of_step(record.summary.id, step, &reasons));
            }
        }
        if self.task.replace(record.summary.state) != Some(record.summary.state) {
            news.push(of_task(record, now));
        }
        news
    }
}

fn of_step(task: TaskId, step: &StepRecord, reasons: &Reasons<'_>) -> Change {
    let detail = match (step.state, step.execution_us) {
        (StepState::Complete, Some(us)) => when::micros(us),
        _ => reasons.why(&step.view()),
    };
    Change::Step { task, step: step.name.clone(), state: step.state, attempt: step.attempt, detail }
}

fn of_task(record: &TaskRecord, now: Timestamp) -> Change {
    let task = &record.summary;
    let elapsed = task.finished_at.unwrap_or(now).since(task.created_at);
    Change::Task {
        task: task.id,
        state: task.state,
        steps_finished: task.steps_finished,
        steps: task.steps,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples::task;

    fn told(told: &mut Told, record: &TaskRecord) -> Vec<String> {
        told.news(record, Timestamp(1_500)).iter().map(Change::to_string).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        use StepState as S;
        let mut record = task(7, &[("a", S::Ready, &[]), ("b", S::Pending, &["a"])]);
        let mut memory = Told::default();
        assert_eq!(
            told(&mut memory, &record),
            ["#7 a: ready (waits for a free worker)", "#7 in_progress: 0 of 2 steps, 1.5 s"]
        );
        assert!(told(&mut memory, &record).is_empty());

        let first = &mut record.steps_detail[0];
        (first.state, first.attempt, first.execution_us) = (S::Complete, 2, Some(840));
        record.steps_detail[1].state = S::Leased;
        record.steps_detail[1].worker = Some("w1".to_owned());
        assert_eq!(
            told(&mut memory, &record),
            ["#7 a: complete, attempt 2 (840 µs)", "#7 b: leased (on w1)"]
        );

        record.summary.state = TaskState::Error;
        record.summary.finished_at = Some(Timestamp(2_000));
        assert_eq!(told(&mut memory, &record), ["#7 error: 0 of 2 steps, 2 s"]);
    }

    #[test]
    fn the_json_shape_is_fixed() {
        let change = Change::Step {
            task: TaskId(7),
            step: "a".to_owned(),
            state: StepState::Ready,
            attempt: 0,
            detail: String::new(),
        };
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"event":"step","task":7,"step":"a","state":"ready","attempt":0,"detail":""}"#
        );
    }
}
