//! A file's output stream that writes no more than is left.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::files::budget::{Budget, Room};

/// Everything that reaches the file goes through here: writes, zeroes and splices alike.
pub(crate) struct Metered {
    inner: DynOutputStream,
    budget: Arc<Budget>,
    room: Room,
}

impl Metered {
    pub(crate) fn new(inner: DynOutputStream, budget: Arc<Budget>, room: Room) -> Self {
        Self { inner, budget, room }
    }

    fn charge(&self, bytes: usize) -> StreamResult<()> {
        if self.budget.write_all(self.room, bytes as u64) { Ok(()) } else { Err(full()) }
    }
}

fn full() -> StreamError {
    StreamError::LastOperationFailed(io::Error::from(Errno::NOSPC).into())
}

#[async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // One byte is permitted when none is left: the write of it fails, where a flush of what came before must not.
        let left = self.budget.left(self.room).max(1);
        let permit = self.inner.check_write()?;
        Ok(permit.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}
