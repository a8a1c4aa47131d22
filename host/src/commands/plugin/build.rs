//! `plugin build`: the language's own tools do the work; what comes out is inspected, and registered if wanted.

use std::path::PathBuf;

use super::project::Project;
use super::{Identity, Inspector, add};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::when;

pub(super) const EXAMPLES: &str = "\
A directory with a Cargo.toml is built with 'cargo build --release --target wasm32-wasip2', one with a stepwright.plugin.toml \
with the commands in it; tools that are missing are fetched into the project first.

Examples:
  stepwright plugin build plugins/shop
  stepwright plugin build plugins/shop --add";

/// What to build.
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArguments {
    /// The plugin's directory, or its Cargo.toml or stepwright.plugin.toml.
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Register it when it is built.
    #[arg(long)]
    add: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(crate) async fn run(arguments: &BuildArguments, context: &Context) -> Result<Exit, CliError> {
    let files = Project::find(&arguments.path)?.build().await?;
    if files.len() > 1 && arguments.identity.is_given() {
        return Err(CliError::new("--name and --version are for one plugin; this builds several"));
    }
    let inspector = if arguments.add { Inspector::keeping(context)? } else { Inspector::start(context)? };
    let mut components = inspector.look_all(&files).await?;
    if arguments.add {
        return add::register(components, &arguments.identity, context).await;
    }
    let built = components.iter_mut().map(|component| {
        let description = &mut component.inspection.description;
        arguments.identity.apply(description);
        Built {
            file: component.file.clone(),
            bytes: component.inspection.bytes,
            plugin: format!("{}@{}", description.name, description.version),
            handlers: description.handlers.iter().map(|handler| handler.name.clone()).collect(),
        }
    });
    tell(&Report { plugins: built.collect() }, context)
}

#[derive(serde::Serialize)]
struct Built {
    file: String,
    bytes: u64,
    plugin: String,
    handlers: Vec<String>,
}

#[derive(serde::Serialize)]
struct Report {
    plugins: Vec<Built>,
}

fn tell(report: &Report, context: &Context) -> Result<Exit, CliError> {
    if context.json {
        output::json(report)?;
        return Ok(Exit::Good);
    }
    for Built { file, bytes, plugin, handlers } in &report.plugins {
        output::line(format_args!(
            "{file}: {plugin}, {}, with {}",
            when::bytes(*bytes),
            handlers.join(", ")
        ))?;
        output::hint(format_args!("register it with 'stepwright plugin add {file}'"));
    }
    Ok(Exit::Good)
}
