//! What the orchestrator, the binary and the tests ask of a database, and the suite that every engine must pass.
//!
//! The store keeps and counts; it decides nothing. Which state follows which is `stepwright_workflow`'s to say, and callers
//! bring the answer along. No SQL and no engine is named here.

pub mod column;
pub mod conformance;
mod error;
pub mod event;
pub mod ledger;
mod pause;
pub mod performance;
mod plugin;
mod presence;
pub mod record;
pub mod retention;
pub mod row;
pub mod schema;
pub mod token;
mod usage;
pub mod view;
pub mod webhook;

use async_trait::async_trait;
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::{StepStanding, StepState};
use stepwright_workflow::task::{StepCounts, TaskState};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Payload, Plan, PlanId, StepId, TaskId, Timestamp, TokenId, WorkerId,
};

pub use error::StoreError;
pub use event::{EventBounds, EventLog, EventPage, EventRow, Events, Happening, NewEvents};
pub use ledger::*;
pub use pause::{PauseRecord, SuspectRecord};
pub use performance::{
    Analytics, AnalyticsQuery, Connections, FailureCounts, Health, Performance, QueueCounts, SlowStep,
    SlowSteps, SlowTask, SlowestQuery, StepFigures, TaskFigures,
};
pub use plugin::{NewPlugin, PluginChange, PluginDeed, PluginRecord, PluginState};
pub use presence::{NewOrchestrator, OrchestratorRecord};
pub use record::*;
pub use retention::{DatabaseSize, ExpiredTask, Expiry, Found, FoundBatches, Removed, Retention, TableSize};
pub use token::*;
pub use usage::{AttemptReceipt, Usage};
pub use view::*;
pub use webhook::*;

