//! `stepwright plugin`: the components that run steps.

mod add;
mod attempt;
mod bench;
mod build;
mod inspect;
mod list;
mod new;
mod project;
mod run;
mod stats;
mod test;
pub(crate) mod watch;

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use semver::Version;
use serde::Serialize;
use stepwright_executor::{
    CompiledFolder, EngineOptions, Inspection, Sandbox, inspect as look_at, inspect_and_keep,
};
use stepwright_registry::{Description, PluginName};
use stepwright_workflow::Digest;

pub(crate) use inspect::find;

use crate::context::Context;
use crate::error::{CliError, Exit, chain};
use crate::input;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a project with a handler that works, its tests and its cases.
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArguments),
    /// Build a plugin with its language's own tools, inspect what comes out, and register it if wanted.
    #[command(after_help = build::EXAMPLES)]
    Build(build::BuildArguments),
    /// Inspect components and register them: all, or none if one is refused.
    #[command(after_help = "The same bytes again change nothing; other bytes need another version.\n\n\
        Examples:\n  stepwright plugin add shop.wasm\n  stepwright plugin add shop.wasm --name shop/shop --version 1.2.0")]
    Add(add::AddArguments),
    /// List the registered plugins.
    List,
    /// Show what a component is: its handlers with their schemas, its imports, and what it would like to be granted.
    #[command(
        after_help = "Examples:\n  stepwright plugin inspect shop.wasm\n  stepwright plugin inspect shop/shop@1.2.0 --json"
    )]
    Inspect(inspect::InspectArguments),
    /// Show what a plugin's attempts used, as distributions, and the limits that follow from them.
    #[command(
        after_help = "Examples:\n  stepwright plugin stats shop/shop\n  stepwright plugin stats shop/shop@1.2.0 --attempts 500 --json"
    )]
    Stats(stats::StatsArguments),
    /// Call one handler once, without any server, and show what it returned, logged and used.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArguments),
    /// Run a plugin's cases in the sandbox: what goes in, and what must come out.
    #[command(after_help = test::EXAMPLES)]
    Test(test::TestArguments),
    /// Measure one handler: compiling, loading, and many calls.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArguments),
}

/// Does what was asked.
pub(crate) async fn run(command: PluginCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        PluginCommand::New(arguments) => new::run(&arguments, context),
        PluginCommand::Build(arguments) => build::run(&arguments, context).await,
        PluginCommand::Add(arguments) => add::run(&arguments, context).await,
        PluginCommand::List => list::run(context).await,
        PluginCommand::Inspect(arguments) => inspect::run(&arguments, context).await,
        PluginCommand::Stats(arguments) => stats::run(&arguments, context).await,
        PluginCommand::Run(arguments) => run::run(&arguments, context).await,
        PluginCommand::Test(arguments) => test::run(&arguments, context).await,
        PluginCommand::Bench(arguments) => bench::run(&arguments, context).await,
    }
}

/// A name and a version in place of the component's own.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Identity {
    /// Register it under this name instead of its own.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    name: Option<PluginName>,
    /// Register it as this version instead of its own.
    #[arg(long, value_name = "X.Y.Z")]
    version: Option<Version>,
}

impl Identity {
    fn is_given(&self) -> bool {
        self.name.is_some() || self.version.is_some()
    }

    fn apply(&self, description: &mut Description) {
        if let Some(name) = &self.name {
            description.name = name.to_string();
        }
        if let Some(version) = &self.version {
            description.version = version.to_string();
        }
    }
}

/// One thing wrong with one file.
#[derive(Debug, Clone, Serialize)]
struct FileProblem {
    file: String,
    problem: String,
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.problem)
    }
}

/// A component that was looked at.
struct Component {
    file: String,
    bytes: Vec<u8>,
    inspection: Inspection,
}

/// Looks at files in one sandbox.
struct Inspector {
    sandbox: Arc<Sandbox>,
    component_bytes_max: u64,
    /// Where the code of what is going to be registered is kept.
    kept: Option<Arc<CompiledFolder>>,
}

impl Inspector {
    fn start(context: &Context) -> Result<Self, CliError> {
        // One component at a time, so one place in the pool.
        let options = EngineOptions { slots: 1, ..context.config.engine.clone() };
        let component_bytes_max = options.component_bytes_max as u64;
        Ok(Self { sandbox: Sandbox::start(options)?, component_bytes_max, kept: None })
    }

    /// One whose components are going to be registered: workers that share the data directory find their code ready.
    fn keeping(context: &Context) -> Result<Self, CliError> {
        context.make_data_dir()?;
        Ok(Self { kept: Some(Arc::new(context.compiled()?)), ..Self::start(context)? })
    }

    async fn look(&self, path: &Path) -> Result<Component, CliError> {
        self.look_all(&[path]).await?.pop().ok_or_else(|| CliError::new("no file was given"))
    }

    /// Looks at every file, and lists every refusal.
    async fn look_all<P: AsRef<Path>>(&self, paths: &[P]) -> Result<Vec<Component>, CliError> {
        let (mut components, mut problems) = (Vec::new(), Vec::new());
        for path in paths {
            let file = input::name(path.as_ref());
            let bytes = input::bytes(path.as_ref(), self.component_bytes_max)?;
            let inspected = match &self.kept {
                Some(kept) => inspect_and_keep(&self.sandbox, bytes.clone(), kept).await,
                None => look_at(&self.sandbox, bytes.clone()).await,
            };
            match inspected {
                Ok(inspection) => components.push(Component { file, bytes, inspection }),
                Err(refusal) => problems.push(FileProblem { file, problem: chain(&refusal) }),
            }
        }
        match problems.len() {
            0 => Ok(components),
            bad => {
                Err(CliError::listed(format!("{bad} of {} files cannot be plugins", paths.len()), &problems))
            }
        }
    }
}

/// A plugin as `--json` shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    digest: Digest,
    bytes: u64,
    #[serde(flatten)]
    description: &'a Description,
}
