//! Settings in two stages: as written, each with its origin; and typed, as the parts take them.
//!
//! They come from the configuration file, then `STEPWRIGHT_*` variables, then flags: the later wins. Unknown keys and
//! variables are errors, and so is every value that is not what it should be; all of them are reported at once.

mod api;
mod entry;
mod gate;
mod grants;
mod layers;
mod settings;
mod trust;
mod typed;
mod variables;

pub(crate) use api::Listen;
pub(crate) use gate::Endpoint;
pub(crate) use layers::{Layers, without_password};
pub(crate) use settings::SETTINGS;
pub(crate) use trust::public_key;
pub(crate) use typed::{Config, Database, hostname};
pub(crate) use variables::{OCI_PASSWORD, OCI_USERNAME, Variables};

use crate::cli::{GlobalFlags, OrchestrateFlags, WorkFlags};
use crate::error::CliError;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ConfigProblem {
    /// The file with line and column, the variable, or the flag.
    pub(crate) origin: String,
    /// The setting.
    pub(crate) key: String,
    /// What is wrong, and what would be right.
    pub(crate) problem: String,
}

impl std::fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.problem)
    }
}

/// Flags of single commands that are settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandFlags {
    pub(crate) orchestrate: OrchestrateFlags,
    pub(crate) work: WorkFlags,
}

/// Reads everything; every problem is listed.
#[allow(clippy::disallowed_methods, reason = "only here the environment is read")]
pub(crate) fn load(global: &GlobalFlags, flags: &CommandFlags) -> Result<(Layers, Config), CliError> {
    let all = || {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
    };
    let (variables, environment) = Variables::split(all());
    let mut layers = Layers::new();
    layers.file(global.config.as_deref())?;
    layers.environment(&environment);
    layers.flags(global, flags);
    let mut config = Config::read(&mut layers);
    config.variables = variables;
    if layers.problems.is_empty() {
        return Ok((layers, config));
    }
    Err(CliError::listed("the settings are wrong", &layers.problems))
}
