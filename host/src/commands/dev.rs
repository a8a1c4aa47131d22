//! `dev`: an orchestrator and a worker in this process, over the in-process transport, and whoever else comes to its socket.

use serde_json::json;
use stepwright_orchestrator::Listing;
use stepwright_transport::local;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::orchestrate::{self, Keepers, listen};
use super::plugin::watch::Watch;
use crate::api::{self, Role, Served};
use crate::cli::DevArguments;
use crate::clock::incarnation;
use crate::compose::{self, Orchestration};
use crate::config::Endpoint;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::lifecycle::Stopping;
use crate::observed::Observing;
use crate::webhooks;

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

    let keepers = Keepers::default();
    let telling = (store.clone(), handle.feed().clone());
    let telling = webhooks::speaker(context, &incarnation, telling, keepers.webhooks.clone())?;

    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    // What serves the orchestrator ends after it, not with it.
    let beside = CancellationToken::new();
    let mut serving = JoinSet::new();
    let (api_stop, mut asking) = (drain.child_token(), JoinSet::new());
    if let Some(api) = api {
        asking.spawn(api.run(keepers.api.clone(), api_stop.clone()));
    }
    if let Some(gate) = gate {
        serving.spawn(orchestrate::serve_gate(gate, keepers.gate.clone(), beside.clone()));
    }
    let announced = store.clone();
    serving.spawn(async move { match stopping.watch().await {} });
    serving
        .spawn(async move { match orchestrate::wake_all(&wake, &*announced, &[handle], &keepers).await {} });
    serving.spawn(pruner.run(drain.clone()));
    if let Some(watch) = watch {
        serving.spawn(watch.run(context.clone(), store.clone(), drain.clone()));
    }
    // The worker of this process goes first, so that its last outcomes are taken in.
    let orchestrator_stop = CancellationToken::new();
    let stop = orchestrator_stop.clone();
    let mut hooks = JoinSet::new();
    hooks.spawn(telling.run(stop.clone()));
    let work = async {
        let end = worker.run(drain, abort).await;
        orchestrator_stop.cancel();
        end
    };
    let (end, result) = tokio::join!(work, orchestrator.run(stop));
    // Requests under way are answered before the database is closed.
    api_stop.cancel();
    while asking.join_next().await.is_some() {}
    while hooks.join_next().await.is_some() {}
    beside.cancel();
    serving.shutdown().await;
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
