//! Bytes both ways between two streams, until either ends, breaks a rule, or falls silent.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::{FrameGuard, LINE_BYTES_MAX, Timeouts};

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

/// Relays until both sides have ended; what comes from `untrusted` is checked by the guard, and neither its silence nor its
/// refusal to read is waited for without end. What one side sent before it closed still arrives, and the other side then has
/// a short time to close too.
pub(super) async fn relay<A, B>(
    untrusted: A,
    inner: B,
    guard: FrameGuard,
    timeouts: &Timeouts,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_outside, mut to_outside) = tokio::io::split(untrusted);
    let (mut from_inside, mut to_inside) = tokio::io::split(inner);
    let watch = Watch { guard, timeouts, began: None };
    let mut inward = pin!(inward(&mut from_outside, &mut to_inside, watch));
    let mut outward = pin!(outward(&mut from_inside, &mut to_outside, timeouts.idle));
    let inward_first = tokio::select! {
        end = &mut inward => end.map(|()| true)?,
        end = &mut outward => end.map(|()| false)?,
    };
    let rest = async { if inward_first { outward.await } else { inward.await } };
    tokio::time::timeout(timeouts.close, rest).await.unwrap_or(Ok(()))
}

/// What the untrusted side sends, and how long it may take with it.
struct Watch<'a> {
    guard: FrameGuard,
    timeouts: &'a Timeouts,
    /// When the message began that has not ended.
    began: Option<Instant>,
}

impl Watch<'_> {
    fn deadline(&self, now: Instant) -> Instant {
        let silent = now + self.timeouts.idle;
        self.began.map_or(silent, |began| silent.min(began + self.timeouts.message))
    }

    fn look(&mut self, bytes: &[u8], now: Instant) -> io::Result<()> {
        let before = self.guard.messages();
        self.guard.look(bytes).map_err(|violation| io::Error::new(io::ErrorKind::InvalidData, violation))?;
        self.began = if self.guard.is_between_messages() {
            None
        } else if self.guard.messages() > before {
            Some(now)
        } else {
            self.began.or(Some(now))
        };
        Ok(())
    }
}

/// From the untrusted side: until it is gone or the inner side is, which is no error, or something happens that must not.
/// The inner side may take its time.
async fn inward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut watch: Watch<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let deadline = watch.deadline(Instant::now());
        let bytes = next(from.read(&mut buffer), deadline).await?;
        let bytes = &buffer[..bytes];
        watch.look(bytes, Instant::now())?;
        if bytes.is_empty() || to.write_all(bytes).await.is_err() {
            let _ = to.shutdown().await;
            return Ok(());
        }
    }
}

/// To the untrusted side, which must take what it is sent.
async fn outward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    idle: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let bytes = next(from.read(&mut buffer), Instant::now() + idle).await?;
        // A TLS stream keeps what the socket did not take until it is flushed.
        let written = async {
            to.write_all(&buffer[..bytes]).await?;
            to.flush().await
        };
        let written = timeout_at(Instant::now() + idle, written).await;
        let written = written
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read what it is sent"))?;
        if bytes == 0 || written.is_err() {
            let _ = timeout_at(Instant::now() + idle, to.shutdown()).await;
            return Ok(());
        }
    }
}

/// How many bytes came: none at the end, whether that was orderly or not.
async fn next(read: impl Future<Output = io::Result<usize>>, deadline: Instant) -> io::Result<usize> {
    match timeout_at(deadline, read).await {
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the connection fell silent")),
        // What is no TLS after all.
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(error),
        Ok(read) => Ok(read.unwrap_or(0)),
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
        stream[10] = 3;
        stream[12..16].copy_from_slice(b"NULL");
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
        let timeouts = Timeouts::default();
        let (end, read) = tokio::join!(
            relay(outside, inside, FrameGuard::new(1_000), &timeouts),
            orchestrator.read_to_end(&mut got)
        );
        assert_eq!((read.unwrap(), got), (sent.len(), sent));
        end.unwrap();
    }

    #[tokio::test]
    async fn not_one_byte_of_a_chunk_that_breaks_a_rule_goes_on() {
        let (outside, mut worker) = UnixStream::pair().unwrap();
        let (inside, mut orchestrator) = UnixStream::pair().unwrap();
        worker.write_all(&zmtp(&[&[0, 1, b'x'], &[2, 0x7f, 0, 0, 0, 0, 0, 0, 0]])).await.unwrap();
        let end = relay(outside, inside, FrameGuard::new(1_000), &Timeouts::default()).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(orchestrator.read(&mut [0; 8]).await.unwrap(), 0);
        drop(worker);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_silent_dawdles_or_does_not_read_is_given_up() {
        let timeouts = Timeouts::default();
        let began = Instant::now();
        let (outside, _worker) = tokio::io::duplex(1 << 20);
        let (inside, _orchestrator) = tokio::io::duplex(1 << 20);
        let silent = relay(outside, inside, FrameGuard::new(1_000), &timeouts).await.unwrap_err();
        assert_eq!(
            (silent.to_string().as_str(), began.elapsed()),
            ("the connection fell silent", timeouts.idle)
        );

        // A byte now and then of a message that never ends, while the orchestrator has something to say.
        let began = Instant::now();
        let (outside, mut worker) = tokio::io::duplex(1 << 20);
        let (inside, mut orchestrator) = tokio::io::duplex(1 << 20);
        let dawdling = async {
            worker.write_all(&zmtp(&[&[0, 200]])).await.unwrap();
            loop {
                tokio::time::sleep(timeouts.idle / 2).await;
                worker.write_all(b"x").await.unwrap();
                orchestrator.write_all(b"x").await.unwrap();
            }
        };
        tokio::select! {
            end = relay(outside, inside, FrameGuard::new(1_000), &timeouts) => {
                assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
            () = dawdling => {}
        }
        assert_eq!(began.elapsed(), timeouts.message);

        // Whole messages, and nothing is read.
        let (outside, mut worker) = tokio::io::duplex(1_000);
        let (inside, mut orchestrator) = tokio::io::duplex(1 << 20);
        let deaf = async {
            worker.write_all(&zmtp(&[])).await.unwrap();
            orchestrator.write_all(&[0; 10_000]).await.unwrap();
            loop {
                worker.write_all(&[0, 1, b'x']).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            end = relay(outside, inside, FrameGuard::new(1_000), &timeouts) => {
                assert_eq!(end.unwrap_err().to_string(), "the peer does not read what it is sent");
            }
            () = deaf => {}
        }
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
