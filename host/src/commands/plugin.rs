//! `stepwright plugin`: the components that run steps.

mod add;
mod attempt;
mod bench;
mod build;
mod difference;
mod gc;
mod inspect;
mod keys;
mod list;
mod login;
mod new;
mod oci;
mod project;
mod rollback;
mod run;
mod show;
mod state;
mod stats;
mod test;
pub(crate) mod upload;
pub(crate) mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use semver::Version;
use serde::Serialize;
use stepwright_executor::{
    CompiledFolder, EngineOptions, Inspection, Sandbox, inspect as look_at, inspect_and_keep,
};
use stepwright_registry::signature::{SIGNATURES_BYTES_MAX, read_signatures};
use stepwright_registry::{Description, PluginName, Signature};
use stepwright_store::{PluginRecord, PluginState, Store};
use stepwright_workflow::{Digest, chain};

use crate::context::Context;
use crate::error::{CliError, Exit};
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
    #[command(
        after_help = "The same bytes again change nothing but their signatures; other bytes need another version. \
        Signatures are taken from FILE.sig, if it is there, or from the artifact's manifest.\n\n\
        Examples:\n  stepwright plugin add shop.wasm\n  stepwright plugin add shop.wasm --name shop/shop --version 1.2.0\n  \
        stepwright plugin add oci://registry.example/shop/shop:1.2.0"
    )]
    Add(add::AddArguments),
    /// List the registered plugins.
    List,
    /// Show everything that is known of a registered plugin: its state, its source, who signed it, who uses it.
    #[command(
        after_help = "Examples:\n  stepwright plugin show shop/shop\n  stepwright plugin show shop/shop@1.2.0 --json"
    )]
    Show(show::ShowArguments),
    /// Let new tasks use a version again, and end its quarantine.
    Enable(state::StateArguments),
    /// Let nothing new use a version, not even what asks for exactly it.
    #[command(after_help = state::DISABLE_HELP)]
    Disable(state::StateArguments),
    /// Let nothing new use a version but what asks for exactly it.
    #[command(after_help = state::YANK_HELP)]
    Yank(state::StateArguments),
    /// Disable a version, and pause what runs it already.
    #[command(after_help = state::QUARANTINE_HELP)]
    Quarantine(state::StateArguments),
    /// Yank what is newer than the version before, or than the one given.
    #[command(after_help = "Examples:\n  stepwright plugin rollback shop/shop --reason 'refunds fail'\n  \
        stepwright plugin rollback shop/shop --to 1.1.0")]
    Rollback(rollback::RollbackArguments),
    /// Remove yanked and disabled versions that nobody needs, and components that no version has.
    #[command(
        after_help = "Examples:\n  stepwright plugin gc --dry-run\n  stepwright plugin gc --older-than 7d --json"
    )]
    Gc(gc::GcArguments),
    /// Push a component to an OCI registry, with its signatures.
    #[command(after_help = "Without a tag it gets its version as one.\n\n\
        Examples:\n  stepwright plugin push shop.wasm oci://registry.example/shop/shop\n  \
        stepwright plugin push shop/shop@1.2.0 oci://localhost:5000/shop:stable")]
    Push(oci::PushArguments),
    /// Pull a component from an OCI registry into a file, with its signatures beside it.
    #[command(
        after_help = "Example:\n  stepwright plugin pull oci://registry.example/shop/shop:1.2.0 --out shop.wasm"
    )]
    Pull(oci::PullArguments),
    /// Make a pair of keys for signatures.
    #[command(after_help = "Example:\n  stepwright plugin keygen --out shop.pem\n\n\
        The public key is written beside the private one, as shop.pub.pem.")]
    Keygen(keys::KeygenArguments),
    /// Sign a component.
    #[command(after_help = "Example:\n  stepwright plugin sign shop.wasm --key shop.pem\n\n\
        Other keys' signatures in the file stay there.")]
    Sign(keys::SignArguments),
    /// Say whether one of these keys has signed a component.
    #[command(after_help = "Example:\n  stepwright plugin verify shop.wasm --key shop.pub.pem")]
    Verify(keys::VerifyArguments),
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
        PluginCommand::Show(arguments) => show::run(&arguments, context).await,
        PluginCommand::Enable(arguments) => state::run(&arguments, PluginState::Enabled, context).await,
        PluginCommand::Disable(arguments) => state::run(&arguments, PluginState::Disabled, context).await,
        PluginCommand::Yank(arguments) => state::run(&arguments, PluginState::Yanked, context).await,
        PluginCommand::Quarantine(arguments) => {
            state::run(&arguments, PluginState::Quarantined, context).await
        }
        PluginCommand::Rollback(arguments) => rollback::run(&arguments, context).await,
        PluginCommand::Gc(arguments) => gc::run(&arguments, context).await,
        PluginCommand::Push(arguments) => oci::push(&arguments, context).await,
        PluginCommand::Pull(arguments) => oci::pull(&arguments, context).await,
        PluginCommand::Keygen(arguments) => keys::keygen(&arguments, context),
        PluginCommand::Sign(arguments) => keys::sign(&arguments, context),
        PluginCommand::Verify(arguments) => keys::verify(&arguments, context),
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
    /// The file, or the place in a registry.
    file: String,
    bytes: Vec<u8>,
    inspection: Inspection,
    /// Where it came from, as it is kept.
    source: String,
    signatures: Vec<Signature>,
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
        self.look_at_one(Found::file(path, self.component_bytes_max)?).await
    }

    /// Looks at one thing that was found.
    async fn look_at_one(&self, found: Found) -> Result<Component, CliError> {
        self.look_into(vec![found]).await?.pop().ok_or_else(|| CliError::new("no file was given"))
    }

    /// Looks at every file, and lists every refusal.
    async fn look_all<P: AsRef<Path>>(&self, paths: &[P]) -> Result<Vec<Component>, CliError> {
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            found.push(Found::file(path.as_ref(), self.component_bytes_max)?);
        }
        self.look_into(found).await
    }

    /// Looks at what was found, and lists every refusal.
    async fn look_into(&self, found: Vec<Found>) -> Result<Vec<Component>, CliError> {
        let (mut components, mut problems, all) = (Vec::new(), Vec::new(), found.len());
        for Found { file, bytes, source, signatures } in found {
            let inspected = match &self.kept {
                Some(kept) => inspect_and_keep(&self.sandbox, bytes.clone(), kept).await,
                None => look_at(&self.sandbox, bytes.clone()).await,
            };
            match inspected {
                Ok(inspection) => components.push(Component { file, bytes, inspection, source, signatures }),
                Err(refusal) => problems.push(FileProblem { file, problem: chain(&refusal) }),
            }
        }
        match problems.len() {
            0 => Ok(components),
            bad => Err(CliError::listed(format!("{bad} of {all} files cannot be plugins"), &problems)),
        }
    }
}

