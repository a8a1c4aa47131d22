//! The database under a workload: a fresh file, or a fresh database on a server whose commits wait for the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use stepwright_postgres_harness::{Database, Durability};
use stepwright_store::Store;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};

/// The name of a database that is a file.
pub(crate) const FILE: &str = "stepwright.db";

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Engine {
    /// A file on the disk below the current directory.
    Sqlite,
    /// The server that `DATABASE_URL` names, or a throw-away cluster.
    Postgres,
}

impl Engine {
    /// The engine of a name, as it follows `--store`.
    pub(crate) fn named(name: Option<&str>) -> anyhow::Result<Self> {
        match name {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres") => Ok(Self::Postgres),
            other => bail!("--store: {other:?} is no engine; there are sqlite and postgres"),
        }
    }

    /// Its name in the figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// An empty database; what must be kept alive beside the store comes with it.
    pub(crate) async fn open(self, folder: &Path) -> anyhow::Result<(Arc<dyn Store>, Option<Database>)> {
        match self {
            Self::Sqlite => {
                let path = folder.join(FILE);
                Ok((Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await?), None))
            }
            Self::Postgres => {
                let database = durable().await;
                let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await?;
                Ok((Arc::new(store), Some(database)))
            }
        }
    }

    /// How many small rows are committed durably in a second, one after another.
    pub(crate) async fn commits_per_s(self, folder: &Path, measured: Duration) -> anyhow::Result<f64> {
        const TABLE: &str = "CREATE TABLE floor (id INTEGER, text TEXT)";
        const INSERT: &str = "INSERT INTO floor (id, text) VALUES (1, 'two hundred bytes or less')";
        let begun;
        let mut commits = 0_u32;
        match self {
            Self::Sqlite => {
                let options = SqliteConnectOptions::new()
                    .filename(folder.join("floor.db"))
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                let mut connection = options.connect().await?;
                sqlx::query(TABLE).execute(&mut connection).await?;
                begun = Instant::now();
                while begun.elapsed() < measured {
                    sqlx::query(INSERT).execute(&mut connection).await?;
                    commits += 1;
                }
                connection.close().await.context("failed to close the floor's database")?;
            }
            Self::Postgres => {
                let database = durable().await;
                let mut connection = PgConnection::connect(&database.url()).await?;
                sqlx::query(TABLE).execute(&mut connection).await?;
                begun = Instant::now();
                while begun.elapsed() < measured {
                    sqlx::query(INSERT).execute(&mut connection).await?;
                    commits += 1;
                }
                connection.close().await.context("failed to close the floor's database")?;
            }
        }
        Ok(f64::from(commits) / begun.elapsed().as_secs_f64())
    }
}

async fn durable() -> Database {
    #[allow(clippy::disallowed_methods, reason = "the benchmarks' own setting")]
    match std::env::var("DATABASE_URL") {
        Ok(_) => Database::fresh().await,
        Err(_) => Database::of_its_own(Durability::Full).await,
    }
}

/// Where the server's log of changes ends, in bytes.
pub(crate) async fn wal_bytes(database: &Database) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(&database.url()).await?;
    let bytes = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint");
    let bytes = bytes.fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(bytes)
}
