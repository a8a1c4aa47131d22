//! The schema's migrations: embedded in the program, applied in order, never edited.

use serde::Serialize;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::sqlite::SqliteConnection;

/// Everything below `migrations/sqlite`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/sqlite");

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// Every migration that this program knows, in order.
    pub migrations: Vec<Migration>,
    /// Versions that the database has and this program does not know: it is older than the database.
    pub unknown: Vec<i64>,
}

impl SchemaStatus {
    /// Whether nothing is left to do.
    pub fn is_current(&self) -> bool {
        self.unknown.is_empty() && self.migrations.iter().all(|migration| migration.applied)
    }
}

/// Compares the database with the program.
pub(crate) async fn status(connection: &mut SqliteConnection) -> Result<SchemaStatus, MigrateError> {
    let table = &*MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await?;
    let applied: Vec<i64> = connection
        .list_applied_migrations(table)
        .await?
        .into_iter()
        .map(|migration| migration.version)
        .collect();
    let migrations: Vec<Migration> = MIGRATIONS
        .iter()
        .map(|migration| Migration {
            version: migration.version,
            name: migration.description.to_string(),
            applied: applied.contains(&migration.version),
        })
        .collect();
    let unknown = applied.into_iter().filter(|version| !MIGRATIONS.version_exists(*version)).collect();
    Ok(SchemaStatus { migrations, unknown })
}

/// Applies what is missing.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    MIGRATIONS.run(connection).await
}
