//! `plugin show`: everything that is known of a registered version, and who uses it.

use serde::Serialize;
use stepwright_orchestrator::catalog::resolutions;
use stepwright_orchestrator::plugins::pins;
use stepwright_registry::{Description, PluginName, Verdict, Wishes};
use stepwright_store::{PauseRecord, PluginDeed, PluginRecord, PluginState};
use stepwright_workflow::Timestamp;
use stepwright_workflow::pause::PauseTarget;

use super::rollback::uses;
use super::{Shown, find, list, signatures_of};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::when;
use crate::watch::one_line;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// namespace/name, with @version, or else the one registered last.
    #[arg(value_name = "REF")]
    plugin: String,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    plugin: Shown<'a>,
    registered_at: Timestamp,
    state: PluginState,
    changed: Option<&'a PluginDeed>,
    source: &'a str,
    /// The ids of the keys that signed it, as they say themselves.
    signed_by: Vec<String>,
    /// What the [[trust]] rules say of that.
    trust: String,
    imports: Option<&'a [String]>,
    /// Templates, with their environments, whose new tasks get it.
    templates: Vec<String>,
    /// Unfinished tasks that have pinned its component.
    unfinished_tasks: u64,
    /// What holds its steps up.
    pauses: Vec<PauseRecord>,
    /// Whether the component is where it should be.
    stored: bool,
}

pub(crate) async fn run(arguments: &ShowArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let record = find(store.as_ref(), &arguments.plugin).await?;
    let description = list::description(&record)?;
    let resolutions = resolutions(store.as_ref(), &context.config.environment).await?;
    let used = uses(&resolutions, &record.name).into_iter().filter(|used| used.gets(&record.version));
    let covers = |pause: &PauseRecord| match &pause.target {
        PauseTarget::Digest(digest) => *digest == record.digest,
        PauseTarget::Plugin(name) => *name == record.name,
        _ => false,
    };
    let stored = match context.blobs()?.look(&record.digest).await {
        Ok(_) => true,
        Err(error) if error.is_missing() => false,
        Err(error) => return Err(error.into()),
    };
    let report = Report {
        plugin: Shown { digest: record.digest, bytes: record.bytes, description: &description },
        registered_at: record.registered_at,
        state: record.state,
        changed: record.changed.as_ref(),
        source: &record.source,
        signed_by: signatures_of(&record)?.into_iter().map(|signature| signature.key).collect(),
        trust: trust(&record, context)?,
        imports: record.imports.as_deref(),
        templates: used.map(|used| used.name()).collect(),
        unfinished_tasks: pins(store.as_ref()).await?.get(&record.digest).copied().unwrap_or(0),
        pauses: store.pauses().await?.into_iter().filter(covers).collect(),
        stored,
    };
    if context.json {
        output::json(&report)?;
    } else {
        output::line(render(&report, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// What our rules say of its signatures.
fn trust(record: &PluginRecord, context: &Context) -> Result<String, CliError> {
    let name: PluginName = record.name.parse()?;
    Ok(match context.config.trust()?.check(&name, &record.digest, &signatures_of(record)?) {
        Ok(Verdict::NotAsked) => "no signature is asked for".to_owned(),
        Ok(Verdict::Trusted { key }) => format!("trusted, by key {key}"),
        Ok(Verdict::Unsigned { warning }) => format!("warning: {warning}"),
        Err(refused) => format!("refused: {refused}"),
    })
}

fn render(report: &Report<'_>, now: Timestamp, paint: Paint) -> String {
    let Description { name, version, summary, handlers, wishes } = report.plugin.description;
    let title = format!("{name}@{version}");
    let mut lines = vec![format!("{}  {summary}", paint.of(Tone::Strong, &title))];
    let mut row = |what: &str, text: String| lines.push(format!("{what:<12}{text}"));
    row("state", state(report, now));
    row("digest", format!("{}, {}", report.plugin.digest, when::bytes(report.plugin.bytes)));
    if !report.stored {
        row("component", "missing from the registry; add the plugin again".to_owned());
    }
    row("registered", format!("{}, from {}", when::ago(now, report.registered_at), report.source));
    let signed =
        if report.signed_by.is_empty() { "by nobody".to_owned() } else { report.signed_by.join(", ") };
    row("signed", format!("{}; {}", one_line(&signed), report.trust));
    let handlers: Vec<&str> = handlers.iter().map(|handler| handler.name.as_str()).collect();
    row("handlers", handlers.join(", "));
    let Wishes { hosts, directories, environment, secrets } = wishes;
    for (what, wishes) in
        [("hosts", hosts), ("directories", directories), ("environment", environment), ("secrets", secrets)]
    {
        if !wishes.is_empty() {
            row("asks for", format!("{what}: {}", wishes.join(", ")));
        }
    }
    row("imports", report.imports.map_or("not known; add it again".to_owned(), |imports| imports.join(", ")));
    let none = "no template".to_owned();
    row("used by", if report.templates.is_empty() { none } else { report.templates.join(", ") });
    row("pinned by", format!("{} unfinished tasks", report.unfinished_tasks));
    for pause in &report.pauses {
        let why = one_line(&pause.why);
        let since = when::ago(now, pause.since);
        row(
            "paused",
            format!("{since} by {}{}{why}", one_line(&pause.who), if why.is_empty() { "" } else { ": " }),
        );
    }
    lines.join("\n")
}

fn state(report: &Report<'_>, now: Timestamp) -> String {
    let state = report.state.as_str();
    let Some(PluginDeed { at, who, why }) = report.changed else { return state.to_owned() };
    let why = if why.is_empty() { String::new() } else { format!(": {}", one_line(why)) };
    format!("{state}, {} by {}{why}", when::ago(now, *at), one_line(who))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::Digest;

    #[test]
    fn everything_stands_in_its_row() {
        let description = Description {
            name: "shop/pay".to_owned(),
            version: "1.2.0".to_owned(),
            summary: "Pays.".to_owned(),
            wishes: Wishes { secrets: vec!["key".to_owned()], ..Wishes::default() },
            ..Description::default()
        };
        let digest = Digest::of(b"component");
        let deed = PluginDeed { at: Timestamp(0), who: "ann".to_owned(), why: "broken".to_owned() };
        let pause = PauseRecord {
            target: PauseTarget::Digest(digest),
            since: Timestamp(0),
            who: "ann".to_owned(),
            why: "broken".to_owned(),
        };
        let report = Report {
            plugin: Shown { digest, bytes: 2_048, description: &description },
            registered_at: Timestamp(0),
            state: PluginState::Quarantined,
            changed: Some(&deed),
            source: "oci://registry.example/pay:1",
            signed_by: Vec::new(),
            trust: "no signature is asked for".to_owned(),
            imports: None,
            templates: vec!["shop/order@1.0.0 (production)".to_owned()],
            unfinished_tasks: 3,
            pauses: vec![pause],
            stored: false,
        };
        let shown = render(&report, Timestamp(60_000), Paint::PLAIN);
        for expect in [
            "shop/pay@1.2.0  Pays.",
            "state       quarantined, 1 min 0 s ago by ann: broken",
            "component   missing",
            "registered  1 min 0 s ago, from oci://registry.example/pay:1",
            "signed      by nobody; no signature is asked for",
            "asks for    secrets: key",
            "imports     not known",
            "used by     shop/order@1.0.0 (production)",
            "pinned by   3 unfinished tasks",
            "paused      1 min 0 s ago by ann: broken",
        ] {
            assert!(shown.lines().any(|line| line.starts_with(expect)), "{expect}:\n{shown}");
        }
    }
}
