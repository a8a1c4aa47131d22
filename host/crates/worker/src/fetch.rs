//! Components that steps of this process wait for: asked for part by part through whichever link has nothing else to ask.
//!
//! ```text
//!   executor ── order ──▶ Fetches ──▶ line of a link ── component_request ──▶ orchestrator
//!      ▲                     ▲             │  │ ◀────── component_part ───────────┘
//!      │                     └─ link lost ─┘  │
//!      └──────────────── the whole ───────────┘
//! ```
//!
//! What has come is kept when a link is lost, and the next one asks for the rest. Nobody here checks what came: who ordered it
//! knows the digest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepwright_executor::{Fetched, Order, Signature};
use stepwright_transport::wire::{ComponentPart, ComponentRequest, FromWorker};
use stepwright_workflow::Digest;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::link::Link;
use crate::worker::Service;

/// The largest component that is fetched, in bytes. What is compiled has its own, smaller limit; this one only bounds memory.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;
/// Heartbeats without an answer before a request is sent again: a single message may be lost without its connection.
const SILENT_HEARTBEATS_MAX: u32 = 5;

/// The orders of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    orders: tokio::sync::Mutex<mpsc::Receiver<Order>>,
    board: Mutex<Board>,
    /// Something came back to the board.
    returned: Notify,
}

#[derive(Debug, Default)]
struct Board {
    next: u64,
    /// Lines whose links are welcome at an orchestrator.
    open: BTreeSet<u64>,
    waiting: VecDeque<Transfer>,
}

/// A component on its way.
#[derive(Debug)]
struct Transfer {
    digest: Digest,
    reply: oneshot::Sender<Result<Fetched, String>>,
    bytes: Vec<u8>,
    signatures: Vec<Signature>,
    /// Lines whose orchestrators do not have it, and why.
    missing: BTreeMap<u64, String>,
}

/// What a part made of a transfer.
enum Progress {
    Stale,
    More,
    Whole,
    Missing(String),
    Wrong(String),
}

/// One link's way to ask.
#[derive(Debug)]
pub(crate) struct Line {
    shared: Arc<Shared>,
    number: u64,
    open: bool,
    transfer: Option<Transfer>,
    /// Heartbeats since the request.
    silent: u32,
}

impl Fetches {
    /// Takes these orders.
    pub fn new(orders: mpsc::Receiver<Order>) -> Self {
        Self(Arc::new(Shared {
            orders: tokio::sync::Mutex::new(orders),
            board: Mutex::default(),
            returned: Notify::new(),
        }))
    }

    /// For a worker whose executor has its components: no order ever comes.
    pub(crate) fn none() -> Self {
        Self::new(mpsc::channel(1).1)
    }

    pub(crate) fn line(&self) -> Line {
        let mut board = self.0.board();
        board.next += 1;
        Line { shared: Arc::clone(&self.0), number: board.next, open: false, transfer: None, silent: 0 }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a transfer where another line finds it, unless every line that is open has been told that there is nothing.
    fn give_back(&self, transfer: Transfer) {
        let mut board = self.board();
        let is_hopeless =
            !transfer.missing.is_empty() && board.open.iter().all(|line| transfer.missing.contains_key(line));
        if is_hopeless {
            let reasons: BTreeSet<&str> = transfer.missing.values().map(String::as_str).collect();
            let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
            // Whoever ordered it may have gone.
            let _ = transfer.reply.send(Err(reasons));
            return;
        }
        board.waiting.push_back(transfer);
        drop(board);
        self.returned.notify_waiters();
    }

    fn take(&self, line: u64) -> Option<Transfer> {
        let mut board = self.board();
        board.waiting.retain(|transfer| !transfer.reply.is_closed());
        let at = board.waiting.iter().position(|transfer| !transfer.missing.contains_key(&line))?;
        board.waiting.remove(at)
    }

    /// The next order; for ever, once nobody orders any more.
    async fn order(&self) -> Transfer {
        match self.orders.lock().await.recv().await {
            Some(Order { digest, reply }) => Transfer {
                digest,
                reply,
                bytes: Vec::new(),
                signatures: Vec::new(),
                missing: BTreeMap::new(),
            },
            None => std::future::pending().await,
        }
    }
}

impl Line {
    /// The orchestrator answers from now on.
    pub(crate) fn open(&mut self) {
        self.open = true;
        self.shared.board().open.insert(self.number);
    }

