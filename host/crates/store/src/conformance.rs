//! The suite that every engine runs. Each case takes an empty store of its own and panics where the store is wrong.
//!
//! `stepwright_store::conformance!(crate::open)` makes a test of every case; `open` is an async function that returns an
//! empty store and whatever must be kept alive beside it, such as a temporary folder. No case reads from the store while
//! one of its rounds is open, so that a store with a single connection can run them too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a wrong store is a failed test")]

pub mod catalog;
pub mod claims;
pub mod events;
pub mod graph;
pub mod ledger;
pub mod orchestrators;
pub mod outcomes;
pub mod pauses;
pub mod performance;
pub mod plugins;
pub mod retention;
pub mod tasks;
pub mod tokens;
pub mod webhooks;
pub mod workers;

use std::sync::Arc;

use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::step::{StepStanding, StepState};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Failure, FailureClass, Outcome, Payload, Plan, PlanId, StepId, TaskId,
    Timestamp, WorkerId,
};

use crate::{
    AttemptLine, AttemptStatus, BatchEnd, ClosedBatch, CompletedAttempt, EndedAttempt, NewBatch, NewTask,
    NewWorker, StepRecord, Store, TaskRecord,
};

/// Makes a test of every case: `conformance!(crate::open)`. Needs `tokio` with its test macro where it is used.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance! { @tests $open;
            catalog:
                a_plugin_version_is_registered_once,
                a_template_version_is_registered_once,
                the_template_that_was_registered_last_is_the_one_without_a_version,
                a_plan_is_stored_once_per_content;
            tasks:
                tasks_are_created_with_their_steps_in_the_order_given,
                a_creation_that_fails_leaves_nothing,
                the_same_idempotency_key_returns_the_first_task,
                an_idempotency_key_counts_within_its_template,
                a_round_that_is_dropped_leaves_nothing,
                payloads_come_back_byte_for_byte,
                a_task_is_read_with_all_that_is_known_of_it,
                tasks_are_listed_by_filter_and_page,
                what_is_unknown_is_none_or_empty;
            claims:
                claimable_steps_come_by_priority_and_then_oldest_task,
                steps_of_external_handlers_have_queues_of_their_own,
                a_lease_starts_the_attempt_and_its_task,
                a_step_that_is_not_ready_cannot_be_leased,
                a_step_whose_lease_has_another_attempt_in_mind_cannot_be_leased,
                a_retry_waits_until_it_is_woken,
                contexts_and_outputs_are_read_for_many,
                batches_are_open_until_they_are_closed,
                notes_are_kept_even_when_they_name_what_never_was,
                the_number_of_statements_does_not_depend_on_the_number_of_items;
            events:
                a_task_tells_of_each_of_its_transitions_in_order,
                failures_and_retries_are_told,
                what_is_about_no_step_is_told_too,
                what_was_not_committed_is_not_told,
                events_are_found_and_removed;
            outcomes:
                a_completed_attempt_leaves_its_output_and_its_line,
                a_second_outcome_of_the_same_attempt_changes_nothing,
                an_outcome_with_another_key_changes_nothing,
                of_many_outcomes_only_those_whose_lease_stands_are_applied,
                an_outcome_after_a_retry_began_is_late,
                a_running_attempt_shows_its_progress_until_it_ends,
                a_failed_attempt_keeps_its_reason_until_the_step_finishes_well,
                a_lost_attempt_counts_as_a_loss,
                the_ledger_answers_with_the_digests_of_recorded_attempts;
            graph:
                a_step_is_ready_when_its_last_parent_has_finished,
                several_parents_may_finish_at_once,
                only_pending_steps_are_released,
                steps_are_counted_for_tasks_that_are_not_final,
                a_task_is_settled_only_from_the_state_that_it_had,
                a_task_that_was_never_started_has_no_start,
                a_change_applies_only_from_the_state_that_the_step_had,
                an_operators_output_is_what_dependants_read,
                a_retry_by_an_operator_begins_with_new_counts,
                a_cancelled_attempt_is_told_to_stop_once,
                the_outcome_of_a_cancelled_step_is_late,
                an_audit_sees_unfinished_tasks_with_all_their_steps,
                a_step_is_counted_anew_and_queued_once;
            pauses:
                a_pause_is_there_until_it_is_taken_away,
                a_step_that_is_set_aside_is_not_claimable,
                only_ready_steps_are_set_aside,
                what_is_set_aside_is_seen_by_the_audit_and_by_people,
                a_task_may_begin_later,
                losses_of_a_component_are_counted_in_a_row,
                a_pause_that_was_read_stays_until_the_round_has_ended,
                the_pause_of_a_finished_task_is_taken_away;
            plugins:
                a_plugins_state_is_kept_with_who_and_why,
                a_plugin_is_signed_later,
                only_withdrawn_plugins_are_forgotten,
                the_catalogs_revision_grows_with_every_change,
                plans_of_unfinished_tasks_are_in_use,
                a_plugin_keeps_where_it_came_from;
            orchestrators:
                an_orchestrator_is_listed_until_it_is_dismissed,
                a_restarted_orchestrator_takes_over_its_place,
                orchestrators_that_were_not_seen_are_dismissed_together,
                an_orchestrator_is_listed_with_the_workers_it_speaks_for;
            workers:
                an_incarnation_joins_once,
                a_lease_that_ended_is_expired_until_the_worker_is_renewed_or_gone,
                a_worker_that_is_gone_is_not_renewed,
                only_one_orchestrator_speaks_for_a_worker,
                open_batches_are_found_by_worker_and_age,
                a_worker_that_is_gone_is_leased_nothing,
                workers_are_listed_with_the_steps_that_they_hold,
                a_glance_says_what_waits,
                attempts_are_summed_up_by_step,
                commits_are_counted;
            tokens:
                a_token_is_kept_and_valid_until_it_expires,
                a_name_has_one_token_unless_it_is_rotated,
                a_rotated_token_and_the_new_one_are_valid_together,
                a_revoked_token_is_not_valid_any_more,
                the_use_of_a_token_is_noted;
            webhooks:
                a_webhook_is_kept_and_its_secret_is_not_shown,
                a_name_has_one_webhook,
                one_at_a_time_speaks_for_a_webhook,
                a_released_webhook_is_free,
                each_webhook_goes_to_one_of_those_that_ask,
                a_holder_notes_how_far_a_webhook_has_come,
                a_disabled_webhook_is_held_by_nobody,
                a_removed_webhook_leaves_nothing;
            ledger:
                a_batch_keeps_who_made_it_who_got_it_and_how_it_ended,
                batches_are_listed_by_filter_and_page,
                a_batch_is_read_with_its_attempts_and_notes,
                a_tasks_batches_are_found_by_steps_attempts_and_notes,
                discrepancies_are_counted,
                receipts_come_newest_first_page_by_page;
            retention:
                only_settled_tasks_of_the_states_named_are_due,
                a_removed_task_leaves_nothing_behind,
                looks_are_bounded_and_go_on_where_they_stopped,
                a_batch_goes_once_none_of_its_tasks_is_there,
                notes_about_nothing_go_by_age,
                workers_go_once_nothing_refers_to_them,
                tables_are_measured;
            performance:
                figures_are_those_of_a_plain_count,
                the_slowest_are_found_among_all,
                staffing_is_about_steps_that_could_be_claimed,
                health_counts_what_stands_where,
                what_cannot_be_counted_is_said,
                a_task_is_told_as_a_whole;
        }
    };
    (@tests $open:path; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                let (store, _kept) = $open().await;
                $crate::conformance::$module::$case(&store).await;
            })+
        })+
    };
}

