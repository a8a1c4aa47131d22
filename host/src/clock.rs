//! The machine's own clock and randomness: the only ones outside of tests.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stepwright_orchestrator::Random;
use stepwright_workflow::{Clock, Timestamp};

use crate::error::CliError;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the binary owns the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A name for this start of the process that nothing else ever had: 128 random bits.
pub(crate) fn incarnation() -> Result<String, CliError> {
    Ok(random_bits::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Bytes for secrets, from the system's randomness.
pub(crate) fn random_bits<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bits = [0_u8; N];
    getrandom::fill(&mut bits)
        .map_err(|error| CliError::new(format!("the system gives no random numbers: {error}")))?;
    Ok(bits)
}

/// Uniform numbers for jitter. A number that the system does not give is zero, which is only no jitter.
pub(crate) fn random() -> Random {
    Arc::new(|| getrandom::u64().unwrap_or(0))
}
