//! Keeps the gate's list of good tokens as the database has it.

use std::sync::Arc;
use std::time::Duration;

use stepwright_store::{Store, StoreError, TokenScope, ValidToken};
use stepwright_transport::gate::{Admitted, AllowList, Entries};
use stepwright_workflow::Clock;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How often the tokens are read when nobody says that they have changed. Whoever changes them says so, so that this is only
/// for when that was lost; six statements a minute.
const POLL: Duration = Duration::from_secs(10);

/// Between two reads however often somebody is woken: under load that is often, and hardly ever about tokens.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
pub(crate) struct Admission {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    list: watch::Sender<AllowList>,
    /// What the list was made from.
    valid: Vec<ValidToken>,
}

impl Admission {
    /// The keeper and its list, as it is now. A list of nobody is a good list: a token that is made later works at once.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, watch::Receiver<AllowList>), StoreError> {
        let (list, allowed) = watch::channel(AllowList::default());
        let mut admission = Self { store, clock, list, valid: Vec::new() };
        admission.reload().await?;
        Ok((admission, allowed))
    }

    /// Keeps the list until it is dropped. While the database is away the list stays as it was, and tokens expire all the same.
    pub(crate) async fn run(mut self, entries: Entries, wake: Arc<Notify>) {
        loop {
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            if let Err(error) = self.reload().await {
                tracing::warn!(%error, "failed to read the tokens; the gate goes on with those that it knows");
            }
            // Second, since a revoked token must not wait for anybody's write.
            if let Err(error) = self.store.note_tokens_used(&entries.take(), self.clock.now()).await {
                tracing::debug!(%error, "failed to note which tokens were used");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn reload(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let valid = self.store.valid_tokens(TokenScope::Worker, now).await?;
        if valid == self.valid {
            return Ok(());
        }
        let present = Instant::now();
        self.list.send_replace(AllowList::new(valid.iter().map(|token| {
            let until = token.expires_at.map(|end| present + end.since(now));
            (token.hash, Admitted { token: token.id, name: token.name.clone(), until })
        })));
        self.valid = valid;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stepwright_store::NewToken;
    use stepwright_store_sqlite::SqliteStore;
    use stepwright_workflow::{Digest, Timestamp};
    use tokio::task::JoinSet;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(1_000)
        }
    }

    #[tokio::test]
    async fn the_list_follows_the_database_when_it_is_woken() {
        let store = Arc::new(SqliteStore::in_memory().await.unwrap());
        let (admission, mut allowed) = Admission::start(store.clone(), Arc::new(Fixed)).await.unwrap();
        assert!(allowed.borrow_and_update().is_empty());
        let wake = Arc::new(Notify::new());
        let mut keeping = JoinSet::new();
        keeping.spawn(admission.run(Entries::default(), wake.clone()));
        let token = NewToken {
            name: "pool".to_owned(),
            scope: TokenScope::Worker,
            hash: Digest::of(b"secret"),
            created_by: "ann".to_owned(),
            expires_at: None,
        };
        let id = store.add_token(&token, Timestamp(1_000)).await.unwrap();
        wake.notify_one();
        allowed.changed().await.unwrap();
        assert!(!allowed.borrow_and_update().is_empty());
        store.revoke_tokens(&[id], Timestamp(1_000)).await.unwrap();
        wake.notify_one();
        allowed.changed().await.unwrap();
        assert!(allowed.borrow_and_update().is_empty());
    }
}
