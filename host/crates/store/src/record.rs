//! What goes into a store and what comes out of it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stepwright_workflow::audit::StepFacts;
use stepwright_workflow::step::StepStanding;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Failure, Payload, PlanId, StepId, TaskId, Timestamp, WorkerId,
};

use crate::usage::Usage;

/// Whether a registration changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Added {
    /// It is new.
    New,
    /// Exactly this was there already.
    Unchanged,
    /// It was there already, with other signatures; these are kept now.
    Signed,
}

/// A template version to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTemplate {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The YAML text as written.
    pub source: String,
}

/// A registered template version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// A registered template version with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateSource {
    /// Which one it is.
    #[serde(flatten)]
    pub record: TemplateRecord,
    /// The YAML text as written.
    pub source: String,
}

/// A task to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What it runs.
    pub plan: PlanId,
    /// The template's namespace: the scope of the idempotency key, with the name.
    pub namespace: String,
    /// The template's name.
    pub template: String,
    /// For each step by position, how many parents it has.
    pub parents: std::sync::Arc<[u32]>,
    /// The external handlers of the steps that have one, by ascending position.
    pub external: std::sync::Arc<[(u16, String)]>,
    /// What it is started with.
    pub context: Payload,
    /// Labels.
    pub tags: Vec<(String, String)>,
    /// Higher is claimed first; usually 0.
    pub priority: i32,
    /// Starting again with the same key returns the first task.
    pub idempotency_key: Option<String>,
    /// Its first steps are not claimed before this moment; `None` means at once.
    pub start_at: Option<Timestamp>,
}

/// A task that was created, or found by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Created {
    /// The task.
    pub task: TaskId,
    /// It had been created before, under the same idempotency key.
    pub existing: bool,
}

/// An outcome `completed` to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedAttempt {
    /// The fence.
    pub key: AttemptKey,
    /// The output.
    pub output: Payload,
    /// The ledger line.
    pub line: AttemptLine,
}

/// An attempt that ended otherwise: failed, lost or cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedAttempt {
    /// The fence.
    pub key: AttemptKey,
    /// Where the step stands now.
    pub to: StepStanding,
    /// From when it may be claimed again, if it is `ready` and must wait.
    pub ready_at: Option<Timestamp>,
    /// How the attempt ended.
    pub status: AttemptStatus,
    /// Why.
    pub failure: Failure,
    /// The ledger line.
    pub line: AttemptLine,
}

/// What the ledger keeps of every attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptLine {
    /// The outcome's fingerprint; `None` for a lost attempt.
    pub digest: Option<Digest>,
    /// When it started, by the worker's clock.
    pub started_at: Option<Timestamp>,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// What it used beside.
    pub usage: Usage,
    /// The last lines of its log as JSON; `None` if there are none.
    pub log: Option<Payload>,
}

/// How a recorded attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// With an output.
    Completed,
    /// With a failure.
    Failed,
    /// Its worker vanished.
    Lost,
}

impl AttemptStatus {
    /// The status's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// A step that is leased by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasedStep {
    /// The fence.
    pub key: AttemptKey,
    /// What it runs.
    pub plan: PlanId,
    /// Where it stands.
    pub standing: StepStanding,
}

/// A sign of life of a long step.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningAttempt {
    /// The fence.
    pub key: AttemptKey,
    /// How far it is, from 0 to 1.
    pub fraction: Option<f64>,
    /// Its note for people.
    pub note: Option<String>,
}

/// A step that could be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyStep {
    /// The step.
    pub step: StepId,
    /// What it runs.
    pub plan: PlanId,
    /// Attempts so far: the next one is this plus one.
    pub attempt: u32,
    /// Some pause is in force, so that this step may be covered by one: look before it is leased.
    pub pauses: bool,
}

/// What a task was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInput {
    /// The task.
    pub task: TaskId,
    /// Its context.
    pub context: Payload,
    /// Its labels.
    pub tags: Vec<(String, String)>,
}

/// A batch to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// Who gets it.
    pub worker: WorkerId,
    /// Its steps, each with the number of the attempt that begins.
    pub steps: Vec<(StepId, u32)>,
}

/// A batch and its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenBatch {
    /// The batch.
    pub batch: BatchId,
    /// Who got it.
    pub worker: WorkerId,
    /// Its steps and attempts.
    pub steps: Vec<(StepId, u32)>,
    /// How it ended; `None` while it is open.
    pub end: Option<BatchEnd>,
}

/// A batch to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedBatch {
    /// The batch.
    pub batch: BatchId,
    /// How it ended.
    pub end: BatchEnd,
    /// When its completion came first; `None` if none did.
    pub completed_at: Option<Timestamp>,
    /// Outcomes that its completion listed and that had to be asked for again.
    pub asked_again: u32,
}

