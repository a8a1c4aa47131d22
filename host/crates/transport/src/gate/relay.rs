//! Bytes both ways between two streams, until either ends, breaks a rule, or falls silent.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{FrameGuard, IDLE_TIMEOUT, LINE_BYTES_MAX};

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

/// Relays until the end; what comes from `untrusted` is checked by the guard.
pub(super) async fn relay<A, B>(untrusted: A, inner: B, mut guard: FrameGuard) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_outside, mut to_outside) = tokio::io::split(untrusted);
    let (mut from_inside, mut to_inside) = tokio::io::split(inner);
    tokio::select! {
        end = copy(&mut from_outside, &mut to_inside, |bytes| {
            guard.look(bytes).map_err(|violation| io::Error::new(io::ErrorKind::InvalidData, violation))
        }) => end,
        end = copy(&mut from_inside, &mut to_outside, |_| Ok(())) => end,
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut check: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::time::timeout(IDLE_TIMEOUT, from.read(&mut buffer)).await;
        let read =
            read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the connection fell silent"))??;
        if read == 0 {
            return Ok(());
        }
        check(&buffer[..read])?;
        to.write_all(&buffer[..read]).await?;
    }
}
