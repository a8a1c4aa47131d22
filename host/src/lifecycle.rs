//! How a process is told to stop: the first signal drains, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// SIGTERM and SIGINT, as tokens.
pub(crate) struct Stopping {
    terminate: Signal,
    interrupt: Signal,
    /// Cancelled by the first signal.
    pub(crate) drain: CancellationToken,
    /// Cancelled by the second.
    pub(crate) abort: CancellationToken,
}

impl Stopping {
    /// Takes the signals over.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let take =
            |kind| signal(kind).map_err(|error| CliError::caused("failed to listen for signals", &error));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
        })
    }

    /// Cancels the tokens as signals come. Never returns.
    pub(crate) async fn watch(mut self) -> std::convert::Infallible {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if self.drain.is_cancelled() {
                tracing::warn!("a second signal: stopping at once");
                self.abort.cancel();
            } else {
                tracing::info!("stopping; a second signal stops at once");
                self.drain.cancel();
            }
        }
    }
}
