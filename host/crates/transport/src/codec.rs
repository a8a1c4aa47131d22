//! Messages to frames and back: a header and a body, both JSON. What is no message is refused with a reason, whatever it is.
//!
//! Payloads ride in the body as raw JSON and are never parsed on the way.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stepwright_workflow::Payload;

use crate::wire::{FromWorker, PROTOCOL_VERSION, ToWorker};

/// The largest header that is read, in bytes: ten times what any header of ours needs.
pub const HEADER_BYTES_MAX: usize = 1_024;

/// The deepest nesting of arrays and objects in a body: that of a payload, and five around it (in `batch`, the parents').
pub const DEPTH_MAX: usize = Payload::DEPTH_MAX + 5;

/// Messages are written one after another into blocks of this size, in bytes; larger ones get their own.
const BLOCK_BYTES: usize = 32 << 10;

/// What stands before every body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The protocol version of the body.
    pub v: u32,
    /// Which message the body is.
    pub kind: String,
    /// Counted by the sender from 1, for people who read logs.
    pub seq: u64,
    /// The sender's incarnation.
    pub sender: String,
}

/// Frames that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a header and a body.
    #[error("expected 2 frames, a header and a body, got {0}")]
    Frames(usize),
    /// More bytes than allowed.
    #[error("a {part} of {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge {
        /// Header or message.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Nested beyond what anybody could read.
    #[error("the body is nested more than {depth_max} deep")]
    TooDeep {
        /// The limit.
        depth_max: usize,
    },
    /// The header is not readable.
    #[error("the header is not readable: {0}")]
    Header(String),
    /// Another version.
    #[error(
        "protocol version {found} is not spoken here, {PROTOCOL_VERSION} is; upgrade the older of the two"
    )]
    Version {
        /// What came.
        found: u32,
    },
    /// A kind that this side does not take.
    #[error("'{kind}' is no message that can be sent here; known are {}", .known.join(", "))]
    Kind {
        /// What came.
        kind: String,
        /// What could have come.
        known: &'static [&'static str],
    },
    /// The body is not readable.
    #[error("the body of '{kind}' is not readable: {reason}")]
    Body {
        /// Which message it should be.
        kind: String,
        /// Where it fails.
        reason: String,
    },
}

/// The two frames of one message.
pub type Frames = [Bytes; 2];

/// A header as it is written: nothing is copied for it.
#[derive(Serialize)]
struct HeaderRef<'a> {
    v: u32,
    kind: &'a str,
    seq: u64,
    sender: &'a str,
}

/// Counts messages and names their sender.
#[derive(Debug)]
pub struct Envelope {
    sender: String,
    seq: u64,
    block: BytesMut,
}

impl Envelope {
    /// For messages of one incarnation.
    pub fn new(sender: impl Into<String>) -> Self {
        Self { sender: sender.into(), seq: 0, block: BytesMut::new() }
    }

    fn seal<T: Serialize>(&mut self, kind: &'static str, body: &T) -> Frames {
        self.seq += 1;
        // A quarter of a block is more than most messages take.
        if self.block.capacity() < BLOCK_BYTES / 4 {
            self.block.reserve(BLOCK_BYTES);
        }
        let header = HeaderRef { v: PROTOCOL_VERSION, kind, seq: self.seq, sender: &self.sender };
        [write(&mut self.block, &header), write(&mut self.block, body)]
    }
}

/// Numbers, strings and raw JSON: nothing here can fail to serialise, and half a frame would be refused by the peer.
fn write<T: Serialize>(block: &mut BytesMut, value: &T) -> Bytes {
    let _ = serde_json::to_writer(block.writer(), value);
    block.split().freeze()
}

/// One side's messages on the wire.
pub trait Message: Sized {
    /// The kinds that this side sends.
    const KINDS: &'static [&'static str];
    /// The message's frames.
    fn encode(&self, envelope: &mut Envelope) -> Frames;
    /// The message that a body of this kind holds.
    fn decode_body(kind: &str, body: &[u8]) -> Result<Self, DecodeError>;
}

macro_rules! message {
    ($name:ident { $($variant:ident = $kind:literal,)* }) => {
        impl Message for $name {
            const KINDS: &'static [&'static str] = &[$($kind,)*];

            fn encode(&self, envelope: &mut Envelope) -> Frames {
                match self { $(Self::$variant(body) => envelope.seal($kind, body),)* }
            }

            fn decode_body(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
                match kind {
                    $($kind => read(kind, body).map(Self::$variant),)*
                    other => Err(DecodeError::Kind { kind: shortened(other), known: Self::KINDS }),
                }
            }
        }
    };
}

message!(FromWorker {
    Hello = "hello",
    PartialResult = "partial_result",
    BatchCompletion = "batch_completion",
    Heartbeat = "heartbeat",
    Goodbye = "goodbye",
    ComponentRequest = "component_request",
});

message!(ToWorker {
    Welcome = "welcome",
    Batch = "batch",
    Ack = "ack",
    Resend = "resend",
    Cancel = "cancel",
    Drain = "drain",
    Heartbeat = "heartbeat",
    Refuse = "refuse",
    ComponentPart = "component_part",
});

