//! Guest 22: compiled code that the host did not write, where it looks for its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepwright_executor::{Control, Executor as _, Outcome};
use stepwright_registry::PluginFolder;
use stepwright_workflow::Digest;

use crate::attack::{Attack, Expected, Seen};
use crate::corpus::Component;
use crate::ground::{Ground, call, executor, honest};

pub(super) fn attacks() -> Vec<Attack> {
    let refused = Expected::completed("rejected, compiled again, honest");
    vec![
        Attack::other(
            "a flipped byte",
            |ground| Box::pin(poisoned(ground, |file| flip(&file.entry))),
            refused,
        ),
        Attack::other("a cut entry", |ground| Box::pin(poisoned(ground, |file| cut(&file.entry))), refused),
        Attack::other(
            "an empty entry",
            |ground| Box::pin(poisoned(ground, |file| std::fs::write(&file.entry, b""))),
            refused,
        ),
        Attack::other(
            "another plugin's entry under its name",
            |ground| Box::pin(poisoned(ground, |file| std::fs::copy(&file.other, &file.entry).map(drop))),
            refused,
        ),
        Attack::other(
            "an entry under another host's key",
            |ground| Box::pin(poisoned(ground, |file| std::fs::write(file.folder.join("host.key"), [7; 32]))),
            refused,
        ),
    ]
}

/// What there is to be changed.
struct Files {
    folder: PathBuf,
    entry: PathBuf,
    other: PathBuf,
}

fn flip(path: &Path) -> std::io::Result<()> {
    let mut bytes = std::fs::read(path)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    std::fs::write(path, bytes)
}

fn cut(path: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(path)?;
    std::fs::write(path, &bytes[..bytes.len() / 2])
}

/// Fills a cache, has it changed, and starts an executor on it as after a restart.
async fn poisoned(ground: Arc<Ground>, change: fn(&Files) -> std::io::Result<()>) -> Result<Seen, String> {
    let home = ground.home.path().join("poisoned");
    let failed = |error: std::io::Error| format!("failed to prepare the cache: {error}");
    let plugins = PluginFolder::open(&home.join("plugins")).map_err(failed)?;
    let mut digests = Vec::new();
    for name in ["honest", "post_loop"] {
        let bytes = ground.corpus.bytes(&Component::Text(name))?;
        digests.push(plugins.put(&bytes).map_err(|error| error.to_string())?);
    }
    let [honest_digest, other] = digests[..] else { return Err("two plugins were wanted".to_owned()) };
    let first = executor(&home, &ground.sandbox).map_err(failed)?;
    for digest in [honest_digest, other] {
        first.warm(digest).await.map_err(|failure| failure.to_string())?;
    }
    let folder = home.join("compiled");
    let files = Files { entry: entry(&folder, honest_digest)?, other: entry(&folder, other)?, folder };
    change(&files).map_err(failed)?;

    let second = executor(&home, &ground.sandbox).map_err(failed)?;
    let report = second.execute(call(&honest(), honest_digest)?, Control::default()).await;
    let report = report.map_err(|broken| broken.to_string())?;
    let counts = second.cache_counts();
    std::fs::remove_dir_all(&home).map_err(failed)?;
    let honest = matches!(&report.outcome, Outcome::Completed { output } if output.as_str() == "\"honest\"");
    Ok(match (counts.rejected, counts.compiled, counts.loaded, honest) {
        (1, 1, 0, true) => Seen::completed("rejected, compiled again, honest"),
        _ => Seen::completed(format!("{counts:?}, {:?}", report.outcome)),
    })
}

/// The entry of a plugin in a folder of compiled code.
fn entry(folder: &Path, digest: Digest) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_its = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&digest.hex()))
    };
    paths.find(is_its).ok_or_else(|| format!("no compiled code of {digest} was kept"))
}
