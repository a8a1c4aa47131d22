//! `stepwright webhook`: who is told of events by a request.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use stepwright_orchestrator::feed::{Feed, Position};
use stepwright_orchestrator::webhooks::{beginning, check};
use stepwright_store::{NewWebhook, WebhookFilter, WebhookRecord, WebhookSecret};
use stepwright_workflow::Timestamp;

use crate::commands::token::secret::SecretFile;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::one_line;
use crate::webhooks::{Sender, secret};

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Make a webhook: from now on, an address is told of events by signed requests, each until it is taken.
    #[command(
        after_help = "Examples:\n  stepwright webhook add shop https://shop.example/events --event 'task.*' --out shop.secret\n  \
        stepwright webhook add books https://books.example/in --namespace shop --template order"
    )]
    Add(AddArguments),
    /// List webhooks: where they lead, how far they are, and what went wrong last.
    #[command(after_help = "Examples:\n  stepwright webhook list\n  stepwright webhook list --json")]
    List,
    /// Remove a webhook.
    #[command(after_help = "Example:\n  stepwright webhook remove shop")]
    Remove(NameArguments),
    /// Let a webhook be told of events again. It goes on where it was.
    #[command(after_help = "Example:\n  stepwright webhook enable shop")]
    Enable(NameArguments),
    /// Tell a webhook of nothing until it is enabled.
    #[command(after_help = "Example:\n  stepwright webhook disable shop")]
    Disable(NameArguments),
}

/// Which webhook to make.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where events go, by POST.
    #[arg(value_name = "URL")]
    url: String,
    /// Only events of this name, such as task.completed or step.*; may be given several times [default: all]
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// Only events about tasks and templates of this namespace.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only events about tasks of this template.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Begin behind this position of the events; 0 is before all that are kept [default: now]
    #[arg(long, value_name = "POSITION")]
    after: Option<Position>,
    /// Write the secret to this file, with mode 0600, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Who makes it.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "somebody", hide_env_values = true)]
    by: String,
}

/// Which webhook.
#[derive(Debug, clap::Args)]
pub(crate) struct NameArguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Does what was asked.
pub(crate) async fn run(command: WebhookCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        WebhookCommand::Add(arguments) => add(&arguments, context).await,
        WebhookCommand::List => list(context).await,
        WebhookCommand::Remove(arguments) => {
            let store = context.store().await?;
            let there = store.remove_webhook(&arguments.name).await?;
            done(&arguments.name, there, "removed")?;
            context.wake(store.as_ref()).await;
            Ok(Exit::Good)
        }
        WebhookCommand::Enable(arguments) => enable(&arguments.name, true, context).await,
        WebhookCommand::Disable(arguments) => enable(&arguments.name, false, context).await,
    }
}

async fn enable(name: &str, enabled: bool, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let there = store.enable_webhook(name, enabled).await?;
    done(name, there, if enabled { "enabled" } else { "disabled" })?;
    context.wake(store.as_ref()).await;
    Ok(Exit::Good)
}

fn done(name: &str, there: bool, verb: &str) -> Result<(), CliError> {
    if !there {
        let advice = "'stepwright webhook list' lists them";
        return Err(CliError::new(format!("there is no webhook '{name}'; {advice}")));
    }
    output::hint(format!("webhook '{name}' {verb}"));
    Ok(())
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    url: &'a str,
    position: &'a str,
    /// Shown here, or nowhere.
    secret: Option<&'a str>,
    file: Option<PathBuf>,
}

async fn add(arguments: &AddArguments, context: &Context) -> Result<Exit, CliError> {
    let AddArguments { name, url, events, namespace, template, after, out, by } = arguments;
    let mut webhook = NewWebhook {
        name: name.clone(),
        url: url.clone(),
        secret: WebhookSecret(secret()?),
        filter: WebhookFilter {
            events: events.clone(),
            namespace: namespace.clone(),
            template: template.clone(),
        },
        created_by: one_line(by),
        position: String::new(),
    };
    check(&webhook, &Sender::checking(context)).map_err(|bad| CliError::new(bad.to_string()))?;
    let file = out.as_deref().map(|path| SecretFile::new(path, &webhook.secret.0)).transpose()?;
    let store = context.store().await?;
    let position = beginning(&Feed::new(store.clone()), *after).await;
    webhook.position = position.map_err(|error| CliError::new(format!("--after: {error}")))?;
    store.add_webhook(&webhook, context.now()).await?;
    context.wake(store.as_ref()).await;
    let file = file.map(SecretFile::keep).transpose()?;
    let shown = file.is_none().then_some(webhook.secret.0.as_str());
    if context.json {
        output::json(&Made { name, url, position: &webhook.position, secret: shown, file })?;
        return Ok(Exit::Good);
    }
    match (&file, shown) {
        (Some(file), _) => {
            output::hint(format!("webhook '{name}' made; its secret is in {}", file.display()));
        }
        (None, Some(secret)) => {
            output::line(secret)?;
            output::hint(format!("webhook '{name}' made; this is what its requests are signed with"));
        }
        (None, None) => {}
    }
    Ok(Exit::Good)
}

#[derive(Serialize)]
struct Listed {
    webhooks: Vec<WebhookRecord>,
}

async fn list(context: &Context) -> Result<Exit, CliError> {
    let (webhooks, now) = (context.store().await?.webhooks().await?, context.now());
    if context.json {
        output::json(&Listed { webhooks })?;
    } else if webhooks.is_empty() {
        output::hint("there is no webhook; make one with 'stepwright webhook add NAME URL'");
    } else {
        output::line(table(&webhooks, now, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(webhooks: &[WebhookRecord], now: Timestamp, paint: Paint) -> String {
    let mut columns =
        Columns::new(&["NAME", "STATE", "TAKEN", "LAST", "FAILED", "WHY", "URL"]).right(&[2, 4]);
    for webhook in webhooks {
        let state = match (webhook.enabled, webhook.failures) {
            (false, _) => Entry::toned(Tone::Faint, "disabled"),
            (true, 0) => Entry::toned(Tone::Good, "enabled"),
            (true, _) => Entry::toned(Tone::Bad, "failing"),
        };
        columns.row([
            (&webhook.name).into(),
            state,
            webhook.delivered.to_string().into(),
            webhook.delivered_at.map(|at| when::ago(now, at)).unwrap_or_default().into(),
            webhook.failures.to_string().into(),
            webhook.failure.as_deref().map(one_line).unwrap_or_default().into(),
            (&webhook.url).into(),
        ]);
    }
    columns.render(paint)
}
