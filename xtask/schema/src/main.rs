//! Makes an empty database with the schema of the migrations. A program of its own, because the store itself cannot be
//! compiled before its queries have been described against such a database.

use std::error::Error;
use std::path::{Path, PathBuf};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [migrations, database] = arguments.as_slice() else {
        return Err("usage: xtask-schema MIGRATIONS DATABASE".into());
    };
    make(migrations, database).await
}

async fn make(migrations: &Path, database: &Path) -> Result<(), Box<dyn Error>> {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let mut connection: SqliteConnection = options.connect().await?;
    Migrator::new(migrations).await?.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
