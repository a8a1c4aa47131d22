//! Versions of plugins, and their states.

use stepwright_store::row::PluginRow;
use stepwright_store::{PluginChange, PluginDeed, PluginRecord, Result};

use super::SqliteRound;
use crate::encode;
use crate::error::engine;

impl SqliteRound {
    pub(super) async fn versions_of(&mut self, name: &str) -> Result<Vec<PluginRecord>> {
        let what = "read the versions of a plugin";
        self.counters.statement();
        let rows = sqlx::query_file_as!(PluginRow, "queries/plugin_versions.sql", name);
        let rows = rows.fetch_all(&mut *self.tx).await.map_err(engine(what))?;
        rows.into_iter().map(PluginRow::record).collect()
    }

    pub(super) async fn change_versions(&mut self, change: &PluginChange) -> Result<()> {
        let PluginDeed { at, who, why } = &change.deed;
        let versions = encode::array(&change.versions)?;
        run!(
            self,
            "change the state of plugins",
            execute,
            "queries/plugins_change.sql",
            change.name,
            versions,
            change.to.as_str(),
            at.0,
            who,
            why
        );
        Ok(())
    }

    pub(super) async fn remove_versions(&mut self, name: &str, versions: &[String]) -> Result<Vec<String>> {
        if versions.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(
            self,
            "forget plugins",
            fetch_all,
            "queries/plugins_remove.sql",
            name,
            encode::array(versions)?
        );
        Ok(rows.into_iter().map(|row| row.version).collect())
    }
}
