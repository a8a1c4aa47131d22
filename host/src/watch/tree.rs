//! A task as a tree: each step below the parent that it waits for longest.

use std::collections::HashMap;

use stepwright_store::{StepRecord, TaskRecord};
use stepwright_workflow::Timestamp;
use stepwright_workflow::graph::Graph;
use stepwright_workflow::insight::Reasons;
use stepwright_workflow::step::StepState;

use crate::output::paint::{Paint, Tone, step_sign, step_tone, task_tone};
use crate::output::when;

/// Levels that are indented; deeper steps stand below each other. A chain of a thousand steps must stay readable.
const INDENTED_LEVELS_MAX: usize = 12;
/// A task of at most so many steps is shown in full.
const ROWS_FULL_MAX: usize = 40;
/// Of a larger one, so many steps that move or failed are shown.
const ROWS_PICKED_MAX: usize = 24;
/// Names longer than this, indentation included, do not push the other rows' texts to the right.
const NAME_COLUMNS_MAX: usize = 48;

/// The shape of a task's steps; it never changes.
pub(crate) struct Tree(Vec<Branch>);

struct Branch {
    position: usize,
    /// What stands before the sign.
    prefix: String,
}

impl Tree {
    /// The tree of these steps.
    pub(crate) fn of(steps: &[StepRecord]) -> Self {
        let positions: HashMap<&str, u16> =
            (0_u16..).zip(steps).map(|(position, step)| (step.name.as_str(), position)).collect();
        let parents = |step: &StepRecord| {
            step.parents.iter().filter_map(|name| positions.get(name.as_str()).copied()).collect()
        };
        let graph = Graph::of(steps.iter().map(parents).collect());
        let levels = graph.levels();
        let level = |step: u16| levels.get(usize::from(step)).copied().flatten();
        let mut children: Vec<Vec<u16>> = vec![Vec::new(); steps.len()];
        let mut roots = Vec::new();
        for (step, _) in (0_u16..).zip(steps) {
            match graph.parents(step).iter().copied().max_by_key(|parent| (level(*parent), *parent)) {
                Some(parent) => children[usize::from(parent)].push(step),
                None => roots.push(step),
            }
        }
        Self(branches(&roots, &children))
    }

    /// The task's lines: a heading, then its steps.
    pub(crate) fn lines(&self, record: &TaskRecord, now: Timestamp, paint: Paint) -> Vec<String> {
        let view = record.view(&[]);
        let reasons = Reasons::of(&view, now);
        let steps = &record.steps_detail;
        let shown: Vec<(&Branch, &StepRecord)> = self
            .0
            .iter()
            .filter_map(|branch| Some((branch, steps.get(branch.position)?)))
            .filter(|(_, step)| steps.len() <= ROWS_FULL_MAX || is_interesting(step))
            .take(if steps.len() <= ROWS_FULL_MAX { ROWS_FULL_MAX } else { ROWS_PICKED_MAX })
            .collect();
        let columns = |(branch, step): &(&Branch, &StepRecord)| width(&branch.prefix) + width(&step.name);
        let column = shown.iter().map(columns).max().unwrap_or(0).min(NAME_COLUMNS_MAX);
        let mut lines = vec![heading(record, now, paint)];
        for (branch, step) in &shown {
            lines.push(row(&branch.prefix, step, &detail(step, &reasons), (column, paint)));
        }
        if shown.len() < steps.len() {
            lines.push(paint.of(Tone::Faint, &rest(steps, &shown)));
        }
        lines
    }
}

/// Depth first, without recursion: a chain may be as long as a template allows.
fn branches(roots: &[u16], children: &[Vec<u16>]) -> Vec<Branch> {
    let mut found = Vec::with_capacity(children.len());
    // What stands before the children of a step, and the step.
    let mut open: Vec<(String, u16, bool, usize)> =
        roots.iter().rev().map(|root| (String::new(), *root, true, 0)).collect();
    while let Some((before, step, is_last, level)) = open.pop() {
        let (own, below) = match level {
            0 => (String::new(), String::new()),
            1..=INDENTED_LEVELS_MAX => (
                format!("{before}{}", if is_last { "└─ " } else { "├─ " }),
                format!("{before}{}", if is_last { "   " } else { "│  " }),
            ),
            _ => (before.clone(), before),
        };
        let below_of = &children[usize::from(step)];
        for (index, child) in below_of.iter().enumerate().rev() {
            open.push((below.clone(), *child, index + 1 == below_of.len(), level + 1));
        }
        found.push(Branch { position: usize::from(step), prefix: own });
    }
    found
}

fn is_interesting(step: &StepRecord) -> bool {
    step.state.is_leased()
        || step.state == StepState::Error
        || (step.state == StepState::Ready && step.attempt > 0)
}

/// `#7 shop/order@1.0.0  in_progress  2 of 4 steps  1.2 s`
fn heading(record: &TaskRecord, now: Timestamp, paint: Paint) -> String {
    let task = &record.summary;
    let name = format!("#{} {}/{}@{}", task.id, task.namespace, task.template, task.version);
    let state = paint.of(task_tone(task.state), task.state.as_str());
    let took = when::duration(task.finished_at.unwrap_or(now).since(task.created_at));
    format!(
        "{}  {state}  {} of {} steps  {took}",
        paint.of(Tone::Strong, &name),
        task.steps_finished,
        task.steps
    )
}

