//! ZMTP 3.0 as seen from outside: where frames begin and how large they are, without keeping a byte of them.
//!
//! A connection is a greeting of 64 bytes, which names version and mechanism, and then frames: a flags byte (1 more, 2 long, 4 command), a size of one byte or of
//! eight, and as many bytes (rfc.zeromq.org/spec/23).

const GREETING_BYTES: usize = 64;
/// Where the version and the mechanism stand in it. Ours is the third, and without a mechanism of its own: whoever believes
/// that ZeroMQ encrypts or authenticates here is wrong, and should hear of it.
const VERSION_AT: usize = 10;
const VERSION_LEAST: u8 = 3;
const MECHANISM_AT: std::ops::Range<usize> = 12..32;
const MECHANISM: &[u8] = b"NULL";
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Frames of one message: an address would make three, and nothing makes more.
const FRAMES_MAX: usize = 4;

/// Bytes that no peer of ours sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not ZMTP.
    #[error("the bytes are not ZeroMQ's")]
    NotZmtp,
    /// Another security mechanism than none.
    #[error("the greeting asks for a security mechanism of ZeroMQ's, and there is none but NULL")]
    Mechanism,
    /// Unknown flags.
    #[error("a frame has the flags {0:#x}")]
    Flags(u8),
    /// A frame or a message beyond the limit.
    #[error("a message of at least {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge {
        /// What was announced.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A message of too many frames.
    #[error("a message has more than {FRAMES_MAX} frames")]
    TooManyFrames,
}

#[derive(Debug)]
enum Place {
    Greeting(usize),
    Flags,
    Size { flags: u8, left: u8, size: u64 },
    Content { flags: u8, left: u64 },
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub struct FrameGuard {
    place: Place,
    bytes_max: u64,
    message_bytes: u64,
    frames: usize,
    messages: u64,
}

impl FrameGuard {
    /// For messages of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            place: Place::Greeting(0),
            bytes_max: bytes_max as u64,
            message_bytes: 0,
            frames: 0,
            messages: 0,
        }
    }

    /// Looks at the next bytes of the stream; an error means that not one of them should go on.
    pub fn look(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while let Some((&first, rest)) = bytes.split_first() {
            match self.place {
                Place::Greeting(at) => {
                    greeting(at, first)?;
                    self.place =
                        if at + 1 == GREETING_BYTES { Place::Flags } else { Place::Greeting(at + 1) };
                    bytes = rest;
                }
                Place::Flags => {
                    self.flags(first)?;
                    bytes = rest;
                }
                Place::Size { flags, left, size } => {
                    let size = (size << 8) | u64::from(first);
                    if left == 1 {
                        self.size(flags, size)?;
                    } else {
                        self.place = Place::Size { flags, left: left - 1, size };
                    }
                    bytes = rest;
                }
                Place::Content { flags, left } => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = bytes.get(usize::try_from(taken).unwrap_or(usize::MAX)..).unwrap_or_default();
                    self.content(flags, left - taken);
                }
            }
        }
        Ok(())
    }

    /// Whole messages so far, commands among them.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether nothing has begun that has not ended.
    pub(super) fn is_between_messages(&self) -> bool {
        self.frames == 0 && matches!(self.place, Place::Flags | Place::Greeting(0))
    }

    fn flags(&mut self, flags: u8) -> Result<(), Violation> {
        if flags & !(MORE | LONG | COMMAND) != 0 || flags & (COMMAND | MORE) == COMMAND | MORE {
            return Err(Violation::Flags(flags));
        }
        self.frames += 1;
        if self.frames > FRAMES_MAX {
            return Err(Violation::TooManyFrames);
        }
        let left = if flags & LONG == 0 { 1 } else { 8 };
        self.place = Place::Size { flags, left, size: 0 };
        Ok(())
    }

    fn size(&mut self, flags: u8, size: u64) -> Result<(), Violation> {
        self.message_bytes = self.message_bytes.saturating_add(size);
        if self.message_bytes > self.bytes_max {
            return Err(Violation::TooLarge { bytes: self.message_bytes, bytes_max: self.bytes_max });
        }
        self.content(flags, size);
        Ok(())
    }

    fn content(&mut self, flags: u8, left: u64) {
        if left > 0 {
            self.place = Place::Content { flags, left };
            return;
        }
        self.place = Place::Flags;
        if flags & MORE == 0 {
            self.message_bytes = 0;
            self.frames = 0;
            self.messages += 1;
        }
    }
}

