//! Why a step is where it is, and what a person can do about it: one sentence each, derived from the record alone.

use std::collections::HashMap;

use stepwright_store::{PauseRecord, StepRecord, TaskRecord};
use stepwright_workflow::step::StepState;
use stepwright_workflow::{TaskId, Timestamp};

use crate::output::when;

/// Parents named in a sentence; more are counted.
const PARENTS_NAMED_MAX: usize = 4;

/// A task's steps at one moment, ready to be asked.
pub(crate) struct Reasons<'a> {
    task: TaskId,
    states: HashMap<&'a str, StepState>,
    pauses: &'a [PauseRecord],
    now: Timestamp,
}

impl<'a> Reasons<'a> {
    /// Of this task, at this moment.
    pub(crate) fn of(record: &'a TaskRecord, now: Timestamp) -> Self {
        let states = record.steps_detail.iter().map(|step| (step.name.as_str(), step.state)).collect();
        Self { task: record.summary.id, states, pauses: &record.pauses, now }
    }

    /// What the step waits for, what it does, or why it failed; empty where its state says all.
    pub(crate) fn why(&self, step: &StepRecord) -> String {
        match step.state {
            StepState::Pending => self.parents(step),
            StepState::Ready => self.ready(step),
            StepState::Leased | StepState::InProgress => running(step),
            StepState::Error => failure(step).unwrap_or_default(),
            StepState::Complete | StepState::ResolvedManually | StepState::Skipped | StepState::Cancelled => {
                String::new()
            }
        }
    }

    /// What to do about the step; `None` where there is nothing to do.
    pub(crate) fn advice(&self, step: &StepRecord) -> Option<String> {
        let Self { task, .. } = self;
        match step.state {
            StepState::Error => Some(format!(
                "'stepwright task retry {task} --step {name}' tries it again, 'task resolve {task} --step {name} \
                 --output JSON' gives it an output, 'task skip {task} --step {name}' goes on without it",
                name = step.name
            )),
            StepState::Ready if step.paused && !self.waits_for_retry(step) => Some(self.resume()),
            StepState::Ready if !self.waits_for_retry(step) => {
                Some("if it stays so, see whether a worker has room: 'stepwright worker list'".to_owned())
            }
            _ => None,
        }
    }

    fn waits_for_retry(&self, step: &StepRecord) -> bool {
        step.ready_at.is_some_and(|at| at > self.now)
    }

    fn parents(&self, step: &StepRecord) -> String {
        let unfinished =
            |name: &&String| !self.states.get(name.as_str()).is_some_and(|state| state.finished_well());
        let open: Vec<&str> = step.parents.iter().filter(unfinished).map(String::as_str).collect();
        match open.len().saturating_sub(PARENTS_NAMED_MAX) {
            0 => format!("after {}", open.join(", ")),
            more => format!("after {} and {more} more", open[..PARENTS_NAMED_MAX].join(", ")),
        }
    }

    fn ready(&self, step: &StepRecord) -> String {
        let because = failure(step).map(|failure| format!(": {failure}")).unwrap_or_default();
        match step.ready_at {
            Some(at) if at > self.now && step.attempt == 0 => {
                format!("begins in {}, at {at}", when::until(self.now, at))
            }
            Some(at) if at > self.now => {
                let next = step.attempt.saturating_add(1);
                format!("attempt {next} in {}{because}", when::until(self.now, at))
            }
            _ if step.paused => self.paused(),
            _ => format!("waits for a free worker{because}"),
        }
    }

    /// How it goes on; a task may be covered by several.
    fn resume(&self) -> String {
        let verb = |PauseRecord { target, .. }: &PauseRecord| {
            format!("'stepwright resume {} {}'", target.scope().as_str(), target.name())
        };
        let verbs: Vec<String> = self.pauses.iter().map(verb).collect();
        format!("{} lets it go on", verbs.join(" and "))
    }

    /// By what, by whom and why.
    fn paused(&self) -> String {
        let each = self.pauses.iter().map(|PauseRecord { target, who, why, .. }| {
            let why = if why.is_empty() { String::new() } else { format!(": {}", one_line(why)) };
            format!("{target} was paused by {}{why}", one_line(who))
        });
        each.collect::<Vec<String>>().join("; ")
    }
}

fn running(step: &StepRecord) -> String {
    let mut text = match &step.worker {
        Some(worker) => format!("on {worker}"),
        None => "with a worker".to_owned(),
    };
    if step.state == StepState::InProgress {
        if let Some(fraction) = step.progress {
            text.push(' ');
            text.push_str(&bar(fraction));
        }
        if let Some(note) = step.note.as_deref().filter(|note| !note.is_empty()) {
            text.push_str(&format!(" {}", one_line(note)));
        }
    }
    text
}