/// Attempts, reason and duration of a step.
fn detail(step: &StepRecord, reasons: &Reasons<'_>) -> String {
    let mut parts = Vec::new();
    if matches!(step.state, StepState::ResolvedManually | StepState::Skipped | StepState::Cancelled) {
        parts.push(step.state.as_str().replace('_', " "));
    }
    if step.attempt > 1 || (step.state == StepState::Error && step.attempt > 0) {
        parts.push(match step.attempt {
            1 => "1 attempt".to_owned(),
            more => format!("{more} attempts"),
        });
    }
    let why = reasons.why(&step.view());
    if !why.is_empty() {
        parts.push(why);
    }
    if let Some(us) =
        step.execution_us.filter(|_| matches!(step.state, StepState::Complete | StepState::Error))
    {
        parts.push(when::micros(us));
    }
    parts.join(" · ")
}

fn row(prefix: &str, step: &StepRecord, detail: &str, (column, paint): (usize, Paint)) -> String {
    let tone = step_tone(step.state);
    let name =
        if step.state == StepState::Pending { paint.of(Tone::Faint, &step.name) } else { step.name.clone() };
    let gap = " ".repeat(column.saturating_sub(width(prefix) + width(&step.name)));
    let shown = match step.state {
        StepState::Error => paint.of(Tone::Bad, detail),
        StepState::Ready if step.attempt > 0 => paint.of(Tone::Calm, detail),
        _ => paint.of(Tone::Faint, detail),
    };
    let line = format!("{prefix}{} {name}{gap}  {shown}", paint.of(tone, step_sign(step.state)));
    line.trim_end().to_owned()
}

/// `… and 960 more: 900 complete, 60 pending`
fn rest(steps: &[StepRecord], shown: &[(&Branch, &StepRecord)]) -> String {
    let counts = StepState::ALL.iter().filter_map(|state| {
        let all = steps.iter().filter(|step| step.state == *state).count();
        let seen = shown.iter().filter(|(_, step)| step.state == *state).count();
        (all > seen).then(|| format!("{} {state}", all - seen))
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    format!("… and {} more: {counts}", steps.len() - shown.len())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples::task;
    use stepwright_workflow::{Failure, FailureClass};

    fn lines(record: &TaskRecord) -> Vec<String> {
        Tree::of(&record.steps_detail).lines(record, Timestamp(1_300), Paint::PLAIN)
    }

    #[test]
    fn a_diamond_hangs_below_its_longest_way() {
        use StepState as S;
        let mut record = task(
            7,
            &[
                ("validate", S::Complete, &[]),
                ("reserve", S::Leased, &["validate"]),
                ("pay", S::Ready, &["validate"]),
                ("ship", S::Pending, &["reserve", "pay"]),
            ],
        );
        let pay = &mut record.steps_detail[2];
        (pay.attempt, pay.ready_at) = (1, Some(Timestamp(3_300)));
        pay.failure = Some(Failure::new(FailureClass::Retryable, "gateway busy"));
        let expect = "\
#7 shop/order@1.0.0  in_progress  1 of 4 steps  1.3 s
✔ validate    1.2 ms
├─ ◑ reserve  on worker-1
└─ ◔ pay      attempt 2 in 2 s: retryable: gateway busy
   └─ ○ ship  after reserve, pay";
        assert_eq!(lines(&record).join("\n"), expect);
    }

    #[test]
    fn every_step_is_shown_once_however_many_parents_it_has() {
        use StepState as S;
        let record = task(
            1,
            &[
                ("late", S::Pending, &["a", "b", "c"]),
                ("a", S::Ready, &[]),
                ("b", S::Ready, &["a"]),
                ("c", S::Ready, &["b"]),
                ("other", S::Ready, &[]),
            ],
        );
        let expect = "\
#1 shop/order@1.0.0  in_progress  0 of 5 steps  1.3 s
◔ a              waits for a free worker
└─ ◔ b           waits for a free worker
   └─ ◔ c        waits for a free worker
      └─ ○ late  after a, b, c
◔ other          waits for a free worker";
        assert_eq!(lines(&record).join("\n"), expect);
    }

    #[test]
    fn of_a_large_task_only_what_moves_is_shown() {
        use StepState as S;
        let names: Vec<String> = (0..5_000).map(|n| format!("step_{n}")).collect();
        let parents: Vec<Vec<&str>> =
            (0..5_000).map(|n| if n == 0 { vec![] } else { vec![names[n - 1].as_str()] }).collect();
        let state = |n: usize| match n {
            0..2_000 => S::Complete,
            2_000 => S::Error,
            _ => S::Pending,
        };
        let steps: Vec<(&str, StepState, &[&str])> =
            (0..5_000).map(|n| (names[n].as_str(), state(n), parents[n].as_slice())).collect();
        let lines = lines(&task(1, &steps));
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("✖ step_2000"), "{}", lines[1]);
        assert_eq!(lines[2], "… and 4999 more: 2999 pending, 2000 complete");
    }
}
