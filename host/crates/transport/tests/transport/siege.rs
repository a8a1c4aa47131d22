//! Hostile peers at the gate, each as a case of its own, while a healthy worker comes and goes through the same gate and its
//! messages flow. What they do costs them their connection and nobody else anything: nothing of it reaches the ROUTER unless
//! it is a message, the gate counts it, and every place and file handle comes back.

use std::time::Duration;

use stepwright_transport::codec::{Envelope, Message as _};
use stepwright_transport::gate::{GateStats, Timeouts};
use stepwright_transport::port::{ConnectionId, OrchestratorPort, WorkerPort};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::links::{GateSetup, Gated, Link as _, MESSAGE_BYTES_MAX, allow, patient, secret};
use crate::ports::{connected, heard, say, tell, told};

/// The numbers of secrets that were never on the list, and that a hostile peer got hold of.
const UNKNOWN: u8 = 66;
const STOLEN: u8 = 7;

/// Limits of the cases that are about them, each beside others that are long. The worker comes in within the first sooner or
/// later, and must not be silent for longer than the second itself when the machine stands still.
const GREETING: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(12);
const MESSAGE: Duration = Duration::from_secs(4);

/// Between two of the messages that flow until an attack is over.
const PAUSE: Duration = Duration::from_millis(5);

/// A gate, an orchestrator behind it, and a worker that talks to it through the gate.
pub(crate) struct Siege {
    pub(crate) link: Gated,
    orchestrator: Box<dyn OrchestratorPort>,
    worker: Box<dyn WorkerPort>,
    connection: ConnectionId,
    said: u64,
    before: GateStats,
    handles: usize,
}

/// What an attack comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Toll {
    pub(crate) entered: u64,
    pub(crate) refused: u64,
    pub(crate) cut: u64,
    pub(crate) expelled: u64,
}

pub(crate) const REFUSED: Toll = Toll { entered: 0, refused: 1, cut: 0, expelled: 0 };
pub(crate) const CUT: Toll = Toll { entered: 1, refused: 0, cut: 1, expelled: 0 };
pub(crate) const EXPELLED: Toll = Toll { entered: 1, refused: 0, cut: 0, expelled: 1 };

fn handles() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

impl Siege {
    pub(crate) async fn new(setup: GateSetup) -> Self {
        let link = Gated::with(setup).await;
        link.keeper.send_replace(allow(&[(0, None), (STOLEN, None)]));
        let mut orchestrator = link.open().await;
        let mut worker = link.connect().await;
        connected(&mut *worker).await;
        worker.send(say("hello")).unwrap();
        let (connection, _) = heard(&mut *orchestrator).await;
        let before = GateStats::default();
        let mut siege = Self { link, orchestrator, worker, connection, said: 1, before, handles: 0 };
        siege.flows().await;
        // On a busy machine its port tries more than once, and what it gave up goes in its own time.
        while (siege.link.stats)().inside > 1 {
            siege.flows().await;
        }
        (siege.before, siege.handles) = ((siege.link.stats)(), handles());
        siege
    }

    pub(crate) async fn plain() -> Self {
        Self::within(patient()).await
    }

    async fn hasty() -> Self {
        Self::within(Timeouts { greeting: GREETING, ..patient() }).await
    }

    async fn within(timeouts: Timeouts) -> Self {
        Self::new(GateSetup { timeouts, ..GateSetup::plain().await }).await
    }

    pub(crate) async fn tls(mutual: bool) -> Self {
        Self::new(GateSetup::tls(mutual).await).await
    }

    /// The healthy worker's connection is the one that it had, and messages pass it both ways.
    pub(crate) async fn flows(&mut self) {
        self.said += 1;
        let text = self.said.to_string();
        self.worker.send(say(&text)).unwrap();
        assert_eq!(heard(&mut *self.orchestrator).await, (self.connection, text.clone()));
        self.orchestrator.send(self.connection, tell(&text)).unwrap();
        assert_eq!(told(&mut *self.worker).await, text);
    }

