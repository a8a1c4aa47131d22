//! `dev`: an orchestrator and a worker in this process, over the in-process transport, and whoever else comes to its socket.

use serde_json::json;
use stepwright_orchestrator::Listing;
use stepwright_transport::local;
use tokio_util::sync::CancellationToken;

use super::orchestrate::{self, listen};
use super::plugin::watch::Watch;
use super::services::{Parts, Services};
use crate::api::{self, Role, Served};
use crate::cli::DevArguments;
use crate::clock::incarnation;
use crate::compose::{self, Orchestration};
use crate::config::Endpoint;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::lifecycle::Stopping;
use crate::observed::Observing;

/// Runs until told to stop.
pub(super) async fn run(arguments: &DevArguments, context: &Context) -> Result<Exit, CliError> {
    let mut context = context.clone();
    let observing = Observing::start(&mut context)?;
    let context = &context;
    let stopping = Stopping::listen()?;
    // Before anything runs: a path that cannot be watched is a mistake on the command line.
    let watch = if arguments.watch.is_empty() { None } else { Some(Watch::start(&arguments.watch)?) };
    let incarnation = incarnation()?;
    let (inside, hub) = local::hub();
    let port = async || compose::joined_port(context, &incarnation, inside).await;
    let Orchestration { orchestrator, handle, pruner, store, lock } =
        compose::orchestration(context, &incarnation, port).await?;
    let gate = compose::gate(context, &incarnation, Vec::new(), store.clone()).await?;
    let endpoint = gate.as_ref().map(|parts| parts.endpoint.clone());
    let listing = Listing { pumps: 1, ..compose::listing(context, 1, endpoint.as_ref()) };
    let orchestrator = orchestrator.listed(listing);
    let wake = listen(context)?;
    let worker = compose::worker(context, &incarnation, Box::new(hub.connect()))?;
    let api = api::serve(context, Role::Dev, store.clone(), handle.clone()).await?;
    ready(context, endpoint.as_ref(), api.as_ref());

    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    let feed = handle.feed().clone();
    let handles = vec![handle];
    let parts = Parts { store: store.clone(), feed, handles, pruner, gate, api, wake, stopping };
    let mut services = Services::start(context, &incarnation, parts)?;
    if let Some(watch) = watch {
        services.also(watch.run(context.clone(), store.clone(), drain.clone()));
    }
    // The worker of this process goes first, so that its last outcomes are taken in.
    let orchestrator_stop = CancellationToken::new();
    let stop = orchestrator_stop.clone();
    let work = async {
        let end = worker.run(drain, abort).await;
        orchestrator_stop.cancel();
        end
    };
    let (end, result) = tokio::join!(work, orchestrator.run(stop));
    services.end().await;
    if let Some(observing) = observing {
        observing.end().await;
    }
    store.close().await;
    drop(lock);
    result?;
    Ok(if end?.aborted { Exit::Failed } else { Exit::Good })
}

/// The line that says where everything is, and what to do next.
fn ready(context: &Context, gate: Option<&Endpoint>, api: Option<&Served>) {
    let (database, api) = (&context.config.database, api.map(|api| api.url.as_str()));
    let socket = orchestrate::socket(context);
    if context.json {
        let (database, gate) = (database.to_string(), gate.map(|gate| gate.to_string()));
        println!(
            "{}",
            json!({ "ready": "dev", "database": database, "api": api, "socket": socket, "gate": gate })
        );
        return;
    }
    let api = api.map(|url| format!(", api={url}")).unwrap_or_default();
    let gate = gate.map(|gate| format!(" and {gate}")).unwrap_or_default();
    println!("dev ready: database {database}{api}, workers={socket}{gate}");
    println!("  in another terminal:");
    println!("    stepwright plugin build DIR --add        # compile and register a plugin");
    println!("    stepwright template add FILE             # register a template");
    println!("    stepwright task run TEMPLATE --input FILE --watch");
}
