//! Tokens: written by operators, read by whoever lets people in.

use sqlx::{Postgres, Transaction};
use stepwright_store::column::{digest, parsed};
use stepwright_store::{NewToken, Result, StoreError, TokenRecord, TokenScope, ValidToken};
use stepwright_workflow::{Timestamp, TokenId};

use crate::error::engine;
use crate::store::PostgresStore;

/// A write transaction. Of two at once for one name both may find none; then the name has two tokens, which is only untidy.
async fn begin(store: &PostgresStore) -> Result<Transaction<'static, Postgres>> {
    store.writers.begin().await.map_err(engine("begin a transaction"))
}

pub(crate) async fn add(store: &PostgresStore, token: &NewToken, now: Timestamp) -> Result<TokenId> {
    let mut tx = begin(store).await?;
    if count_valid(store, &mut tx, token, now).await? > 0 {
        return Err(StoreError::Exists {
            subject: format!("a valid token of the name '{}'", token.name),
            advice: format!(
                "'stepwright token rotate {0}' replaces it, 'stepwright token revoke {0}' ends it",
                token.name
            ),
        });
    }
    let id = insert(store, &mut tx, token, now).await?;
    commit(store, tx).await?;
    Ok(id)
}

pub(crate) async fn rotate(
    store: &PostgresStore,
    token: &NewToken,
    others_until: Timestamp,
    now: Timestamp,
) -> Result<TokenId> {
    let mut tx = begin(store).await?;
    if count_valid(store, &mut tx, token, now).await? == 0 {
        return Err(StoreError::NotFound { subject: format!("valid token of the name '{}'", token.name) });
    }
    let id = insert(store, &mut tx, token, now).await?;
    store.counters.statement();
    let retire = sqlx::query_file!(
        "queries/tokens_retire.sql",
        token.scope.as_str(),
        token.name,
        token.hash.as_bytes().as_slice(),
        others_until.0
    );
    retire.execute(&mut *tx).await.map_err(engine("let tokens expire"))?;
    commit(store, tx).await?;
    Ok(id)
}

async fn count_valid(
    store: &PostgresStore,
    tx: &mut Transaction<'static, Postgres>,
    token: &NewToken,
    now: Timestamp,
) -> Result<i64> {
    store.counters.statement();
    let count = sqlx::query_file!("queries/tokens_valid_named.sql", token.scope.as_str(), token.name, now.0);
    Ok(count.fetch_one(&mut **tx).await.map_err(engine("look for a token"))?.count)
}

async fn insert(
    store: &PostgresStore,
    tx: &mut Transaction<'static, Postgres>,
    token: &NewToken,
    now: Timestamp,
) -> Result<TokenId> {
    store.counters.statement();
    let insert = sqlx::query_file!(
        "queries/token_insert.sql",
        token.name,
        token.scope.as_str(),
        token.hash.as_bytes().as_slice(),
        now.0,
        token.created_by,
        token.expires_at.map(|end| end.0)
    );
    Ok(TokenId(insert.fetch_one(&mut **tx).await.map_err(engine("keep a token"))?.id))
}

async fn commit(store: &PostgresStore, tx: Transaction<'static, Postgres>) -> Result<()> {
    tx.commit().await.map_err(engine("commit a token"))?;
    store.counters.commit();
    Ok(())
}

pub(crate) async fn list(store: &PostgresStore) -> Result<Vec<TokenRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/tokens.sql").fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read the tokens"))?;
    rows.into_iter()
        .map(|row| {
            Ok(TokenRecord {
                id: TokenId(row.id),
                name: row.name,
                scope: parsed("tokens.scope", &row.scope)?,
                created_at: Timestamp(row.created_at),
                created_by: row.created_by,
                used_at: row.used_at.map(Timestamp),
                expires_at: row.expires_at.map(Timestamp),
                revoked_at: row.revoked_at.map(Timestamp),
            })
        })
        .collect()
}

pub(crate) async fn valid(
    store: &PostgresStore,
    scope: TokenScope,
    now: Timestamp,
) -> Result<Vec<ValidToken>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/tokens_valid.sql", scope.as_str(), now.0);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read the valid tokens"))?;
    rows.into_iter()
        .map(|row| {
            Ok(ValidToken {
                id: TokenId(row.id),
                name: row.name,
                hash: digest("tokens.hash", &row.hash)?,
                expires_at: row.expires_at.map(Timestamp),
            })
        })
        .collect()
}

pub(crate) async fn revoke(
    store: &PostgresStore,
    tokens: &[TokenId],
    now: Timestamp,
) -> Result<Vec<TokenId>> {
    let ids: Vec<i64> = tokens.iter().map(|token| token.0).collect();
    store.counters.statement();
    let rows = sqlx::query_file!("queries/tokens_revoke.sql", &ids, now.0).fetch_all(&store.writers).await;
    let rows = rows.map_err(engine("revoke tokens"))?;
    store.counters.commit();
    Ok(rows.into_iter().map(|row| TokenId(row.id)).collect())
}

pub(crate) async fn note_used(store: &PostgresStore, tokens: &[TokenId], now: Timestamp) -> Result<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = tokens.iter().map(|token| token.0).collect();
    store.counters.statement();
    let used = sqlx::query_file!("queries/tokens_used.sql", &ids, now.0);
    used.execute(&store.writers).await.map_err(engine("note the use of tokens"))?;
    store.counters.commit();
    Ok(())
}
