//! Listens, speaks TLS if it is to, and serves HTTP/1.1 until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use stepwright_store::StoreError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::Keeper;
use crate::app::{App, Parts};
use crate::options::ApiOptions;
use crate::route::router;
use crate::routes;

/// Bytes of a request's head, and of what is read at once.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long to wait after an accept failed, which is mostly because files ran out.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Accepts TLS with the files as they are at that moment.
pub type Acceptor = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// The API before a store, ready to be served.
pub struct Api {
    router: Router,
    keeper: Keeper,
    stopping: watch::Sender<bool>,
    options: ApiOptions,
}

impl Api {
    /// Puts it together, and reads the tokens for the first time.
    pub async fn new(parts: Parts) -> Result<Self, StoreError> {
        let options = parts.options.clone();
        let (store, clock) = (parts.store.clone(), parts.clock.clone());
        let (keeper, gatekeeper) = Keeper::start(store, clock, options.open).await?;
        let (stopping, stops) = watch::channel(false);
        let app = App::new(parts, gatekeeper, stops);
        Ok(Self { router: router(&app, routes::all()), keeper, stopping, options })
    }

    /// What answers requests, without a listener.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves a listener until it is told to stop: then it accepts nobody any more, waits end, and what is under way may finish.
    /// `tokens_changed` is whatever may be about tokens.
    pub async fn run(
        self,
        listener: TcpListener,
        tls: Option<Acceptor>,
        tokens_changed: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let Self { router, keeper, stopping, options } = self;
        let mut connections = JoinSet::new();
        let drain = options.drain;
        let places = Arc::new(Semaphore::new(options.connections_max));
        let door = Door { router, options: Arc::new(options), tls, stop: stop.clone() };
        tokio::select! {
            never = keeper.run(tokens_changed) => match never {},
            () = accept(&listener, &door, &places, &mut connections) => {}
            () = stop.cancelled() => {}
        }
        drop(listener);
        stopping.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(drain, ended).await.is_err() {
            tracing::warn!("some requests did not end in time, and were cut off");
            connections.shutdown().await;
        }
    }
}

/// Listens at an address.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// What each connection is given.
#[derive(Clone)]
struct Door {
    router: Router,
    options: Arc<ApiOptions>,
    tls: Option<Acceptor>,
    stop: CancellationToken,
}

/// Accepts connections, as many as there are places; the others wait in the listener's own queue.
async fn accept(listener: &TcpListener, door: &Door, places: &Arc<Semaphore>, connections: &mut JoinSet<()>) {
    while let Ok(place) = places.clone().acquire_owned().await {
        let stream = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => break stream,
                    Err(error) => {
                        tracing::warn!(%error, "failed to accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        };
        let door = door.clone();
        connections.spawn(async move {
            door.serve(stream).await;
            drop(place);
        });
    }
}

impl Door {
    async fn serve(self, stream: TcpStream) {
        // Answers are small, and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.talk(stream).await };
        match timeout(self.options.header_timeout, tls().accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not come to speak TLS"),
            Err(_) => tracing::debug!("a connection took too long to speak TLS"),
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(BUFFER_BYTES_MAX);
        let service = TowerToHyperService::new(self.router);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}