/// Bytes that may be a component, and what came with them.
struct Found {
    file: String,
    bytes: Vec<u8>,
    source: String,
    signatures: Vec<Signature>,
}

impl Found {
    /// A file, with the signatures beside it if there are any.
    fn file(path: &Path, bytes_max: u64) -> Result<Self, CliError> {
        let beside = signature_file(path);
        let signatures = if beside.is_file() { signatures_in(&beside)? } else { Vec::new() };
        let bytes = input::bytes(path, bytes_max)?;
        Ok(Self { file: input::name(path), bytes, source: "file".to_owned(), signatures })
    }
}

/// Where a component's signatures are: `shop.wasm.sig`.
fn signature_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// The signatures in a file.
fn signatures_in(path: &Path) -> Result<Vec<Signature>, CliError> {
    let text = input::text(path, SIGNATURES_BYTES_MAX)?;
    read_signatures(&text).map_err(|error| CliError::new(format!("{}: {error}", path.display())))
}

/// The signatures of a registered version.
fn signatures_of(record: &PluginRecord) -> Result<Vec<Signature>, CliError> {
    record.signatures.read().map_err(|error| {
        let reference = record.reference();
        CliError::new(format!("the signatures of {reference} in the database are broken: {error}"))
    })
}

/// The name in a reference, and the version if one is named.
fn parts(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('@').map_or((reference, None), |(name, version)| (name, Some(version)))
}

/// A registered version by name, or by name and version; without one it is the one registered last.
pub(crate) async fn find(store: &dyn Store, reference: &str) -> Result<PluginRecord, CliError> {
    let (name, version) = parts(reference);
    let mut plugins = store.plugins().await?;
    let known: Vec<String> = plugins.iter().map(PluginRecord::reference).collect();
    plugins.retain(|record| record.name == name && version.is_none_or(|version| record.version == version));
    plugins.pop().ok_or_else(|| match known.len() {
        0 => CliError::new(format!("there is no file or plugin '{reference}', and no plugin is registered")),
        _ => CliError::new(format!(
            "there is no file or plugin '{reference}'; registered are {}",
            known.join(", ")
        )),
    })
}

/// A plugin as `--json` shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    digest: Digest,
    bytes: u64,
    #[serde(flatten)]
    description: &'a Description,
}
