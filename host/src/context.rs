//! What every command is given: the settings, and the way to the store, the plugins and a running orchestrator.

use std::sync::Arc;

use stepwright_executor::{CompiledFolder, Observations};
use stepwright_registry::{Blobs, PluginFolder};
use stepwright_store::Store;
use stepwright_workflow::{Clock as _, Timestamp};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::database::Opened;
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
    /// Where plugins' wishes are noted, if this process observes them.
    pub(crate) observations: Option<Arc<Observations>>,
}

impl Context {
    /// Opens the database, with its directory and schema made if they are missing.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>, CliError> {
        Ok(Opened::current(self).await?.store())
    }

    /// Makes the data directory; a database elsewhere must have its directory already.
    pub(crate) fn make_data_dir(&self) -> Result<(), CliError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = &self.config.data_dir;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| {
            CliError::new(format!("failed to make the data directory {}: {error}", path.display()))
        })
    }

    /// The registry's components, wherever the settings say that they are.
    pub(crate) fn blobs(&self) -> Result<Blobs, CliError> {
        let Config { registry_url, variables, .. } = &self.config;
        if !registry_url.is_empty() {
            return Ok(Blobs::at(registry_url, variables.all())?);
        }
        let path = self.config.plugin_dir();
        Blobs::folder(&path).map_err(|error| {
            CliError::new(format!("failed to open the plugin directory {}: {error}", path.display()))
        })
    }

    /// This machine's folder of components.
    pub(crate) fn plugins(&self) -> Result<PluginFolder, CliError> {
        let path = self.config.plugin_dir();
        PluginFolder::open(&path).map_err(|error| {
            CliError::new(format!("failed to open the plugin directory {}: {error}", path.display()))
        })
    }

    /// The folder of compiled code.
    pub(crate) fn compiled(&self) -> Result<CompiledFolder, CliError> {
        let path = self.config.compiled_dir();
        CompiledFolder::open(&path, self.config.compiled_bytes_max).map_err(|error| {
            CliError::new(format!(
                "failed to open the directory of compiled plugins {}: {error}",
                path.display()
            ))
        })
    }

    /// Tells orchestrators to look at the database now: the one of this run directory, and those that listen at the database.
    /// If there is none, nothing happens.
    pub(crate) async fn wake(&self, store: &dyn Store) {
        wake::poke(&self.config.run_dir);
        if let Err(error) = store.announce().await {
            tracing::debug!(%error, "failed to wake the orchestrators; they look by themselves");
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