/// Calls one method of a round of its own, and commits.
macro_rules! committed {
    ($store:expr, $method:ident($($argument:expr),*)) => {{
        let mut round = $store.round().await.unwrap();
        let result = round.$method($($argument),*).await.unwrap();
        round.commit().await.unwrap();
        result
    }};
}
use committed;

/// The present in every case.
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// One step.
const SINGLE: &[&[u16]] = &[&[]];
/// A step, two that wait for it, and one that waits for both.
const DIAMOND: &[&[u16]] = &[&[], &[0], &[0], &[1, 2]];

fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

fn payload(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

/// A plan whose steps `s0`, `s1`, … have the parents given.
fn plan(name: &str, parents: &[&[u16]]) -> Plan {
    let step = |(position, parents): (usize, &&[u16])| stepwright_workflow::PlanStep {
        name: format!("s{position}"),
        plugin: "shop/steps".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
        handler: "run".to_owned(),
        parents: parents.to_vec(),
        config: Payload::null(),
        timeout_ms: 1_000,
        retry: RetryPolicy::default(),
        limits: stepwright_workflow::StepLimits::default(),
    };
    Plan {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: parents.iter().enumerate().map(step).collect(),
    }
}

/// A store with one plan and one worker.
struct World<'a> {
    store: &'a dyn Store,
    plan: PlanId,
    parents: Arc<[u32]>,
    worker: WorkerId,
}

