//! `stepwright grants`: what plugins may reach, and what they would need.

use std::fmt::Write as _;

use clap::Subcommand;
use serde::Serialize;
use stepwright_executor::grants::{GrantBook, GrantEntry, Grants, HttpGrant};
use stepwright_registry::{Description, PluginName, Wishes};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::observed;
use crate::output;
use crate::output::when;

/// What can be done with grants.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantsCommand {
    /// Show what a plugin is granted, and what it asks for beyond that.
    #[command(
        after_help = "Examples:\n  stepwright grants show shop/shop\n  stepwright grants show shop/shop@1.2.0 --namespace orders"
    )]
    Show(ShowArguments),
    /// Print the grants that would allow what plugins asked for while they were observed: 'dev' or 'work' with --observe.
    #[command(
        after_help = "Examples:\n  stepwright dev --observe      # run some tasks, then stop it\n  stepwright grants suggest\n  \
        stepwright grants suggest --plugin shop/shop >> stepwright.toml"
    )]
    Suggest(SuggestArguments),
}

/// Which plugin.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// A plugin as namespace/name; with @version, or else the newest registered one.
    #[arg(value_name = "REF")]
    plugin: String,
    /// In steps of tasks whose template is in this namespace; the plugin's own, if it is left out.
    #[arg(long)]
    namespace: Option<String>,
}

/// Which suggestions.
#[derive(Debug, clap::Args)]
pub(crate) struct SuggestArguments {
    /// Only for this plugin.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    plugin: Option<PluginName>,
    /// Forget what was observed, and begin anew.
    #[arg(long, conflicts_with = "plugin")]
    clear: bool,
}

/// Does what was asked.
pub(crate) async fn run(command: GrantsCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        GrantsCommand::Show(arguments) => show(&arguments, context).await,
        GrantsCommand::Suggest(arguments) => suggest(&arguments, context),
    }
}

#[derive(Debug, Serialize)]
struct Suggested {
    plugin: String,
    wanted: Vec<Wish>,
    toml: String,
}

#[derive(Debug, Serialize)]
struct Wish {
    what: String,
    times: u64,
}

fn suggest(arguments: &SuggestArguments, context: &Context) -> Result<Exit, CliError> {
    let folder = context.config.observed_dir();
    if arguments.clear {
        let files = observed::clear(&folder)?;
        output::hint(format_args!("forgot what {files} processes had observed"));
        return Ok(Exit::Good);
    }
    let mut suggestions = observed::read(&folder)?.suggestions();
    suggestions.retain(|it| arguments.plugin.as_ref().is_none_or(|plugin| plugin.as_str() == it.plugin));
    if context.json {
        let wish = |(wanted, times): (stepwright_executor::wanted::Wanted, u64)| Wish {
            what: wanted.to_string(),
            times,
        };
        let suggested = suggestions.into_iter().map(|it| Suggested {
            plugin: it.plugin,
            wanted: it.wanted.into_iter().map(wish).collect(),
            toml: it.toml,
        });
        output::json(&suggested.collect::<Vec<_>>())?;
    } else if suggestions.is_empty() {
        output::hint(
            "nothing was asked for beyond the grants; run 'stepwright dev --observe' or a worker with --observe, and some tasks",
        );
    } else {
        for suggestion in suggestions {
            let asked: Vec<String> =
                suggestion.wanted.iter().map(|(wanted, times)| format!("# {times} × {wanted}\n")).collect();
            output::line(format_args!("{}{}\n", asked.concat(), suggestion.toml))?;
        }
    }
    Ok(Exit::Good)
}

/// What a plugin gets, without the values of secrets and variables.
#[derive(Debug, Serialize)]
struct Shown {
    plugin: String,
    version: String,
    namespace: String,
    granted: Vec<String>,
    asked_but_not_granted: Vec<String>,
}

async fn show(arguments: &ShowArguments, context: &Context) -> Result<Exit, CliError> {
    let record = super::plugin::find(context.store().await?.as_ref(), &arguments.plugin).await?;
    let description: Description = record.description.read()?;
    let namespace = match &arguments.namespace {
        Some(namespace) => namespace.clone(),
        None => own_namespace(&record.name).to_owned(),
    };
    let granted = granted(context, (&record.name, &record.version, &namespace));
    let shown = Shown {
        granted: lines(&granted),
        asked_but_not_granted: missing(&description.wishes, &granted),
        plugin: record.name,
        version: record.version,
        namespace,
    };
    if context.json {
        output::json(&shown)?;
    } else {
        output::line(render(&shown))?;
    }
    Ok(Exit::Good)
}