/// A fraction as a small bar and a percentage.
fn bar(fraction: f64) -> String {
    const WIDTH: usize = 10;
    let percent =
        (0_u32..=100).rev().find(|percent| f64::from(*percent) <= fraction * 100.0 + 1e-9).unwrap_or(0);
    let full = percent as usize * WIDTH / 100;
    format!("{}{} {percent} %", "█".repeat(full), "░".repeat(WIDTH - full))
}

fn failure(step: &StepRecord) -> Option<String> {
    step.failure.as_ref().map(|failure| one_line(&failure.to_string()))
}

/// The first line of a guest's text, without anything that could move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples::{step, task};
    use stepwright_workflow::pause::PauseTarget;
    use stepwright_workflow::{Failure, FailureClass};

    fn check(change: impl FnOnce(&mut StepRecord), expect: &str) {
        let mut record = task(7, &[("a", StepState::Complete, &[]), ("b", StepState::Ready, &["a"])]);
        change(&mut record.steps_detail[1]);
        let reasons = Reasons::of(&record, Timestamp(10_000));
        assert_eq!(reasons.why(&record.steps_detail[1]), expect);
    }

    #[test]
    fn each_state_says_what_holds_it_up() {
        check(|_| {}, "waits for a free worker");
        check(|step| step.ready_at = Some(Timestamp(9_999)), "waits for a free worker");
        let busy =
            || Some(Failure::new(FailureClass::Retryable, "gateway busy\ntry later").with_code("busy"));
        check(
            |step| step.ready_at = Some(Timestamp(70_000)),
            "begins in 1 min 0 s, at 1970-01-01T00:01:10.000Z",
        );
        let retrying = |step: &mut StepRecord| {
            (step.attempt, step.ready_at, step.failure) = (1, Some(Timestamp(12_500)), busy());
        };
        check(retrying, "attempt 2 in 3 s: retryable (busy): gateway busy");
        let failed = |step: &mut StepRecord| (step.state, step.failure) = (StepState::Error, busy());
        check(failed, "retryable (busy): gateway busy");
        let running = |step: &mut StepRecord| {
            (step.state, step.worker) = (StepState::InProgress, Some("w1".to_owned()));
            (step.progress, step.note) = (Some(0.425), Some("page 3\u{1b}[2J".to_owned()));
        };
        check(running, "on w1 ████░░░░░░ 42 % page 3 [2J");
        check(|step| step.state = StepState::Complete, "");
    }

    #[test]
    fn a_paused_step_says_who_paused_what_and_how_it_goes_on() {
        let mut record = task(7, &[("pay", StepState::Ready, &[])]);
        record.pauses = vec![PauseRecord {
            target: PauseTarget::Namespace("shop".to_owned()),
            since: Timestamp(0),
            who: "ann".to_owned(),
            why: "stocktaking".to_owned(),
        }];
        record.steps_detail[0].paused = true;
        let reasons = Reasons::of(&record, Timestamp(0));
        let step = &record.steps_detail[0];
        assert_eq!(reasons.why(step), "namespace shop was paused by ann: stocktaking");
        assert_eq!(reasons.advice(step).unwrap(), "'stepwright resume namespace shop' lets it go on");
    }

    #[test]
    fn only_parents_that_are_not_done_are_named() {
        let parents = ["a", "b", "c", "d", "e", "f"];
        let mut steps: Vec<StepRecord> =
            parents.iter().map(|name| step(name, StepState::Ready, &[])).collect();
        steps[0].state = StepState::Skipped;
        steps.push(step("last", StepState::Pending, &parents));
        let mut record = task(7, &[]);
        record.steps_detail = steps;
        let reasons = Reasons::of(&record, Timestamp(0));
        assert_eq!(reasons.why(&record.steps_detail[6]), "after b, c, d, e and 1 more");
    }

    #[test]
    fn a_failed_step_can_be_repaired_and_a_waiting_one_left_alone() {
        let mut record = task(7, &[("pay", StepState::Error, &[])]);
        let advice = |record: &TaskRecord| Reasons::of(record, Timestamp(0)).advice(&record.steps_detail[0]);
        assert!(advice(&record).is_some_and(|text| text.contains("task retry 7 --step pay")));
        record.steps_detail[0].state = StepState::Ready;
        assert!(advice(&record).is_some_and(|text| text.contains("worker list")));
        record.steps_detail[0].ready_at = Some(Timestamp(1));
        assert_eq!(advice(&record), None);
    }
}
