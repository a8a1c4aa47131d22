//! What runs beside the pumps of a process, in `dev` as in `orchestrate`: signals, the API, the gate, webhooks, and retention.

use std::sync::Arc;

use stepwright_orchestrator::OrchestratorHandle;
use stepwright_orchestrator::feed::Feed;
use stepwright_orchestrator::pruner::Pruner;
use stepwright_store::Store;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Served;
use crate::compose::GateParts;
use crate::context::Context;
use crate::error::CliError;
use crate::lifecycle::Stopping;
use crate::wake::WakeSocket;
use crate::webhooks;

/// What they are made of.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) feed: Arc<Feed>,
    /// Of every pump.
    pub(super) handles: Vec<OrchestratorHandle>,
    pub(super) pruner: Pruner,
    pub(super) gate: Option<GateParts>,
    pub(super) api: Option<Served>,
    pub(super) wake: WakeSocket,
    pub(super) stopping: Stopping,
}

/// See the module. They end after the pumps, not with them.
pub(super) struct Services {
    /// Requests under way are answered before the database is closed.
    asking: JoinSet<()>,
    /// What webhooks were told is noted before the database is closed.
    telling: JoinSet<()>,
    /// The rest may be cut short.
    serving: JoinSet<()>,
    /// Of the API, which takes no requests any more once pumps drain.
    asking_stop: CancellationToken,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Services {
    /// Starts them all. `incarnation` is this process's name for what only one process may do.
    pub(super) fn start(context: &Context, incarnation: &str, parts: Parts) -> Result<Self, CliError> {
        let Parts { store, feed, handles, pruner, gate, api, wake, stopping } = parts;
        let changes = Changes::default();
        let told = changes.webhooks.clone();
        let webhooks = webhooks::speaker(context, incarnation, (store.clone(), feed), told)?;
        let mut services = Self {
            asking: JoinSet::new(),
            telling: JoinSet::new(),
            serving: JoinSet::new(),
            asking_stop: stopping.drain.child_token(),
            stop: CancellationToken::new(),
            abort: stopping.abort.clone(),
        };
        let stop = || services.stop.clone();
        if let Some(api) = api {
            services.asking.spawn(api.run(changes.api.clone(), services.asking_stop.clone()));
        }
        services.telling.spawn(webhooks.run(stop()));
        services.serving.spawn(pruner.run(stop()));
        if let Some(gate) = gate {
            services.serving.spawn(serve_gate(gate, changes.gate.clone(), stop()));
        }
        services.serving.spawn(async move { match stopping.watch().await {} });
        services.serving.spawn(async move { match wake_all(&wake, &*store, &handles, &changes).await {} });
        Ok(services)
    }

    /// Something else that may be cut short.
    pub(super) fn also(&mut self, service: impl Future<Output = ()> + Send + 'static) {
        self.serving.spawn(service);
    }

    /// Ends them, once the pumps have ended.
    pub(super) async fn end(mut self) {
        self.asking_stop.cancel();
        let in_order = async {
            while self.asking.join_next().await.is_some() {}
            self.stop.cancel();
            while self.telling.join_next().await.is_some() {}
        };
        tokio::select! {
            () = in_order => {}
            () = self.abort.cancelled() => self.stop.cancel(),
        }
        self.serving.shutdown().await;
    }
}

/// Who keeps lists of tokens and webhooks: each is told by itself, since a notice wakes one.
#[derive(Default)]
struct Changes {
    gate: Arc<Notify>,
    api: Arc<Notify>,
    webhooks: Arc<Notify>,
}

/// Lets workers in until it is told to stop. A gate whose list nobody keeps lets nobody stay.
async fn serve_gate(parts: GateParts, tokens_changed: Arc<Notify>, stop: CancellationToken) {
    let GateParts { gate, admission, .. } = parts;
    tokio::select! {
        () = admission.run(gate.entries(), tokens_changed) => {}
        () = gate.run(stop) => {}
    }
}

/// Wakes every pump whenever somebody says that there is something in the database, and whoever keeps a list of it: it may be
/// about tokens or webhooks.
async fn wake_all(
    wake: &WakeSocket,
    store: &dyn Store,
    handles: &[OrchestratorHandle],
    changes: &Changes,
) -> std::convert::Infallible {
    loop {
        tokio::select! {
            () = wake.woken() => {}
            () = store.announced() => {}
        }
        handles.iter().for_each(OrchestratorHandle::wake);
        [&changes.gate, &changes.api, &changes.webhooks].into_iter().for_each(|keeper| keeper.notify_one());
    }
}
