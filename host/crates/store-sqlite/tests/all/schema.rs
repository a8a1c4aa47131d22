//! The schema itself refuses rows that no rule of the tasks allows.

use sqlx::{Connection as _, Executor as _, SqliteConnection};

use stepwright_store::Store as _;

use crate::file;

const WORLD: &str = "
    INSERT INTO plans (id, digest, namespace, name, version, content) VALUES (1, zeroblob(32), 'n', 't', '1', '{}');
    INSERT INTO tasks (id, plan_id, namespace, template, state, priority, created_at) VALUES (1, 1, 'n', 't', 'pending', 0, 0);
    INSERT INTO workers (id, name, incarnation, host, pid, slots, orchestrator, state, lease_until, joined_at, seen_at)
        VALUES (1, 'w', 'i', 'h', 1, 1, 'o', 'joined', 0, 0, 0);
    INSERT INTO batches (id, worker_id, created_at, steps) VALUES (1, 1, 0, '[]');
    INSERT INTO steps (id, plan_id, state, pending_parents, priority) VALUES (65536, 1, 'ready', 0, 0);
    INSERT INTO steps (id, plan_id, state, pending_parents, priority) VALUES (65537, 1, 'pending', 1, 0);
    INSERT INTO attempts (step_id, attempt, batch_id, status, recorded_at, execution_us, cpu_us, memory_bytes_peak)
        VALUES (65536, 1, 1, 'completed', 0, 0, 0, 0);
    PRAGMA foreign_keys = ON;
";

async fn world() -> (SqliteConnection, tempfile::TempDir) {
    let (store, folder) = file().await;
    store.close().await;
    let mut connection =
        SqliteConnection::connect(folder.path().join("tasks.db").to_str().unwrap()).await.unwrap();
    connection.execute(WORLD).await.unwrap();
    (connection, folder)
}

async fn refused(statement: &'static str, word: &str) {
    let (mut connection, _folder) = world().await;
    let error = connection.execute(statement).await.expect_err(statement).to_string();
    assert!(error.contains(word), "{statement}: {error}");
}

#[tokio::test]
async fn states_that_do_not_exist_are_refused() {
    for statement in [
        "UPDATE steps SET state = 'Ready' WHERE id = 65536",
        "UPDATE tasks SET state = 'completed'",
        "UPDATE workers SET state = 'gone'",
        "UPDATE batches SET ended = 'done', closed_at = 1",
        "UPDATE attempts SET status = 'error'",
        "INSERT INTO notes (at, kind, detail) VALUES (0, 'odd', '')",
        "INSERT INTO tokens (name, scope, hash, created_at, created_by) VALUES ('n', 'odd', zeroblob(32), 0, 'ann')",
        "INSERT INTO tokens (name, scope, hash, created_at, created_by) VALUES ('n', 'worker', zeroblob(31), 0, 'ann')",
    ] {
        refused(statement, "CHECK constraint failed").await;
    }
}

#[tokio::test]
async fn steps_that_contradict_themselves_are_refused() {
    for statement in [
        "UPDATE steps SET state = 'pending' WHERE id = 65536",
        "UPDATE steps SET state = 'ready' WHERE id = 65537",
        "UPDATE steps SET state = 'leased', attempt = 1 WHERE id = 65536",
        "UPDATE steps SET state = 'in_progress', batch_id = 1 WHERE id = 65536",
        "UPDATE steps SET state = 'complete', attempt = 1, batch_id = 1 WHERE id = 65536",
        "UPDATE steps SET state = 'error', ready_at = 5 WHERE id = 65536",
        "UPDATE steps SET pending_parents = -1 WHERE id = 65537",
        "UPDATE steps SET failures = -1",
    ] {
        refused(statement, "CHECK constraint failed").await;
    }
    refused("UPDATE steps SET batch_id = 99", "FOREIGN KEY constraint failed").await;
    refused("UPDATE steps SET attempt = 'one'", "cannot store TEXT value in INTEGER column").await;
}

#[tokio::test]
async fn tasks_that_contradict_themselves_are_refused() {
    refused("UPDATE tasks SET finished_at = 1", "CHECK constraint failed").await;
    refused("UPDATE tasks SET state = 'complete'", "CHECK constraint failed").await;
    refused("UPDATE tasks SET state = 'in_progress'", "CHECK constraint failed").await;
    refused("UPDATE tasks SET plan_id = 2", "FOREIGN KEY constraint failed").await;
}

#[tokio::test]
async fn the_ledger_holds_an_attempt_once_and_a_reason_for_each_failure() {
    refused(
        "INSERT INTO attempts (step_id, attempt, batch_id, status, recorded_at, execution_us, cpu_us, memory_bytes_peak)
         VALUES (65536, 1, 1, 'completed', 0, 0, 0, 0)",
        "UNIQUE constraint failed",
    )
    .await;
    refused("UPDATE attempts SET status = 'failed'", "CHECK constraint failed").await;
    refused("UPDATE attempts SET failure = '{}'", "CHECK constraint failed").await;
    refused("UPDATE attempts SET digest = x'00'", "CHECK constraint failed").await;
    refused("UPDATE attempts SET batch_id = 2", "FOREIGN KEY constraint failed").await;
    refused("DELETE FROM steps WHERE id = 65536", "FOREIGN KEY constraint failed").await;
}

#[tokio::test]
async fn keys_are_unique_where_there_are_any() {
    refused(
        "INSERT INTO tasks (plan_id, namespace, template, state, priority, idempotency_key, created_at)
         VALUES (1, 'n', 't', 'pending', 0, 'k', 0), (1, 'n', 't', 'pending', 0, 'k', 0)",
        "UNIQUE constraint failed",
    )
    .await;
    let (mut connection, _folder) = world().await;
    let without = "INSERT INTO tasks (plan_id, namespace, template, state, priority, created_at)
                   VALUES (1, 'n', 't', 'pending', 0, 0), (1, 'n', 't', 'pending', 0, 0)";
    assert_eq!(connection.execute(without).await.unwrap().rows_affected(), 2);
}
