//! Names for the things that the store, the wire and people talk about. Nothing here creates an id: the store does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What was given as a number of something is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number, such as 17")]
pub struct NotANumber;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotANumber;
            fn from_str(text: &str) -> Result<Self, NotANumber> {
                text.parse().map($name).map_err(|_| NotANumber)
            }
        }
    };
}

number_id! {
    /// One run of a template. Numbered by the store from 1, in the order of creation.
    TaskId
}
number_id! {
    /// A template resolved for one environment with every plugin pinned by digest. Numbered by the store.
    PlanId
}
number_id! {
    /// Steps sent together to one worker. The same number stands on the wire and in the ledger.
    BatchId
}
number_id! {
    /// One incarnation of a worker process: a restarted worker of the same name gets a new one.
    WorkerId
}
number_id! {
    /// A token that lets somebody in from outside. Numbered by the store.
    TokenId
}
number_id! {
    /// One step of one task: the task's number shifted left by [`StepId::POSITION_BITS`], plus the step's position in the plan.
    StepId
}

impl StepId {
    /// How many low bits hold the position, so that the steps of a task are neighbours in the database.
    pub const POSITION_BITS: u32 = 16;
    /// The most steps that one template may have.
    pub const STEPS_MAX: usize = 1 << Self::POSITION_BITS;

    /// The id of the step at `position` of `task`.
    pub fn new(task: TaskId, position: u16) -> Self {
        Self((task.0 << Self::POSITION_BITS) | i64::from(position))
    }

    /// The task that this step belongs to.
    pub fn task(self) -> TaskId {
        TaskId(self.0 >> Self::POSITION_BITS)
    }

    /// The step's place in its plan, counted from 0.
    pub fn position(self) -> u16 {
        u16::try_from(self.0 & 0xffff).unwrap_or(u16::MAX)
    }
}

/// The fencing token: a write about an attempt applies only while the step is still leased by exactly this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The step that was tried.
    pub step: StepId,
    /// Which try this is, counted from 1.
    pub attempt: u32,
    /// The batch that carried it.
    pub batch: BatchId,
}

/// The SHA-256 of a plugin's component, or of an outcome.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits: enough for a person to tell two plugins apart.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }

    /// 64 lower-case hexadecimal digits, without the `sha256:` prefix.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(DIGITS[usize::from(byte >> 4)] as char);
            text.push(DIGITS[usize::from(byte & 15)] as char);
        }
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.short())
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a digest: expected 'sha256:' and 64 hexadecimal digits")]
pub struct BadDigest(pub String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadDigest(text.to_owned());
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if hex.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16).filter(|_| !c.is_ascii_uppercase());
            let (high, low) = (digit(pair[0]).ok_or_else(bad)?, digit(pair[1]).ok_or_else(bad)?);
            *byte = u8::try_from(high * 16 + low).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_id_keeps_its_task_and_position() {
        for (task, position) in [(1, 0), (1, u16::MAX), (1 << 40, 7)] {
            let id = StepId::new(TaskId(task), position);
            assert_eq!((id.task(), id.position()), (TaskId(task), position));
        }
    }

    #[test]
    fn a_digest_reads_back_what_it_prints() {
        let digest = Digest::of(b"component");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.hex().parse::<Digest>().unwrap(), digest);
        for bad in ["", "sha256:", "sha256:zz", &digest.hex().to_uppercase(), &digest.hex()[1..]] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
