//! `dev`: an orchestrator and a worker in this process, over the in-process transport.

use std::sync::Arc;

use serde_json::json;
use stepwright_orchestrator::Listing;
use stepwright_transport::local;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::orchestrate::listen;
use super::plugin::watch::Watch;
use crate::api::{self, Role, Served};
use crate::cli::DevArguments;
use crate::clock::incarnation;
use crate::compose::{self, Orchestration};
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
    let (port, hub) = local::hub();
    let Orchestration { orchestrator, handle, pruner, store, lock } =
        compose::orchestration(context, &incarnation, async || Ok(Box::new(port) as _)).await?;
    // People see it; workers cannot go to it.
    let listing = Listing { pumps: 1, endpoints: Vec::new(), ..compose::listing(context, 1, None) };
    let orchestrator = orchestrator.listed(listing);
    let wake = listen(context)?;
    let worker = compose::worker(context, &incarnation, Box::new(hub.connect()))?;
    let api = api::serve(context, Role::Dev, store.clone(), handle.clone()).await?;
    ready(context, api.as_ref());

    let hooks = Arc::new(Notify::new());
    let telling = (store.clone(), handle.feed().clone());
    let telling = webhooks::speaker(context, &incarnation, telling, hooks.clone())?;

    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    let mut serving = JoinSet::new();
    let tokens = Arc::new(Notify::new());
    let (api_stop, mut asking) = (drain.child_token(), JoinSet::new());
    if let Some(api) = api {
        asking.spawn(api.run(tokens.clone(), api_stop.clone()));
    }
    let announced = store.clone();
    serving.spawn(async move { match stopping.watch().await {} });
    serving.spawn(async move {
        loop {
            tokio::select! {
                () = wake.woken() => {}
                () = announced.announced() => {}
            }
            handle.wake();
            // It may have been about tokens or webhooks.
            tokens.notify_one();
            hooks.notify_one();
        }
    });
    serving.spawn(pruner.run(drain.clone()));
    if let Some(watch) = watch {
        serving.spawn(watch.run(context.clone(), store.clone(), drain.clone()));
    }
    // The worker goes first, so that its last outcomes are taken in.
    let orchestrator_stop = CancellationToken::new();
    let stop = orchestrator_stop.clone();
    let telling = tokio::spawn(telling.run(stop.clone()));
    let work = async {
        let end = worker.run(drain, abort).await;
        orchestrator_stop.cancel();
        end
    };
    let (end, result) = tokio::join!(work, orchestrator.run(stop));
    // Requests under way are answered before the database is closed.
    api_stop.cancel();
    while asking.join_next().await.is_some() {}
    let _ = telling.await;
    serving.shutdown().await;
    if let Some(observing) = observing {
        observing.end().await;
    }
    store.close().await;
    drop(lock);
    result?;
    Ok(if end?.aborted { Exit::Failed } else { Exit::Good })
}

fn ready(context: &Context, api: Option<&Served>) {
    let (database, api) = (&context.config.database, api.map(|api| api.url.as_str()));
    if context.json {
        println!("{}", json!({ "ready": "dev", "database": database.to_string(), "api": api }));
        return;
    }
    let api = api.map(|url| format!(", api={url}")).unwrap_or_default();
    println!("dev ready: database {database}{api}");
    println!("  in another terminal:");
    println!("    stepwright plugin build DIR --add        # compile and register a plugin");
    println!("    stepwright template add FILE             # register a template");
    println!("    stepwright task run TEMPLATE --input FILE --watch");
}
