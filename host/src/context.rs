//! What every command is given: the settings, and the way to the store, the plugins and a running orchestrator.

use std::sync::Arc;

use stepwright_registry::PluginFolder;
use stepwright_store::Store;
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_workflow::{Clock as _, Timestamp};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::error::CliError;
use crate::wake;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The settings.
    pub(crate) config: Config,
    /// The clock.
    pub(crate) clock: Arc<SystemClock>,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl Context {
    /// Opens the database, with its directory and schema made if they are missing.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>, CliError> {
        Ok(Arc::new(self.sqlite(SqliteOptions::default()).await?))
    }

    /// Opens the database as what it is.
    pub(crate) async fn sqlite(&self, options: SqliteOptions) -> Result<SqliteStore, CliError> {
        self.make_data_dir()?;
        Ok(SqliteStore::open(&self.config.database, options).await?)
    }

    /// Makes the data directory; a database elsewhere must have its directory already.
    fn make_data_dir(&self) -> Result<(), CliError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = &self.config.data_dir;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| {
            CliError::new(format!("failed to make the data directory {}: {error}", path.display()))
        })
    }

    /// The folder of components.
    pub(crate) fn plugins(&self) -> Result<PluginFolder, CliError> {
        let path = self.config.plugin_dir();
        PluginFolder::open(&path).map_err(|error| {
            CliError::new(format!("failed to open the plugin directory {}: {error}", path.display()))
        })
    }

    /// Tells an orchestrator with this run directory to look at the database now. If there is none, nothing happens.
    pub(crate) fn wake(&self) {
        wake::poke(&self.config.run_dir);
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
