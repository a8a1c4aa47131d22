//! Connecting, and the schema's version.

use sqlx::{Connection as _, Executor as _, PgConnection};
use stepwright_postgres_harness::Database;
use stepwright_store::{Store as _, StoreError};
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_workflow::Timestamp;

use crate::connected;

async fn refusal(url: &str, options: PostgresOptions) -> String {
    match PostgresStore::connect(url, options).await.unwrap_err() {
        error @ StoreError::Unavailable { .. } => error.to_string(),
        other => panic!("{other}"),
    }
}

async fn raw(database: &Database, sql: &'static str) {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_with_an_example() {
    let refused = refusal("postgres//nowhere", PostgresOptions::default()).await;
    assert!(refused.contains("postgres://user:password@host:5432/database"), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_without_its_password() {
    let refused = refusal("postgres://ann:secret@localhost:1/orders", PostgresOptions::default()).await;
    assert!(refused.contains("postgres://ann@localhost:1/orders"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn a_schema_that_is_behind_is_migrated_only_when_wanted() {
    let database = Database::fresh().await;
    let behind = PostgresOptions { migrate: false, ..PostgresOptions::default() };
    let refused = refusal(&database.url(), behind.clone()).await;
    assert!(refused.contains("db migrate"), "{refused}");
    let unchecked = PostgresOptions { check: false, ..PostgresOptions::default() };
    let store = PostgresStore::connect(&database.url(), unchecked).await.unwrap();
    assert!(store.schema_status().await.unwrap().migrations.iter().all(|migration| !migration.applied));
    store.close().await;
    connected(&database).await.close().await;
    let store = PostgresStore::connect(&database.url(), behind).await.unwrap();
    assert!(store.schema_status().await.unwrap().is_current());
}

#[tokio::test]
async fn the_schema_of_a_newer_program_is_refused() {
    let database = Database::fresh().await;
    connected(&database).await.close().await;
    raw(&database, "INSERT INTO _sqlx_migrations VALUES (9999, 'future', now(), TRUE, '\\x00', 1)").await;
    let refused = refusal(&database.url(), PostgresOptions::default()).await;
    assert!(refused.contains("9999") && refused.contains("newer"), "{refused}");
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let database = Database::fresh().await;
    connected(&database).await.close().await;
    raw(&database, "UPDATE _sqlx_migrations SET checksum = '\\x00'").await;
    let refused = refusal(&database.url(), PostgresOptions::default()).await;
    assert!(refused.contains("changed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_database_at_once() {
    let database = Database::fresh().await;
    let url = database.url();
    let opened = (0..8).map(|_| PostgresStore::connect(&url, PostgresOptions::default()));
    for store in futures::future::join_all(opened).await {
        assert!(!store.unwrap().glance(Timestamp(0)).await.unwrap().claimable);
    }
}
