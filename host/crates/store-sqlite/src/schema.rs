//! The schema's migrations: embedded in the program, applied in order, never edited.

use std::collections::BTreeMap;

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
    /// Versions whose migration was another one when it was applied: the schema is not what this program expects.
    pub changed: Vec<i64>,
}

impl SchemaStatus {
    /// Why this program must not touch the database, if so.
    pub(crate) fn refusal(&self) -> Option<String> {
        if let Some(version) = self.unknown.first() {
            return Some(format!(
                "its schema has version {version}, made by a newer stepwright; upgrade this one"
            ));
        }
        let version = self.changed.first()?;
        Some(format!(
            "the migration {version} was changed after it was applied here; use the stepwright that made the database"
        ))
    }

    /// Whether nothing is left to do.
    pub fn is_current(&self) -> bool {
        self.unknown.is_empty()
            && self.changed.is_empty()
            && self.migrations.iter().all(|migration| migration.applied)
    }
}

/// Compares the database with the program.
pub(crate) async fn status(connection: &mut SqliteConnection) -> Result<SchemaStatus, MigrateError> {
    let table = &*MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await?;
    let checksums: BTreeMap<i64, _> = connection
        .list_applied_migrations(table)
        .await?
        .into_iter()
        .map(|migration| (migration.version, migration.checksum))
        .collect();
    let migrations: Vec<Migration> = MIGRATIONS
        .iter()
        .map(|migration| Migration {
            version: migration.version,
            name: migration.description.to_string(),
            applied: checksums.contains_key(&migration.version),
        })
        .collect();
    let differs = |migration: &&sqlx::migrate::Migration| {
        checksums.get(&migration.version).is_some_and(|checksum| *checksum != migration.checksum)
    };
    let changed = MIGRATIONS.iter().filter(differs).map(|migration| migration.version).collect();
    let unknown = checksums.into_keys().filter(|version| !MIGRATIONS.version_exists(*version)).collect();
    Ok(SchemaStatus { migrations, unknown, changed })
}

/// Applies what is missing.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    MIGRATIONS.run(connection).await
}
