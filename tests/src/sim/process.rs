//! A process of the simulation: started, killed, and stopped as by SIGSTOP.

use std::future::Future;
use std::pin::pin;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Something that runs until it ends or is killed.
pub(super) struct Process {
    running: JoinSet<String>,
    frozen: watch::Sender<bool>,
}

impl Process {
    /// Starts it. Its result is what it said at its end.
    pub(super) fn start(future: impl Future<Output = String> + Send + 'static) -> Self {
        let (frozen, watching) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(freezable(future, watching));
        Self { running, frozen }
    }

    /// Nothing of it runs until it is thawed; the time goes on.
    pub(super) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Ends it between two of its steps, whatever it was about to do.
    pub(super) async fn kill(mut self) {
        self.running.shutdown().await;
    }

    /// How it ended, if it has: its last words, or its panic.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.running.try_join_next().map(said)
    }

    /// Waits for its end.
    pub(super) async fn end(mut self) -> String {
        self.running.join_next().await.map_or_else(String::new, said)
    }
}

fn said(result: Result<String, tokio::task::JoinError>) -> String {
    result.unwrap_or_else(|error| format!("panicked: {error}"))
}

async fn freezable(future: impl Future<Output = String>, mut frozen: watch::Receiver<bool>) -> String {
    let mut future = pin!(future);
    loop {
        let said = tokio::select! {
            biased;
            _ = frozen.wait_for(|frozen| *frozen) => None,
            said = &mut future => Some(said),
        };
        if let Some(said) = said {
            return said;
        }
        let _ = frozen.wait_for(|frozen| !*frozen).await;
    }
}
