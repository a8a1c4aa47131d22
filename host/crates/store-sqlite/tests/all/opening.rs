//! Opening a file, its schema's version, and the orchestrator's lock.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use stepwright_store::schema::SchemaStatus;
use stepwright_store::{Store as _, StoreError};
use stepwright_store_sqlite::{LockError, OrchestratorLock, SqliteOptions, SqliteStore};
use stepwright_workflow::Timestamp;

use crate::file;

async fn refusal(path: &Path, options: SqliteOptions) -> String {
    match SqliteStore::open(path, options).await.unwrap_err() {
        error @ StoreError::Unavailable { .. } => error.to_string(),
        other => panic!("{other}"),
    }
}

async fn status(path: &Path) -> SchemaStatus {
    let unchecked = SqliteOptions { check: false, ..SqliteOptions::default() };
    let store = SqliteStore::open(path, unchecked).await.unwrap();
    let status = store.schema_status().await.unwrap();
    store.close().await;
    status
}

async fn raw(path: &Path, sql: &'static str) {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_current() {
    let (store, folder) = file().await;
    let path = folder.path().join("tasks.db");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    store.close().await;
    let status = status(&path).await;
    assert!(status.is_current());
    assert!(!status.migrations.is_empty());
    assert!(status.migrations.iter().all(|migration| migration.applied && !migration.name.is_empty()));
}

/// Which `.cargo/config.toml` asks for.
#[tokio::test]
async fn the_engine_plans_a_statement_once_and_counts_no_memory() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let options: Vec<String> =
        sqlx::query_scalar("PRAGMA compile_options").fetch_all(&mut connection).await.unwrap();
    let has = |wanted: &str| options.iter().any(|option| option == wanted);
    assert!(has("ENABLE_QPSG") && has("DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!has("ENABLE_MEMORY_MANAGEMENT") && !has("ENABLE_STAT4"), "{options:?}");
}

#[tokio::test]
async fn a_missing_directory_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/tasks.db");
    let refused = refusal(&path, SqliteOptions::default()).await;
    assert!(refused.contains(path.to_str().unwrap()) && refused.contains("does not exist"), "{refused}");
    assert!(!folder.path().join("none").exists());
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    let content = "a shopping list, and certainly no database ".repeat(100);
    fs::write(&text, &content).unwrap();
    let refused = refusal(&text, SqliteOptions::default()).await;
    assert!(refused.contains("it is no SQLite database"), "{refused}");
    assert_eq!(fs::read_to_string(&text).unwrap(), content);
    let refused = refusal(folder.path(), SqliteOptions::default()).await;
    assert!(refused.contains(folder.path().to_str().unwrap()), "{refused}");
}

#[tokio::test]
async fn the_schema_of_a_newer_program_is_refused() {
    let (store, folder) = file().await;
    store.close().await;
    let path = folder.path().join("tasks.db");
    raw(&path, "INSERT INTO _sqlx_migrations VALUES (9999, 'future', '2026-01-01', TRUE, x'00', 1)").await;
    for migrate in [true, false] {
        let refused = refusal(&path, SqliteOptions { migrate, ..SqliteOptions::default() }).await;
        assert!(refused.contains("9999") && refused.contains("newer"), "{refused}");
    }
    assert_eq!(status(&path).await.unknown, [9999]);
}

#[tokio::test]
async fn a_schema_that_is_behind_is_migrated_only_when_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasks.db");
    let behind = SqliteOptions { migrate: false, ..SqliteOptions::default() };
    let refused = refusal(&path, behind.clone()).await;
    assert!(refused.contains("db migrate"), "{refused}");
    let status = status(&path).await;
    assert!(status.migrations.iter().all(|migration| !migration.applied));
    SqliteStore::open(&path, SqliteOptions::default()).await.unwrap().close().await;
    SqliteStore::open(&path, behind).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let (store, folder) = file().await;
    store.close().await;
    let path = folder.path().join("tasks.db");
    raw(&path, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let refused = refusal(&path, SqliteOptions::default()).await;
    assert!(refused.contains("changed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasks.db");
    let opened =
        futures::future::join_all((0..8).map(|_| SqliteStore::open(&path, SqliteOptions::default()))).await;
    for store in opened {
        assert!(!store.unwrap().glance(Timestamp(0)).await.unwrap().claimable);
    }
}

#[test]
fn a_second_orchestrator_is_told_who_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tasks.db");
    let first = OrchestratorLock::take(&database).unwrap();
    let refused = OrchestratorLock::take(&database).unwrap_err();
    assert!(matches!(refused, LockError::Held { pid: Some(pid), .. } if pid == std::process::id()));
    let sentence = refused.to_string();
    assert!(
        sentence.contains(&std::process::id().to_string()) && sentence.contains("tasks.db"),
        "{sentence}"
    );
    OrchestratorLock::take(&folder.path().join("other.db")).unwrap();
    drop(first);
    OrchestratorLock::take(&database).unwrap();
    let nowhere = OrchestratorLock::take(&folder.path().join("none/tasks.db")).unwrap_err();
    assert!(nowhere.to_string().contains("none/tasks.db.lock"), "{nowhere}");
}