    /// Messages flow until the gate has counted this and everything that it cost is given back.
    pub(crate) async fn comes_to(&mut self, toll: Toll) {
        let expect = GateStats {
            entered: self.before.entered + toll.entered,
            refused: self.before.refused + toll.refused,
            cut: self.before.cut + toll.cut,
            expelled: self.before.expelled + toll.expelled,
            inside: 1,
        };
        let patience = tokio::time::Instant::now() + Duration::from_secs(120);
        let mut pause = tokio::time::interval(PAUSE);
        let stats = loop {
            self.flows().await;
            let (stats, open) = ((self.link.stats)(), handles());
            // A try that an honest worker's port gave up may come in late.
            let entered = stats.entered.max(expect.entered);
            if stats == (GateStats { entered, ..expect }) && open <= self.handles {
                break stats;
            }
            assert!(
                tokio::time::Instant::now() < patience,
                "{stats:?} with {open} handles instead of {expect:?} with {}",
                self.handles
            );
            pause.tick().await;
        };
        // No message but from the healthy worker. A connection that was cut while it introduced itself counts as malformed.
        let port = self.orchestrator.stats();
        assert!(port.received == self.said && port.malformed < stats.entered, "{port:?}");
        // And whoever comes next is let in.
        let mut next = self.link.connect().await;
        connected(&mut *next).await;
        next.close().await;
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.link.address).await.unwrap()
    }

    /// A connection that said this first.
    async fn says(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.dial().await;
        // It may be cut while it writes.
        let _ = stream.write_all(bytes).await;
        stream
    }

    /// A connection with a good token.
    async fn inside(&self) -> TcpStream {
        let mut stream = self.says(&first_line(STOLEN)).await;
        let mut answer = [0; 16];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK orchestrator\n");
        stream
    }
}

fn first_line(number: u8) -> Vec<u8> {
    format!("STEPWRIGHT/1 {}\n", secret(number).reveal()).into_bytes()
}

/// Everything that a peer gets until its connection ends.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    got
}

