//! Tokens: kept, replaced, revoked, expired.

use stepwright_workflow::{Digest, Timestamp, TokenId};

use super::{NOW, at};
use crate::{NewToken, Store, StoreError, TokenRecord, TokenScope, ValidToken};

fn token(name: &str, secret: &str, expires_at: Option<Timestamp>) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scope: TokenScope::Worker,
        hash: Digest::of(secret.as_bytes()),
        created_by: "ann".to_owned(),
        expires_at,
    }
}

async fn valid(store: &dyn Store, now: Timestamp) -> Vec<TokenId> {
    let valid = store.valid_tokens(TokenScope::Worker, now).await.unwrap();
    valid.into_iter().map(|token| token.id).collect()
}

/// It comes back with all that is known of it, and nobody reads its hash but whoever lets people in.
pub async fn a_token_is_kept_and_valid_until_it_expires(store: &dyn Store) {
    assert_eq!(valid(store, NOW).await, []);
    let id = store.add_token(&token("pool", "one", Some(at(1_000))), NOW).await.unwrap();
    let other = store.add_token(&token("box", "two", None), at(1)).await.unwrap();
    let record = TokenRecord {
        id,
        name: "pool".to_owned(),
        scope: TokenScope::Worker,
        created_at: NOW,
        created_by: "ann".to_owned(),
        used_at: None,
        expires_at: Some(at(1_000)),
        revoked_at: None,
    };
    let listed = store.tokens().await.unwrap();
    assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [other, id]);
    assert_eq!(listed[1], record);
    assert!(record.is_valid(at(999)) && !record.is_valid(at(1_000)));
    let expect =
        ValidToken { id, name: "pool".to_owned(), hash: Digest::of(b"one"), expires_at: Some(at(1_000)) };
    assert_eq!(store.valid_tokens(TokenScope::Worker, at(999)).await.unwrap()[0], expect);
    assert_eq!(valid(store, at(1_000)).await, [other]);
}

/// A second one by accident would leave a secret behind that nobody thinks of.
pub async fn a_name_has_one_token_unless_it_is_rotated(store: &dyn Store) {
    let first = store.add_token(&token("pool", "one", Some(at(1_000))), NOW).await.unwrap();
    let error = store.add_token(&token("pool", "two", None), at(1)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Exists { subject, .. } if subject.contains("'pool'")), "{error}");
    assert_eq!(valid(store, at(1)).await, [first]);
    // Once it has expired, the name is free.
    let second = store.add_token(&token("pool", "two", None), at(1_000)).await.unwrap();
    assert_eq!(valid(store, at(1_000)).await, [second]);
    // The same secret twice would make one of them impossible to revoke.
    assert!(store.add_token(&token("box", "two", None), at(1_000)).await.is_err());
}

/// The old ones go on for the time given, but not beyond their own end.
pub async fn a_rotated_token_and_the_new_one_are_valid_together(store: &dyn Store) {
    let error = store.rotate_token(&token("pool", "zero", None), at(500), NOW).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotFound { subject } if subject.contains("'pool'")), "{error}");
    let first = store.add_token(&token("pool", "one", None), NOW).await.unwrap();
    let other = store.add_token(&token("box", "else", None), NOW).await.unwrap();
    let second = store.rotate_token(&token("pool", "two", Some(at(900))), at(500), at(1)).await.unwrap();
    assert_eq!(valid(store, at(499)).await, [first, other, second]);
    assert_eq!(valid(store, at(500)).await, [other, second]);
    let third = store.rotate_token(&token("pool", "three", None), at(2_000), at(600)).await.unwrap();
    assert_eq!(valid(store, at(899)).await, [other, second, third]);
    assert_eq!(valid(store, at(900)).await, [other, third]);
    let expiries: Vec<_> = store.tokens().await.unwrap().iter().map(|token| token.expires_at).collect();
    assert_eq!(expiries, [None, Some(at(500)), Some(at(900)), None]);
}

/// From that moment on, and once.
pub async fn a_revoked_token_is_not_valid_any_more(store: &dyn Store) {
    let first = store.add_token(&token("pool", "one", None), NOW).await.unwrap();
    let second = store.add_token(&token("box", "two", None), NOW).await.unwrap();
    let nobody = TokenId(9_999);
    assert_eq!(store.revoke_tokens(&[first, nobody], at(5)).await.unwrap(), [first]);
    assert_eq!(store.revoke_tokens(&[first], at(6)).await.unwrap(), []);
    assert_eq!(valid(store, at(5)).await, [second]);
    let listed = store.tokens().await.unwrap();
    assert_eq!(listed[1].revoked_at, Some(at(5)));
    let error = store.rotate_token(&token("pool", "three", None), at(9), at(7)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

/// The latest use counts.
pub async fn the_use_of_a_token_is_noted(store: &dyn Store) {
    let first = store.add_token(&token("pool", "one", None), NOW).await.unwrap();
    let second = store.add_token(&token("box", "two", None), NOW).await.unwrap();
    store.note_tokens_used(&[first, TokenId(9_999)], at(7)).await.unwrap();
    store.note_tokens_used(&[first], at(3)).await.unwrap();
    store.note_tokens_used(&[], at(9)).await.unwrap();
    let used = |id| async move {
        store.tokens().await.unwrap().into_iter().find(|token| token.id == id).unwrap().used_at
    };
    assert_eq!((used(first).await, used(second).await), (Some(at(7)), None));
}
