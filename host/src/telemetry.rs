//! Logs: on stderr, as lines for people or as JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;
use crate::config::Config;
use crate::error::CliError;

/// What a level or a filter stands for. A word that is no level would be taken for the name of a module, of which everything is
/// written, and of the rest nothing.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let right =
        "write error, warn, info, debug, trace or off, or a filter such as 'info,stepwright_worker=debug'";
    // An empty word is a level for this type, and nothing at all for a filter.
    let is_level = |part: &str| {
        part.contains(['=', '[']) || (!part.trim().is_empty() && part.trim().parse::<LevelFilter>().is_ok())
    };
    match text.split(',').find(|part| !is_level(part)) {
        Some(part) => Err(format!("'{part}' is no level; {right}")),
        None => EnvFilter::try_new(text).map_err(|error| format!("'{text}' is no filter ({error}); {right}")),
    }
}

/// Starts logging.
pub(crate) fn start(config: &Config) -> Result<(), CliError> {
    let filter =
        filter(&config.log_level).map_err(|problem| CliError::new(format!("log.level: {problem}")))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in ["info", "WARN", "off", "info,stepwright_worker=debug", "warn,zeromq=off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for (bad, named) in
            [("warning", "'warning'"), ("", "''"), ("info,verbose", "'verbose'"), ("a=b=c", "'a=b=c'")]
        {
            let problem = filter(bad).unwrap_err();
            assert!(problem.starts_with(named) && problem.contains("write error, warn, info"), "{problem}");
        }
    }
}