impl ClosedBatch {
    /// A batch that ends without a completion.
    pub fn without_completion(batch: BatchId, end: BatchEnd) -> Self {
        Self { batch, end, completed_at: None, asked_again: 0 }
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Its completion was not reconciled yet.
    Open,
    /// The completion said what had been applied.
    Reconciled,
    /// The completion differed; the notes say how.
    Discrepancy,
    /// Its worker vanished, or forgot it.
    Lost,
}

impl BatchState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Reconciled, Self::Discrepancy, Self::Lost];

    /// The state's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reconciled => "reconciled",
            Self::Discrepancy => "discrepancy",
            Self::Lost => "lost",
        }
    }
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchEnd {
    /// The completion said what had been applied.
    Reconciled,
    /// The completion differed; the notes say how.
    Discrepancy,
    /// Its worker vanished, or forgot it.
    Lost,
}

impl BatchEnd {
    /// The end's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciled => "reconciled",
            Self::Discrepancy => "discrepancy",
            Self::Lost => "lost",
        }
    }
}

/// A line of the ledger that is no attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote {
    /// What it is about; `None` for a note about a whole batch or task.
    pub step: Option<StepId>,
    /// The task, where there is one.
    pub task: Option<TaskId>,
    /// The batch, where there is one.
    pub batch: Option<BatchId>,
    /// The attempt, where there is one.
    pub attempt: Option<u32>,
    /// What happened.
    pub kind: NoteKind,
    /// More, for people: who and why, or what differed.
    pub detail: String,
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// An outcome came for an attempt that no longer holds its lease; nothing changed.
    Late,
    /// The same outcome came again; nothing changed.
    Duplicate,
    /// A completion differed from what was applied; the applied outcome stands.
    Discrepancy,
    /// A lease was lost.
    LeaseLost,
    /// An operator did something.
    Operator,
    /// What contradicted itself was put right.
    Repaired,
}

impl NoteKind {
    /// The kind's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Discrepancy => "discrepancy",
            Self::LeaseLost => "lease_lost",
            Self::Operator => "operator",
            Self::Repaired => "repaired",
        }
    }
}

/// A worker's incarnation to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorker {
    /// Its name.
    pub name: String,
    /// Its incarnation.
    pub incarnation: String,
    /// Its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Steps that it runs at once.
    pub slots: u32,
    /// The orchestrator that it is connected to: only that one speaks for it.
    pub orchestrator: String,
}

/// What became of an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It is there.
    Joined,
    /// It said goodbye.
    Left,
    /// Its lease ended.
    Lost,
}

impl WorkerState {
    /// The state's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Lost => "lost",
        }
    }
}

/// An unfinished task, as the audit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedTask {
    /// The task.
    pub task: TaskId,
    /// What it runs.
    pub plan: PlanId,
    /// Where it stands.
    pub state: TaskState,
    /// Its steps, by position.
    pub steps: Vec<StepFacts>,
}

/// What waits for the pump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Glance {
    /// A step could be claimed now, its retry time included.
    pub claimable: bool,
    /// A step of an external handler could be claimed now.
    pub external: bool,
    /// When the next waiting step becomes claimable.
    pub next_ready_at: Option<Timestamp>,
    /// A leased attempt is to be told to stop.
    pub cancelled: bool,
    /// The lease of a worker has ended.
    pub expired: bool,
    /// There are suspects.
    pub suspects: bool,
    /// A task is paused whose state is final.
    pub stale_pauses: bool,
}

/// What a store has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StoreCounters {
    /// SQL statements, `BEGIN` and `COMMIT` not counted.
    pub statements: u64,
    /// Write transactions that were committed.
    pub commits: u64,
}

/// Words of the schema, read back by the spelling that they are written with.
macro_rules! words {
    ($($word:ident { $($variant:ident),+ })+) => {
        $(impl FromStr for $word {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let all = [$(Self::$variant),+];
                all.into_iter().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord(text.to_owned()))
            }
        })+
    };
}

words! {
    AttemptStatus { Completed, Failed, Lost }
    BatchEnd { Reconciled, Discrepancy, Lost }
    BatchState { Open, Reconciled, Discrepancy, Lost }
    NoteKind { Late, Duplicate, Discrepancy, LeaseLost, Operator, Repaired }
    WorkerState { Joined, Left, Lost }
}

/// A word that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word '{0}'")]
pub struct UnknownWord(String);

impl UnknownWord {
    pub(crate) fn new(word: &str) -> Self {
        Self(word.to_owned())
    }
}