    /// It does not any more: what was asked is asked elsewhere.
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.shared.board().open.remove(&self.number);
        if let Some(transfer) = self.transfer.take() {
            self.shared.give_back(transfer);
        }
    }

    /// Waits until there is something to ask for. Cancel safe.
    pub(crate) async fn wanted(&mut self) {
        if !self.open || self.transfer.is_some() {
            return std::future::pending().await;
        }
        let transfer = loop {
            let mut returned = std::pin::pin!(self.shared.returned.notified());
            // Registered before the look, so that nothing comes back unheard between the two.
            returned.as_mut().enable();
            if let Some(transfer) = self.shared.take(self.number) {
                break transfer;
            }
            tokio::select! {
                biased;
                () = returned => {}
                transfer = self.shared.order() => break transfer,
            }
        };
        self.transfer = Some(transfer);
    }

    /// What to ask now, if anything.
    pub(crate) fn request(&mut self) -> Option<ComponentRequest> {
        // Whoever wanted it may have stopped waiting.
        if self.transfer.as_ref().is_some_and(|transfer| transfer.reply.is_closed()) {
            self.transfer = None;
        }
        self.silent = 0;
        let transfer = self.transfer.as_ref()?;
        Some(ComponentRequest { digest: transfer.digest, offset: transfer.bytes.len() as u64 })
    }

    /// Takes a part in. Returns whether to ask for the next one.
    pub(crate) fn part(&mut self, part: ComponentPart) -> bool {
        let Some(mut transfer) = self.transfer.take() else { return false };
        match transfer.take(part) {
            progress @ (Progress::Stale | Progress::More) => {
                self.transfer = Some(transfer);
                return matches!(progress, Progress::More);
            }
            Progress::Whole => transfer.whole(),
            Progress::Missing(reason) => {
                transfer.missing.insert(self.number, reason);
                self.shared.give_back(transfer);
            }
            Progress::Wrong(reason) => drop(transfer.reply.send(Err(reason))),
        }
        false
    }

    /// A heartbeat's time has passed. Returns whether to ask again.
    pub(crate) fn beat(&mut self) -> bool {
        self.silent += u32::from(self.transfer.is_some());
        self.silent >= SILENT_HEARTBEATS_MAX
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

impl Transfer {
    fn take(&mut self, part: ComponentPart) -> Progress {
        let offset = self.bytes.len() as u64;
        if part.digest != self.digest || (part.missing.is_none() && part.offset != offset) {
            return Progress::Stale;
        }
        if let Some(reason) = part.missing {
            return Progress::Missing(reason);
        }
        if part.total > COMPONENT_BYTES_MAX {
            let total = part.total;
            return Progress::Wrong(format!("it has {total} bytes, the limit is {COMPONENT_BYTES_MAX}"));
        }
        let bytes = match part.bytes() {
            Ok(bytes) => bytes,
            Err(error) => return Progress::Wrong(format!("a part of it is not readable: {error}")),
        };
        if offset == 0 {
            let signature = |it: stepwright_transport::wire::Signature| Signature {
                key: it.key,
                signature: it.signature,
            };
            self.signatures = part.signatures.into_iter().map(signature).collect();
        }
        self.bytes.extend_from_slice(&bytes);
        let (have, total) = (self.bytes.len() as u64, part.total);
        match have.cmp(&total) {
            std::cmp::Ordering::Less if bytes.is_empty() => {
                Progress::Wrong(format!("it ends after {have} bytes of {total}"))
            }
            std::cmp::Ordering::Less => Progress::More,
            std::cmp::Ordering::Equal => Progress::Whole,
            std::cmp::Ordering::Greater => Progress::Wrong(format!("{have} bytes of {total} came")),
        }
    }

    fn whole(self) {
        let Self { reply, bytes, signatures, .. } = self;
        // Whoever ordered it may have gone.
        let _ = reply.send(Ok(Fetched { bytes, signatures }));
    }
}

impl Service {
    /// Asks for the next part of a component, if one is wanted.
    pub(crate) fn ask(&mut self) {
        if self.link == Link::Welcome
            && let Some(request) = self.line.request()
        {
            let ComponentRequest { digest, offset } = &request;
            tracing::debug!(%digest, offset, "asks for a part of a component");
            // A connection that does not take it closes the line, and another one asks.
            let _ = self.say(FromWorker::ComponentRequest(request));
        }
    }
}