/// The first 64 bytes of ZMTP 3.0 without a mechanism.
fn greeting() -> Vec<u8> {
    let mut greeting = vec![0_u8; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn frame(flags: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![flags | 2];
    frame.extend_from_slice(&(content.len() as u64).to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// What a DEALER says before its first message.
fn handshake() -> Vec<u8> {
    let mut bytes = greeting();
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
    bytes.extend_from_slice(&frame(4, ready));
    bytes
}

/// A message of ours, as it goes over the wire.
fn message(text: &str) -> Vec<u8> {
    let [header, body] = say(text).encode(&mut Envelope::new("rude"));
    [frame(1, &header), frame(0, &body)].concat()
}

/// The 73 bytes that abort a process whose ROUTER listens on TCP: a greeting, and a command of 64 GiB.
fn the_73_bytes() -> Vec<u8> {
    let mut bytes = greeting();
    bytes.extend_from_slice(&[6, 0, 0, 0, 0x10, 0, 0, 0, 0]);
    assert_eq!(bytes.len(), 73);
    bytes
}

// ---- without a token: turned away with a line, and nothing else is ever read from the gate

async fn turned_away(bytes: &[u8], answer: &str) {
    let mut siege = if answer == TOO_SLOW { Siege::hasty().await } else { Siege::plain().await };
    let stream = siege.says(bytes).await;
    let got = tokio::join!(siege.comes_to(REFUSED), until_closed(stream)).1;
    assert_eq!(String::from_utf8_lossy(&got), format!("NO {answer}\n"));
}

const NO_LINE: &str = "the first line must be 'STEPWRIGHT/1 <token>'";
const BAD_TOKEN: &str = "the token is wrong, revoked or expired, or not of scope worker";
const TOO_SLOW: &str = "the first line took too long";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token() {
    turned_away(b"GET / HTTP/1.1\r\n\r\n", NO_LINE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_empty_token() {
    turned_away(b"STEPWRIGHT/1 \n", BAD_TOKEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_wrong_token_and_a_message_after_it() {
    turned_away(&[first_line(UNKNOWN), handshake(), message("forged")].concat(), BAD_TOKEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_first_line_that_is_too_long() {
    turned_away(&[b'x'; 1_000], "the first line is too long").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_first_line_that_is_no_text() {
    turned_away(b"STEPWRIGHT/1 \xff\xfe\n", "the first line is no text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_silence() {
    turned_away(b"", TOO_SLOW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_half_a_first_line() {
    turned_away(b"STEPWRIGHT/1 sw_", TOO_SLOW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_73_bytes_instead_of_a_token() {
    turned_away(&the_73_bytes(), TOO_SLOW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_first_line_that_never_ends() {
    let mut siege = Siege::hasty().await;
    let mut stream = siege.dial().await;
    let drip = async move {
        let mut pause = tokio::time::interval(GREETING / 20);
        while stream.write_all(b"x").await.is_ok() {
            pause.tick().await;
        }
    };
    tokio::join!(siege.comes_to(REFUSED), drip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_is_gone_before_it_said_anything() {
    let mut siege = Siege::plain().await;
    drop(siege.dial().await);
    siege.comes_to(REFUSED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_come_in_hundreds_and_say_nothing() {
    let mut siege = Siege::plain().await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(siege.dial().await);
    }
    // An honest worker gets in while the crowd is there.
    let mut honest = siege.link.connect().await;
    connected(&mut *honest).await;
    honest.close().await;
    // The socket of its tunnel stays.
    siege.handles += 1;
    // Most of the crowd have lost their places to others of it; the last ones leave.
    let ends = async {
        for mut stream in crowd {
            // The gate may have done so before.
            let _ = stream.shutdown().await;
            let got = until_closed(stream).await;
            assert!(got.starts_with(b"NO ") && got.ends_with(b"\n"), "{got:?}");
        }
    };
    tokio::join!(siege.comes_to(Toll { entered: 1, refused: 400, ..Toll::default() }), ends);
}

// ---- with a token that is good no more

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_that_is_revoked_under_it() {
    let mut siege = Siege::plain().await;
    let mut stream = siege.inside().await;
    stream.write_all(&handshake()).await.unwrap();
    siege.link.keeper.send_replace(allow(&[(0, None)]));
    tokio::join!(siege.comes_to(EXPELLED), until_closed(stream));
    let stream = siege.says(&first_line(STOLEN)).await;
    assert_eq!(until_closed(stream).await, format!("NO {BAD_TOKEN}\n").into_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_that_expires_under_it() {
    let mut siege = Siege::plain().await;
    let stream = siege.inside().await;
    let end = tokio::time::Instant::now() + Duration::from_millis(100);
    siege.link.keeper.send_replace(allow(&[(0, None), (STOLEN, Some(end))]));
    tokio::join!(siege.comes_to(EXPELLED), until_closed(stream));
    let stream = siege.says(&first_line(STOLEN)).await;
    assert_eq!(until_closed(stream).await, format!("NO {BAD_TOKEN}\n").into_bytes());
}

// ---- with a good token that somebody stole

/// What it sends after the token costs it the connection.
async fn cut_for(bytes: &[u8]) {
    cut_from(Siege::plain().await, bytes).await;
}

/// What it does not send does so too.
async fn cut_for_silence_after(bytes: &[u8]) {
    cut_from(Siege::within(Timeouts { idle: IDLE, ..patient() }).await, bytes).await;
}

async fn cut_from(mut siege: Siege, bytes: &[u8]) {
    let mut stream = siege.inside().await;
    let _ = stream.write_all(bytes).await;
    tokio::join!(siege.comes_to(CUT), until_closed(stream));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_73_bytes_after_the_token() {
    cut_for(&the_73_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_frame_of_64_gib_after_the_handshake() {
    cut_for(&[handshake(), vec![2, 0, 0, 0, 0x10, 0, 0, 0, 0]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_frame_of_2_to_the_64_bytes() {
    cut_for(&[handshake(), vec![2; 1], vec![0xff; 8]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_frame_of_2_to_the_63_bytes() {
    cut_for(&[handshake(), vec![2, 0x80], vec![0; 7]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_frame_just_beyond_the_limit() {
    cut_for(&[handshake(), frame(0, &vec![b'x'; MESSAGE_BYTES_MAX + 1])].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_message_of_endless_frames() {
    let mut siege = Siege::plain().await;
    let mut stream = siege.inside().await;
    stream.write_all(&handshake()).await.unwrap();
    let endless = async move { while stream.write_all(&frame(1, b"x")).await.is_ok() {} };
    tokio::join!(siege.comes_to(CUT), endless);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_message_that_never_ends() {
    let mut siege = Siege::within(Timeouts { message: MESSAGE, ..patient() }).await;
    let mut stream = siege.inside().await;
    stream.write_all(&[handshake(), vec![0, 200]].concat()).await.unwrap();
    let drip = async move {
        let mut pause = tokio::time::interval(MESSAGE / 40);
        while stream.write_all(b"x").await.is_ok() {
            pause.tick().await;
        }
    };
    tokio::join!(siege.comes_to(CUT), drip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_rubbish_instead_of_zmtp() {
    cut_for(&b"POST /hello HTTP/1.1\r\n".repeat(50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_rubbish_after_the_greeting() {
    cut_for(&[greeting(), vec![0xa5; 4_096]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_mechanism() {
    let mut bytes = greeting();
    bytes[12..17].copy_from_slice(b"CURVE");
    cut_for(&bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_version() {
    let mut bytes = greeting();
    bytes[10] = 1;
    cut_for(&bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_silence_after_the_token() {
    cut_for_silence_after(b"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_silence_in_the_middle_of_the_greeting() {
    cut_for_silence_after(&greeting()[..33]).await;
}

/// As after a power cut: its machine neither answers nor says goodbye, and the orchestrator goes on sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_neither_reads_nor_leaves() {
    let mut siege = Siege::within(Timeouts { idle: IDLE, ..patient() }).await;
    let mut stream = siege.inside().await;
    stream.write_all(&[handshake(), message("here")].concat()).await.unwrap();
    let (deaf, text) = heard(&mut *siege.orchestrator).await;
    assert_eq!(text, "here");
    siege.said += 1;
    let large = "x".repeat(MESSAGE_BYTES_MAX / 2);
    for _ in 0..40 {
        siege.orchestrator.send(deaf, tell(&large)).unwrap();
    }
    // Its own end stays open.
    siege.handles += 1;
    siege.comes_to(CUT).await;
    drop(stream);
}

/// The token's holder may connect as often as there are places, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_takes_every_place() {
    let setup = GateSetup { connections_max: 3, ..GateSetup::plain().await };
    let mut siege = Siege::new(setup).await;
    let inside = [siege.inside().await, siege.inside().await];
    let late = siege.says(&first_line(STOLEN)).await;
    assert_eq!(until_closed(late).await, b"NO the gate has no place for another connection\n");
    drop(inside);
    siege.comes_to(Toll { entered: 2, refused: 1, ..Toll::default() }).await;
}

// ---- at a gate with TLS

/// It is cut off without a word that it could read.
async fn no_tls(bytes: &[u8]) {
    let timeouts = Timeouts { greeting: GREETING, ..patient() };
    let mut siege = Siege::new(GateSetup { timeouts, ..GateSetup::tls(false).await }).await;
    let stream = siege.says(bytes).await;
    let got = tokio::join!(siege.comes_to(REFUSED), until_closed(stream)).1;
    // At most a TLS alert.
    assert!(got.is_empty() || (got[0] == 21 && got.len() <= 16), "{got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_good_token_in_plain_text() {
    no_tls(&first_line(STOLEN)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_rubbish_instead_of_tls() {
    no_tls(&[0xa5; 5_000]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_73_bytes_instead_of_tls() {
    no_tls(&the_73_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_tls_record_that_never_comes() {
    no_tls(&[22, 3, 1, 0x40, 0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_silence_instead_of_tls() {
    no_tls(b"").await;
}
