//! Why a step is where it is, and what a person can do about it: one sentence each, derived from the view alone.

use std::collections::HashMap;

use super::{PauseView, StepView, TaskView};
use crate::step::StepState;
use crate::{TaskId, Timestamp, when};

/// Parents named in a sentence; more are counted.
const PARENTS_NAMED_MAX: usize = 4;

/// A task's steps at one moment, ready to be asked.
#[derive(Debug)]
pub struct Reasons<'a> {
    task: TaskId,
    states: HashMap<&'a str, StepState>,
    pauses: &'a [PauseView<'a>],
    now: Timestamp,
}

impl<'a> Reasons<'a> {
    /// Of this task, at this moment.
    pub fn of(view: &'a TaskView<'a>, now: Timestamp) -> Self {
        let states = view.steps.iter().map(|step| (step.name, step.state)).collect();
        Self { task: view.task, states, pauses: &view.pauses, now }
    }

    /// What the step waits for, what it does, or why it failed; empty where its state says all.
    pub fn why(&self, step: &StepView<'_>) -> String {
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
    pub fn advice(&self, step: &StepView<'_>) -> Option<String> {
        let Self { task, .. } = self;
        match step.state {
            StepState::Error => Some(format!(
                "'stepwright task retry {task} --step {name}' tries it again, 'task resolve {task} --step {name} \
                 --output JSON' gives it an output, 'task skip {task} --step {name}' goes on without it",
                name = step.name
            )),
            StepState::Ready if step.paused && !step.waits(self.now) => Some(self.resume()),
            StepState::Ready if !step.waits(self.now) && step.external.is_some() => Some(
                "if it stays so, start a worker of your own that serves it, such as 'stepwright-ruby work'"
                    .to_owned(),
            ),
            StepState::Ready if !step.waits(self.now) => {
                Some("if it stays so, see whether a worker has room: 'stepwright worker list'".to_owned())
            }
            _ => None,
        }
    }

    fn parents(&self, step: &StepView<'_>) -> String {
        let unfinished =
            |name: &&String| !self.states.get(name.as_str()).is_some_and(|state| state.finished_well());
        let open: Vec<&str> = step.parents.iter().filter(unfinished).map(String::as_str).collect();
        match open.len().saturating_sub(PARENTS_NAMED_MAX) {
            0 => format!("after {}", open.join(", ")),
            more => format!("after {} and {more} more", open[..PARENTS_NAMED_MAX].join(", ")),
        }
    }

    fn ready(&self, step: &StepView<'_>) -> String {
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
            _ => match step.external {
                Some(handler) => format!("waits for a free worker that serves '{handler}'{because}"),
                None => format!("waits for a free worker{because}"),
            },
        }
    }

    /// How it goes on; a task may be covered by several.
    fn resume(&self) -> String {
        let verb = |PauseView { target, .. }: &PauseView<'_>| {
            format!("'stepwright resume {} {}'", target.scope().as_str(), target.name())
        };
        let verbs: Vec<String> = self.pauses.iter().map(verb).collect();
        format!("{} lets it go on", verbs.join(" and "))
    }

    /// By what, by whom and why.
    fn paused(&self) -> String {
        let each = self.pauses.iter().map(|PauseView { target, who, why, .. }| {
            let why = if why.is_empty() { String::new() } else { format!(": {}", one_line(why)) };
            format!("{target} was paused by {}{why}", one_line(who))
        });
        each.collect::<Vec<String>>().join("; ")
    }
}

fn running(step: &StepView<'_>) -> String {
    let mut text = match step.worker {
        Some(worker) => format!("on {worker}"),
        None => "with a worker".to_owned(),
    };
    if step.state == StepState::InProgress {
        if let Some(fraction) = step.progress {
            text.push(' ');
            text.push_str(&bar(fraction));
        }
        if let Some(note) = step.note.filter(|note| !note.is_empty()) {
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

fn failure(step: &StepView<'_>) -> Option<String> {
    step.failure.map(|failure| one_line(&failure.to_string()))
}

/// The first line of a guest's text, without anything that could move the cursor.
pub fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::samples::{step, task};
    use crate::pause::PauseTarget;
    use crate::{Failure, FailureClass};

    fn why(step: StepView<'_>) -> String {
        let view = task(&[step]);
        Reasons::of(&view, Timestamp(10_000)).why(&view.steps[0])
    }

    #[test]
    fn each_state_says_what_holds_it_up() {
        let ready = step("b", StepState::Ready, &[]);
        let busy = Failure::new(FailureClass::Retryable, "gateway busy\ntry later").with_code("busy");
        let at = |ms| Some(Timestamp(ms));
        let running = StepView {
            progress: Some(0.425),
            note: Some("page 3\u{1b}[2J"),
            ..step("b", StepState::InProgress, &[])
        };
        for (step, expect) in [
            (ready, "waits for a free worker"),
            (StepView { ready_at: at(9_999), ..ready }, "waits for a free worker"),
            (
                StepView { external: Some("ChargeCard"), ..ready },
                "waits for a free worker that serves 'ChargeCard'",
            ),
            (StepView { ready_at: at(70_000), ..ready }, "begins in 1 min 0 s, at 1970-01-01T00:01:10.000Z"),
            (
                StepView { attempt: 1, ready_at: at(12_500), failure: Some(&busy), ..ready },
                "attempt 2 in 3 s: retryable (busy): gateway busy",
            ),
            (
                StepView { state: StepState::Error, failure: Some(&busy), ..ready },
                "retryable (busy): gateway busy",
            ),
            (running, "on w1 ████░░░░░░ 42 % page 3 [2J"),
            (StepView { state: StepState::Complete, ..ready }, ""),
        ] {
            assert_eq!(why(step), expect);
        }
    }

    #[test]
    fn a_paused_step_says_who_paused_what_and_how_it_goes_on() {
        let mut view = task(&[StepView { paused: true, ..step("pay", StepState::Ready, &[]) }]);
        let target = PauseTarget::Namespace("shop".to_owned());
        view.pauses = vec![PauseView { target: &target, who: "ann", why: "stocktaking" }];
        let reasons = Reasons::of(&view, Timestamp(0));
        assert_eq!(reasons.why(&view.steps[0]), "namespace shop was paused by ann: stocktaking");
        let advice = reasons.advice(&view.steps[0]).unwrap();
        assert_eq!(advice, "'stepwright resume namespace shop' lets it go on");
    }

    #[test]
    fn only_parents_that_are_not_done_are_named() {
        let parents = ["a", "b", "c", "d", "e", "f"].map(str::to_owned);
        let mut steps: Vec<StepView<'_>> =
            parents.iter().map(|name| step(name, StepState::Ready, &[])).collect();
        steps[0].state = StepState::Skipped;
        steps.push(step("last", StepState::Pending, &parents));
        let view = task(&steps);
        let reasons = Reasons::of(&view, Timestamp(0));
        assert_eq!(reasons.why(&view.steps[6]), "after b, c, d, e and 1 more");
    }

    #[test]
    fn a_failed_step_can_be_repaired_and_a_waiting_one_left_alone() {
        let advice = |step: StepView<'_>| {
            let view = task(&[step]);
            Reasons::of(&view, Timestamp(0)).advice(&view.steps[0])
        };
        let ready = step("pay", StepState::Ready, &[]);
        let failed = StepView { state: StepState::Error, ..ready };
        assert!(advice(failed).is_some_and(|text| text.contains("task retry 7 --step pay")));
        assert!(advice(ready).is_some_and(|text| text.contains("worker list")));
        assert_eq!(advice(StepView { ready_at: Some(Timestamp(1)), ..ready }), None);
    }
}
