//! The clock hand of the sandbox: one operating system thread that moves the engine's epoch on.
//!
//! It is no tokio task, because a guest that holds the only worker thread would stop it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// Ticks until it is dropped.
pub(crate) struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts to tick.
    pub(crate) fn start(engine: Engine, tick: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let run = move || run(&engine, tick, &stopped);
        let thread = std::thread::Builder::new().name("stepwright-epoch".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn run(engine: &Engine, tick: Duration, stopped: &Receiver<()>) {
    // Nobody ever sends: the channel only tells that the other end is gone.
    while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        engine.increment_epoch();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and nobody is left to tell if it did.
            let _ = thread.join();
        }
    }
}
