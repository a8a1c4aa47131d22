//! What hostile or broken peers send is dropped and counted, and the service goes on.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stepwright_transport::port::{OrchestratorPort as _, SendError};
use stepwright_transport::zmq::{self, BindError, PathError};
use zeromq::{Socket as _, SocketRecv as _, SocketSend as _};

use crate::links::{Link as _, MESSAGE_BYTES_MAX, Zmq};
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
