//! Bytes both ways between two streams, until either ends, breaks a rule, or falls silent.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{CLOSE_TIMEOUT, FrameGuard, IDLE_TIMEOUT, LINE_BYTES_MAX};

/// One read at a time; ZeroMQ's own messages are a few kilobytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads one line without its ending, byte by byte, since what follows it belongs to somebody else.
pub(super) async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            byte if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is too long")),
        }
    }
    String::from_utf8(line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the first line is no text"))
}

/// Relays until both sides have ended; what comes from `untrusted` is checked by the guard. What one side sent before it
/// closed still arrives, and the other side then has a short time to close too.
pub(super) async fn relay<A, B>(untrusted: A, inner: B, mut guard: FrameGuard) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_outside, mut to_outside) = tokio::io::split(untrusted);
    let (mut from_inside, mut to_inside) = tokio::io::split(inner);
    let mut inward = pin!(copy(&mut from_outside, &mut to_inside, |bytes| {
        guard.look(bytes).map_err(|violation| io::Error::new(io::ErrorKind::InvalidData, violation))
    }));
    let mut outward = pin!(copy(&mut from_inside, &mut to_outside, |_| Ok(())));
    let inward_first = tokio::select! {
        end = &mut inward => end.map(|()| true)?,
        end = &mut outward => end.map(|()| false)?,
    };
    let rest = async { if inward_first { outward.await } else { inward.await } };
    tokio::time::timeout(CLOSE_TIMEOUT, rest).await.unwrap_or(Ok(()))
}

/// Copies until either side is gone, which is no error, or until something happens that must not.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut check: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::time::timeout(IDLE_TIMEOUT, from.read(&mut buffer)).await;
        let read = read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the connection fell silent"))?;
        let bytes = &buffer[..read.unwrap_or(0)];
        check(bytes)?;
        if bytes.is_empty() || to.write_all(bytes).await.is_err() {
            let _ = to.shutdown().await;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    fn zmtp(frames: &[&[u8]]) -> Vec<u8> {
        let mut stream = vec![0_u8; 64];
        stream[0] = 0xff;
        stream[9] = 0x7f;
        frames.iter().for_each(|frame| stream.extend_from_slice(frame));
        stream
    }

    #[tokio::test]
    async fn what_was_sent_before_the_end_arrives_both_ways() {
        let (outside, mut worker) = UnixStream::pair().unwrap();
        let (inside, mut orchestrator) = UnixStream::pair().unwrap();
        let sent = zmtp(&[&[0, 2, b'h', b'i']]);
        // The worker says its last words and leaves; the orchestrator was just saying something too.
        worker.write_all(&sent).await.unwrap();
        orchestrator.write_all(b"something").await.unwrap();
        drop(worker);
        let mut got = Vec::new();
        let (end, read) =
            tokio::join!(relay(outside, inside, FrameGuard::new(1_000)), orchestrator.read_to_end(&mut got));
        assert_eq!((read.unwrap(), got), (sent.len(), sent));
        end.unwrap();
    }

    #[tokio::test]
    async fn not_one_byte_of_a_chunk_that_breaks_a_rule_goes_on() {
        let (outside, mut worker) = UnixStream::pair().unwrap();
        let (inside, mut orchestrator) = UnixStream::pair().unwrap();
        worker.write_all(&zmtp(&[&[0, 1, b'x'], &[2, 0x7f, 0, 0, 0, 0, 0, 0, 0]])).await.unwrap();
        let end = relay(outside, inside, FrameGuard::new(1_000)).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(orchestrator.read(&mut [0; 8]).await.unwrap(), 0);
        drop(worker);
    }

    #[tokio::test]
    async fn a_line_has_an_end_a_bound_and_is_text() {
        for (bytes, expect) in [
            (&b"hello\nworld"[..], Some("hello")),
            (&[b'x'; LINE_BYTES_MAX + 1], None),
            (b"\xff\n", None),
            (b"no end", None),
        ] {
            assert_eq!(read_line(&mut &*bytes).await.ok().as_deref(), expect);
        }
    }
}
