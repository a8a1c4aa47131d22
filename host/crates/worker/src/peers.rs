//! What a worker hears of the orchestrators that there are, handed on to whoever opens and closes links.

use std::sync::Arc;

use stepwright_transport::wire::Peer;

use crate::worker::Service;

/// What an orchestrator said last, on a connection that stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Its own incarnation; empty if it does not say.
    pub orchestrator: String,
    /// All that there are; empty if it does not say.
    pub peers: Vec<Peer>,
}

/// Is told what was heard, and `None` when the connection is gone.
pub type News = Arc<dyn Fn(Option<Heard>) + Send + Sync>;

impl Service {
    /// Tells of a welcome, or of a connection's end.
    pub(crate) fn tell(&mut self, heard: Option<(&str, &[Peer])>) {
        self.heard_from = heard.map(|(orchestrator, _)| orchestrator.to_owned()).unwrap_or_default();
        if let Some(news) = &self.news {
            news(heard.map(|(orchestrator, peers)| Heard {
                orchestrator: orchestrator.to_owned(),
                peers: peers.to_vec(),
            }));
        }
    }

    /// Tells of a list that has changed.
    pub(crate) fn tell_peers(&self, peers: Vec<Peer>) {
        if let Some(news) = &self.news {
            news(Some(Heard { orchestrator: self.heard_from.clone(), peers }));
        }
    }
}
