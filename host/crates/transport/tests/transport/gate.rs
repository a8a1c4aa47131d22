//! The gate for those who may pass it, and for those who almost may: tokens that change, certificates that change, ports that
//! are taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use stepwright_transport::gate::{Gate, GateError, GateOptions, Timeouts, TlsError, TunnelTls};
use stepwright_transport::port::{OrchestratorPort, WorkerEvent, WorkerPort};
use stepwright_transport::zmq;
use stepwright_workflow::TokenId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::certificates::Authority;
use crate::links::{GateSetup, Gated, Link as _, MESSAGE_BYTES_MAX, Zmq, allow, secret};
use crate::ports::{connected, heard, say};
use crate::siege::Siege;

/// Waits until the gate has turned so many away; the worker must not get in meanwhile.
async fn turned_away(link: &Gated, worker: &mut dyn WorkerPort, times: u64) {
    let refused = async {
        while (link.stats)().refused < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        event = worker.recv() => panic!("{event:?}, and it should not get in"),
        done = tokio::time::timeout(Duration::from_secs(20), refused) => done.unwrap(),
    }
}

/// Waits until so many are inside: a try that a worker's port gave up leaves in its own time.
async fn inside(link: &Gated, count: u64) {
    while (link.stats)().inside != count {
        tokio::task::yield_now().await;
    }
}

