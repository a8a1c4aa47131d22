//! Bodies that are counted while they pass, and end when a limit does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::egress::account::{Account, Permits};

/// A request's body on its way out.
pub(crate) struct Upload {
    inner: WasiBody,
    account: Arc<Account>,
}

impl Upload {
    pub(crate) fn new(inner: WasiBody, account: Arc<Account>) -> Self {
        Self { inner, account }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(self.account.put(bytes).map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body on its way in. It holds the connection's permits until it ends or is dropped.
pub(crate) struct Download<B> {
    inner: B,
    account: Arc<Account>,
    permits: Option<Arc<Permits>>,
    between_bytes: Duration,
    pause: Pin<Box<Sleep>>,
}

impl<B> Download<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error,
{
    pub(crate) fn boxed(
        inner: B,
        account: Arc<Account>,
        permits: Arc<Permits>,
        between_bytes: Duration,
    ) -> WasiBody {
        let pause = Box::pin(tokio::time::sleep(between_bytes));
        Self { inner, account, permits: Some(permits), between_bytes, pause }.boxed_unsync()
    }

    fn end(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.permits = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl<B> Body for Download<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let next = Instant::now() + self.between_bytes;
                self.pause.as_mut().reset(next);
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match self.account.got(bytes) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(error) => self.end(error),
                }
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a response broke off");
                self.end(Error::HttpResponseIncomplete)
            }
            Poll::Ready(None) => {
                self.permits = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.pause.as_mut().poll(context));
                self.end(Error::ConnectionReadTimeout)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
