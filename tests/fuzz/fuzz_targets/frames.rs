//! A byte stream through the gate's guard: the verdict does not depend on how the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepwright_transport::gate::FrameGuard;

fuzz_target!(|input: &[u8]| {
    let whole = FrameGuard::new(1 << 16).look(input);
    let mut guard = FrameGuard::new(1 << 16);
    let bytewise = input.iter().try_for_each(|byte| guard.look(std::slice::from_ref(byte)));
    assert_eq!(whole, bytewise);
});