/// The result of everything that a store does.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A database of tasks. Cheap to share; every method may be called from any task at any time.
#[async_trait]
pub trait Store: Ledger + Retention + Performance + Events + Webhooks + Send + Sync + 'static {
    /// Opens a write transaction. Nothing that it does is seen by others before [`Round::commit`] has returned; dropping it
    /// undoes everything. Waits for other writers, and fails with [`StoreError::Busy`] when that takes too long.
    async fn round(&self) -> Result<Box<dyn Round>>;

    /// Registers a plugin version. The same digest again changes nothing but the signatures, if there are other ones now; the
    /// same name and version with another digest is a [`StoreError::Conflict`].
    async fn add_plugin(&self, plugin: &NewPlugin, now: Timestamp) -> Result<Added>;
    /// Every registered plugin version, by name and then by registration.
    async fn plugins(&self) -> Result<Vec<PluginRecord>>;
    /// The plans of tasks that are not final, each with how many of them there are.
    async fn plans_in_use(&self) -> Result<Vec<(PlanId, u64)>>;

    /// Registers a template version. The same source again changes nothing; the same name and version with another source is
    /// a [`StoreError::Conflict`].
    async fn add_template(&self, template: &NewTemplate, now: Timestamp) -> Result<Added>;
    /// A number that grows whenever a plugin or a template is registered, changed or removed, by whomever. What was read after it
    /// is as new as it says, or newer.
    async fn catalog_revision(&self) -> Result<i64>;
    /// Every registered template version without its source, by namespace, name and registration.
    async fn templates(&self) -> Result<Vec<TemplateRecord>>;
    /// The source of a template: of the version given, or of the one registered last.
    async fn template(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<TemplateSource>>;

    /// The id of a plan with exactly this content, stored now if it is new.
    async fn add_plan(&self, plan: &Plan) -> Result<PlanId>;
    /// A stored plan.
    async fn plan(&self, id: PlanId) -> Result<Option<Plan>>;

    /// Creates tasks with all their steps, in one transaction: all or none. In the order given, each with its id and
    /// whether an earlier task had the same idempotency key, in which case that one is returned and nothing is created.
    async fn create(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        let mut round = self.round().await?;
        let created = round.create(tasks, now).await?;
        round.commit().await?;
        Ok(created)
    }

    /// One task with its steps and their last attempts.
    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>>;
    /// Tasks that match, newest first.
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskSummary>>;
    /// The states of some tasks; unknown ids are left out.
    async fn task_states(&self, ids: &[TaskId]) -> Result<Vec<(TaskId, TaskState)>>;
    /// How many tasks stand in each state.
    async fn task_counts(&self) -> Result<Vec<(TaskState, u64)>>;
    /// Every recorded attempt of a task's steps, by step and attempt.
    async fn attempts(&self, task: TaskId) -> Result<Vec<AttemptRecord>>;
    /// Every note about a task, oldest first.
    async fn notes(&self, task: TaskId) -> Result<Vec<NoteRecord>>;
    /// Workers in this state, or in any, the latest that joined first, at most `limit`.
    async fn workers(&self, state: Option<WorkerState>, limit: u32) -> Result<Vec<WorkerRecord>>;
    /// Step attempts by plan and step since a moment: counts and execution times, for summaries.
    async fn step_statistics(&self, since: Timestamp) -> Result<Vec<StepStatistics>>;

    /// The open batches of these workers that were made until then, each with its worker.
    async fn open_batches(&self, workers: &[WorkerId], until: Timestamp) -> Result<Vec<(BatchId, WorkerId)>>;

    /// Up to `limit` tasks whose state is not final, by id, beyond `after`, each with all its steps as of one moment.
    async fn audit(&self, after: TaskId, limit: u32) -> Result<Vec<AuditedTask>>;

    /// Every pause, the oldest first.
    async fn pauses(&self) -> Result<Vec<PauseRecord>>;
    /// Takes the pauses of tasks away whose state is final: they hold up nothing, and each claim would read them.
    async fn drop_stale_pauses(&self) -> Result<()>;
    /// Every suspect: see [`Round::suspect`].
    async fn suspects(&self) -> Result<Vec<SuspectRecord>>;
    /// Keeps a token. If its name has a valid token of this scope already, that is a [`StoreError::Exists`].
    async fn add_token(&self, token: &NewToken, now: Timestamp) -> Result<TokenId>;
    /// Keeps a token in place of the valid ones of the same name and scope, which expire at `others_until` at the latest: in
    /// one transaction. If there are none, that is a [`StoreError::NotFound`].
    async fn rotate_token(
        &self,
        token: &NewToken,
        others_until: Timestamp,
        now: Timestamp,
    ) -> Result<TokenId>;
    /// Every token there ever was, by name and id.
    async fn tokens(&self) -> Result<Vec<TokenRecord>>;
    /// The tokens of a scope that are valid at this moment, by id: one cheap read.
    async fn valid_tokens(&self, scope: TokenScope, now: Timestamp) -> Result<Vec<ValidToken>>;
    /// Makes tokens invalid from now on. Returns those that were not revoked before.
    async fn revoke_tokens(&self, tokens: &[TokenId], now: Timestamp) -> Result<Vec<TokenId>>;
    /// Notes that these tokens let somebody in.
    async fn note_tokens_used(&self, tokens: &[TokenId], now: Timestamp) -> Result<()>;

    /// What waits for the pump at this moment: one cheap read, no transaction.
    async fn glance(&self, now: Timestamp) -> Result<Glance>;

    /// Says that an orchestrator is there, now. One that was at the same place before is forgotten.
    async fn enrol(&self, orchestrator: &NewOrchestrator, now: Timestamp) -> Result<()>;
    /// Forgets the orchestrator of this incarnation, and those that were not seen since.
    async fn dismiss(&self, incarnation: &str, not_seen_since: Timestamp) -> Result<()>;
    /// The orchestrators that said that they are there, by their start. Some may be gone: it is for the reader to say after which
    /// silence.
    async fn orchestrators(&self) -> Result<Vec<OrchestratorRecord>>;

    /// Tells whoever listens at this database that something was written. Only an accelerator, and never part of a
    /// transaction. Where other processes cannot listen, nothing happens.
    async fn announce(&self) -> Result<()> {
        Ok(())
    }
    /// Waits until somebody has announced something, or may have while nobody listened. Where nobody can, it waits for ever.
    async fn announced(&self) {
        std::future::pending::<()>().await;
    }

    /// Statements and commits so far.
    fn counters(&self) -> StoreCounters;
    /// Waits for running statements and closes every connection.
    async fn close(&self);
}

