//! What one attempt has sent and received, and how much of it is left.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::Error;

use crate::egress::options::EgressOptions;
use crate::journal::Journal;

/// Shared by all requests of one attempt.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) options: EgressOptions,
    journal: Journal,
    connections: Arc<Semaphore>,
    asked: AtomicU32,
    sent: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    over_bytes_out: AtomicBool,
}

/// The right to hold a connection; given back when the response is read and the socket closed, or both are dropped.
#[derive(Debug)]
pub(crate) struct Permits(#[allow(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

/// A turn among the attempt's own requests.
pub(crate) type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

impl Account {
    pub(crate) fn new(options: EgressOptions, journal: Journal) -> Self {
        Self {
            options,
            journal,
            connections: Arc::new(Semaphore::new(options.connections_max as usize)),
            asked: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            over_bytes_out: AtomicBool::new(false),
        }
    }

    /// Counts a request before anything else is done for it.
    pub(crate) fn ask(&self) -> Result<(), Error> {
        let max = self.options.calls_max;
        if self.asked.fetch_add(1, Ordering::Relaxed) < max {
            return Ok(());
        }
        self.note("http_calls_max", &format!("{max} requests"));
        Err(Error::HttpRequestDenied)
    }

    /// Counts a request that goes out.
    pub(crate) fn send(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a turn among the attempt's own requests. They go in the order in which the guest made them: it will read the
    /// responses in that order, and a later one that went first would wait for it with its place.
    pub(crate) fn turn(&self) -> Turn {
        let connections = Arc::clone(&self.connections);
        let mut turn: Turn = Box::pin(async move { connections.acquire_owned().await.ok() });
        // Being asked once puts it into the queue.
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Box::pin(std::future::ready(place)),
            Poll::Pending => turn,
        }
    }

    /// Waits for the turn, then for a place among the requests of the process.
    pub(crate) async fn connection(&self, turn: Turn, process: &Arc<Semaphore>) -> Result<Permits, Error> {
        let wait = self.options.connect_max;
        let (own, max) = (tokio::time::timeout(wait, turn).await, self.options.connections_max);
        let Ok(Some(own)) = own else { return Err(self.no_place("http_connections_max", max)) };
        let shared = tokio::time::timeout(wait, Arc::clone(process).acquire_owned()).await;
        let max = self.options.connections_process_max;
        let Ok(Ok(shared)) = shared else { return Err(self.no_place("http_connections_process_max", max)) };
        Ok(Permits([own, shared]))
    }

    fn no_place(&self, limit: &str, max: u32) -> Error {
        self.note(limit, &format!("{max} requests at the same time"));
        Error::ConnectionLimitReached
    }

    /// Counts bytes of a request's body.
    pub(crate) fn put(&self, bytes: usize) -> Result<(), Error> {
        let max = self.options.bytes_out_max;
        if add(&self.bytes_out, bytes, max) {
            return Ok(());
        }
        self.over_bytes_out.store(true, Ordering::Relaxed);
        self.note("http_bytes_out_max", &format!("{max} bytes in request bodies"));
        Err(Error::HttpRequestBodySize(Some(max)))
    }

    /// Counts bytes of a response's body.
    pub(crate) fn got(&self, bytes: usize) -> Result<(), Error> {
        let max = self.options.bytes_in_max;
        if add(&self.bytes_in, bytes, max) {
            return Ok(());
        }
        self.note("http_bytes_in_max", &format!("{max} bytes in response bodies"));
        Err(Error::HttpResponseBodySize(Some(max)))
    }

    /// Whether a request broke off because of its bytes: the HTTP library does not pass the reason on.
    pub(crate) fn is_over_bytes_out(&self) -> bool {
        self.over_bytes_out.load(Ordering::Relaxed)
    }

    /// Headers that are too large, in either direction.
    pub(crate) fn headers_too_large(&self) {
        self.note("http_header_bytes_max", &format!("{} bytes in headers", self.options.header_bytes_max));
    }

    /// Requests sent, bytes of their bodies, bytes of the responses' bodies.
    pub(crate) fn used(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let EgressOptions { bytes_in_max, bytes_out_max, .. } = self.options;
        (read(&self.sent), read(&self.bytes_out).min(bytes_out_max), read(&self.bytes_in).min(bytes_in_max))
    }

    fn note(&self, limit: &str, what: &str) {
        self.journal.notice(format!("the limit {limit} is reached: an attempt may have {what}"));
    }
}

fn add(counter: &AtomicU64, bytes: usize, max: u64) -> bool {
    counter.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64) <= max
}
