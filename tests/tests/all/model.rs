//! Any graph, any order of outcomes, duplicates and late ones among them: each step completes once, and the task ends where
//! the rules say. Once with the pure functions alone, and once with the orchestrator, a store and the protocol.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stepwright_store::AttemptStatus;
use stepwright_tests::model::{Ending, Fate, Script};
use stepwright_tests::rig::{Chaos, Rig};
use stepwright_workflow::graph::Graph;
use stepwright_workflow::retry::{Backoff, RetryPolicy};
use stepwright_workflow::step::{StepEvent, StepStanding, StepState, next};
use stepwright_workflow::task::{StepCounts, TaskState, settle};
use stepwright_workflow::{Failure, FailureClass};

use crate::script::script;

/// A task in memory, moved by nothing but the pure functions.
struct PureTask {
    graph: Graph,
    retry: RetryPolicy,
    standings: Vec<StepStanding>,
    attempts: Vec<u32>,
    waiting: Vec<usize>,
    completions: Vec<u32>,
    state: TaskState,
}

impl PureTask {
    fn new(script: &Script) -> Self {
        let steps = script.parents.len();
        let graph = Graph::of(script.parents.clone());
        let waiting: Vec<usize> = script.parents.iter().map(Vec::len).collect();
        let state = |waiting: &usize| if *waiting == 0 { StepState::Ready } else { StepState::Pending };
        let standings =
            waiting.iter().map(|waiting| StepStanding { state: state(waiting), failures: 0, losses: 0 });
        let retry =
            RetryPolicy { limit: script.retry_limit, backoff: Backoff::None, ..RetryPolicy::default() };
        Self {
            graph,
            retry,
            standings: standings.collect(),
            attempts: vec![0; steps],
            waiting,
            completions: vec![0; steps],
            state: TaskState::InProgress,
        }
    }

    fn apply(&mut self, step: u16, event: &StepEvent<'_>) {
        let at = usize::from(step);
        self.standings[at] =
            next(self.standings[at], &self.retry, event).expect("the test only makes legal moves").to;
    }

    fn claim_all(&mut self) -> Vec<(u16, u32)> {
        let ready: Vec<u16> = self.those(StepState::Ready);
        for step in &ready {
            self.apply(*step, &StepEvent::Claimed);
            self.attempts[usize::from(*step)] += 1;
        }
        ready.into_iter().map(|step| (step, self.attempts[usize::from(step)])).collect()
    }

    fn those(&self, state: StepState) -> Vec<u16> {
        (0_u16..)
            .zip(&self.standings)
            .filter(|(_, standing)| standing.state == state)
            .map(|(step, _)| step)
            .collect()
    }

    /// An outcome counts only for the attempt that holds the lease: the fence.
    fn outcome(&mut self, (step, attempt): (u16, u32), ending: Ending) {
        let at = usize::from(step);
        if !self.standings[at].state.is_leased() || self.attempts[at] != attempt {
            return;
        }
        let failure = |class| Failure::new(class, "scripted");
        match ending {
            Ending::Complete => self.completed(step),
            Ending::Retryable => {
                self.apply(
                    step,
                    &StepEvent::Failed { failure: &failure(FailureClass::Retryable), random: 0 },
                );
            }
            Ending::Permanent => {
                self.apply(
                    step,
                    &StepEvent::Failed { failure: &failure(FailureClass::Permanent), random: 0 },
                );
            }
            Ending::Vanish => self.apply(step, &StepEvent::Lost),
        }
        self.state = settle(self.state, StepCounts::of(self.standings.iter().map(|standing| standing.state)));
    }

    fn completed(&mut self, step: u16) {
        self.apply(step, &StepEvent::Completed);
        self.completions[usize::from(step)] += 1;
        for child in self.graph.children(step).to_vec() {
            self.waiting[usize::from(child)] -= 1;
            if self.waiting[usize::from(child)] == 0 {
                self.apply(child, &StepEvent::Released);
            }
        }
    }
}

fn check_pure(script: &Script, mut chaos: Chaos) -> Result<(), TestCaseError> {
    let mut task = PureTask::new(script);
    let mut held = Vec::new();
    let mut told: Vec<(u16, u32)> = Vec::new();
    loop {
        held.extend(task.claim_all());
        if held.is_empty() {
            break;
        }
        let key = held.swap_remove(chaos.below(held.len()));
        task.outcome(key, script.ending(key.0, key.1));
        told.push(key);
        if chaos.one_in(3) {
            // Any earlier outcome again, now late or a duplicate, and as a success to make it hurt.
            let again = told[chaos.below(told.len())];
            task.outcome(again, Ending::Complete);
        }
    }
    let fates = script.fates();
    prop_assert_eq!(task.state, if script.errs() { TaskState::Error } else { TaskState::Complete });
    for (at, fate) in fates.iter().enumerate() {
        let (state, attempts) = (task.standings[at].state, task.attempts[at]);
        let expect = match fate {
            Fate::Waits => (StepState::Pending, 0, 0),
            Fate::Completes(attempt) => (StepState::Complete, *attempt, 1),
            Fate::Errs(attempt) => (StepState::Error, *attempt, 0),
        };
        prop_assert_eq!((state, attempts, task.completions[at]), expect, "step {}", at);
    }
    Ok(())
}

async fn check_store(script: &Script, chaos: Chaos) -> Result<(), TestCaseError> {
    let mut rig = Rig::start(chaos).await;
    let task = rig.play(script).await;
    let record = rig.store.task(task).await.expect("the store answers").expect("the task is there");
    let attempts = rig.store.attempts(task).await.expect("the store answers");
    rig.stop().await;
    prop_assert_eq!(record.summary.state, if script.errs() { TaskState::Error } else { TaskState::Complete });
    for (at, fate) in (0_u16..).zip(script.fates()) {
        let step = &record.steps_detail[usize::from(at)];
        let lines: Vec<_> = attempts.iter().filter(|line| line.step == step.id).collect();
        let expect = match fate {
            Fate::Waits => (StepState::Pending, 0),
            Fate::Completes(attempt) => (StepState::Complete, attempt),
            Fate::Errs(attempt) => (StepState::Error, attempt),
        };
        prop_assert_eq!((step.state, step.attempt), expect, "step {}", at);
        // The ledger has a line for every attempt, no more, and each says what was scripted.
        let said: Vec<(u32, AttemptStatus)> = lines.iter().map(|line| (line.attempt, line.status)).collect();
        let scripted = (1..=expect.1).map(|attempt| (attempt, status(script.ending(at, attempt))));
        prop_assert_eq!(said, scripted.collect::<Vec<_>>(), "the ledger of step {}", at);
        if let Fate::Completes(attempt) = fate {
            prop_assert_eq!(
                step.output.as_ref().map(|output| output.as_str().to_owned()),
                Some(Rig::output(step.id, attempt))
            );
        }
    }
    Ok(())
}

fn status(ending: Ending) -> AttemptStatus {
    match ending {
        Ending::Complete => AttemptStatus::Completed,
        Ending::Retryable | Ending::Permanent => AttemptStatus::Failed,
        Ending::Vanish => AttemptStatus::Lost,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_outcomes_ends_where_the_rules_say_in_the_pure_model(script in script(), seed in any::<u64>()) {
        check_pure(&script, Chaos::new(seed))?;
    }
}

#[test]
fn any_order_of_outcomes_ends_where_the_rules_say_in_the_store() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&(script(), any::<u64>()), |(script, seed)| {
        runtime.block_on(check_store(&script, Chaos::new(seed)))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
