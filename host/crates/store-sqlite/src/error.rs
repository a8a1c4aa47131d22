//! The engine's errors, sorted by what a caller can do about them.

use std::path::Path;

use stepwright_store::StoreError;

use crate::store::BUSY_MS;

/// `SQLITE_BUSY` and `SQLITE_LOCKED` with their extended codes.
fn is_busy(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Turns an engine's error into the store's.
pub(crate) fn engine(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(inner) if inner.code().is_some_and(|code| is_busy(&code)) => {
            StoreError::Busy { waited_ms: BUSY_MS }
        }
        sqlx::Error::PoolTimedOut => StoreError::Busy { waited_ms: BUSY_MS },
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => StoreError::Unavailable {
            what: format!("failed to {what}"),
            reason: "the store is closed".to_owned(),
        },
        // Disk full, disk error, and a file that was replaced: nothing about the content, and it may pass.
        sqlx::Error::Database(inner) if inner.code().is_some_and(|code| passing(&code)) => {
            StoreError::Unavailable {
                what: format!("failed to {what}"),
                reason: format!("{}; is the disk full or gone?", inner.message()),
            }
        }
        _ => StoreError::Engine { what, source: Box::new(error) },
    }
}

/// `SQLITE_IOERR`, `SQLITE_FULL`, `SQLITE_CANTOPEN`.
fn passing(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 10 | 13 | 14))
}

/// A database file that cannot be used, and what to do about it.
pub(crate) fn unavailable(path: &Path, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable {
        what: format!("failed to open the database {}", path.display()),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Executor as _, SqliteConnection};

    use super::*;

    #[tokio::test]
    async fn a_database_that_somebody_else_writes_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("tasks.db"))
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::ZERO);
        let mut one = SqliteConnection::connect_with(&options).await.unwrap();
        let mut two = SqliteConnection::connect_with(&options).await.unwrap();
        one.execute("BEGIN IMMEDIATE").await.unwrap();
        let error = two.execute("BEGIN IMMEDIATE").await.map_err(engine("begin")).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        let error = two.execute("SELECT * FROM nothing").await.map_err(engine("look")).unwrap_err();
        assert!(matches!(error, StoreError::Engine { what: "look", .. }), "{error}");
        assert!(matches!(engine("look")(sqlx::Error::PoolClosed), StoreError::Unavailable { .. }));
    }

    #[test]
    fn a_full_disk_may_pass_and_a_broken_rule_does_not() {
        assert!(passing("13") && passing("778") && is_busy("517"));
        assert!(!passing("275") && !is_busy("275") && !passing("odd"));
    }
}
