//! The schema's migrations: embedded in the program, applied in order, never edited.

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::sqlite::SqliteConnection;
use stepwright_store::schema::SchemaStatus;

/// Everything below `migrations/sqlite`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/sqlite");

/// Compares the database with the program.
pub(crate) async fn status(connection: &mut SqliteConnection) -> Result<SchemaStatus, MigrateError> {
    let table = &*MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await?;
    let applied = connection.list_applied_migrations(table).await?;
    let known = MIGRATIONS
        .iter()
        .map(|migration| (migration.version, migration.description.to_string(), migration.checksum.to_vec()));
    let applied = applied.into_iter().map(|migration| (migration.version, migration.checksum.to_vec()));
    Ok(SchemaStatus::compare(known, applied))
}

/// Applies what is missing.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    MIGRATIONS.run(connection).await
}
