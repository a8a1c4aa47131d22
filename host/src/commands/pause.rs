//! `pause` and `resume`: nothing new begins under a task, a template, a namespace or a plugin, and then it goes on.

use clap::{Args, Subcommand};
use serde::Serialize;
use stepwright_orchestrator::pauses;
use stepwright_store::{PauseRecord, PluginRecord, Store, TemplateRecord};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Digest, EXTERNAL, TaskId, Timestamp};

use super::task::DeedFlags;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::Paint;
use crate::output::table::Columns;
use crate::output::when;
use crate::watch::one_line;

pub(crate) const PAUSE_EXAMPLES: &str = "\
What runs may finish; steps that would begin wait, and go on where they stood once it is resumed.

Examples:
  stepwright pause template shop/order --reason 'the payment gateway is down'
  stepwright pause plugin examples/shop@1.2.0
  stepwright pause list";

pub(crate) const RESUME_EXAMPLES: &str = "\
Examples:
  stepwright resume template shop/order
  stepwright resume task 12 --reason 'the address was corrected'";

/// What is paused or resumed.
#[derive(Debug, Subcommand)]
pub(crate) enum Target {
    /// One task.
    Task {
        /// The task.
        #[arg(value_name = "ID")]
        task: TaskId,
        #[command(flatten)]
        flags: DeedFlags,
    },
    /// Every task of a template, whatever its version.
    Template {
        /// The template, as namespace/name.
        #[arg(value_name = "NAMESPACE/NAME")]
        template: String,
        #[command(flatten)]
        flags: DeedFlags,
    },
    /// Every task of a namespace.
    Namespace {
        /// The namespace.
        namespace: String,
        #[command(flatten)]
        flags: DeedFlags,
    },
    /// Every step of a plugin: of one version, or of all.
    Plugin {
        /// The plugin, as namespace/name or namespace/name@version; 'external' for every handler of your own workers.
        #[arg(value_name = "PLUGIN[@VERSION]")]
        plugin: String,
        #[command(flatten)]
        flags: DeedFlags,
    },
    /// Every step of one component: what a quarantine pauses.
    Digest {
        /// The digest, as 'plugin list --json' and 'pause list' show it, or its beginning.
        #[arg(value_name = "SHA256")]
        digest: String,
        #[command(flatten)]
        flags: DeedFlags,
    },
}

/// `pause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    #[command(subcommand)]
    command: PauseCommand,
}

#[derive(Debug, Subcommand)]
enum PauseCommand {
    /// List what is paused, by whom, and why.
    List,
    #[command(flatten)]
    Target(Target),
}

/// `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    #[command(subcommand)]
    target: Target,
}

/// Does what was asked.
pub(crate) async fn pause(arguments: PauseArguments, context: &Context) -> Result<Exit, CliError> {
    let target = match arguments.command {
        PauseCommand::List => return list(context).await,
        PauseCommand::Target(target) => target,
    };
    let store = context.store().await?;
    let (target, flags) = known(&*store, target, true).await?;
    let new = pauses::pause(&*store, &target, &flags.deed(), context.now()).await?;
    let what = if new { "is paused" } else { "was paused before" };
    tell(&target, new, what, context)
}

