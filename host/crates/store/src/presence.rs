//! Orchestrators that say that they are there.

use serde::Serialize;
use stepwright_workflow::{Payload, Timestamp};

use crate::Result;
use crate::column::{json, number, payload};

/// An orchestrator that says that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrchestrator {
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
    /// Where workers reach it, as in [`OrchestratorRecord::endpoints`].
    pub endpoints: Vec<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// What it has counted since, as JSON.
    pub totals: Payload,
}

impl NewOrchestrator {
    /// What a restart does not change: where it is reached. One that cannot be reached has only itself.
    pub fn place(&self) -> &str {
        self.endpoints.first().unwrap_or(&self.incarnation)
    }
}

/// An orchestrator that has said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrchestratorRecord {
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
    /// Where workers reach it: `ipc://machine/path` for those of the same machine, `tcp://host:port` for a gate.
    pub endpoints: Vec<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last said that it is there.
    pub seen_at: Timestamp,
    /// What it had counted by then since it started, as JSON: a number for each name.
    pub totals: Payload,
    /// Links of workers that it speaks for.
    pub workers: u64,
}

/// An orchestrator's row.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `OrchestratorRecord`")]
pub struct OrchestratorRow {
    pub incarnation: String,
    pub host: String,
    pub pid: i64,
    pub pump: i64,
    pub pumps: i64,
    pub endpoints: String,
    pub started_at: i64,
    pub seen_at: i64,
    pub totals: String,
    pub workers: i64,
}

impl OrchestratorRow {
    /// What the row says.
    pub fn record(self) -> Result<OrchestratorRecord> {
        Ok(OrchestratorRecord {
            incarnation: self.incarnation,
            host: self.host,
            pid: number("orchestrators.pid", self.pid)?,
            pump: number("orchestrators.pump", self.pump)?,
            pumps: number("orchestrators.pumps", self.pumps)?,
            endpoints: json("orchestrators.endpoints", &self.endpoints)?,
            started_at: Timestamp(self.started_at),
            seen_at: Timestamp(self.seen_at),
            totals: payload("orchestrators.totals", self.totals)?,
            workers: number("count of workers", self.workers)?,
        })
    }
}
