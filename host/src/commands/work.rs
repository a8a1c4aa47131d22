//! `work`: a worker until a signal comes.

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::incarnation;
use crate::compose;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::lifecycle::Stopping;

/// Runs until told to stop.
pub(super) async fn run(context: &Context) -> Result<Exit, CliError> {
    let stopping = Stopping::listen()?;
    let incarnation = incarnation()?;
    let (port, tunnel) = compose::worker_port(context, &incarnation)?;
    let worker = compose::worker(context, &incarnation, port)?;
    let (drain, abort) = (stopping.drain.clone(), stopping.abort.clone());
    let beside = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(async move { match stopping.watch().await {} });
    if let Some(tunnel) = tunnel {
        serving.spawn(tunnel.run(beside.clone()));
    }
    let options = context.config.worker(&incarnation);
    if context.json {
        println!("{}", json!({ "ready": "worker", "name": options.name, "slots": options.slots }));
    } else {
        println!("worker ready: {} with {} slots", options.name, options.slots);
    }
    let end = worker.run(drain, abort).await;
    beside.cancel();
    serving.shutdown().await;
    let end = end?;
    tracing::info!(
        reason = end.reason,
        steps = end.steps_ended,
        given_up = end.steps_given_up,
        "worker stopped"
    );
    Ok(if end.aborted { Exit::Failed } else { Exit::Good })
}
