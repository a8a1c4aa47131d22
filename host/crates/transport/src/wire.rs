//! The messages, exactly as they stand on the wire. `tests/contract/` holds a golden example of each, for every language.
//!
//! Unknown fields are ignored (a newer peer may send them), missing ones are an error, names are snake_case. Times are
//! milliseconds since 1970-01-01T00:00:00Z, durations carry their unit in the name, digests are `sha256:<hex>`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Failure, Payload, StepId, StepLimits, TaskId, Timestamp,
};

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// The first message on every connection.
    Hello(Hello),
    /// Outcomes of steps that ended, and marks of steps that run long.
    PartialResult(PartialResult),
    /// Every step of a batch has ended.
    BatchCompletion(BatchCompletion),
    /// The worker is alive, and this is what it holds.
    Heartbeat(WorkerHeartbeat),
    /// The worker has drained and leaves; nothing is unacknowledged.
    Goodbye(Goodbye),
    /// A step wants a component that the worker does not have.
    ComponentRequest(ComponentRequest),
}

/// What an orchestrator says.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// Steps to run.
    Batch(Batch),
    /// Outcomes and completions that are recorded for good.
    Ack(Ack),
    /// Outcomes that a completion listed and that never came.
    Resend(Resend),
    /// Attempts to stop.
    Cancel(Cancel),
    /// Take no more work, finish, say goodbye.
    Drain(Drain),
    /// The orchestrator is alive.
    Heartbeat(OrchestratorHeartbeat),
    /// The message or the peer is not accepted; the connection is closed after it.
    Refuse(Refuse),
    /// The answer to `component_request`.
    ComponentPart(ComponentPart),
}

/// Who a worker is and what it can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions that the worker speaks.
    pub versions: Vec<u32>,
    /// The worker's name, for people. Not unique over time.
    pub name: String,
    /// Random, new at each start of the process.
    pub incarnation: String,
    /// The machine's name.
    pub host: String,
    /// The process's id on that machine.
    pub pid: u32,
    /// Steps that it runs at once.
    pub slots: u32,
    /// Steps that it is willing to hold, running ones included.
    pub credit: u32,
    /// Payload bytes that it is willing to hold.
    pub credit_bytes: u64,
    /// Labels for people.
    pub labels: Vec<(String, String)>,
    /// Which handlers it serves.
    pub serves: Serves,
    /// Batches that it still holds from an earlier connection.
    pub held: Vec<BatchId>,
    /// Attempts whose outcome nobody has acknowledged; the outcomes follow as `partial_result` once it is welcome.
    pub unacknowledged: Vec<AttemptKey>,
}

/// Which handlers a worker serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// Any WebAssembly plugin.
    pub wasm: bool,
    /// Handlers of its own language, by name.
    pub external: Vec<String>,
}

/// Outcomes of steps of one batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartialResult {
    /// The batch.
    pub batch: BatchId,
    /// Ended attempts.
    pub outcomes: Vec<StepOutcome>,
    /// Running attempts that outlived a heartbeat.
    pub running: Vec<StepRunning>,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The task.
    pub task: TaskId,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// `completed` or `failed`.
    pub status: OutcomeStatus,
    /// The output, where it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// The failure, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The fingerprint of the outcome, as the completion will list it.
    pub digest: Digest,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// What it used.
    pub receipt: Receipt,
    /// The last lines of its log; empty unless it failed or the log is wanted.
    pub log: Vec<LogLine>,
}

/// Whether an attempt completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// There is an output.
    Completed,
    /// There is a failure.
    Failed,
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// Payload bytes handed in.
    pub bytes_in: u64,
    /// Payload bytes handed out.
    pub bytes_out: u64,
    /// Calls to the host.
    pub host_calls: u64,
    /// HTTP requests that went out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_calls: u64,
    /// Bytes of their bodies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_bytes_out: u64,
    /// Bytes of the responses' bodies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_bytes_in: u64,
    /// Bytes written to files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub file_bytes_written: u64,
}

/// Most steps do nothing of the kind, and their messages are shorter for it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One line of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error`, `stdout` or `stderr`.
    pub level: String,
    /// The text.
    pub message: String,
    /// Structured fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// A step that runs long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRunning {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// How far it is, from 0 to 1, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Its note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The closing list of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchCompletion {
    /// The batch.
    pub batch: BatchId,
    /// Attempts that completed.
    pub completed: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// Every step of the batch.
    pub summaries: Vec<StepSummary>,
}

/// One line of a batch's closing list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    /// The task.
    pub task: TaskId,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// How it ended.
    pub status: OutcomeStatus,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// The fingerprint of the outcome.
    pub digest: Digest,
}

