//! What plugins asked for beyond their grants while somebody let them, kept in the data directory for `grants suggest`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepwright_executor::Observations;
use stepwright_executor::wanted::Wanted;
use stepwright_registry::PrivateFolder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::incarnation;
use crate::context::Context;
use crate::error::CliError;

/// How often the file is brought up to date.
const INTERVAL: Duration = Duration::from_secs(2);
/// The largest file that is read back, in bytes: ten thousand wishes of the longest names.
const FILE_BYTES_MAX: u64 = 16 << 20;
const SUFFIX: &str = ".json";

/// One wish, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    plugin: String,
    times: u64,
    #[serde(flatten)]
    wish: Wish,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Http(String),
    Network(String),
    Secret(String),
    SecretHost { secret: String, host: String },
    Setting(String),
}

impl Wish {
    fn of(wanted: &Wanted) -> Self {
        match wanted {
            Wanted::Http(grant) => Self::Http(grant.to_string()),
            Wanted::Network(network) => Self::Network(network.to_string()),
            Wanted::Secret(name) => Self::Secret(name.clone()),
            Wanted::SecretHost(secret, host) => {
                Self::SecretHost { secret: secret.clone(), host: host.clone() }
            }
            Wanted::Setting(key) => Self::Setting(key.clone()),
        }
    }

    fn wanted(self) -> Option<Wanted> {
        Some(match self {
            Self::Http(text) => Wanted::Http(text.parse().ok()?),
            Self::Network(text) => Wanted::Network(text.parse().ok()?),
            Self::Secret(name) => Wanted::Secret(name),
            Self::SecretHost { secret, host } => Wanted::SecretHost(secret, host),
            Self::Setting(key) => Wanted::Setting(key),
        })
    }
}

/// A process that observes: its file is kept up to date beside it.
pub(crate) struct Observing {
    stop: CancellationToken,
    keeping: JoinSet<()>,
}

impl Observing {
    /// Begins if the settings say so, and tells whoever composes the process of it.
    pub(crate) fn start(context: &mut Context) -> Result<Option<Self>, CliError> {
        if !context.config.observe {
            return Ok(None);
        }
        let observed = Observed::start(&context.config.observed_dir(), &incarnation()?)?;
        tracing::warn!(
            "observing: plugins may call every public host, and what they ask for is written down for 'stepwright grants suggest'"
        );
        context.observations = Some(observed.observations());
        let stop = CancellationToken::new();
        let mut keeping = JoinSet::new();
        keeping.spawn(observed.keep(stop.clone()));
        Ok(Some(Self { stop, keeping }))
    }

    /// Writes down the last of it.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.keeping.join_all().await;
    }
}

/// A process's observations and its file.
struct Observed {
    folder: PrivateFolder,
    file: String,
    observations: Arc<Observations>,
}

impl Observed {
    /// Begins a file for this process; `name` is nobody else's.
    fn start(folder: &Path, name: &str) -> Result<Self, CliError> {
        let folder = open(folder)?;
        Ok(Self { folder, file: format!("{name}{SUFFIX}"), observations: Arc::default() })
    }

    /// To be given to whoever runs steps.
    fn observations(&self) -> Arc<Observations> {
        Arc::clone(&self.observations)
    }

    /// Keeps the file up to date until it is told to stop.
    async fn keep(self, stop: CancellationToken) {
        let mut written = Vec::new();
        loop {
            let stopped = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            let lines = lines(&self.observations);
            if lines != written {
                let text = serde_json::to_vec(&lines).unwrap_or_default();
                if let Err(error) = self.folder.write(&self.file, &text) {
                    tracing::warn!(%error, file = self.file, "failed to write down what plugins asked for");
                }
                written = lines;
            }
            if stopped {
                return;
            }
        }
    }
}

fn lines(observations: &Observations) -> Vec<Line> {
    let lines = observations.suggestions().into_iter().flat_map(|suggestion| {
        let line = move |(wanted, times): (Wanted, u64)| Line {
            plugin: suggestion.plugin.clone(),
            times,
            wish: Wish::of(&wanted),
        };
        suggestion.wanted.into_iter().map(line)
    });
    lines.collect()
}

/// Everything that was observed, by every process that wrote into the folder.
pub(crate) fn read(folder: &Path) -> Result<Observations, CliError> {
    let all = Observations::default();
    let private = open(folder)?;
    let failed = |file: &str, error: &dyn std::fmt::Display| {
        CliError::new(format!("failed to read {}: {error}", folder.join(file).display()))
    };
    for file in private.files().map_err(|error| failed("", &error))? {
        let name = file.name.as_str();
        let bytes = private.read(name, FILE_BYTES_MAX).map_err(|error| failed(name, &error))?;
        let lines: Vec<Line> =
            serde_json::from_slice(&bytes.unwrap_or_default()).map_err(|error| failed(name, &error))?;
        for Line { plugin, times, wish } in lines {
            if let Some(wanted) = wish.wanted() {
                all.note(&plugin, &wanted, times);
            }
        }
    }
    Ok(all)
}

/// Forgets everything that was observed, and says how many files that were.
pub(crate) fn clear(folder: &Path) -> Result<usize, CliError> {
    let private = open(folder)?;
    let failed = |error| CliError::new(format!("failed to clear {}: {error}", folder.display()));
    let files = private.files().map_err(failed)?;
    for file in &files {
        private.remove(&file.name).map_err(failed)?;
    }
    Ok(files.len())
}

fn open(folder: &Path) -> Result<PrivateFolder, CliError> {
    PrivateFolder::open(folder)
        .map_err(|error| CliError::new(format!("failed to open the directory {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_two_processes_observed_is_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let http = Wanted::Http("GET https://api.example.com".parse().unwrap());
        let stopped = CancellationToken::new();
        stopped.cancel();
        for (name, times) in [("a", 1), ("b", 2)] {
            let observed = Observed::start(folder.path(), name).unwrap();
            let observations = observed.observations();
            observations.note("shop/charge", &http, times);
            observations.note("shop/charge", &Wanted::SecretHost("key".into(), "pay.example".into()), 1);
            observed.keep(stopped.clone()).await;
        }
        let suggestions = read(folder.path()).unwrap().suggestions();
        assert_eq!(suggestions.len(), 1);
        assert_eq!(suggestions[0].wanted[0], (http, 3));
        assert!(suggestions[0].toml.contains("pay.example"), "{}", suggestions[0].toml);
        assert_eq!(clear(folder.path()).unwrap(), 2);
        assert!(read(folder.path()).unwrap().suggestions().is_empty());
    }
}
