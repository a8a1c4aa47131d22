//! `stepwright db`: the schema, the room that is taken, and what is removed.

mod prune;
mod stats;

use serde_json::json;
use stepwright_store::schema::SchemaStatus;

use crate::cli::DbCommand;
use crate::context::Context;
use crate::database::{Opened, missing_file};
use crate::error::{CliError, Exit};

pub(crate) use prune::PruneArguments;
pub(crate) use stats::StatsArguments;

/// Runs one of them.
pub(super) async fn run(command: &DbCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        DbCommand::Migrate => migrate(context).await,
        DbCommand::Status => status(context).await,
        DbCommand::Prune(arguments) => prune::run(arguments, context).await,
        DbCommand::Stats(arguments) => stats::run(arguments, context).await,
    }
}

async fn migrate(context: &Context) -> Result<Exit, CliError> {
    let opened = Opened::current(context).await?;
    let status = opened.schema_status().await?;
    opened.store().close().await;
    let last = status.migrations.last().map_or(0, |migration| migration.version);
    if context.json {
        println!("{}", json!({ "version": last, "current": status.is_current() }));
    } else {
        println!("{} is at version {last}", context.config.database);
    }
    Ok(Exit::Good)
}

async fn status(context: &Context) -> Result<Exit, CliError> {
    let database = &context.config.database;
    if let Some(path) = missing_file(database) {
        let message = format!("there is no database {}; 'stepwright db migrate' makes one", path.display());
        return Err(CliError::new(message));
    }
    let opened = Opened::unchecked(context).await?;
    let status = opened.schema_status().await?;
    let store = opened.store();
    let counts = if status.is_current() { store.task_counts().await? } else { Vec::new() };
    store.close().await;
    if context.json {
        let tasks: serde_json::Map<_, _> =
            counts.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
        println!(
            "{}",
            json!({ "database": database.to_string(), "schema": status, "current": status.is_current(), "tasks": tasks })
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
    for version in &status.changed {
        println!("{version:>10} changed since it was applied: made by another stepwright");
    }
}
