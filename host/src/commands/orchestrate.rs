//! `orchestrate`: an orchestrator until a signal comes.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::incarnation;
use crate::compose::{self, GateParts, Orchestration};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::lifecycle::Stopping;
use crate::wake::WakeSocket;

/// Runs until told to stop.
pub(super) async fn run(context: &Context) -> Result<Exit, CliError> {
    let stopping = Stopping::listen()?;
    let incarnation = incarnation()?;
    let port = async || compose::orchestrator_port(context, &incarnation).await;
    let Orchestration { orchestrator, handle, pruner, store, lock } =
        compose::orchestration(context, &incarnation, port).await?;
    let gate = compose::gate(context, &incarnation, store.clone()).await?;
    let wake = listen(context)?;
    ready(context, gate.as_ref().map(|parts| parts.url.as_str()));

    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    // What serves the orchestrator ends after it, not with it.
    let beside = CancellationToken::new();
    let mut serving = JoinSet::new();
    let announced = store.clone();
    // Whatever wakes the orchestrator may be about tokens.
    let tokens = Arc::new(Notify::new());
    let tokens_changed = tokens.clone();
    serving.spawn(async move { match stopping.watch().await {} });
    serving.spawn(async move {
        loop {
            tokio::select! {
                () = wake.woken() => {}
                () = announced.announced() => {}
            }
            handle.wake();
            tokens.notify_one();
        }
    });
    serving.spawn(pruner.run(beside.clone()));
    if let Some(GateParts { gate, admission, .. }) = gate {
        let (keeping, serve) = (admission.run(gate.entries(), tokens_changed), gate.run(beside.clone()));
        // Together: a gate whose list nobody keeps lets nobody stay.
        serving.spawn(async move {
            tokio::select! {
                () = keeping => {}
                () = serve => {}
            }
        });
    }
    let result = tokio::select! {
        result = orchestrator.run(drain) => result.map_err(CliError::from),
        () = abort.cancelled() => Err(CliError::new("stopped at once, as asked for")),
    };
    beside.cancel();
    serving.shutdown().await;
    store.close().await;
    drop(lock);
    result.map(|()| Exit::Good)
}

/// The wake-up socket, which is made after the orchestrator's lock was taken.
pub(super) fn listen(context: &Context) -> Result<WakeSocket, CliError> {
    let run_dir = &context.config.run_dir;
    stepwright_transport::zmq::private_folder(run_dir)?;
    WakeSocket::bind(run_dir).map_err(|error| {
        CliError::new(format!("failed to listen in the run directory {}: {error}", run_dir.display()))
    })
}

/// The line that says that workers may come.
fn ready(context: &Context, gate: Option<&str>) {
    let socket = format!("ipc://{}", context.config.socket().display());
    if context.json {
        println!("{}", json!({ "ready": "orchestrator", "socket": socket, "gate": gate }));
    } else {
        let gate = gate.map(|gate| format!(" and {gate}")).unwrap_or_default();
        println!("orchestrator ready: {socket}{gate}, database {}", context.config.database);
    }
}
