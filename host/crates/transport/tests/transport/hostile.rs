//! What hostile or broken peers send is dropped and counted, and the service goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stepwright_transport::gate::{Gate, GateError, GateOptions, Token};
use stepwright_transport::port::{OrchestratorPort as _, SendError, WorkerPort as _};
use stepwright_transport::zmq::{self, BindError, PathError};
use zeromq::{Socket as _, SocketRecv as _, SocketSend as _};

use crate::links::{Gated, Link as _, MESSAGE_BYTES_MAX, Zmq};
use crate::ports::{connected, heard, say, tell, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_refused_and_counted_and_others_go_on() {
    let link = Zmq::new().await;
    let mut orchestrator = zmq::bind(link.bind_options()).await.unwrap();
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    let large = vec![b' '; MESSAGE_BYTES_MAX];
    let hello = br#"{"v":1,"kind":"hello","seq":1,"sender":"x"}"#;
    let rubbish: [&[&[u8]]; 5] =
        [&[b"rubbish"], &[b"{}", b"{}"], &[b"\xff\xfe", b"\0"], &[hello, b"{}"], &[hello, &large]];
    for frames in rubbish {
        let mut peer = zeromq::DealerSocket::new();
        peer.connect(&format!("ipc://{}", link.path().display())).await.unwrap();
        let frames: Vec<bytes::Bytes> =
            frames.iter().map(|frame| bytes::Bytes::copy_from_slice(frame)).collect();
        peer.send(frames.try_into().unwrap()).await.unwrap();
        // The refusal says why. Somebody must receive, for the socket to be read.
        let answer = tokio::select! {
            answer = peer.recv() => answer.unwrap(),
            _ = orchestrator.recv() => panic!("rubbish was taken for a message"),
        };
        assert!(String::from_utf8_lossy(&answer.into_vec()[0]).contains("refuse"));
    }
    assert_eq!((orchestrator.stats().malformed, orchestrator.stats().received), (5, 0));
    worker.send(say("still here")).unwrap();
    assert_eq!(heard(&mut orchestrator).await.1, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_zeromq_disturb_nobody() {
    let link = Zmq::new().await;
    let mut orchestrator = link.open().await;
    let http = b"GET /".repeat(20);
    let mut rude = Vec::new();
    for bytes in [&http[..], &[0xff; 200], &[0; 64]] {
        let mut stream = UnixStream::connect(link.path()).unwrap();
        stream.write_all(bytes).unwrap();
        rude.push(stream);
    }
    // Some that say nothing, or not enough, and stay.
    let quiet = [0, 1, 63].map(|length| {
        let mut stream = UnixStream::connect(link.path()).unwrap();
        stream.write_all(&[0xff; 64][..length]).unwrap();
        stream
    });
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    worker.send(say("hello")).unwrap();
    let (connection, _) = heard(&mut *orchestrator).await;
    orchestrator.send(connection, tell("hello")).unwrap();
    assert_eq!(told(&mut *worker).await, "hello");
    for mut stream in rude {
        let end = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new()));
        // Closed, or reset for what was not read.
        let _ = end.await.unwrap();
    }
    let counted = async {
        while orchestrator.stats().malformed < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap();
    assert_eq!((orchestrator.stats().malformed, orchestrator.stats().received), (3, 1));
    drop(quiet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_is_not_even_sent() {
    let link = Zmq::new().await;
    let mut orchestrator = link.open().await;
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    let large = "x".repeat(MESSAGE_BYTES_MAX);
    assert!(matches!(
        worker.send(say(&large)),
        Err(SendError::TooLarge { bytes_max: MESSAGE_BYTES_MAX, .. })
    ));
    worker.send(say("small")).unwrap();
    let (connection, _) = heard(&mut *orchestrator).await;
    assert!(matches!(orchestrator.send(connection, tell(&large)), Err(SendError::TooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_orchestrator_and_an_open_folder_are_refused() {
    let link = Zmq::new().await;
    let mut first = link.open().await;
    let error = zmq::bind(link.bind_options()).await.err().unwrap();
    assert!(matches!(&error, BindError::Path(PathError::InUse { .. })), "{error}");
    first.close().await;
    // A socket file that a killed process left is replaced.
    drop(std::os::unix::net::UnixListener::bind(link.path()).unwrap());
    zmq::bind(link.bind_options()).await.unwrap().close().await;
    let folder = link.path().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = zmq::bind(link.bind_options()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "the run directory {0} has mode 755, so other users could reach the sockets in it; run 'chmod 700 {0}'",
            folder.display()
        )
    );
}

fn knock(link: &Gated, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(link.address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_lets_nobody_in_without_the_token() {
    let link = Gated::new().await;
    let mut orchestrator = link.open().await;
    assert_eq!(knock(&link, b"STEPWRIGHT/1 wrong-token\n"), "NO the token is wrong\n");
    assert_eq!(knock(&link, b"GET / HTTP/1.1\n"), "NO the first line must be 'STEPWRIGHT/1 <token>'\n");
    assert_eq!(knock(&link, &[b'x'; 400]), "NO the first line is too long\n");
    assert_eq!((link.stats)().refused, 3);
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    worker.send(say("hello")).unwrap();
    assert_eq!(heard(&mut *orchestrator).await.1, "hello");
    assert_eq!((link.stats)().entered, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_is_full_says_so_and_a_taken_port_is_named() {
    let link = Gated::with_connections(1).await;
    let _orchestrator = link.open().await;
    let mut inside = TcpStream::connect(link.address).unwrap();
    inside.write_all(format!("STEPWRIGHT/1 {}\n", link.token_text()).as_bytes()).unwrap();
    let mut ok = [0; 3];
    inside.read_exact(&mut ok).unwrap();
    assert_eq!(&ok, b"OK ");
    assert_eq!(knock(&link, b""), "NO the gate has no place for another connection\n");
    assert_eq!(((link.stats)().entered, (link.stats)().refused), (1, 1));
    // Its place is free again once it has left.
    drop(inside);
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    let options = GateOptions { listen: link.address, ..link.gate_options() };
    let error = Gate::bind(options).await.err().unwrap();
    assert!(matches!(error, GateError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "{} is in use by another process; stop it, or choose another port for the gate",
            link.address
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_another_token_never_gets_in() {
    let link = Gated::new().await;
    let _orchestrator = link.open().await;
    let other = Token::read_or_create(&link.inner.path().with_file_name("other")).unwrap();
    let mut worker = link.tunnel(&other);
    let refused = async {
        while (link.stats)().refused < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        event = worker.recv() => panic!("{event:?} without the token"),
        // It tries again, as the token's file could be put right.
        done = tokio::time::timeout(Duration::from_secs(10), refused) => done.unwrap(),
    }
    assert_eq!((link.stats)().entered, 0);
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_cuts_a_frame_that_is_too_large() {
    let link = Gated::new().await;
    let _orchestrator = link.open().await;
    let mut greeting = vec![0_u8; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    let mut bytes = format!("STEPWRIGHT/1 {}\n", link.token_text()).into_bytes();
    bytes.extend_from_slice(&greeting);
    // A frame of almost 2^63 bytes is announced.
    bytes.extend_from_slice(&[2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(link.address).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        (answer, (link.stats)().cut)
    });
    let (answer, cut) = answer.await.unwrap();
    assert!(answer.starts_with(b"OK orchestrator\n"), "{answer:?}");
    assert_eq!(cut, 1);
}
