//! Logs: on stderr, as lines for people or as JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;
use crate::config::Config;
use crate::error::CliError;

/// Starts logging.
pub(crate) fn start(config: &Config) -> Result<(), CliError> {
    let level = &config.log_level;
    let filter = EnvFilter::try_new(level).map_err(|error| {
        CliError::new(format!("log.level: '{level}' is neither a level nor a filter ({error}); write info, or info,stepwright_worker=debug"))
    })?;
    let json = match config.log_format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()
    };
    started.map_err(|error| CliError::new(format!("failed to start logging: {error}")))
}