async fn disconnected(worker: &mut dyn WorkerPort) {
    loop {
        if worker.recv().await.unwrap() == WorkerEvent::Disconnected {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_token_is_made_later_gets_in_and_out_with_it() {
    let link = Gated::new().await;
    let mut orchestrator = link.open().await;
    let mut worker = link.worker(1);
    turned_away(&link, &mut worker, 2).await;
    assert_eq!(link.entries.take(), []);
    // It tries again, and its token is known now.
    link.keeper.send_replace(allow(&[(1, None)]));
    connected(&mut worker).await;
    worker.send(say("hello")).unwrap();
    assert_eq!(heard(&mut *orchestrator).await.1, "hello");
    assert_eq!(link.entries.take(), [TokenId(1)]);
    link.keeper.send_replace(allow(&[]));
    disconnected(&mut worker).await;
    let before = (link.stats)().refused;
    turned_away(&link, &mut worker, before + 2).await;
    assert_eq!(((link.stats)().expelled, (link.stats)().inside), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_rotated_without_a_moment_in_which_nobody_gets_in() {
    let link = Gated::new().await;
    let _orchestrator = link.open().await;
    let mut worker = link.worker(0);
    connected(&mut worker).await;
    // The new one is there beside the old one, and both work.
    let end = Instant::now() + Duration::from_secs(3_600);
    link.keeper.send_replace(allow(&[(0, Some(end)), (1, None)]));
    let mut other = link.worker(1);
    connected(&mut other).await;
    inside(&link, 2).await;
    let before = (link.stats)();
    // The worker's file is replaced, as 'token rotate --out' does; the tunnel reads it when the old secret has expired.
    let folder = link.inner.folder.path();
    std::fs::rename(folder.join("token-1"), folder.join("token-0")).unwrap();
    link.keeper.send_replace(allow(&[(0, Some(Instant::now())), (1, None)]));
    disconnected(&mut worker).await;
    connected(&mut worker).await;
    inside(&link, 2).await;
    let stats = (link.stats)();
    assert!(stats.entered > before.entered, "{stats:?}");
    assert_eq!((stats.expelled, stats.refused), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let link = Gated::new().await;
    let (_keeper, allowed) = watch::channel(allow(&[]));
    let options = GateOptions {
        listen: link.address,
        tls: None,
        allowed,
        path: link.inner.path(),
        incarnation: "second".to_owned(),
        further: Vec::new(),
        message_bytes_max: 1_000,
        connections_max: 1,
        timeouts: Timeouts::default(),
    };
    let error = Gate::bind(options).await.err().unwrap();
    assert!(matches!(error, GateError::InUse { .. }));
    let address = link.address;
    let expect =
        format!("{address} is in use by another process; stop it, or choose another port for the gate");
    assert_eq!(error.to_string(), expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_the_certificate_that_is_asked_for_is_refused() {
    let mut siege = Siege::tls(true).await;
    let ca = siege.link.tls.clone().unwrap().ca;
    let before = (siege.link.stats)().refused;
    let mut worker = siege.link.worker_with(0, Some(TunnelTls { ca, identity: None }));
    turned_away(&siege.link, &mut worker, before + 1).await;
    worker.close().await;
    siege.flows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_somebody_else_signed_is_refused() {
    let link = Gated::with(GateSetup::tls(true).await).await;
    let _orchestrator = link.open().await;
    let stranger = Authority::new(link.inner.folder.path(), "stranger");
    let ours = link.tls.clone().unwrap();
    // The gate does not know who signed the worker's.
    let identity = Some(stranger.sign("worker"));
    let mut worker = link.worker_with(0, Some(TunnelTls { identity, ..ours.clone() }));
    turned_away(&link, &mut worker, 2).await;
    worker.close().await;
    // The worker does not know who signed the gate's: it never shows its token.
    let before = (link.stats)().refused;
    let mut worker = link.worker_with(0, Some(TunnelTls { ca: stranger.ca(), ..ours }));
    turned_away(&link, &mut worker, before + 2).await;
    assert_eq!((link.stats)().entered, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_once_both_its_files_are_there() {
    let setup = GateSetup::tls(false).await;
    let (files, old) = setup.tls.clone().unwrap();
    let link = Gated::with(setup).await;
    let _orchestrator = link.open().await;
    let authority = Authority::new(link.inner.folder.path(), "new");
    let (certificate, key) = authority.sign("127.0.0.1");
    std::fs::rename(certificate, &files.certificate).unwrap();
    // Half of the new pair: the gate goes on with the old one.
    let mut worker = link.worker_with(0, Some(old));
    connected(&mut worker).await;
    std::fs::rename(key, &files.key).unwrap();
    let mut other = link.worker_with(0, Some(TunnelTls { ca: authority.ca(), identity: None }));
    connected(&mut other).await;
    // Whoever is inside stays.
    assert_eq!((link.stats)().inside, 2);
}

#[test]
fn files_that_are_no_certificates_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let (certificate, key) = authority.sign("127.0.0.1");
    let check = |ca: &std::path::Path, identity| TunnelTls { ca: ca.to_owned(), identity }.check();
    check(&authority.ca(), Some((certificate.clone(), key.clone()))).unwrap();
    let missing = check(&folder.path().join("none.pem"), None).unwrap_err();
    assert!(matches!(&missing, TlsError::Io { .. }) && missing.to_string().contains("none.pem"), "{missing}");
    let swapped = check(&authority.ca(), Some((key.clone(), certificate.clone()))).unwrap_err().to_string();
    assert!(swapped.contains("127.0.0.1.key holds no certificate in PEM"), "{swapped}");
    let (_, other) = Authority::new(folder.path(), "other").sign("127.0.0.1");
    let foreign = check(&authority.ca(), Some((certificate.clone(), other))).unwrap_err();
    assert!(matches!(foreign, TlsError::Unusable { .. }), "{foreign}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = check(&authority.ca(), Some((certificate, key))).unwrap_err();
    assert!(matches!(open, TlsError::Open { mode: 0o644, .. }), "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gate_leads_to_the_pump_that_is_asked_for() {
    let link = Gated::new().await;
    let mut first = link.open().await;
    let options = zmq::BindOptions { path: link.inner.second(), ..link.inner.bind_options() };
    let mut second = zmq::bind(options).await.unwrap();
    for (pump, port) in [(1, &mut *first), (2, &mut second as &mut dyn OrchestratorPort)] {
        let mut worker = link.worker_to(pump, 0, None);
        connected(&mut worker).await;
        worker.send(say(pump)).unwrap();
        assert_eq!(heard(port).await.1, pump.to_string());
    }
    let unknown = "NO there is no such pump; they are numbered from 1 to 2\n";
    for pump in ["0", "3", "two", "2 ", ""] {
        let line = format!("STEPWRIGHT/1 {} {pump}\n", secret(0).reveal());
        assert_eq!(knock(&link, line.as_bytes()), unknown, "'{pump}'");
    }
    // Who may not enter is told nothing of pumps.
    let refused = "NO the token is wrong, revoked or expired, or not of scope worker\n";
    assert_eq!(knock(&link, format!("STEPWRIGHT/1 {} 3\n", secret(9).reveal()).as_bytes()), refused);
}

fn knock(link: &Gated, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(link.address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Home first, then the others, also those that were not known at the beginning; and home again once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_turns_to_a_place_that_it_learned_of_later() {
    let link = Zmq::new().await;
    let mut home = link.open().await;
    let routes = zmq::Routes::new(vec![link.path()]);
    let options = zmq::ConnectOptions {
        routes: routes.clone(),
        incarnation: "worker".to_owned(),
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let mut worker = zmq::connect(options).unwrap();
    connected(&mut worker).await;
    assert!(routes.at_home());
    let elsewhere = zmq::BindOptions { path: link.second(), ..link.bind_options() };
    let mut other = zmq::bind(elsewhere).await.unwrap();
    routes.set(vec![link.path(), link.second()]);
    worker.send(say("first")).unwrap();
    assert_eq!(heard(&mut *home).await.1, "first");
    home.close().await;
    connected(&mut worker).await;
    assert!(!routes.at_home());
    worker.send(say("away")).unwrap();
    assert_eq!(heard(&mut other).await.1, "away");
}