/// Reads a message of at most `bytes_max` bytes.
pub fn decode<T: Message>(frames: &[Bytes], bytes_max: usize) -> Result<T, DecodeError> {
    let [header, body] = frames else { return Err(DecodeError::Frames(frames.len())) };
    if header.len() > HEADER_BYTES_MAX {
        return Err(DecodeError::TooLarge {
            part: "header",
            bytes: header.len(),
            bytes_max: HEADER_BYTES_MAX,
        });
    }
    let bytes = header.len() + body.len();
    if bytes > bytes_max {
        return Err(DecodeError::TooLarge { part: "message", bytes, bytes_max });
    }
    let header: Header =
        serde_json::from_slice(header).map_err(|error| DecodeError::Header(error.to_string()))?;
    if header.v != PROTOCOL_VERSION {
        return Err(DecodeError::Version { found: header.v });
    }
    if is_deep(body) {
        return Err(DecodeError::TooDeep { depth_max: DEPTH_MAX });
    }
    T::decode_body(&header.kind, body)
}

/// Whether brackets outside strings are nested beyond the limit. Only meaningful for JSON; the parser refuses the rest.
fn is_deep(body: &[u8]) -> bool {
    let opening = |byte: &u8| u8::from(matches!(byte, b'[' | b'{'));
    // Most bodies have fewer brackets than that, and counting them is much cheaper than following the strings.
    if body.iter().map(|byte| usize::from(opening(byte))).sum::<usize>() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn read<T: DeserializeOwned>(kind: &str, body: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body)
        .map_err(|error| DecodeError::Body { kind: kind.to_owned(), reason: error.to_string() })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn check(frames: &[&str], expect: &str) {
        let frames: Vec<Bytes> =
            frames.iter().map(|frame| Bytes::copy_from_slice(frame.as_bytes())).collect();
        assert_eq!(decode::<FromWorker>(&frames, MAX).unwrap_err().to_string(), expect);
    }

    #[test]
    fn what_is_no_message_is_refused_with_a_reason() {
        check(&[], "expected 2 frames, a header and a body, got 0");
        check(&["{}", "{}", "{}"], "expected 2 frames, a header and a body, got 3");
        check(&["", "{}"], "the header is not readable: EOF while parsing a value at line 1 column 0");
        check(&["{}", "{}"], "the header is not readable: missing field `v` at line 1 column 2");
        check(
            &[r#"{"v":2,"kind":"hello","seq":1,"sender":"a"}"#, "{}"],
            "protocol version 2 is not spoken here, 1 is; upgrade the older of the two",
        );
        check(
            &[r#"{"v":1,"kind":"partialResult","seq":1,"sender":"a"}"#, "{}"],
            "'partialResult' is no message that can be sent here; known are hello, partial_result, batch_completion, \
             heartbeat, goodbye, component_request",
        );
        check(
            &[r#"{"v":1,"kind":"goodbye","seq":1,"sender":"a"}"#, "{}"],
            "the body of 'goodbye' is not readable: missing field `reason` at line 1 column 2",
        );
    }

    #[test]
    fn sizes_are_checked_before_anything_is_parsed() {
        let long = "x".repeat(HEADER_BYTES_MAX + 1);
        check(&[&long, "{}"], "a header of 1025 bytes is larger than the limit of 1024");
        let body = "x".repeat(MAX);
        check(&["{}", &body], "a message of 1048578 bytes is larger than the limit of 1048576");
    }

    #[test]
    fn fields_of_a_newer_peer_are_ignored() {
        let header = Bytes::from_static(br#"{"v":1,"kind":"goodbye","seq":1,"sender":"a","new":true}"#);
        let body = Bytes::from_static(br#"{"reason":"drained","new":[1]}"#);
        let decoded: FromWorker = decode(&[header, body], MAX).unwrap();
        assert!(matches!(decoded, FromWorker::Goodbye(goodbye) if goodbye.reason == "drained"));
    }

    fn goodbye(extra: &str) -> [Bytes; 2] {
        let header = Bytes::from_static(br#"{"v":1,"kind":"goodbye","seq":1,"sender":"a"}"#);
        [header, Bytes::from(format!(r#"{{"reason":"[{{\"","extra":{extra}}}"#))]
    }

    #[test]
    fn nesting_has_a_limit_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| goodbye(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        decode::<FromWorker>(&nested(DEPTH_MAX - 1), MAX).unwrap();
        let too_deep = DecodeError::TooDeep { depth_max: DEPTH_MAX };
        assert_eq!(decode::<FromWorker>(&nested(DEPTH_MAX), MAX).unwrap_err(), too_deep);
        assert_eq!(decode::<FromWorker>(&nested(400_000), MAX).unwrap_err(), too_deep);
        let in_strings = goodbye(&format!("[\"{}\",{}[]]", "{[".repeat(500), "[],".repeat(500)));
        decode::<FromWorker>(&in_strings, MAX).unwrap();
    }

    #[test]
    fn frames_are_counted_and_outlive_the_messages_after_them() {
        let mut envelope = Envelope::new("a");
        let frames: Vec<Frames> = (0..1_000)
            .map(|n| {
                let reason = "x".repeat(n * 37 % 5_000);
                FromWorker::Goodbye(crate::wire::Goodbye { reason }).encode(&mut envelope)
            })
            .collect();
        for (n, frames) in frames.iter().enumerate() {
            let header: Header = serde_json::from_slice(&frames[0]).unwrap();
            assert_eq!(header.seq, n as u64 + 1);
            let decoded: FromWorker = decode(frames, MAX).unwrap();
            assert!(
                matches!(decoded, FromWorker::Goodbye(goodbye) if goodbye.reason.len() == n * 37 % 5_000)
            );
        }
    }
}
