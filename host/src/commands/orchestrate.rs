//! `orchestrate`: an orchestrator until a signal comes.

use std::sync::Arc;

use serde_json::json;
use stepwright_orchestrator::{Orchestrator, OrchestratorHandle};
use stepwright_store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::services::{Parts, Services};
use crate::api::{self, Role, Served};
use crate::clock::incarnation;
use crate::compose::{self, Orchestration};
use crate::config::Endpoint;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::lifecycle::Stopping;
use crate::wake::WakeSocket;

/// Runs until told to stop.
pub(super) async fn run(context: &Context) -> Result<Exit, CliError> {
    let stopping = Stopping::listen()?;
    let incarnation = incarnation()?;
    let port = async || compose::orchestrator_port(context, &incarnation, 1).await;
    let Orchestration { orchestrator, handle, pruner, store, lock } =
        compose::orchestration(context, &incarnation, port).await?;
    let feed = handle.feed().clone();
    let further = compose::further_pumps(context, &store, &feed).await?;
    let (mut pumps, mut handles, mut behind_gate) = (vec![orchestrator], vec![handle], Vec::new());
    for (pump, orchestrator, handle) in further {
        behind_gate.push(pump);
        pumps.push(orchestrator);
        handles.push(handle);
    }
    let gate = compose::gate(context, &incarnation, behind_gate, store.clone()).await?;
    let wake = listen(context)?;
    let endpoint = gate.as_ref().map(|parts| parts.endpoint.clone());
    let api = api(context, &store, &handles).await?;
    ready(context, endpoint.as_ref(), api.as_ref());

    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    let parts = Parts { store: store.clone(), feed, handles, pruner, gate, api, wake, stopping };
    let services = Services::start(context, &incarnation, parts)?;
    let pumps = (1..)
        .zip(pumps)
        .map(|(number, pump)| pump.listed(compose::listing(context, number, endpoint.as_ref())));
    let result = tokio::select! {
        result = run_all(pumps, &drain) => result,
        () = abort.cancelled() => Err(CliError::new("stopped at once, as asked for")),
    };
    services.end().await;
    store.close().await;
    drop(lock);
    result.map(|()| Exit::Good)
}

/// The HTTP API, if it is to be served: before the first pump.
async fn api(
    context: &Context,
    store: &Arc<dyn Store>,
    handles: &[OrchestratorHandle],
) -> Result<Option<Served>, CliError> {
    match handles.first() {
        Some(handle) => api::serve(context, Role::Orchestrate, store.clone(), handle.clone()).await,
        None => Ok(None),
    }
}

/// Runs pumps until they are told to stop. One that ends by itself takes the others along.
async fn run_all(
    pumps: impl Iterator<Item = Orchestrator>,
    drain: &CancellationToken,
) -> Result<(), CliError> {
    let mut running = JoinSet::new();
    for pump in pumps {
        running.spawn(pump.run(drain.clone()));
    }
    let mut result = Ok(());
    while let Some(end) = running.join_next().await {
        drain.cancel();
        let end = end.map_err(|error| CliError::new(format!("a pump stopped: {error}")));
        result = result.and(end.and_then(|end| end.map_err(CliError::from)));
    }
    result
}

/// The wake-up socket, which is made after the orchestrator's lock was taken.
pub(super) fn listen(context: &Context) -> Result<WakeSocket, CliError> {
    let run_dir = &context.config.run_dir;
    stepwright_transport::zmq::private_folder(run_dir)?;
    WakeSocket::bind(run_dir).map_err(|error| {
        CliError::new(format!("failed to listen in the run directory {}: {error}", run_dir.display()))
    })
}

/// Where workers of this machine come to.
pub(super) fn socket(context: &Context) -> String {
    format!("ipc://{}", context.config.socket().display())
}

/// The line that says that workers may come.
fn ready(context: &Context, gate: Option<&Endpoint>, api: Option<&Served>) {
    let api = api.map(|api| api.url.as_str());
    let (socket, pumps) = (socket(context), context.config.pumps);
    if context.json {
        let gate = gate.map(|gate| gate.to_string());
        println!(
            "{}",
            json!({ "ready": "orchestrator", "socket": socket, "gate": gate, "pumps": pumps, "api": api })
        );
    } else {
        let gate = gate.map(|gate| format!(" and {gate}")).unwrap_or_default();
        let pumps = if pumps == 1 { String::new() } else { format!(", {pumps} pumps") };
        let api = api.map(|url| format!(", api={url}")).unwrap_or_default();
        println!("orchestrator ready: {socket}{gate}{pumps}, database {}{api}", context.config.database);
    }
}