/// One write transaction. Every method is set-based: a handful of statements whatever the number of items, none for an
/// empty slice. All fences are in the statements: what does not match is not changed and not reported as changed.
#[async_trait]
pub trait Round: Send {
    /// See [`Store::create`].
    async fn create(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>>;

    // ---- outcomes

    /// Keeps every other transaction from changing these tasks and their steps until this one has ended. A round that applies
    /// outcomes locks their tasks before anything else, so that two rounds never wait for each other, and the one that ends
    /// a task sees what the other did. Where there is only one writer, nothing needs to be done.
    async fn lock(&mut self, tasks: &[TaskId]) -> Result<()>;

    /// Moves each attempt that is still leased by exactly its key to `complete`, stores its output and its ledger line.
    /// Returns the keys that were applied with their plan.
    async fn complete(
        &mut self,
        attempts: &[CompletedAttempt],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, PlanId)>>;
    /// The standing of each step that is still leased by exactly this key, with its plan.
    async fn leased(&mut self, keys: &[AttemptKey]) -> Result<Vec<LeasedStep>>;
    /// Ends each attempt that is still leased by exactly its key with the given standing, and stores its ledger line.
    /// Returns the keys that were applied.
    async fn end(&mut self, attempts: &[EndedAttempt], now: Timestamp) -> Result<Vec<AttemptKey>>;
    /// Marks attempts that are still leased by exactly their key as `in_progress`, with their progress.
    async fn started(&mut self, running: &[RunningAttempt]) -> Result<()>;
    /// The digests of recorded attempts among these keys; attempts without a ledger line are left out.
    async fn recorded(&mut self, keys: &[AttemptKey]) -> Result<Vec<(AttemptKey, Option<Digest>)>>;

    // ---- the graph

    /// Takes `count` finished parents off each step that is `pending`; those left with none become `ready`, and are returned.
    async fn release(&mut self, parents_finished: &[(StepId, u32)]) -> Result<Vec<StepId>>;
    /// The step counts of each task whose state is not final, with that state.
    async fn count_steps(&mut self, tasks: &[TaskId]) -> Result<Vec<(TaskId, TaskState, StepCounts)>>;
    /// Gives each task its new state, if it still has the old one. `finished_at` is set where the new state is settled,
    /// and cleared where it is not.
    async fn settle(&mut self, tasks: &[(TaskId, TaskState, TaskState)], now: Timestamp) -> Result<()>;

    // ---- claiming

    /// Makes steps claimable whose `ready_at` has come. Returns how many, and the next `ready_at` that lies ahead.
    async fn wake(&mut self, now: Timestamp) -> Result<(u64, Option<Timestamp>)>;
    /// Claimable steps of plugins: by priority, then oldest task first. Does not change them. Steps that are set aside are not
    /// among them; where some pause is in force, each says so.
    async fn claimable(&mut self, limit: usize) -> Result<Vec<ReadyStep>>;

    /// The same for the steps of these external handlers.
    async fn claimable_external(&mut self, handlers: &[String], limit: usize) -> Result<Vec<ReadyStep>>;
    /// The contexts and labels of tasks.
    async fn inputs(&mut self, tasks: &[TaskId]) -> Result<Vec<TaskInput>>;
    /// The outputs of steps; `null` where a finished step has none.
    async fn outputs(&mut self, steps: &[StepId]) -> Result<Vec<(StepId, Payload)>>;
    /// Makes one batch per entry and leases its steps to its worker: `ready` → `leased`, attempt + 1; a task that was
    /// `pending` becomes `in_progress`. Returns the ids in the order given. A step that is not `ready` any more is a
    /// [`StoreError::Inconsistent`]: it was claimable in this very transaction. Workers that were declared lost, or for which
    /// another orchestrator speaks now, are a [`StoreError::WorkersGone`].
    async fn lease(
        &mut self,
        batches: &[NewBatch],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<BatchId>>;

    // ---- batches and the ledger

    /// The open batches of a worker with their attempts.
    async fn open_batches(&mut self, worker: WorkerId) -> Result<Vec<OpenBatch>>;
    /// One batch, open or closed; `None` if there never was one.
    async fn batch(&mut self, id: BatchId) -> Result<Option<OpenBatch>>;
    /// Closes batches that are open.
    async fn close_batches(&mut self, batches: &[ClosedBatch], now: Timestamp) -> Result<()>;
    /// Writes lines of the ledger that are no attempts: late and duplicate outcomes, discrepancies, operators' deeds.
    async fn note(&mut self, notes: &[NewNote], now: Timestamp) -> Result<()>;
    /// Leased attempts of cancelled steps that were not told to stop yet, of these workers; each is returned once.
    async fn take_cancelled(&mut self, workers: &[WorkerId]) -> Result<Vec<AttemptKey>>;

    // ---- workers

    /// Registers an incarnation, or finds it if it joined before; its lease runs until `lease_until`. From now on only the
    /// orchestrator that it names speaks for it.
    async fn join(&mut self, worker: &NewWorker, lease_until: Timestamp, now: Timestamp) -> Result<WorkerId>;
    /// Lets the leases of these workers run until then, unless they were declared lost or joined another orchestrator.
    /// Returns those renewed.
    async fn renew(
        &mut self,
        workers: &[WorkerId],
        orchestrator: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>>;
    /// Ends incarnations that this orchestrator speaks for, or whose lease has ended. Returns those ended.
    async fn leave(
        &mut self,
        workers: &[(WorkerId, WorkerState)],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>>;
    /// Joined workers whose lease has ended, the earliest end first.
    async fn expired(&mut self, now: Timestamp) -> Result<Vec<WorkerId>>;
    /// Lets every lease of a joined worker run until then at least: what an orchestrator does when it starts, since workers
    /// may have had nobody to renew it.
    async fn adopt(&mut self, lease_until: Timestamp) -> Result<()>;

    // ---- pauses

    /// Every pause, the oldest first. None of them is taken away before this transaction has ended.
    async fn pauses(&mut self) -> Result<Vec<PauseRecord>>;
    /// Makes a pause. Returns whether it is new; one that is there already stays as it is.
    async fn pause(&mut self, pause: &PauseRecord) -> Result<bool>;
    /// Takes a pause away. Returns whether there was one. What it had set aside is the caller's to find and to put back.
    async fn resume(&mut self, target: &PauseTarget, now: Timestamp) -> Result<bool>;
    /// Sets steps aside that are `ready`, so that they are not claimable, or puts them back.
    async fn park(&mut self, steps: &[StepId], parked: bool) -> Result<()>;
    /// Up to `limit` steps that are set aside, by id, beyond `after`.
    async fn parked(&mut self, after: StepId, limit: u32) -> Result<Vec<ReadyStep>>;

    // ---- plugins

    /// Every registered version of one plugin, in the order of registration. None of them changes before this transaction has
    /// ended.
    async fn plugin_versions(&mut self, name: &str) -> Result<Vec<PluginRecord>>;
    /// Gives versions of a plugin a new state. Unknown ones are passed over.
    async fn change_plugins(&mut self, change: &PluginChange) -> Result<()>;
    /// Forgets versions of a plugin that are not enabled. Returns those forgotten.
    async fn remove_plugins(&mut self, name: &str, versions: &[String]) -> Result<Vec<String>>;

    // ---- suspects

    /// Notes that workers were lost while they held these components. Losses since `not_since` are the same event as the one
    /// noted then, and are counted once. Returns how often in a row that has happened to each whose count rose.
    async fn suspect(
        &mut self,
        components: &[Digest],
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Digest, u32)>>;
    /// Forgets the losses of these components: one of their steps completed, or an operator trusts them again.
    async fn acquit(&mut self, components: &[Digest]) -> Result<()>;

    // ---- repair

    /// One task as [`Store::audit`] sees it, if its state is not final.
    async fn audit(&mut self, task: TaskId) -> Result<Option<AuditedTask>>;
    /// Gives each step that is `pending` this count of unfinished parents; those left with none become `ready`.
    async fn recount(&mut self, unfinished: &[(StepId, u32)]) -> Result<()>;
    /// Makes the ready queue hold these steps if they are `ready`, and only then.
    async fn requeue(&mut self, steps: &[StepId]) -> Result<()>;

    // ---- operators

    /// The steps of a task, by position; empty for an unknown task.
    async fn steps(&mut self, task: TaskId) -> Result<Vec<StepRow>>;
    /// A stored plan, read inside this transaction, so that no second connection is needed.
    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>>;
    /// A task's plan and state. Other transactions cannot change it, or claim its steps, until this one has ended.
    async fn task(&mut self, task: TaskId) -> Result<Option<(PlanId, TaskState)>>;
    /// Moves steps that still stand at `from`, and gives them an output where there is one. Returns those moved.
    /// A leased step that is moved keeps its batch, so that [`Round::take_cancelled`] finds it.
    async fn change(&mut self, changes: &[StepChange]) -> Result<Vec<StepId>>;

    /// Makes everything durable. Once this has returned, a power cut does not undo it.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Where a step stands for an operator's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    /// The step.
    pub step: StepId,
    /// Its standing.
    pub standing: StepStanding,
    /// Attempts so far.
    pub attempt: u32,
    /// Parents that have not finished well.
    pub pending_parents: u32,
    /// The batch of the last attempt.
    pub batch: Option<BatchId>,
}

/// An operator's move of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepChange {
    /// The step.
    pub step: StepId,
    /// The state that it must still have.
    pub from: StepState,
    /// Its new standing.
    pub to: StepStanding,
    /// The output that an operator gives it.
    pub output: Option<Payload>,
}
