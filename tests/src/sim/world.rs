//! What is started: plans of several shapes, and how each attempt goes, both given by the seed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{Scripted, ScriptedExecutor, StepCall};
use stepwright_store::NewTask;
use stepwright_workflow::retry::{Backoff, RetryPolicy};
use stepwright_workflow::{
    Clock, Digest, FailureClass, Outcome, Payload, Plan, PlanId, PlanStep, StepId, StepLimits, Timestamp,
};
use tokio::time::Instant;

use super::adversary::Adversary;

/// A process's clock: the simulation's, and wrong by so much.
pub(super) struct SimClock {
    pub(super) began: Instant,
    pub(super) skew_ms: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(1_700_000_000_000 + passed + self.skew_ms)
    }
}

/// Parents by position: one step, a chain, a diamond, a fan, and a mix.
const SHAPES: &[&[&[u16]]] = &[
    &[&[]],
    &[&[], &[0], &[1], &[2]],
    &[&[], &[0], &[0], &[1, 2]],
    &[&[], &[0], &[0], &[0], &[0], &[0], &[1, 2, 3, 4, 5]],
    &[&[], &[], &[0, 1], &[0], &[2, 3], &[1]],
];

/// The namespace of every plan.
pub(super) const NAMESPACE: &str = "test";

/// One plan for each shape.
pub(super) fn plans() -> Vec<Plan> {
    SHAPES.iter().enumerate().map(|(number, shape)| plan(number, shape)).collect()
}

fn plan(number: usize, shape: &[&[u16]]) -> Plan {
    let step = |(at, parents): (usize, &&[u16])| PlanStep {
        name: format!("s{at}"),
        plugin: "test/simulated".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"simulated"),
        handler: "run".to_owned(),
        parents: parents.to_vec(),
        config: Payload::parse("{}").expect("valid JSON"),
        timeout_ms: 4_000,
        retry: RetryPolicy {
            limit: 3,
            backoff: Backoff::Exponential,
            base_ms: 200,
            cap_ms: 2_000,
            ..RetryPolicy::default()
        },
        limits: StepLimits::default(),
    };
    Plan {
        namespace: NAMESPACE.to_owned(),
        name: format!("shape-{number}"),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: shape.iter().enumerate().map(step).collect(),
    }
}

/// A task of a plan.
pub(super) fn task(plan: &Plan, id: PlanId, key: Option<String>) -> NewTask {
    NewTask {
        plan: id,
        namespace: plan.namespace.clone(),
        template: plan.name.clone(),
        parents: plan.steps.iter().map(|step| u32::try_from(step.parents.len()).unwrap_or(0)).collect(),
        external: Arc::default(),
        context: Payload::null(),
        tags: Vec::new(),
        priority: 0,
        idempotency_key: key,
        start_at: None,
    }
}

/// How attempts go. Each checks first that its parents' outputs are those that were recorded.
pub(super) fn executor(seed: u64, clock: Arc<dyn Clock>, adversary: Arc<Adversary>) -> ScriptedExecutor {
    ScriptedExecutor::new(clock, move |call| {
        check_parents(call, &adversary);
        let mut hasher = DefaultHasher::new();
        (seed, call.task.0, &call.step_name, call.attempt).hash(&mut hasher);
        let fate = hasher.finish();
        let delay = Duration::from_millis(fate / 100 % 300);
        let output = format!(
            "{{\"task\":{},\"step\":\"{}\",\"attempt\":{}}}",
            call.task, call.step_name, call.attempt
        );
        let done = Outcome::Completed { output: Payload::parse(output).expect("valid JSON") };
        match fate % 100 {
            0..=9 => Scripted::failed(FailureClass::Retryable, "scripted").after(delay),
            10..=11 => Scripted::failed(FailureClass::Permanent, "scripted").after(delay),
            12..=13 => Scripted::Hang,
            14 => Scripted::Broken("scripted".to_owned()),
            15..=24 => Scripted::Outcome(done, delay * 12),
            _ => Scripted::Outcome(done, delay),
        }
    })
}

fn check_parents(call: &StepCall, adversary: &Adversary) {
    for parent in &call.parents {
        let position = parent.step.trim_start_matches('s').parse().unwrap_or(u16::MAX);
        let step = StepId::new(call.task, position);
        let kept = adversary.books(|books| books.finished.get(&step).cloned());
        if kept.as_ref() != Some(&parent.output) {
            adversary.violated(format!(
                "step {} of task {} was given the output {} of its parent {}; durable is {}",
                call.step_name,
                call.task,
                parent.output.as_str(),
                parent.step,
                kept.as_ref().map_or("nothing", Payload::as_str)
            ));
        }
    }
}