/// One byte of the greeting.
fn greeting(at: usize, byte: u8) -> Result<(), Violation> {
    let right = match at {
        0 => byte == 0xff,
        9 => byte == 0x7f,
        VERSION_AT => byte >= VERSION_LEAST,
        _ => true,
    };
    if !right {
        return Err(Violation::NotZmtp);
    }
    let wanted = MECHANISM.get(at.wrapping_sub(MECHANISM_AT.start)).copied().unwrap_or(0);
    if MECHANISM_AT.contains(&at) && byte != wanted { Err(Violation::Mechanism) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn greeting() -> Vec<u8> {
        let mut greeting = vec![0; GREETING_BYTES];
        greeting[0] = 0xff;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        greeting
    }

    fn check(stream: &[u8], expect: &Result<(), Violation>) {
        // However the bytes are cut, the verdict is the same.
        for step in [1, 7, stream.len().max(1)] {
            let mut guard = FrameGuard::new(1_000);
            let verdict = stream.chunks(step).try_for_each(|chunk| guard.look(chunk));
            assert_eq!(&verdict, expect, "in chunks of {step}");
        }
    }

    fn stream(frames: &[&[u8]]) -> Vec<u8> {
        let mut stream = greeting();
        frames.iter().for_each(|frame| stream.extend_from_slice(frame));
        stream
    }

    #[test]
    fn ordinary_messages_pass_and_hostile_sizes_do_not() {
        check(&stream(&[&[4, 3, 1, 2, 3], &[1, 2, 0, 0], &[0, 0], &[0, 1, 9]]), &Ok(()));
        check(b"GET / HTTP/1.1\r\n\r\n", &Err(Violation::NotZmtp));
        check(
            &stream(&[&[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]),
            &Err(Violation::TooLarge { bytes: u64::MAX, bytes_max: 1_000 }),
        );
        check(&stream(&[&[8, 0]]), &Err(Violation::Flags(8)));
        check(&stream(&[&[1, 0][..]; 5]), &Err(Violation::TooManyFrames));
    }

    #[test]
    fn another_version_or_mechanism_is_refused() {
        for (at, byte, expect) in [
            (10, 2, Violation::NotZmtp),
            (12, b'C', Violation::Mechanism),
            (16, b'x', Violation::Mechanism),
            (31, 1, Violation::Mechanism),
        ] {
            let mut bytes = greeting();
            bytes[at] = byte;
            check(&bytes, &Err(expect));
        }
        let mut server = greeting();
        (server[11], server[32]) = (1, 1);
        check(&server, &Ok(()));
    }

    #[test]
    fn what_has_begun_has_not_ended() {
        let mut guard = FrameGuard::new(1_000);
        let mut seen = |bytes: &[u8]| {
            guard.look(bytes).unwrap();
            (guard.is_between_messages(), guard.messages())
        };
        assert_eq!(seen(&greeting()[..20]), (false, 0));
        assert_eq!(seen(&greeting()[20..]), (true, 0));
        assert_eq!(seen(&[1]), (false, 0));
        assert_eq!(seen(&[2, 0, 0]), (false, 0));
        assert_eq!(seen(&[0, 0]), (true, 1));
        assert_eq!(seen(&[0, 0, 0]), (false, 2));
    }

    #[test]
    fn the_limit_is_on_the_whole_message_and_starts_anew_with_the_next() {
        let mut six_hundred = vec![2, 0, 0, 0, 0, 0, 0, 2, 88];
        six_hundred.resize(9 + 600, 0);
        let mut more = six_hundred.clone();
        more[0] = 3;
        check(&stream(&[&six_hundred, &six_hundred]), &Ok(()));
        check(&stream(&[&more, &six_hundred]), &Err(Violation::TooLarge { bytes: 1_200, bytes_max: 1_000 }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000), with_greeting: bool) {
            let mut guard = FrameGuard::new(1_000);
            if with_greeting {
                guard.look(&greeting()).unwrap();
            }
            let _ = guard.look(&bytes);
        }
    }
}
