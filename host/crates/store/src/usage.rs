//! What attempts used, as the ledger keeps it and gives it out for statistics.

use serde::{Deserialize, Serialize};
use stepwright_workflow::{PlanId, StepId};

use crate::record::AttemptStatus;
use crate::{Result, StoreError};

/// What an attempt used beside time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Payload bytes handed in.
    pub bytes_in: u64,
    /// Payload bytes handed out.
    pub bytes_out: u64,
    /// Calls to the host's own interfaces.
    pub host_calls: u64,
    /// HTTP requests that went out.
    pub http_calls: u64,
    /// Bytes of their bodies.
    pub http_bytes_out: u64,
    /// Bytes of the responses' bodies.
    pub http_bytes_in: u64,
    /// Bytes written to files.
    pub file_bytes_written: u64,
}

impl Usage {
    fn numbers(self) -> [u64; 7] {
        let Self { bytes_in, bytes_out, host_calls, http_calls, http_bytes_out, http_bytes_in, .. } = self;
        [bytes_in, bytes_out, host_calls, http_calls, http_bytes_out, http_bytes_in, self.file_bytes_written]
    }

    /// The column's text: the fields in their order, separated by spaces, without the zeros at the end; `None` if all are zero.
    /// Most attempts use the first three, and that takes a dozen bytes of a row.
    pub fn to_column(self) -> Option<String> {
        let numbers = self.numbers();
        let used = numbers.iter().rposition(|number| *number > 0)? + 1;
        Some(numbers[..used].iter().map(u64::to_string).collect::<Vec<_>>().join(" "))
    }

    /// Reads the column. Numbers beyond those known here are a newer version's and passed over.
    pub fn from_column(text: Option<&str>) -> Result<Self> {
        let mut numbers = [0; 7];
        for (number, word) in numbers.iter_mut().zip(text.unwrap_or_default().split_ascii_whitespace()) {
            *number = word.parse().map_err(|_| {
                StoreError::Inconsistent(format!("attempts.usage holds '{word}', which is no number"))
            })?;
        }
        let [bytes_in, bytes_out, host_calls, http_calls, http_bytes_out, http_bytes_in, file_bytes_written] =
            numbers;
        Ok(Self {
            bytes_in,
            bytes_out,
            host_calls,
            http_calls,
            http_bytes_out,
            http_bytes_in,
            file_bytes_written,
        })
    }
}

/// What one attempt used, with what is needed to tell whose it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptReceipt {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// The plan of its task.
    pub plan: PlanId,
    /// How it ended. A lost attempt used what nobody knows.
    pub status: AttemptStatus,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// The rest.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_short_and_reads_back() {
        let usual = Usage { bytes_in: 412, bytes_out: 21, host_calls: 1, ..Usage::default() };
        assert_eq!(usual.to_column().as_deref(), Some("412 21 1"));
        let all = Usage { file_bytes_written: u64::MAX, http_calls: 2, ..usual };
        assert_eq!(all.to_column().as_deref(), Some("412 21 1 2 0 0 18446744073709551615"));
        for usage in [Usage::default(), usual, all] {
            assert_eq!(Usage::from_column(usage.to_column().as_deref()).unwrap(), usage);
        }
        assert_eq!(Usage::from_column(Some("1 2 3 4 5 6 7 8")).unwrap().file_bytes_written, 7);
        assert!(Usage::from_column(Some("1 x")).unwrap_err().to_string().contains("'x'"));
    }
}
