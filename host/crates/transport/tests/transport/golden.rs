//! The spelling of every message, kept in `tests/contract/` for every language: what we send is those bytes, and those bytes
//! are what we read. And nothing that is almost a message makes the decoder panic.

use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use stepwright_transport::codec::{Envelope, Header, Message, decode};
use stepwright_transport::wire::{FromWorker, OrchestratorHeartbeat, ToWorker, WorkerHeartbeat};

use crate::samples;

const MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Golden {
    header: Box<RawValue>,
    body: Box<RawValue>,
}

fn path(sender: &str, kind: &str) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/contract"));
    folder.join(format!("{sender}.{kind}.json"))
}

#[allow(clippy::disallowed_methods, reason = "the switch for writing the files anew")]
fn wants_update() -> bool {
    std::env::var("UPDATE_CONTRACT").is_ok()
}

fn check<T: Message + PartialEq + std::fmt::Debug>(sender: &str, messages: &[T]) {
    assert_eq!(messages.len(), T::KINDS.len(), "one sample for each kind");
    for (message, kind) in messages.iter().zip(T::KINDS) {
        let mut envelope = Envelope::new("9f86d081884c7d65");
        let frames = message.encode(&mut envelope);
        let text = |frame: &Bytes| String::from_utf8(frame.to_vec()).unwrap();
        let written = format!("{{\"header\":{},\n \"body\":{}}}\n", text(&frames[0]), text(&frames[1]));
        let path = path(sender, kind);
        if wants_update() {
            std::fs::write(&path, &written).unwrap();
        }
        let kept =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(kept, written, "{} differs from what is sent", path.display());
        let golden: Golden = serde_json::from_str(&kept).unwrap();
        let frames =
            [golden.header.get(), golden.body.get()].map(|text| Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(&decode::<T>(&frames, MAX).unwrap(), message);
        let header: Header = serde_json::from_str(golden.header.get()).unwrap();
        assert_eq!((header.v, header.kind.as_str(), header.seq), (1, *kind, 1));
    }
}

#[test]
fn every_message_is_spelled_as_in_its_golden_file() {
    check("worker", &samples::from_worker());
    check("orchestrator", &samples::to_worker());
}

/// Bodies as the version before this one sent them, and fields as the one after may: both are read.
#[test]
fn a_peer_one_version_apart_is_understood() {
    let frames = |kind: &str, body: &str| {
        let header = format!("{{\"v\":1,\"kind\":\"{kind}\",\"seq\":1,\"sender\":\"x\",\"newer\":1}}");
        [Bytes::from(header), Bytes::from(body.to_owned())]
    };
    let older = "{\"version\":1,\"heartbeat_ms\":1000,\"lease_ms\":5000,\"message_bytes_max\":8388608,\
                  \"payload_bytes_max\":1048576,\"keep\":[7],\"newer\":{}}";
    let Ok(ToWorker::Welcome(welcome)) = decode(&frames("welcome", older), MAX) else { panic!("no welcome") };
    assert_eq!((welcome.orchestrator.as_str(), welcome.peers.len()), ("", 0));
    let heartbeat = decode(&frames("heartbeat", "{}"), MAX);
    assert_eq!(heartbeat, Ok(ToWorker::Heartbeat(OrchestratorHeartbeat::default())));
    let older = "{\"held\":[7],\"slots_free\":1,\"credit_free\":62,\"draining\":false,\"newer\":[]}";
    let heartbeat = decode(&frames("heartbeat", older), MAX);
    assert!(matches!(heartbeat, Ok(FromWorker::Heartbeat(WorkerHeartbeat { offer: None, .. }))));
    // What carries nothing new is spelled as it was before there was anything new.
    let mut envelope = Envelope::new("x");
    let [_, body] = ToWorker::Heartbeat(OrchestratorHeartbeat::default()).encode(&mut envelope);
    assert_eq!(body, "{}");
}

fn golden_frames() -> Vec<[Bytes; 2]> {
    let mut envelope = Envelope::new("x");
    let from =
        samples::from_worker().into_iter().map(|message| message.encode(&mut envelope)).collect::<Vec<_>>();
    let to = samples::to_worker().into_iter().map(|message| message.encode(&mut envelope));
    from.into_iter().chain(to).collect()
}

proptest! {
    #[test]
    fn arbitrary_frames_are_refused_without_a_panic(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
    ) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        prop_assert!(decode::<FromWorker>(&frames, MAX).is_err());
        prop_assert!(decode::<ToWorker>(&frames, MAX).is_err());
    }

    #[test]
    fn damaged_messages_never_panic(which in 0_usize..15, frame in 0_usize..2, at: prop::sample::Index, byte: u8, cut: bool) {
        let mut frames = golden_frames().swap_remove(which);
        let mut bytes = frames[frame].to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        frames[frame] = Bytes::from(bytes);
        let _ = decode::<FromWorker>(&frames, MAX);
        let _ = decode::<ToWorker>(&frames, MAX);
    }
}