impl<'a> World<'a> {
    async fn new(store: &'a dyn Store, parents: &[&[u16]]) -> Self {
        let plan = store.add_plan(&plan("order", parents)).await.unwrap();
        let worker = committed!(store, join(&worker("w", "w-1"), at(10_000), NOW));
        let parents = parents.iter().map(|parents| u32::try_from(parents.len()).unwrap()).collect();
        Self { store, plan, parents, worker }
    }

    fn task(&self) -> NewTask {
        NewTask {
            plan: self.plan,
            namespace: "shop".to_owned(),
            template: "order".to_owned(),
            parents: self.parents.clone(),
            external: Arc::default(),
            context: payload("{\"order\": 1}"),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        }
    }

    async fn start(&self) -> TaskId {
        self.start_with(self.task()).await
    }

    async fn start_with(&self, task: NewTask) -> TaskId {
        let created = self.store.create(&[task], NOW).await.unwrap();
        created[0].task
    }

    /// Leases every claimable step in one batch.
    async fn lease(&self) -> Vec<AttemptKey> {
        let mut round = self.store.round().await.unwrap();
        let ready = round.claimable(1_000).await.unwrap();
        let steps: Vec<(StepId, u32)> = ready.iter().map(|ready| (ready.step, ready.attempt + 1)).collect();
        let batches =
            round.lease(&[NewBatch { worker: self.worker, steps: steps.clone() }], "o", NOW).await.unwrap();
        round.commit().await.unwrap();
        let key = |(step, attempt)| AttemptKey { step, attempt, batch: batches[0] };
        steps.into_iter().map(key).collect()
    }

    /// A task of a single step that is leased.
    async fn leased(&self) -> AttemptKey {
        let task = self.start().await;
        let keys = self.lease().await;
        *keys.iter().find(|key| key.step == StepId::new(task, 0)).unwrap()
    }

    async fn record(&self, task: TaskId) -> TaskRecord {
        self.store.task(task).await.unwrap().unwrap()
    }

    async fn step(&self, step: StepId) -> StepRecord {
        let mut record = self.record(step.task()).await;
        record.steps_detail.remove(usize::from(step.position()))
    }

    async fn state(&self, step: StepId) -> StepState {
        self.step(step).await.state
    }
}

fn worker(name: &str, incarnation: &str) -> NewWorker {
    NewWorker {
        name: name.to_owned(),
        incarnation: incarnation.to_owned(),
        host: "machine".to_owned(),
        pid: 4711,
        slots: 8,
        orchestrator: "o".to_owned(),
    }
}

fn completed(key: AttemptKey, output: &str) -> CompletedAttempt {
    let output = payload(output);
    let digest = Outcome::Completed { output: output.clone() }.digest();
    CompletedAttempt { key, output, line: AttemptLine { digest: Some(digest), ..AttemptLine::default() } }
}

/// An attempt that failed and leaves its step at `to`.
fn failed(key: AttemptKey, to: StepStanding, ready_at: Option<Timestamp>) -> EndedAttempt {
    let failure = Failure::new(FailureClass::Retryable, "the till is closed");
    let digest = Outcome::Failed { error: failure.clone() }.digest();
    let line = AttemptLine { digest: Some(digest), ..AttemptLine::default() };
    EndedAttempt { key, to, ready_at, status: AttemptStatus::Failed, failure, line }
}

/// A batch that ends without a completion.
fn closed(batch: BatchId, end: BatchEnd) -> ClosedBatch {
    ClosedBatch::without_completion(batch, end)
}

fn standing(state: StepState, failures: u32, losses: u32) -> StepStanding {
    StepStanding { state, failures, losses }
}

/// Numbers that are the same on every run.
struct Dice(u64);

impl Dice {
    /// Below `sides`, by splitmix64.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}
