//! Components for workers: whoever is welcome may ask for one that is registered, part by part.
//!
//! Reading takes its time, so each part is read by a task of its own, and the pump only sends what is ready. Batches and
//! heartbeats go in between.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepwright_registry::Blobs;
use stepwright_store::Store;
use stepwright_transport::port::ConnectionId;
use stepwright_transport::wire::{ComponentPart, ComponentRequest, Signature};
use stepwright_workflow::Digest;
use tokio::task::JoinSet;

/// The largest part, in bytes: 10 MB come in ten parts, and none delays a heartbeat by more than its own time on the line.
const PART_BYTES_MAX: u64 = 1 << 20;

/// A part of a component as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Bytes of the whole component.
    pub total: u64,
    /// The bytes from the offset on, as many as were wanted or as there are.
    pub bytes: Vec<u8>,
}

/// A part that is being read, or why there is none.
pub type Reading = Pin<Box<dyn Future<Output = Result<Part, String>> + Send>>;

/// Reads at most so many bytes of a component from an offset on, wherever components are kept.
pub type Shelf = Arc<dyn Fn(Digest, u64, usize) -> Reading + Send + Sync>;

/// The shelf that is the registry's own, wherever that keeps its components.
pub fn of_registry(blobs: Blobs) -> Shelf {
    let blobs = Arc::new(blobs);
    Arc::new(move |digest, offset, bytes_max| {
        let blobs = Arc::clone(&blobs);
        Box::pin(async move {
            let total = blobs.len(&digest).await.map_err(|error| error.to_string())?;
            let bytes_max = bytes_max as u64;
            let bytes = blobs.part(&digest, offset, bytes_max).await.map_err(|error| error.to_string())?;
            Ok(Part { total, bytes: bytes.into() })
        })
    })
}

/// What is being read for whom.
pub(crate) struct Desk {
    clerk: Option<Clerk>,
    reading: JoinSet<(ConnectionId, ComponentPart)>,
    /// Connections that wait for a part: each has one at a time.
    waiting: BTreeSet<ConnectionId>,
}

/// What a reading task needs. Cheap to clone.
#[derive(Clone)]
struct Clerk {
    shelf: Shelf,
    store: Arc<dyn Store>,
    /// Components that were found registered, and who vouches for each.
    registered: Arc<Mutex<BTreeMap<Digest, Vec<Signature>>>>,
    part_bytes_max: usize,
}

impl Desk {
    /// One that has nothing to give.
    pub(crate) fn closed() -> Self {
        Self { clerk: None, reading: JoinSet::new(), waiting: BTreeSet::new() }
    }

    /// One that gives what is on the shelf, in parts that fit into messages.
    pub(crate) fn open(shelf: Shelf, store: Arc<dyn Store>, message_bytes_max: u64) -> Self {
        // In base64, with what stands around it, a part is half as large again at most.
        let part_bytes_max =
            usize::try_from((message_bytes_max / 2).min(PART_BYTES_MAX)).unwrap_or(usize::MAX);
        let clerk = Clerk { shelf, store, registered: Arc::default(), part_bytes_max };
        Self { clerk: Some(clerk), ..Self::closed() }
    }

    /// Takes a request in; one that comes before the last one was answered is a repetition of it.
    pub(crate) fn ask(&mut self, connection: ConnectionId, request: ComponentRequest) {
        if !self.waiting.insert(connection) {
            return;
        }
        let clerk = self.clerk.clone();
        self.reading.spawn(async move {
            let read = match &clerk {
                Some(clerk) => clerk.read(&request).await,
                None => Err("this orchestrator hands out no components".to_owned()),
            };
            (connection, answer(&request, read))
        });
    }

    /// The next part that is ready; `None` if none is being read. Cancel safe.
    pub(crate) async fn ready(&mut self) -> Option<(ConnectionId, ComponentPart)> {
        loop {
            match self.reading.join_next().await? {
                Ok((connection, part)) => {
                    self.waiting.remove(&connection);
                    return Some((connection, part));
                }
                // Whoever waits asks again.
                Err(error) => {
                    tracing::error!(%error, "a component could not be read");
                    self.waiting.clear();
                }
            }
        }
    }
}

impl Clerk {
    async fn read(&self, request: &ComponentRequest) -> Result<(Part, Vec<Signature>), String> {
        let ComponentRequest { digest, offset } = *request;
        let signatures = self.signatures(digest, offset == 0).await?;
        Ok(((self.shelf)(digest, offset, self.part_bytes_max).await?, signatures))
    }

    /// Who vouches for a component. Whatever lies on the shelf, only what is registered is given out. With its first part that is
    /// looked up anew, for somebody may have signed it meanwhile.
    async fn signatures(&self, digest: Digest, anew: bool) -> Result<Vec<Signature>, String> {
        let known = self.registered().get(&digest).filter(|_| !anew).cloned();
        if let Some(signatures) = known {
            return Ok(signatures);
        }
        let plugins = self.store.plugins().await;
        let plugins = plugins.map_err(|error| format!("failed to read what is registered: {error}"))?;
        let mut registered = BTreeMap::<Digest, Vec<Signature>>::new();
        for plugin in plugins {
            let signatures = plugin.signatures.read::<Vec<Signature>>().map_err(|error| {
                format!("the signatures of {} in the database are broken: {error}", plugin.reference())
            })?;
            registered.entry(plugin.digest).or_default().extend(signatures);
        }
        let found = registered.get(&digest).cloned();
        *self.registered() = registered;
        found.ok_or_else(|| format!("no component {digest} is registered"))
    }

    fn registered(&self) -> MutexGuard<'_, BTreeMap<Digest, Vec<Signature>>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(request: &ComponentRequest, read: Result<(Part, Vec<Signature>), String>) -> ComponentPart {
    let ComponentRequest { digest, offset } = *request;
    let empty = ComponentPart {
        digest,
        offset,
        total: 0,
        data: String::new(),
        signatures: Vec::new(),
        missing: None,
    };
    match read {
        Ok((Part { total, bytes }, signatures)) => {
            let signatures = if offset == 0 { signatures } else { Vec::new() };
            ComponentPart { total, data: ComponentPart::data_of(&bytes), signatures, ..empty }
        }
        Err(reason) => {
            tracing::warn!(%digest, reason, "a worker asked for a component that it cannot have");
            ComponentPart { missing: Some(reason), ..empty }
        }
    }
}
