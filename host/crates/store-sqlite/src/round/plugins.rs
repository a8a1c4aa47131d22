//! Versions of plugins, and their states.

use stepwright_store::column::text;
use stepwright_store::row::PluginRow;
use stepwright_store::{NewPlugin, NewTemplate, PluginChange, PluginDeed, PluginRecord, Result};
use stepwright_workflow::Timestamp;

use super::SqliteRound;
use crate::encode;
use crate::error::engine;

impl SqliteRound {
    /// Whether it is new.
    pub(crate) async fn insert_plugin(&mut self, plugin: &NewPlugin, now: Timestamp) -> Result<bool> {
        let inserted = run!(
            self,
            "register a plugin",
            execute,
            "queries/plugin_insert.sql",
            plugin.name,
            plugin.version,
            plugin.digest.as_bytes().as_slice(),
            i64::try_from(plugin.bytes).unwrap_or(i64::MAX),
            plugin.description.as_str(),
            now.0,
            plugin.source,
            plugin.signatures.as_str(),
            text(&plugin.imports)?
        );
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        self.events.at(now).plugin_registered(plugin);
        Ok(true)
    }

    /// Whether it is new.
    pub(crate) async fn insert_template(&mut self, template: &NewTemplate, now: Timestamp) -> Result<bool> {
        let NewTemplate { namespace, name, version, source } = template;
        let inserted = run!(
            self,
            "register a template",
            execute,
            "queries/template_insert.sql",
            namespace,
            name,
            version,
            source,
            now.0
        );
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        self.events.at(now).template_registered(template);
        Ok(true)
    }

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