/// A worker's sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHeartbeat {
    /// Every batch that it holds.
    pub held: Vec<BatchId>,
    /// The newest batch that it was ever sent. One up to here that it does not hold is lost; a newer one is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<BatchId>,
    /// Slots that are free.
    pub slots_free: u32,
    /// Steps that it would take more.
    pub credit_free: u32,
    /// It takes no more work.
    pub draining: bool,
    /// What it is willing to hold from now on, where that is not what it said last and was told to have counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
}

/// What a worker is willing to hold, in place of what it said in `hello`: it divides what it has among several orchestrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Counted up with every change; the orchestrator's `heartbeat` repeats it once it counts.
    pub number: u64,
    /// Steps that it runs at once.
    pub slots: u32,
    /// Steps that it is willing to hold, running ones included.
    pub credit: u32,
    /// Payload bytes that it is willing to hold.
    pub credit_bytes: u64,
}

/// A worker's farewell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why it leaves, for people.
    pub reason: String,
}

/// Which component a worker wants, and from where on. One request at a time on each connection; the answer is as long as the
/// orchestrator likes, and the next request asks for what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRequest {
    /// The component.
    pub digest: Digest,
    /// Bytes that the worker has.
    pub offset: u64,
}

/// What a worker must know to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version chosen.
    pub version: u32,
    /// How often to send a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// How long a silent worker keeps its leases, in milliseconds.
    pub lease_ms: u64,
    /// The largest message, in bytes.
    pub message_bytes_max: u64,
    /// The largest payload, in bytes.
    pub payload_bytes_max: u64,
    /// Held batches that are still the worker's. Every other one is to be dropped.
    pub keep: Vec<BatchId>,
    /// The orchestrator's incarnation; empty from one that does not say.
    #[serde(default)]
    pub orchestrator: String,
    /// The orchestrators that there are, this one among them; empty from one that does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
}

/// Steps to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The batch.
    pub batch: BatchId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The steps.
    pub steps: Vec<StepTask>,
}

/// One step of a batch: all that the worker needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTask {
    /// The task.
    pub task: TaskId,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// The step's name in the template.
    pub name: String,
    /// The handler within the plugin.
    pub handler: String,
    /// The component to run.
    pub plugin: Digest,
    /// Its plugin as `namespace/name`; empty from an orchestrator that does not say.
    #[serde(default)]
    pub plugin_name: String,
    /// Its plugin's version.
    #[serde(default)]
    pub plugin_version: String,
    /// The namespace of the task's template.
    #[serde(default)]
    pub namespace: String,
    /// Failed attempts allowed in all.
    pub retry_limit: u32,
    /// The same for every attempt of this step.
    pub idempotency_key: String,
    /// The longest that the attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// What the attempt may use.
    pub limits: StepLimits,
    /// The step's configuration.
    pub config: Payload,
    /// What the task was started with.
    pub context: Payload,
    /// Outputs of the direct parents by step name, in the template's order.
    pub parents: Vec<(String, Payload)>,
    /// The task's labels.
    pub tags: Vec<(String, String)>,
}

/// What is recorded for good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ack {
    /// Attempts whose outcome is recorded, or was refused for good: the worker forgets them.
    pub outcomes: Vec<AttemptKey>,
    /// Batches whose completion was reconciled: the worker forgets them.
    pub reconciled: Vec<BatchId>,
}

/// What to send again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resend {
    /// The attempts whose outcome is missing.
    pub attempts: Vec<AttemptKey>,
}

/// What to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The attempts.
    pub attempts: Vec<AttemptKey>,
}

/// Why to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// For people.
    pub reason: String,
}

/// An orchestrator's sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrchestratorHeartbeat {
    /// The orchestrators that there are, whenever that has changed; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// The worker's offer with this number is what counts from here on, and nothing sent before was beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<u64>,
}

/// An orchestrator that workers may go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its incarnation.
    pub incarnation: String,
    /// Where it is reached: `ipc://machine/path` by workers of the same machine, `tcp://host:port` through its gate, with `/N`
    /// after it for the N-th pump of its process. A worker passes over those that it cannot read.
    pub endpoints: Vec<String>,
}

/// A part of a component. The worker checks the whole against its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentPart {
    /// The component.
    pub digest: Digest,
    /// Where the part begins.
    pub offset: u64,
    /// Bytes of the whole component.
    pub total: u64,
    /// The part's bytes in base64 (RFC 4648, with padding).
    pub data: String,
    /// Who vouches for the component; only beside the part that begins at 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
    /// Why there is nothing to send, in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl ComponentPart {
    /// Bytes as they stand in `data`.
    pub fn data_of(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    /// The part's bytes, or what is wrong with them.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        BASE64.decode(&self.data).map_err(|error| error.to_string())
    }
}

/// A signature over a component's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose it is: the public key, as it stands in settings.
    pub key: String,
    /// The signature in base64.
    pub signature: String,
}

/// Why the peer is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// One sentence that says what was wrong and what would be right.
    pub reason: String,
}
