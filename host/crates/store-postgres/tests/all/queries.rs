//! How PostgreSQL runs the statements of the hot path: by key or by a small index, never by reading a whole table.

use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use crate::server;

/// Read by people, or once in a while; they may read as much as they like.
const COLD: &[&str] = &[
    "attempts",
    "batches",
    "plans_in_use",
    "plugins",
    "plugins_change",
    "plugins_remove",
    "plugin_insert",
    "plugin_known",
    "plugin_sign",
    "plugin_versions",
    "plan_insert",
    "step_statistics",
    "table_sizes",
    "task_counts",
    "tasks",
    "template",
    "template_insert",
    "templates",
    "token_insert",
    "tokens",
    "tokens_retire",
    "tokens_revoke",
    "tokens_used",
    "tokens_valid",
    "tokens_valid_named",
    "workers",
    "workers_adopt",
    "workers_expired",
];
/// Tables that hold no more than what waits, what people paused, or who is there.
const SMALL: &[&str] =
    &["catalog", "orchestrators", "pauses", "ready", "stops", "suspects", "webhooks", "workers"];
/// What people ask of the whole; they may read all plans, and who is connected.
const FIGURES: &[&str] = &[
    "analytics_durations",
    "analytics_steps",
    "analytics_tasks",
    "health_errors",
    "health_queue",
    "health_steps",
    "slowest_steps",
    "slowest_tasks",
];
/// What the other engine does in other statements.
const OURS_ALONE: &[&str] = &["batch_ids", "lock", "pauses_kept", "requeue"];
const THEIRS_ALONE: &[&str] = &["last_id", "prune_batch_notes", "told_to_stop"];

fn statements(engine: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../store-{engine}/queries"));
    let mut found: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn both_engines_have_statements_of_the_same_names() {
    let names = |engine, without: &[&str]| -> Vec<String> {
        let names = statements(engine).into_iter().map(|(name, _)| name);
        names.filter(|name| !without.contains(&name.as_str())).collect()
    };
    assert_eq!(names("postgres", OURS_ALONE), names("sqlite", THEIRS_ALONE));
}

/// How a statement runs when nothing is known of its parameters, with a setting that makes reading a whole table the last way.
async fn explained(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    connection.execute("DEALLOCATE ALL").await.unwrap();
    let prepare = AssertSqlSafe(format!("PREPARE hot AS {statement}"));
    connection.execute(prepare).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
    let numbers = statement.split('$').skip(1).filter_map(|rest| {
        rest.split(|end: char| !end.is_ascii_digit()).next().and_then(|number| number.parse::<usize>().ok())
    });
    let parameters = numbers.max().unwrap_or(0);
    let arguments = vec!["NULL"; parameters].join(", ");
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE hot{arguments}"));
    let rows = sqlx::raw_sql(explain).fetch_all(&mut *connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let (_store, database) = server().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    for setting in
        ["enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off", "enable_bitmapscan = off"]
    {
        connection.execute(AssertSqlSafe(format!("SET {setting}"))).await.unwrap();
    }
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for (name, statement) in statements("postgres") {
        if COLD.contains(&name.as_str()) {
            continue;
        }
        let lines = explained(&mut connection, &statement).await;
        assert!(!lines.is_empty(), "{name} was not explained");
        let small = |table: &str| {
            SMALL.contains(&table)
                || (FIGURES.contains(&name.as_str()) && matches!(table, "plans" | "pg_database"))
        };
        let whole = lines.iter().filter(|line| {
            let scanned = line.split_once("Seq Scan on ").map(|(_, table)| table);
            scanned.is_some_and(|table| !small(table.split(' ').next().unwrap_or_default()))
        });
        assert_eq!(whole.count(), 0, "{name}: {lines:#?}");
    }
}
