//! Rows of events whose transactions run side by side.

use sqlx::{Connection as _, Executor as _, PgConnection};
use stepwright_postgres_harness::Database;
use stepwright_store::{EventPage, Events as _};

use crate::server;

async fn begun(database: &Database) -> PgConnection {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    connection
}

const APPEND: &str = "SELECT append_events(1, NULL, NULL, '[]')";

/// Whichever transaction began first, a row waits for whoever took a smaller number and has not ended.
#[tokio::test]
async fn no_row_is_read_before_one_with_a_smaller_number_could_come() {
    let (store, database) = server().await;
    for the_first_to_begin_ends_first in [true, false] {
        let (mut one, mut two) = (begun(&database).await, begun(&database).await);
        if the_first_to_begin_ends_first {
            two.execute("SELECT pg_current_xact_id()").await.unwrap();
        }
        let last = store.event_bounds().await.unwrap().newest;
        one.execute(APPEND).await.unwrap();
        two.execute(APPEND).await.unwrap();
        two.execute("COMMIT").await.unwrap();
        // Others that came and ended since do not make it readable.
        store.remove_events(stepwright_workflow::Timestamp(0), 1).await.unwrap();
        let mut three = begun(&database).await;
        three.execute(APPEND).await.unwrap();
        three.execute("COMMIT").await.unwrap();
        let page = store.events(last, None, 10).await.unwrap();
        assert_eq!(page, EventPage { rows: Vec::new(), withheld: true });
        assert_eq!(store.event_bounds().await.unwrap().newest, last);
        one.execute("COMMIT").await.unwrap();
        // Other tests of the same server may run transactions, too.
        let rows = loop {
            let page = store.events(last, None, 10).await.unwrap();
            if !page.withheld {
                break page.rows;
            }
        };
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [last + 1, last + 2, last + 3]);
        assert_eq!(store.event_bounds().await.unwrap().newest, last + 3);
    }
}
