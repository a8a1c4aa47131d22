//! Components that are not here yet: who runs steps orders them by digest, and somebody who knows where they are delivers.

use std::time::Duration;

use stepwright_registry::Signature;
use stepwright_workflow::Digest;
use tokio::sync::{mpsc, oneshot};

/// Orders that nobody has taken yet. Each is a component that steps wait for, and slots are fewer.
const ORDERS_MAX: usize = 256;

/// A component as it was delivered. Nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes, whatever they are.
    pub bytes: Vec<u8>,
    /// Who vouches for it.
    pub signatures: Vec<Signature>,
}

/// A component that is wanted.
#[derive(Debug)]
pub struct Order {
    /// Which one.
    pub digest: Digest,
    /// Where it goes, or the reason why it does not come. Closed once nobody wants it any more.
    pub reply: oneshot::Sender<Result<Fetched, String>>,
}

/// Where components are ordered. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supply {
    orders: mpsc::Sender<Order>,
    patience: Duration,
}

impl Supply {
    /// How long a step waits for a component: 32 MiB over a slow line take half of it.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// A place to order, and the orders. Nobody waits longer than `patience` for a delivery.
    pub fn new(patience: Duration) -> (Self, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        (Self { orders, patience }, taken)
    }

    /// Waits for a component.
    pub(crate) async fn fetch(&self, digest: Digest) -> Result<Fetched, String> {
        let (reply, delivered) = oneshot::channel();
        let ordered = async {
            let gone = || "nobody delivers components here any more".to_owned();
            self.orders.send(Order { digest, reply }).await.map_err(|_| gone())?;
            delivered.await.unwrap_or_else(|_| Err(gone()))
        };
        let patience = self.patience.as_secs();
        let late = |_| Err(format!("no orchestrator has sent it within {patience} s"));
        tokio::time::timeout(self.patience, ordered).await.unwrap_or_else(late)
    }
}