/// Does what was asked.
pub(crate) async fn resume(arguments: ResumeArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let (target, flags) = known(&*store, arguments.target, false).await?;
    let was_paused = pauses::resume(&*store, &target, &flags.deed(), context.now()).await?;
    context.wake(&*store).await;
    let what = if was_paused { "goes on" } else { "was not paused" };
    let exit = tell(&target, was_paused, what, context)?;
    if !context.json && !was_paused {
        output::hint("'stepwright pause list' shows what is paused");
    }
    Ok(exit)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Done {
    scope: &'static str,
    name: String,
    /// Whether this changed anything.
    changed: bool,
}

fn tell(target: &PauseTarget, changed: bool, what: &str, context: &Context) -> Result<Exit, CliError> {
    if context.json {
        output::json(&Done { scope: target.scope().as_str(), name: target.name(), changed })?;
    } else {
        output::line(format_args!("{target} {what}"))?;
    }
    Ok(Exit::Good)
}

#[derive(Serialize)]
struct Listed {
    pauses: Vec<PauseRecord>,
}

async fn list(context: &Context) -> Result<Exit, CliError> {
    let pauses = context.store().await?.pauses().await?;
    if context.json {
        output::json(&Listed { pauses })?;
    } else if pauses.is_empty() {
        output::hint("nothing is paused");
    } else {
        output::line(table(&pauses, context.now()))?;
    }
    Ok(Exit::Good)
}

fn table(pauses: &[PauseRecord], now: Timestamp) -> String {
    let mut columns = Columns::new(&["WHAT", "NAME", "SINCE", "BY", "WHY"]);
    for PauseRecord { target, since, who, why } in pauses {
        columns.row([
            target.scope().as_str().into(),
            target.name().into(),
            when::ago(now, *since).into(),
            one_line(who).into(),
            one_line(why).into(),
        ]);
    }
    columns.render(Paint::stdout())
}

/// What is meant. A pause of something that is not there would do nothing, and nobody would notice; a pause that is in force can
/// be taken away whatever is there now.
async fn known(
    store: &dyn Store,
    target: Target,
    checked: bool,
) -> Result<(PauseTarget, DeedFlags), CliError> {
    Ok(match target {
        Target::Task { task, flags } => (PauseTarget::Task(task), flags),
        Target::Template { template, flags } => (known_template(store, &template, checked).await?, flags),
        Target::Namespace { namespace, flags } => {
            let all: Vec<String> = namespaces(&store.templates().await?);
            if checked && !all.contains(&namespace) {
                return Err(unknown("namespace", &namespace, &all));
            }
            (PauseTarget::Namespace(namespace), flags)
        }
        Target::Plugin { plugin, flags } => (known_plugin(&store.plugins().await?, &plugin, checked)?, flags),
        Target::Digest { digest, flags } => (known_digest(store, &digest).await?, flags),
    })
}

fn namespaces(templates: &[TemplateRecord]) -> Vec<String> {
    let mut all: Vec<String> = templates.iter().map(|template| template.namespace.clone()).collect();
    all.dedup();
    all
}

fn unknown(what: &str, name: &str, all: &[String]) -> CliError {
    let known = if all.is_empty() { "none is".to_owned() } else { format!("known are {}", all.join(", ")) };
    CliError::new(format!("no {what} '{name}' is registered; {known}"))
}

async fn known_template(store: &dyn Store, text: &str, checked: bool) -> Result<PauseTarget, CliError> {
    let mut all: Vec<String> = store
        .templates()
        .await?
        .iter()
        .map(|template| format!("{}/{}", template.namespace, template.name))
        .collect();
    all.dedup();
    let Some((namespace, name)) = text.split_once('/').filter(|(_, name)| !name.contains('@')) else {
        return Err(CliError::new(format!(
            "'{text}' is no template that can be paused; write namespace/name, without a version"
        )));
    };
    if checked && !all.iter().any(|known| known == text) {
        return Err(unknown("template", text, &all));
    }
    Ok(PauseTarget::Template { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn known_plugin(plugins: &[PluginRecord], text: &str, checked: bool) -> Result<PauseTarget, CliError> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let mut all: Vec<String> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    all.dedup();
    let Some(version) = version else {
        if checked && name != EXTERNAL && !all.iter().any(|known| known == name) {
            return Err(unknown("plugin", name, &all));
        }
        return Ok(PauseTarget::Plugin(name.to_owned()));
    };
    let found = plugins.iter().find(|plugin| plugin.name == name && plugin.version == version);
    let of_name = plugins.iter().filter(|plugin| plugin.name == name);
    let all: Vec<String> = of_name.map(|plugin| format!("{name}@{}", plugin.version)).collect();
    found.map(|plugin| PauseTarget::Digest(plugin.digest)).ok_or_else(|| unknown("plugin", text, &all))
}

/// A digest, or the only known one that begins so.
async fn known_digest(store: &dyn Store, text: &str) -> Result<PauseTarget, CliError> {
    if let Ok(digest) = text.parse::<Digest>() {
        return Ok(PauseTarget::Digest(digest));
    }
    let beginning = text.strip_prefix("sha256:").unwrap_or(text).trim_end_matches('…');
    let mut found: Vec<Digest> = store.plugins().await?.iter().map(|plugin| plugin.digest).collect();
    found.extend(store.pauses().await?.iter().filter_map(|pause| match pause.target {
        PauseTarget::Digest(digest) => Some(digest),
        _ => None,
    }));
    found.retain(|digest| !beginning.is_empty() && digest.hex().starts_with(beginning));
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [digest] => Ok(PauseTarget::Digest(*digest)),
        [] => Err(CliError::new(format!(
            "no plugin has a digest that begins with '{beginning}'; 'stepwright plugin list --json' shows them"
        ))),
        many => Err(CliError::new(format!(
            "'{beginning}' is the beginning of {} digests; write more of it",
            many.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use stepwright_store::PluginState;
    use stepwright_workflow::Payload;

    #[test]
    fn the_words_are_the_same_for_both() {
        let parse = |arguments: &[&str]| {
            crate::cli::Cli::try_parse_from(["stepwright"].iter().chain(arguments)).is_ok()
        };
        for verb in ["pause", "resume"] {
            assert!(parse(&[verb, "task", "12", "--reason", "why", "--by", "ann"]));
            assert!(parse(&[verb, "template", "shop/order"]));
            assert!(parse(&[verb, "namespace", "shop"]));
            assert!(parse(&[verb, "plugin", "examples/shop@1.0.0"]));
            assert!(parse(&[verb, "digest", "sha256:12ab"]));
            assert!(!parse(&[verb, "task", "twelve"]));
        }
        assert!(parse(&["pause", "list"]));
        assert!(!parse(&["resume", "list"]));
    }

    #[test]
    fn a_plugin_is_paused_by_name_or_by_version() {
        let plugin = |version: &str| PluginRecord {
            digest: Digest::of(version.as_bytes()),
            name: "examples/shop".to_owned(),
            version: version.to_owned(),
            bytes: 1,
            description: Payload::null(),
            registered_at: Timestamp(0),
            state: PluginState::Enabled,
            changed: None,
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: None,
        };
        let plugins = [plugin("1.0.0"), plugin("1.1.0")];
        let known = |text: &str| known_plugin(&plugins, text, true).map_err(|error| format!("{error:?}"));
        assert_eq!(known("examples/shop"), Ok(PauseTarget::Plugin("examples/shop".to_owned())));
        assert_eq!(known("examples/shop@1.1.0"), Ok(PauseTarget::Digest(Digest::of(b"1.1.0"))));
        assert!(known("examples/shop@2.0.0").unwrap_err().contains("examples/shop@1.1.0"));
        assert!(known("examples/shap").unwrap_err().contains("known are examples/shop"));
    }
}
