//! An empty database for one test.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::cluster::{Cluster, Durability};

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    /// Gone with the database, if it is ours.
    cluster: Option<Cluster>,
}

impl Database {
    /// A database on the server that `DATABASE_URL` names, or on a cluster of its own.
    ///
    /// # Panics
    /// With a sentence for people where there is neither.
    pub async fn fresh() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the tests' own setting")]
        match std::env::var("DATABASE_URL").ok().filter(|url| url.starts_with("postgres")) {
            Some(server) => Self::on(server, None).await,
            None => Self::of_its_own(Durability::None).await,
        }
    }

    /// A database on a cluster of its own, which may be crashed.
    ///
    /// # Panics
    /// With a sentence for people where PostgreSQL is not installed.
    pub async fn of_its_own(durability: Durability) -> Self {
        let cluster = Cluster::start(durability).unwrap_or_else(|error| panic!("{error}"));
        Self::on(cluster.url("postgres"), Some(cluster)).await
    }

    async fn on(server: String, cluster: Option<Cluster>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("stepwright_test_{}_{number}", std::process::id());
        execute(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        execute(&server, format!("CREATE DATABASE {name}")).await;
        Self { server, name, cluster }
    }

    /// Its address.
    pub fn url(&self) -> String {
        let (base, query) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (host, _) = base.rsplit_once('/').expect("an address ends with a database");
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{host}/{}{query}", self.name)
    }

    /// The cluster, where it is this database's own.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.cluster.is_some() {
            return;
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime must not be entered from within another, so this one has a thread of its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let drop = execute(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            runtime.expect("a runtime").block_on(drop);
        });
        let _ = dropped.join();
    }
}

async fn execute(server: &str, statement: String) {
    let options = PgConnectOptions::from_str(server).expect("DATABASE_URL is an address of PostgreSQL");
    let mut connection =
        options.connect().await.unwrap_or_else(|error| panic!("failed to connect to PostgreSQL: {error}"));
    let done = connection.execute(AssertSqlSafe(statement.clone())).await;
    done.unwrap_or_else(|error| panic!("'{statement}' failed: {error}"));
    connection.close().await.expect("the connection closes");
}
