//! Who is there, templates, tokens, and how the process itself is.

use serde::Serialize;
use stepwright_store::{OrchestratorRecord, TokenRecord, WorkerRecord};
use utoipa::ToSchema;

use super::{Json, word};

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(pattern = "^ok$")]
    pub status: &'static str,
    /// The version of the host.
    pub version: String,
}

/// Whether it can work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, or `unavailable` if a check failed.
    #[schema(pattern = "^(ready|unavailable)$")]
    pub status: &'static str,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// `process`, `database` or `orchestrator`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong.
    pub detail: Option<String>,
}

/// A template's version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Template {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// When it was registered.
    pub registered_at: i64,
}

impl From<stepwright_store::TemplateRecord> for Template {
    fn from(record: stepwright_store::TemplateRecord) -> Self {
        let stepwright_store::TemplateRecord { namespace, name, version, registered_at } = record;
        Self { namespace, name, version, registered_at: registered_at.0 }
    }
}

/// Registered templates, by namespace, name and registration.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateList {
    /// They.
    pub templates: Vec<Template>,
}

/// A template's version with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateWithSource {
    /// Which one it is.
    #[serde(flatten)]
    pub template: Template,
    /// The YAML text as written.
    pub source: String,
}

/// A template that was registered, or had been with the same text.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredTemplate {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Whether it is new.
    pub created: bool,
}

/// What new tasks of a template run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedPlan {
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub name: String,
    /// The template's version.
    pub version: String,
    /// The environment that it is resolved for.
    pub environment: String,
    /// JSON Schema of the context; null if there is none.
    #[schema(value_type = Json)]
    pub input_schema: Option<Json>,
    /// The steps, parents before their children.
    pub steps: Vec<ResolvedStep>,
}

/// A step of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedStep {
    /// Its name.
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The plugin's component.
    pub digest: String,
    /// The handler in it.
    pub handler: String,
    /// Names of its parents.
    pub parents: Vec<String>,
    /// What the template gives it.
    pub config: Json,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// When it is tried again: `limit`, `backoff`, `base_ms`, `cap_ms`, `retry_after_cap_ms`.
    #[schema(value_type = Object)]
    pub retry: Json,
    /// Limits of its own: `memory_bytes_max`, `cpu_ms_max`, `output_bytes_max`.
    #[schema(value_type = Object)]
    pub limits: Json,
}

/// A worker's incarnation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Worker {
    /// Its id.
    pub id: i64,
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
    /// What became of it.
    pub state: word::WorkerState,
    /// When it joined.
    pub joined_at: i64,
    /// When its lease was last renewed, or it ended.
    pub seen_at: i64,
    /// Steps that it holds now.
    pub steps_held: u64,
}

impl From<WorkerRecord> for Worker {
    fn from(worker: WorkerRecord) -> Self {
        let WorkerRecord { id, name, incarnation, host, pid, slots, state, joined_at, seen_at, steps_held } =
            worker;
        Self {
            id: id.0,
            name,
            incarnation,
            host,
            pid,
            slots,
            state: state.into(),
            joined_at: joined_at.0,
            seen_at: seen_at.0,
            steps_held,
        }
    }
}

/// Workers, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerList {
    /// They.
    pub workers: Vec<Worker>,
}

/// An orchestrator that has said that it is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct Orchestrator {
    /// Its incarnation.
    pub incarnation: String,
    /// Its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Which pump of its process it is, counted from 1.
    pub pump: u32,
    /// How many that process has.
    pub pumps: u32,
    /// Where workers reach it.
    pub endpoints: Vec<String>,
    /// When it started.
    pub started_at: i64,
    /// When it last said that it is there.
    pub seen_at: i64,
    /// What it had counted by then since it started: a number for each name.
    #[schema(value_type = Object)]
    pub totals: Json,
    /// Links of workers that it speaks for.
    pub workers: u64,
}

impl From<OrchestratorRecord> for Orchestrator {
    fn from(record: OrchestratorRecord) -> Self {
        let OrchestratorRecord { incarnation, host, pid, pump, pumps, endpoints, .. } = record;
        Self {
            incarnation,
            host,
            pid,
            pump,
            pumps,
            endpoints,
            started_at: record.started_at.0,
            seen_at: record.seen_at.0,
            totals: Json(record.totals),
            workers: record.workers,
        }
    }
}

/// Orchestrators, by their start.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrchestratorList {
    /// They.
    pub orchestrators: Vec<Orchestrator>,
}

/// A token. Nobody can read its secret any more.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    pub name: String,
    /// What it opens.
    pub scope: word::TokenScope,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// When it last let somebody in.
    pub used_at: Option<i64>,
    /// From when it is not valid any more.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

impl From<TokenRecord> for Token {
    fn from(token: TokenRecord) -> Self {
        let TokenRecord { id, name, scope, created_at, created_by, used_at, expires_at, revoked_at } = token;
        Self {
            id: id.0,
            name,
            scope: scope.into(),
            created_at: created_at.0,
            created_by,
            used_at: used_at.map(|at| at.0),
            expires_at: expires_at.map(|at| at.0),
            revoked_at: revoked_at.map(|at| at.0),
        }
    }
}

/// Every token there ever was, by name and id.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// They.
    pub tokens: Vec<Token>,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    /// The token.
    pub token: Token,
    /// Its secret: here, and never again.
    pub secret: String,
}
