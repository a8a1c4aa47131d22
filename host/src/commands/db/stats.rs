//! `db stats`: how much room everything takes, and how much of it a prune would give back.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store::{DatabaseSize, Store, TableSize, TaskFilter};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{TaskId, Timestamp};

use super::prune::{Age, Due, due, told};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone, task_tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// What a prune would be told.
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    age: Age,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Stats {
    database: String,
    size: DatabaseSize,
    /// Tasks by state.
    tasks: BTreeMap<TaskState, u64>,
    oldest_unfinished: Option<Oldest>,
    /// What a prune would remove by state; `None` where nothing says how long tasks are kept.
    due: Option<Due>,
}

#[derive(Serialize)]
struct Oldest {
    task: TaskId,
    state: TaskState,
    created_at: Timestamp,
}

pub(super) async fn run(arguments: &StatsArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let mut options = context.config.pruner();
    options.keep_ms = arguments.age.keep_ms(&options);
    let wanted = !options.keeps_every_task();
    let stats = Stats {
        database: context.config.database.to_string(),
        size: store.size().await?,
        tasks: store.task_counts().await?.into_iter().collect(),
        oldest_unfinished: oldest(&*store).await?,
        due: if wanted { Some(due(&*store, &options.expiry(context.now())).await?) } else { None },
    };
    if context.json {
        output::json(&stats)?;
    } else {
        output::line(render(&stats, context.now(), Paint::stdout()))?;
        if stats.due.is_none() {
            output::hint("nothing is removed by itself: no setting retention.* says how long tasks are kept");
        }
    }
    Ok(Exit::Good)
}

/// The unfinished task with the smallest id, from the index of the unfinished.
async fn oldest(store: &dyn Store) -> Result<Option<Oldest>, CliError> {
    let Some(task) = store.audit(TaskId(0), 1).await?.pop().map(|audited| audited.task) else {
        return Ok(None);
    };
    let only =
        TaskFilter { before: Some(TaskId(task.0.saturating_add(1))), limit: 1, ..TaskFilter::default() };
    let found = store.tasks(&only).await?.pop().filter(|found| found.id == task);
    Ok(found.map(|found| Oldest { task, state: found.state, created_at: found.created_at }))
}

fn render(stats: &Stats, now: Timestamp, paint: Paint) -> String {
    let size = &stats.size;
    let free = size.free_bytes.map(|free| format!(", {} of it free", when::bytes(free)));
    let mut parts =
        vec![format!("{}: {}{}", stats.database, when::bytes(size.bytes), free.unwrap_or_default())];
    parts.push(tables(&size.tables, now, paint));
    if !stats.tasks.is_empty() {
        let mut columns = Columns::new(&["TASKS", "STATE"]).right(&[0]);
        for (state, count) in &stats.tasks {
            columns.row([count.into(), Entry::toned(task_tone(*state), state)]);
        }
        parts.push(columns.render(paint));
    }
    parts.push(match &stats.oldest_unfinished {
        Some(Oldest { task, state, created_at }) => {
            format!("oldest unfinished task: {task}, {state}, created {}", when::ago(now, *created_at))
        }
        None => "no task is unfinished".to_owned(),
    });
    parts.extend(stats.due.as_ref().map(told));
    parts.join("\n\n")
}

fn tables(tables: &[TableSize], now: Timestamp, paint: Paint) -> String {
    let names = ["TABLE", "ROWS", "DEAD ROWS", "BYTES", "INDEXES", "EMPTY", "RECLAIMED"];
    let mut columns = Columns::new(&names).right(&[1, 2, 3, 4, 5]);
    for table in tables {
        columns.row([
            (&table.name).into(),
            table.rows.into(),
            dead(table),
            when::bytes(table.bytes).into(),
            when::bytes(table.index_bytes).into(),
            table.unused_bytes.map(when::bytes).unwrap_or_default().into(),
            table.vacuumed_at.map(|at| when::ago(now, at)).unwrap_or_default().into(),
        ]);
    }
    columns.render(paint)
}

/// Dead rows with their share, which stands out where a vacuum is overdue: beyond what PostgreSQL's own default lets be.
fn dead(table: &TableSize) -> Entry {
    let Some(dead) = table.dead_rows else { return String::new().into() };
    let percent = dead.saturating_mul(100) / (table.rows + dead).max(1);
    let text = format!("{dead} ({percent} %)");
    if percent > 20 && dead > 10_000 { Entry::toned(Tone::Bad, text) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_one_line() {
        let table = TableSize {
            name: "steps".to_owned(),
            rows: 75,
            dead_rows: Some(25),
            bytes: 1_536,
            index_bytes: 512,
            unused_bytes: None,
            vacuumed_at: Some(Timestamp(0)),
        };
        let shown = tables(&[table], Timestamp(5_000), Paint::PLAIN);
        let cells: Vec<&str> = shown
            .lines()
            .last()
            .unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        assert_eq!(cells, ["steps", "75", "25 (25 %)", "1.5 KiB", "512 B", "-", "5 s ago"]);
    }

    #[test]
    fn the_whole_is_told_with_what_a_prune_would_do() {
        let stats = Stats {
            database: "db".to_owned(),
            size: DatabaseSize { bytes: 2_048, free_bytes: Some(1_024), tables: Vec::new() },
            tasks: BTreeMap::from([(TaskState::Complete, 3)]),
            oldest_unfinished: Some(Oldest {
                task: TaskId(7),
                state: TaskState::Error,
                created_at: Timestamp(0),
            }),
            due: Some(Due::new()),
        };
        let shown = render(&stats, Timestamp(60_000), Paint::PLAIN);
        assert!(shown.starts_with("db: 2.0 KiB, 1.0 KiB of it free\n"), "{shown}");
        assert!(shown.contains("oldest unfinished task: 7, error, created 1 min 0 s ago"), "{shown}");
        assert!(shown.ends_with("no task is old enough to be removed"), "{shown}");
    }
}
