//! Random numbers for guests: the WASI library's, with their bytes counted among what the host hands over.

use wasmtime_wasi::p2::bindings::random::{insecure, random};
use wasmtime_wasi::random::WasiRandomView as _;

use crate::state::StepState;

/// Bytes of one number.
const NUMBER_BYTES: usize = 8;

impl random::Host for StepState {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let bytes = random::Host::get_random_bytes(self.random(), length)?;
        self.count(bytes.len())?;
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(NUMBER_BYTES)?;
        random::Host::get_random_u64(self.random())
    }
}

impl insecure::Host for StepState {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let bytes = insecure::Host::get_insecure_random_bytes(self.random(), length)?;
        self.count(bytes.len())?;
        Ok(bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(NUMBER_BYTES)?;
        insecure::Host::get_insecure_random_u64(self.random())
    }
}
