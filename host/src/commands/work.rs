//! `work`: a worker until a signal comes.

use serde_json::json;
use stepwright_worker::{WorkerEnd, WorkerError};
use tokio::task::JoinSet;

use crate::clock::incarnation;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::fleet::Links;
use crate::lifecycle::Stopping;
use crate::observed::Observing;

/// Runs until told to stop.
pub(super) async fn run(context: &Context) -> Result<Exit, CliError> {
    let mut context = context.clone();
    let observing = Observing::start(&mut context)?;
    let context = &context;
    let stopping = Stopping::listen()?;
    let links = Links::open(context, incarnation()?, &stopping)?;
    let mut serving = JoinSet::new();
    serving.spawn(async move { match stopping.watch().await {} });
    ready(context, links.count());
    let ends = links.run().await?;
    serving.shutdown().await;
    if let Some(observing) = observing {
        observing.end().await;
    }
    finish(ends)
}

fn ready(context: &Context, links: usize) {
    let options = context.config.worker("");
    if context.json {
        println!(
            "{}",
            json!({ "ready": "worker", "name": options.name, "slots": options.slots, "orchestrators": links })
        );
    } else {
        let of = if links == 1 { String::new() } else { format!(", for {links} orchestrators") };
        println!("worker ready: {} with {} slots{of}", options.name, options.slots);
    }
}

/// The first error, or else how it all ended.
fn finish(ends: Vec<Result<WorkerEnd, WorkerError>>) -> Result<Exit, CliError> {
    let ends = ends.into_iter().collect::<Result<Vec<WorkerEnd>, WorkerError>>()?;
    let steps: u64 = ends.iter().map(|end| end.steps_ended).sum();
    let given_up: usize = ends.iter().map(|end| end.steps_given_up).sum();
    let reason = ends.first().map(|end| end.reason.clone()).unwrap_or_default();
    tracing::info!(reason, steps, given_up, "worker stopped");
    Ok(if ends.iter().any(|end| end.aborted) { Exit::Failed } else { Exit::Good })
}
