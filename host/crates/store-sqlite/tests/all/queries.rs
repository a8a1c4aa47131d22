//! How SQLite runs the statements of the hot path: by key or by index, never by reading a whole table.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::file;

macro_rules! hot {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../queries/", $name, ".sql")))),*]
    };
}

/// Every statement of a round, of the pump's ticks and of the pruner; and what reads a task's or a batch's ledger.
const HOT: &[(&str, &str)] = hot![
    "audit",
    "batch",
    "batch_notes",
    "batch_steps",
    "change_steps",
    "claimable",
    "claimable_external",
    "close_batches",
    "complete",
    "count_steps",
    "end",
    "event_bounds",
    "event_row",
    "events",
    "glance",
    "inputs",
    "lease",
    "leased",
    "next_ready_at",
    "notes",
    "open_batches",
    "outputs",
    "park",
    "parked",
    "pauses",
    "plan",
    "plan_by_digest",
    "plans_of",
    "recorded",
    "release",
    "resume",
    "settle",
    "started",
    "step_details",
    "steps_of_task",
    "acquit",
    "suspect",
    "suspects",
    "task_input",
    "task_state",
    "task_states",
    "tasks_with_keys",
    "to_stop",
    "told_to_stop",
    "wake",
    "workers_expired",
    "batches_of",
    "batches_of_task",
    "discrepancies",
    "expired_batches",
    "expired_notes",
    "expired_tasks",
    "prune_attempts",
    "prune_batch_notes",
    "prune_batches",
    "prune_choose",
    "prune_events",
    "prune_note_ids",
    "prune_notes",
    "prune_steps",
    "prune_tasks",
    "workers_adopt",
    "workers_leave",
    "workers_renew",
];

/// What people ask of the whole. They may read all plans, and what other parts of the statement found.
const FIGURES: &[(&str, &str)] = hot![
    "analytics_durations",
    "analytics_steps",
    "analytics_tasks",
    "health_errors",
    "health_queue",
    "health_steps",
    "slowest_steps",
    "slowest_tasks",
];

/// Tables that grow. A partial index is small and may be scanned: it holds nothing but what is wanted.
const GROWING: [&str; 9] =
    ["tasks", "task_inputs", "steps", "attempts", "batches", "workers", "notes", "plans", "events"];
const PARTIAL: [&str; 8] = [
    "steps_claimable",
    "steps_parked",
    "steps_waiting",
    "steps_to_stop",
    "workers_joined",
    "batches_open",
    "tasks_unfinished",
    "notes_discrepancy",
];

/// Tables of what people paused and of what may be killing workers: a few lines at most.
const SMALL: [&str; 2] = ["pauses", "suspects"];

/// How each statement of a file runs.
async fn explained(connection: &mut SqliteConnection, file: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // The plan of an insertion into a parent table names its children, which are read only while a foreign key is violated.
    let parents = |statement: &&str| !statement.contains("INSERT INTO batches");
    for statement in file.split(";\n").filter(parents) {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&mut *connection).await.unwrap();
        lines.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
    }
    lines
}

/// `materialized` are the parameter's items that were written out once.
fn reads_a_whole_table(line: &str, materialized: &[String]) -> bool {
    let Some(scanned) = line.strip_prefix("SCAN ") else { return false };
    // What is not the JSON parameter and not a constant is a table, whatever its alias.
    let table = scanned.split(' ').next().unwrap_or_default();
    let of_json = scanned.contains("VIRTUAL TABLE") || table == "CONSTANT";
    !of_json
        && !SMALL.contains(&table)
        && !materialized.contains(&format!("MATERIALIZE {table}"))
        && !materialized.contains(&format!("CO-ROUTINE {table}"))
        && !PARTIAL.iter().any(|index| scanned.contains(&format!("INDEX {index}")))
}

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let (_store, folder) = file().await;
    let mut connection =
        SqliteConnection::connect(folder.path().join("tasks.db").to_str().unwrap()).await.unwrap();
    for (name, statement) in HOT {
        // The plan of a removal names the children that foreign keys would look for; the connection that removes checks none.
        let keys = if name.starts_with("prune_") { "off" } else { "on" };
        let keys = sqlx::AssertSqlSafe(format!("PRAGMA foreign_keys = {keys}"));
        sqlx::query(keys).execute(&mut connection).await.unwrap();
        let lines = explained(&mut connection, statement).await;
        assert!(!lines.is_empty(), "{name} was not explained");
        let whole: Vec<_> = lines.iter().filter(|line| reads_a_whole_table(line, &lines)).collect();
        assert!(whole.is_empty(), "{name}: {lines:#?}");
    }
}

#[tokio::test]
async fn no_figure_reads_all_tasks_steps_or_attempts() {
    let (_store, folder) = file().await;
    let mut connection =
        SqliteConnection::connect(folder.path().join("tasks.db").to_str().unwrap()).await.unwrap();
    for (name, statement) in FIGURES {
        let lines = explained(&mut connection, statement).await;
        // Statements name tables so, or by their initial.
        let grows = |line: &&String| {
            let scanned = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            scanned.is_some_and(|table| {
                ["tasks", "t", "steps", "s", "attempts", "a", "batches", "b", "workers", "w"].contains(&table)
            })
        };
        let whole = lines.iter().filter(grows).filter(|line| reads_a_whole_table(line, &lines));
        assert_eq!(whole.count(), 0, "{name}: {lines:#?}");
        let rows_of_tasks =
            |line: &&String| line.contains("INDEX tasks_settled") && !line.contains("COVERING");
        assert_eq!(lines.iter().filter(rows_of_tasks).count(), 0, "{name}: {lines:#?}");
        // An index made for one statement reads the whole table first.
        assert!(!lines.iter().any(|line| line.contains("AUTOMATIC")), "{name}: {lines:#?}");
    }
}

#[tokio::test]
async fn claiming_and_waiting_use_their_indexes_without_sorting() {
    let (_store, folder) = file().await;
    let mut connection =
        SqliteConnection::connect(folder.path().join("tasks.db").to_str().unwrap()).await.unwrap();
    for (name, index) in [
        ("claimable", "steps_claimable"),
        ("next_ready_at", "steps_waiting"),
        ("wake", "steps_waiting"),
        ("to_stop", "steps_to_stop"),
        ("workers_expired", "workers_joined"),
        ("open_batches", "batches_open"),
        ("tasks_with_keys", "tasks_idempotency"),
        ("notes", "notes_task"),
    ] {
        let (_, statement) = HOT.iter().find(|(hot, _)| *hot == name).unwrap();
        let lines = explained(&mut connection, statement).await;
        assert!(lines.iter().any(|line| line.contains(&format!("INDEX {index}"))), "{name}: {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("TEMP B-TREE")), "{name}: {lines:#?}");
    }
}

#[tokio::test]
async fn the_check_of_this_file_finds_a_whole_table() {
    let (_store, folder) = file().await;
    let mut connection =
        SqliteConnection::connect(folder.path().join("tasks.db").to_str().unwrap()).await.unwrap();
    for table in GROWING {
        let statement = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN SELECT * FROM {table} AS t"));
        let row = sqlx::query(statement).fetch_one(&mut connection).await.unwrap();
        assert!(reads_a_whole_table(row.get("detail"), &[]), "{table}");
    }
}
