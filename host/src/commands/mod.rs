//! What each verb does. Stdout is for data, stderr for everything else.

pub(crate) mod analytics;
pub(crate) mod batch;
mod completions;
pub(crate) mod conformance;
pub(crate) mod db;
mod dev;
pub(crate) mod doctor;
pub(crate) mod grants;
mod health;
mod orchestrate;
pub(crate) mod orchestrator;
pub(crate) mod pause;
pub(crate) mod plugin;
mod services;
mod settings;
pub(crate) mod slowest;
pub(crate) mod task;
pub(crate) mod template;
pub(crate) mod token;
pub(crate) mod webhook;
mod work;
pub(crate) mod worker;

use std::sync::Arc;

use crate::cli::{Cli, Command, OrchestrateFlags, WorkFlags};
use crate::clock::SystemClock;
use crate::config::{self, CommandFlags, Config};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::telemetry;

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<Exit, CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Completions { shell } => return completions::print(shell),
        // Before there is any thread, or anything read that a component could be after.
        Command::CompileComponent => return compile_component(),
        _ => {}
    }
    let flags = match &command {
        Command::Dev(dev) => {
            let work = WorkFlags { common: dev.common.clone(), ..WorkFlags::default() };
            let orchestrate = OrchestrateFlags {
                api_listen: dev.api_listen.clone(),
                gate_listen: dev.gate_listen.clone(),
                ..OrchestrateFlags::default()
            };
            CommandFlags { work, orchestrate }
        }
        Command::Work(work) => CommandFlags { work: work.clone(), ..CommandFlags::default() },
        Command::Orchestrate(orchestrate) => {
            CommandFlags { orchestrate: orchestrate.clone(), ..CommandFlags::default() }
        }
        _ => CommandFlags::default(),
    };
    let (layers, config) = config::load(&global, &flags)?;
    if let Command::Config(command) = command {
        return settings::run(&command, &layers, global.json);
    }
    telemetry::start(&config)?;
    let runtime = runtime(&config)?;
    let context = Context { config, clock: Arc::new(SystemClock), json: global.json, observations: None };
    runtime.block_on(dispatch(command, &context))
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit, CliError> {
    match command {
        Command::Dev(arguments) => dev::run(&arguments, context).await,
        Command::Orchestrate(_) => orchestrate::run(context).await,
        Command::Work(_) => work::run(context).await,
        Command::Template(command) => template::run(command, context).await,
        Command::Plugin(command) => plugin::run(command, context).await,
        Command::Grants(command) => grants::run(command, context).await,
        Command::Task(command) => task::run(command, context).await,
        Command::Batch(command) => batch::run(command, context).await,
        Command::Worker(command) => worker::run(command, context).await,
        Command::Pause(arguments) => pause::pause(arguments, context).await,
        Command::Resume(arguments) => pause::resume(arguments, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::Webhook(command) => webhook::run(command, context).await,
        Command::Orchestrator(command) => orchestrator::run(command, context).await,
        Command::Doctor(arguments) => doctor::run(&arguments, context).await,
        Command::Conformance(arguments) => conformance::run(arguments, context).await,
        Command::Analytics(arguments) => analytics::run(&arguments, context).await,
        Command::Slowest(command) => slowest::run(command, context).await,
        Command::Health => health::run(context).await,
        Command::Db(command) => db::run(&command, context).await,
        // These need neither runtime nor context, and were done before.
        Command::Config(_) | Command::Completions { .. } | Command::CompileComponent => Ok(Exit::Good),
    }
}

/// The process that a host starts for each component that it compiles.
fn compile_component() -> Result<Exit, CliError> {
    stepwright_executor::compiler::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Exit::Good)
}

fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all();
    if config.threads > 0 {
        builder.worker_threads(config.threads);
    }
    builder.build().map_err(|error| CliError::caused("failed to start the runtime", &error))
}