/// The namespace in a plugin's name.
pub(crate) fn own_namespace(plugin: &str) -> &str {
    plugin.split('/').next().unwrap_or_default()
}

/// What the configuration grants a plugin. Values of secrets are not fetched: whoever asks need not be able to read them.
pub(crate) fn granted(context: &Context, (plugin, version, namespace): (&str, &str, &str)) -> Grants {
    let entries: Vec<GrantEntry> = context.config.grants.iter().map(|spec| spec.names_only()).collect();
    (*GrantBook::new(entries).find(plugin, version, namespace)).clone()
}

/// What is granted, one thing a line.
pub(crate) fn lines(grants: &Grants) -> Vec<String> {
    let mut lines: Vec<String> = grants.http.iter().map(|grant| format!("http {grant}")).collect();
    lines.extend(grants.networks.iter().map(|network| format!("network {network}")));
    for directory in &grants.directories {
        let mode = if directory.writable { "read-write" } else { "read-only" };
        lines.push(format!("directory {} as {}, {mode}", directory.host.display(), directory.guest));
    }
    lines.extend(grants.scratch_bytes.map(|bytes| format!("scratch {}", when::bytes(bytes))));
    lines.extend(grants.environment.iter().map(|(name, _)| format!("environment {name}")));
    for secret in &grants.secrets {
        let mut line = format!("secret {}", secret.name);
        line.push_str(if secret.revealed { ", revealed" } else { ", as a placeholder" });
        if !secret.hosts.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(line, ", for {}", secret.hosts.join(", "));
        }
        lines.push(line);
    }
    lines.extend(grants.settings.iter().map(|(name, _)| format!("setting {name}")));
    lines
}

/// What a plugin asks for and is not granted.
pub(crate) fn missing(wishes: &Wishes, grants: &Grants) -> Vec<String> {
    let Wishes { hosts, directories, environment, secrets } = wishes;
    let host_granted = |wish: &String| match wish.parse::<HttpGrant>() {
        // A plugin names hosts; with which methods it may call them is for the grant to say.
        Ok(wish) => grants.http.iter().any(|grant| {
            let methods = if wish.methods.is_empty() { grant.methods.clone() } else { wish.methods.clone() };
            grant.includes(&HttpGrant { methods, ..wish.clone() })
        }),
        Err(_) => false,
    };
    let mut missing: Vec<String> =
        hosts.iter().filter(|wish| !host_granted(wish)).map(|wish| format!("http {wish}")).collect();
    let directory_granted = |wish: &String| {
        grants.directories.iter().any(|grant| grant.guest == *wish)
            || (wish == "/scratch" && grants.scratch_bytes.is_some())
    };
    let wanted = directories.iter().filter(|wish| !directory_granted(wish));
    missing.extend(wanted.map(|wish| format!("directory {wish}")));
    let wanted = environment.iter().filter(|wish| !grants.environment.iter().any(|(name, _)| name == *wish));
    missing.extend(wanted.map(|wish| format!("environment {wish}")));
    let wanted = secrets.iter().filter(|wish| !grants.secrets.iter().any(|grant| grant.name == **wish));
    missing.extend(wanted.map(|wish| format!("secret {wish}")));
    missing
}

fn render(shown: &Shown) -> String {
    let list = |lines: &[String], none: &str| match lines {
        [] => format!("  {none}"),
        lines => lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
    };
    format!(
        "{}@{} in tasks of namespace {}\n\nGranted\n{}\n\nAsked for and not granted\n{}",
        shown.plugin,
        shown.version,
        shown.namespace,
        list(&shown.granted, "nothing"),
        list(&shown.asked_but_not_granted, "nothing"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_not_granted_is_named() {
        let grants = Grants {
            http: vec!["GET https://*.example.com".parse().unwrap()],
            environment: vec![("REGION".into(), String::new())],
            scratch_bytes: Some(1 << 20),
            ..Grants::default()
        };
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let wishes = Wishes {
            hosts: texts(&["https://api.example.com", "https://example.com:8443", "nonsense"]),
            directories: texts(&["/scratch", "/prices"]),
            environment: texts(&["REGION", "ZONE"]),
            secrets: texts(&["key"]),
        };
        assert_eq!(
            missing(&wishes, &grants),
            [
                "http https://example.com:8443",
                "http nonsense",
                "directory /prices",
                "environment ZONE",
                "secret key"
            ]
        );
        assert_eq!(
            lines(&grants),
            ["http GET https://*.example.com", "scratch 1.0 MiB", "environment REGION"]
        );
    }
}
