//! What hostile or broken peers send is dropped and counted, and the service goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use stepwright_transport::gate::Token;
use stepwright_transport::port::{OrchestratorPort as _, SendError};
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
    let rubbish: [&[&[u8]]; 4] =
        [&[b"rubbish"], &[b"{}", b"{}"], &[b"\xff\xfe", b"\0"], &[br#"{"v":1,"kind":"hello","seq":1,"sender":"x"}"#, b"{}"]];
    for frames in rubbish {
        let mut peer = zeromq::DealerSocket::new();
        peer.connect(&format!("ipc://{}", link.path().display())).await.unwrap();
        let frames: Vec<bytes::Bytes> = frames.iter().map(|frame| bytes::Bytes::copy_from_slice(frame)).collect();
        peer.send(frames.try_into().unwrap()).await.unwrap();
        // The refusal says why. Somebody must receive, for the socket to be read.
        let answer = tokio::select! {
            answer = peer.recv() => answer.unwrap(),
            _ = orchestrator.recv() => panic!("rubbish was taken for a message"),
        };
        assert!(String::from_utf8_lossy(&answer.into_vec()[0]).contains("refuse"));
    }
    assert_eq!(orchestrator.stats().malformed, 4);
    worker.send(say("still here")).unwrap();
    assert_eq!(heard(&mut orchestrator).await.1, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_zeromq_disturb_nobody() {
    let link = Zmq::new().await;
    let mut orchestrator = link.open().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 200], &[0; 64]] {
        let mut stream = UnixStream::connect(link.path()).unwrap();
        let _ = stream.write_all(bytes);
    }
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    worker.send(say("hello")).unwrap();
    let (connection, _) = heard(&mut *orchestrator).await;
    orchestrator.send(connection, tell("hello")).unwrap();
    assert_eq!(told(&mut *worker).await, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_is_not_even_sent() {
    let link = Zmq::new().await;
    let mut orchestrator = link.open().await;
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    let large = "x".repeat(MESSAGE_BYTES_MAX);
    assert!(matches!(worker.send(say(&large)), Err(SendError::TooLarge { bytes_max: MESSAGE_BYTES_MAX, .. })));
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
    assert_eq!(error.to_string(), format!("the run directory {0} has mode 755, so other users could reach the sockets in it; run 'chmod 700 {0}'", folder.display()));
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
async fn the_gate_cuts_a_frame_that_is_too_large() {
    let link = Gated::new().await;
    let _orchestrator = link.open().await;
    let folder = tempfile::tempdir().unwrap();
    let token = std::fs::read_to_string(link.inner.path().parent().unwrap().parent().unwrap().join("token")).unwrap();
    assert!(Token::read(&folder.path().join("none")).is_err());
    let mut greeting = vec![0_u8; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    let mut bytes = format!("STEPWRIGHT/1 {token}\n").into_bytes();
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
