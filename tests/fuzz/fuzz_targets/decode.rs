//! Frames that a hostile peer could send: the decoder refuses or reads them, and never panics. What it reads, it writes and
//! reads again as the same. The input's first two bytes say where the header ends.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stepwright_transport::codec::{Envelope, Message, decode};
use stepwright_transport::wire::{FromWorker, ToWorker};

const MAX: usize = 1 << 20;

fn check<T: Message + PartialEq + std::fmt::Debug>(frames: &[Bytes]) {
    if let Ok(message) = decode::<T>(frames, MAX) {
        let again = message.encode(&mut Envelope::new("fuzz"));
        assert_eq!(decode::<T>(&again, usize::MAX).expect("what was written can be read"), message);
    }
}

fuzz_target!(|input: &[u8]| {
    let [high, low, rest @ ..] = input else { return };
    let at = (usize::from(*high) << 8 | usize::from(*low)).min(rest.len());
    let (header, body) = rest.split_at(at);
    let frames = [Bytes::copy_from_slice(header), Bytes::copy_from_slice(body)];
    check::<FromWorker>(&frames);
    check::<ToWorker>(&frames);
});
