//! Puts the HTTP API before the parts of this process: what it needs of them, where it listens, and when it ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use stepwright_api::view::{HistoryEvent, RegisteredPlugin};
use stepwright_api::{Acceptor, Api, ApiOptions, Host, Parts, Problem, RegisterError, Secret, Upload};
use stepwright_orchestrator::OrchestratorHandle;
use stepwright_orchestrator::webhooks::{BadWebhook, check};
use stepwright_store::{NewWebhook, Store, TaskRecord, TokenScope};
use stepwright_transport::gate::GateTls;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::random;
use crate::commands::plugin::upload;
use crate::commands::task::books;
use crate::commands::token::secret;
use crate::config::Listen;
use crate::context::Context;
use crate::error::CliError;
use crate::webhooks::{self, Sender};

/// Where `dev` serves the API unless it is told otherwise.
const DEV: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7_780);

/// The API with its listener, which is open.
pub(crate) struct Served {
    api: Api,
    listener: TcpListener,
    tls: Option<Acceptor>,
    /// Where it is reached.
    pub(crate) url: String,
}

/// Which command serves the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `dev`: at its usual place, and open on the loopback for as long as no token was ever made.
    Dev,
    /// `orchestrate`: only where it was told to, and always with tokens.
    Orchestrate,
}

/// The API of this process, if it is to have one.
pub(crate) async fn serve(
    context: &Context,
    role: Role,
    store: Arc<dyn Store>,
    orchestrator: OrchestratorHandle,
) -> Result<Option<Served>, CliError> {
    let settings = &context.config.api;
    let address = match (settings.listen, role) {
        (Listen::Off, _) | (Listen::Unsaid, Role::Orchestrate) => return Ok(None),
        (Listen::Unsaid, Role::Dev) => DEV,
        (Listen::At(address), _) => address,
    };
    let listener = stepwright_api::listen(address).await.map_err(|error| taken(address, &error))?;
    let tls = settings.tls.clone().map(GateTls::load).transpose()?;
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(listen = %address, "the API encrypts nothing: whoever reads along has the tokens");
    }
    let open = role == Role::Dev && address.ip().is_loopback();
    if !open && !store.tokens().await?.iter().any(|token| token.scope != TokenScope::Worker) {
        tracing::warn!(
            "the API lets nobody in yet: there is no token. Make one with 'stepwright token create --name NAME --scope SCOPE'"
        );
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let host = Arc::new(Process { context: context.clone(), store: store.clone() });
    let parts = Parts {
        store,
        orchestrator: Some(orchestrator),
        clock: context.clock.clone(),
        host,
        random: random(),
        options: ApiOptions {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            open,
            drain: std::time::Duration::from_millis(context.config.worker("").drain_ms),
            ..settings.options.clone()
        },
    };
    let tls = tls.map(|tls| Arc::new(move || tls.acceptor()) as Acceptor);
    Ok(Some(Served { api: Api::new(parts).await?, listener, tls, url }))
}

fn taken(address: SocketAddr, error: &std::io::Error) -> CliError {
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another process listens there, perhaps another 'stepwright dev'".to_owned()
        }
        _ => error.to_string(),
    };
    CliError::new(format!(
        "failed to serve the HTTP API at {address}: {why}; choose another place with --api-listen or api.listen, \
         such as 127.0.0.1:0 for a free port, or 'off' for none"
    ))
}

impl Served {
    /// Serves until it is told to stop, and what was under way then has ended. `tokens_changed` is whatever may be about tokens.
    pub(crate) async fn run(self, tokens_changed: Arc<Notify>, stop: CancellationToken) {
        self.api.run(self.listener, self.tls, tokens_changed, stop).await;
    }
}

/// What only this process can do.
struct Process {
    context: Context,
    store: Arc<dyn Store>,
}

#[async_trait]
impl Host for Process {
    async fn register(&self, upload: Upload) -> Result<RegisteredPlugin, RegisterError> {
        upload::register(upload, self.store.as_ref(), &self.context).await
    }

    fn draw(&self) -> Result<Secret, String> {
        let drawn = secret::draw().map_err(|error| error.text())?;
        Ok(Secret { text: drawn.reveal().to_owned(), hash: drawn.hash() })
    }

    fn webhook_secret(&self) -> Result<String, String> {
        webhooks::secret().map_err(|error| error.text())
    }

    fn check_webhook(&self, webhook: &NewWebhook) -> Result<(), BadWebhook> {
        check(webhook, &Sender::checking(&self.context))
    }

    async fn wake(&self) {
        self.context.wake(self.store.as_ref()).await;
    }

    async fn history(&self, task: &TaskRecord) -> Result<Vec<HistoryEvent>, Problem> {
        Ok(books::events(self.store.as_ref(), task).await?)
    }
}
