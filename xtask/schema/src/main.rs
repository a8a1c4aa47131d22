//! Makes an empty database with the schema of the migrations. A program of its own, because the stores themselves cannot be
//! compiled before their queries have been described against such a database.

use std::error::Error;
use std::path::Path;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

const USAGE: &str = "usage: xtask-schema MIGRATIONS URL";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [migrations, url] = arguments.as_slice() else { return Err(USAGE.into()) };
    let migrator = Migrator::new(Path::new(migrations)).await?;
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await?;
        migrator.run(&mut connection).await?;
        connection.close().await?;
    } else {
        let mut connection = PgConnection::connect(url).await?;
        migrator.run(&mut connection).await?;
        connection.close().await?;
    }
    Ok(())
}
