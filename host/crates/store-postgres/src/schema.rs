//! The schema's migrations: embedded in the program, applied in order, never edited.

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use stepwright_store::schema::SchemaStatus;

/// Everything below `migrations/postgres`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/postgres");

/// Compares the database with the program.
pub(crate) async fn status(connection: &mut PgConnection) -> Result<SchemaStatus, MigrateError> {
    let table = &*MIGRATIONS.table_name;
    // Not made here: several programs may look at a new database at once, and only the migration itself holds a lock.
    let made: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await?;
    let applied = if made { connection.list_applied_migrations(table).await? } else { Vec::new() };
    let known = MIGRATIONS
        .iter()
        .map(|migration| (migration.version, migration.description.to_string(), migration.checksum.to_vec()));
    let applied = applied.into_iter().map(|migration| (migration.version, migration.checksum.to_vec()));
    Ok(SchemaStatus::compare(known, applied))
}

/// Applies what is missing. Two processes may do so at once: the second waits for the first.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    MIGRATIONS.run(connection).await
}
