//! Five hundred tasks of mixed shapes, to be disturbed: how they are started, followed, and checked when all of it is over.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::json;
use stepwright_store::{NoteKind, Store, TaskFilter};
use stepwright_workflow::task::TaskState;

use crate::books;
use crate::processes::{Deployment, Process, plugin, template};

/// The last step's value for `n` = 4, by template.
const SHAPES: [(&str, &str, i64); 4] = [
    ("linear_4", "fourth", 196),
    ("diamond", "bottom", 45),
    ("tree_7", "right_left", 36),
    ("mixed_dag_7", "g", 2_244),
];
/// Tasks of each shape, and of the detour.
const OF_EACH: usize = 75;
const DETOURS: usize = 200;

/// Long enough that every fault finds steps under way. `last` adds up to twice n.
const DETOUR: &str = "
template: detour
namespace: test
version: 1.0.0
plugin: examples/shapes@^1
defaults: { retry: { base: 10ms } }
steps:
  - { name: first, handler: start }
  - { name: rest, plugin: fixtures/misbehave@^1, handler: nap, depends_on: first, config: { ms: 150 } }
  - { name: last, handler: sum, depends_on: [first, rest] }
";

/// All of them, while they run.
pub struct Mixed {
    detours: Process,
    shapes: [Process; 4],
}

impl Mixed {
    /// Registers what they need, and starts them.
    pub fn start(deployment: &Deployment) -> Self {
        deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("misbehave")]);
        let detour = deployment.data().join("detour.yaml");
        std::fs::write(&detour, DETOUR).expect("a file");
        deployment.succeed(&["template", "add", &detour.to_string_lossy()]);
        for (name, _, _) in SHAPES {
            deployment.succeed(&["template", "add", &template(name)]);
        }
        let detours = begin(deployment, "test/detour", DETOURS);
        let shapes = SHAPES.map(|(name, _, _)| begin(deployment, &format!("shapes/{name}"), OF_EACH));
        Self { detours, shapes }
    }

    /// Until so many detours have settled. A watch that has ended has seen all of them, which its exit code and the books prove.
    pub fn until_settled(&mut self, wanted: usize) {
        self.detours.until_settled(wanted);
    }

    /// Until all of them have ended, and well.
    pub fn finish(self) {
        assert_eq!(self.detours.wait(), Some(0), "every detour ends well");
        for shape in self.shapes {
            assert_eq!(shape.wait(), Some(0), "every shape ends well");
        }
    }
}

fn begin(deployment: &Deployment, template: &str, tasks: usize) -> Process {
    let mut lines = String::new();
    for number in 0..tasks {
        let key = format!("{template}-{number}");
        let _ = writeln!(lines, "{}", json!({ "context": { "n": 4 }, "idempotency_key": key }));
    }
    let batch = deployment.data().join(format!("{}.jsonl", template.replace('/', "-")));
    std::fs::write(&batch, lines).expect("a file");
    deployment.spawn(&["task", "run", template, "--batch", &batch.to_string_lossy(), "--watch"])
}

/// What the ledger says when all of it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Tasks, each of which ended well.
    pub tasks: usize,
    /// Attempts that were lost with their workers; their steps were tried again.
    pub lost_attempts: usize,
    /// Outcomes that came too late, and changed nothing.
    pub late: usize,
}

/// Checks all of them against the ledger: each is there and complete, each of its steps completed once, nothing contradicts
/// anything, and nothing waits for what will never come.
///
/// # Panics
/// With what is wrong.
pub async fn check(store: &dyn Store) -> Tally {
    let tasks = DETOURS + OF_EACH * SHAPES.len();
    assert_eq!(store.task_counts().await.expect("counts"), [(TaskState::Complete, tasks as u64)]);
    let mut tally = Tally { tasks, ..Tally::default() };
    let all = TaskFilter { limit: 10_000, ..TaskFilter::default() };
    for task in store.tasks(&all).await.expect("tasks") {
        let shape = SHAPES.iter().find(|(name, _, _)| *name == task.template);
        let (step, value) = shape.map_or(("last", 8), |(_, step, value)| (*step, *value));
        tally.lost_attempts += books::check(store, task.id, step, value).await;
        let notes = store.notes(task.id).await.expect("notes");
        tally.late += notes.iter().filter(|note| note.kind == NoteKind::Late).count();
        assert!(notes.iter().all(|note| note.kind != NoteKind::Discrepancy), "{notes:?}");
    }
    tally
}

/// What was done to them, by kind.
#[derive(Debug, Default)]
pub struct Faults(BTreeMap<&'static str, usize>);

impl Faults {
    /// One more of this kind.
    pub fn count(&mut self, fault: &'static str) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Says in one line what was done and what came of it. Whoever comes here has checked that nothing was lost, doubled or
    /// stuck: [`check`] panics otherwise.
    pub fn report(&self, test: &str, tally: Tally) {
        let Tally { tasks, lost_attempts, late } = tally;
        eprintln!(
            "{test}: {self}; {tasks} tasks, lost 0, doubled 0, stuck 0; \
             {lost_attempts} attempts lost and made again, {late} outcomes too late"
        );
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults", self.0.values().sum::<usize>())?;
        for (at, (fault, times)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { " (" } else { ", " })?;
            write!(f, "{fault} {times}")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}
