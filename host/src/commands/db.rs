//! `db migrate` and `db status`.

use serde_json::json;
use stepwright_store::Store as _;
use stepwright_store_sqlite::{SchemaStatus, SqliteOptions};

use crate::cli::DbCommand;
use crate::context::Context;
use crate::error::{CliError, Exit};

/// Runs one of them.
pub(super) async fn run(command: &DbCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        DbCommand::Migrate => migrate(context).await,
        DbCommand::Status => status(context).await,
    }
}

async fn migrate(context: &Context) -> Result<Exit, CliError> {
    let store = context.sqlite(SqliteOptions::default()).await?;
    let status = store.schema_status().await?;
    store.close().await;
    let last = status.migrations.last().map_or(0, |migration| migration.version);
    if context.json {
        println!("{}", json!({ "version": last, "current": status.is_current() }));
    } else {
        println!("{} is at version {last}", context.config.database.display());
    }
    Ok(Exit::Good)
}

async fn status(context: &Context) -> Result<Exit, CliError> {
    let path = &context.config.database;
    if !path.exists() {
        let message = format!("there is no database {}; 'stepwright db migrate' makes one", path.display());
        return Err(CliError::new(message));
    }
    let store = context.sqlite(SqliteOptions { check: false, ..SqliteOptions::default() }).await?;
    let status = store.schema_status().await?;
    let counts = if status.is_current() { store.task_counts().await? } else { Vec::new() };
    store.close().await;
    if context.json {
        let tasks: serde_json::Map<_, _> =
            counts.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
        println!(
            "{}",
            json!({ "database": path, "schema": status, "current": status.is_current(), "tasks": tasks })
        );
    } else {
        print(&status);
        for (state, count) in counts {
            println!("{count:>10} tasks {state}");
        }
    }
    Ok(if status.is_current() { Exit::Good } else { Exit::Failed })
}

fn print(status: &SchemaStatus) {
    for migration in &status.migrations {
        let mark = if migration.applied { "applied" } else { "missing" };
        println!("{:>10} {mark}  {}", migration.version, migration.name);
    }
    for version in &status.unknown {
        println!("{version:>10} unknown: made by a newer stepwright");
    }
}
