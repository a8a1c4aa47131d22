//! The engine's errors, sorted by what a caller can do about them.

use std::time::Duration;

use stepwright_store::StoreError;

/// How long one statement may run, and how long a connection is waited for.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

const STATEMENT_TIMEOUT_MS: u64 = 30_000;

/// What an SQLSTATE says about trying again.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Another transaction was in the way.
    Busy,
    /// The server is going, coming, full or out of reach.
    Unavailable,
    /// The statement or its content is wrong.
    Engine,
}

fn fate(code: &str) -> Fate {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled, idle_in_transaction_session_timeout
        "40001" | "40P01" | "55P03" | "57014" | "25P03" => Fate::Busy,
        // connection exceptions, insufficient resources, operator intervention, system errors, read-only after a failover
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || code == "25006" => {
            Fate::Unavailable
        }
        _ => Fate::Engine,
    }
}

/// Turns an engine's error into the store's.
pub(crate) fn engine(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let gone = |reason: String| StoreError::Unavailable { what: format!("failed to {what}"), reason };
        match &error {
            sqlx::Error::Database(inner) => match fate(&inner.code().unwrap_or_default()) {
                Fate::Busy => StoreError::Busy { waited_ms: STATEMENT_TIMEOUT_MS },
                Fate::Unavailable => gone(inner.message().to_owned()),
                Fate::Engine => StoreError::Engine { what, source: Box::new(error) },
            },
            sqlx::Error::PoolTimedOut => {
                gone("no connection to PostgreSQL could be had in time; is it running?".to_owned())
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => gone("the store is closed".to_owned()),
            // A connection that breaks in the middle: nothing about the content, and it may pass.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => gone(error.to_string()),
            _ => StoreError::Engine { what, source: Box::new(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_it_is_worth_another_try() {
        assert_eq!(fate("40P01"), Fate::Busy);
        assert_eq!(fate("57P01"), Fate::Unavailable);
        assert_eq!(fate("53100"), Fate::Unavailable);
        assert_eq!(fate("23505"), Fate::Engine);
        assert_eq!(fate(""), Fate::Engine);
    }
}
