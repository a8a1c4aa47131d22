//! The database that the settings name, whichever it is.

use std::path::PathBuf;
use std::sync::Arc;

use stepwright_store::Store;
use stepwright_store::schema::SchemaStatus;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_store_sqlite::{LockError, OrchestratorLock, SqliteOptions, SqliteStore};

use crate::config::Database;
use crate::context::Context;
use crate::error::CliError;

/// An open database.
pub(crate) enum Opened {
    /// A SQLite file.
    File(SqliteStore),
    /// A PostgreSQL database.
    Server(Box<PostgresStore>),
}

impl Opened {
    /// Opens it, with its schema brought up to date.
    pub(crate) async fn current(context: &Context) -> Result<Self, CliError> {
        Self::open(context, true).await
    }

    /// Opens it whatever its schema, to ask for its status.
    pub(crate) async fn unchecked(context: &Context) -> Result<Self, CliError> {
        Self::open(context, false).await
    }

    async fn open(context: &Context, check: bool) -> Result<Self, CliError> {
        context.make_data_dir()?;
        Ok(match &context.config.database {
            Database::File(path) => {
                let options = SqliteOptions { check, ..SqliteOptions::default() };
                Self::File(SqliteStore::open(path, options).await?)
            }
            Database::Server(url) => {
                // A pump holds a connection for its rounds, and another for a moment at each tick.
                let usual = PostgresOptions::default();
                let further = context.config.pumps - 1;
                let options = PostgresOptions {
                    check,
                    writers_max: usual.writers_max + further,
                    readers_max: usual.readers_max + further,
                    ..usual
                };
                Self::Server(Box::new(PostgresStore::connect(url, options).await?))
            }
        })
    }

    /// The store.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::File(store) => Arc::new(store.clone()),
            Self::Server(store) => Arc::new(PostgresStore::clone(store)),
        }
    }

    /// Which migrations it has.
    pub(crate) async fn schema_status(&self) -> Result<SchemaStatus, CliError> {
        Ok(match self {
            Self::File(store) => store.schema_status().await?,
            Self::Server(store) => store.schema_status().await?,
        })
    }

    /// Takes what only one orchestrator may have: a database file, or at a server its run directory.
    pub(crate) fn lock(&self, context: &Context) -> Result<OrchestratorLock, CliError> {
        let run_dir = &context.config.run_dir;
        match &context.config.database {
            Database::File(path) => Ok(OrchestratorLock::take(path)?),
            Database::Server(_) => {
                stepwright_transport::zmq::private_folder(run_dir)?;
                OrchestratorLock::take(&run_dir.join("orchestrator")).map_err(|error| match error {
                    LockError::Held { pid, .. } => CliError::new(format!(
                        "another orchestrator{} serves the run directory {}; give this one a directory of its own with --run-dir",
                        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
                        run_dir.display()
                    )),
                    other => other.into(),
                })
            }
        }
    }
}

/// The database file, where there is one and it is missing.
pub(crate) fn missing_file(database: &Database) -> Option<&PathBuf> {
    match database {
        Database::File(path) if !path.exists() => Some(path),
        _ => None,
    }
}
