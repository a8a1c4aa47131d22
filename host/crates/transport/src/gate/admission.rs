//! Who may enter, as plain data: the gate neither knows where it comes from nor changes it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use stepwright_workflow::{Digest, TokenId};
use tokio::sync::watch;
use tokio::time::Instant;

/// A token that is good now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub token: TokenId,
    /// The worker or pool that has it.
    pub name: String,
    /// When it stops being good.
    pub until: Option<Instant>,
}

/// The tokens that are good now, by the SHA-256 of their secrets.
///
/// A secret is looked up by its hash, so that no time that this takes says anything about the secrets that are in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(HashMap<Digest, Admitted>);

impl AllowList {
    /// A list of these.
    pub fn new(tokens: impl IntoIterator<Item = (Digest, Admitted)>) -> Self {
        Self(tokens.into_iter().collect())
    }

    /// Whether nobody may enter.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token with this hash, if it is good at this moment.
    pub(super) fn find(&self, hash: &Digest, now: Instant) -> Option<&Admitted> {
        self.0.get(hash).filter(|admitted| admitted.until.is_none_or(|end| end > now))
    }
}

/// Waits until a token is good no more: taken off the list, or expired. Also if nobody keeps the list any longer, since then
/// nobody would say so.
pub(super) async fn until_gone(mut allowed: watch::Receiver<AllowList>, hash: Digest) {
    loop {
        let found = allowed.borrow_and_update().find(&hash, Instant::now()).map(|admitted| admitted.until);
        let Some(until) = found else { return };
        let expired = async {
            match until {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => return,
            changed = allowed.changed() => if changed.is_err() { return },
        }
    }
}

/// Tokens that let somebody in since they were last taken.
#[derive(Debug, Clone, Default)]
pub struct Entries(Arc<Mutex<BTreeSet<TokenId>>>);

impl Entries {
    pub(super) fn note(&self, token: TokenId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token);
    }

    /// Takes them out, each once.
    pub fn take(&self) -> Vec<TokenId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(secrets: &[(&str, Option<Instant>)]) -> AllowList {
        AllowList::new(secrets.iter().zip(1..).map(|((secret, until), id)| {
            (
                Digest::of(secret.as_bytes()),
                Admitted { token: TokenId(id), name: "w".to_owned(), until: *until },
            )
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_gone_when_it_expires_or_is_taken_off() {
        let now = Instant::now();
        let end = now + Duration::from_secs(60);
        let (keeper, allowed) = watch::channel(list(&[("a", Some(end)), ("b", None)]));
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert!(allowed.borrow().find(&a, now).is_some() && allowed.borrow().find(&a, end).is_none());
        until_gone(allowed.clone(), a).await;
        assert!(Instant::now() >= end);
        // Another list with the same token changes nothing.
        let gone = tokio::join!(until_gone(allowed.clone(), b), async {
            keeper.send_replace(list(&[("b", None)]));
            tokio::time::sleep(Duration::from_secs(1_000)).await;
            keeper.send_replace(list(&[]));
        });
        assert_eq!(gone, ((), ()));
        assert!(Instant::now() >= end + Duration::from_secs(1_000));
    }

    #[test]
    fn entries_are_taken_once() {
        let entries = Entries::default();
        [2, 1, 2].into_iter().map(TokenId).for_each(|token| entries.note(token));
        assert_eq!((entries.take(), entries.take()), (vec![TokenId(1), TokenId(2)], vec![]));
    }
}
