//! Which plugins and components nobody needs any more, and their removal.
//!
//! A version goes once it has been yanked or disabled for long enough, no unfinished task has pinned it, and no registered
//! template resolves to it. A component goes once no version has it, no unfinished task has pinned it, and it has lain there for
//! an hour: whoever registers one puts the bytes first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use stepwright_registry::{Blob, Blobs};
use stepwright_store::{PluginRecord, PluginState, Store};
use stepwright_workflow::{Digest, Timestamp};

use crate::catalog::{Resolution, resolutions};
use crate::plugins::{PluginError, pins};

/// How long a component that nobody has registered is kept: far longer than a registration takes.
pub const BLOB_AGE_MIN: Duration = Duration::from_secs(3_600);

/// What is swept.
#[derive(Debug, Clone)]
pub struct SweepOptions {
    /// How long ago a version must have been yanked or disabled.
    pub older_than: Duration,
    /// The environment whose templates count, beside those that they name themselves.
    pub environment: String,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What became of everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// Versions that are not enabled.
    pub versions: Vec<SweptVersion>,
    /// Components that no version has.
    pub blobs: Vec<SweptBlob>,
}

/// A version, and why it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SweptVersion {
    /// `namespace/name@version`.
    pub plugin: String,
    /// Its state.
    pub state: PluginState,
    /// Why it is kept; removed if there is no reason.
    pub kept: Option<String>,
}

/// A component, and why it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SweptBlob {
    /// The component.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Why it is kept; removed if there is no reason.
    pub kept: Option<String>,
}

/// Removes what nobody needs any more, or says what that would be.
pub async fn sweep(
    store: &dyn Store,
    blobs: &Blobs,
    options: &SweepOptions,
    now: Timestamp,
) -> Result<Sweep, PluginError> {
    let records = store.plugins().await?;
    let (pinned, resolved) = (pins(store).await?, resolutions(store, &options.environment).await?);
    let mut versions = Vec::new();
    let mut going: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.state != PluginState::Enabled) {
        let kept = why_kept(record, (&pinned, &resolved), options.older_than, now);
        if kept.is_none() {
            going.entry(&record.name).or_default().push(record.version.clone());
        }
        versions.push(SweptVersion { plugin: record.reference(), state: record.state, kept });
    }
    let mut gone: HashSet<(String, String)> = HashSet::new();
    for (name, wanted) in going {
        let removed = if options.dry_run { wanted } else { remove(store, name, &wanted).await? };
        gone.extend(removed.into_iter().map(|version| (name.to_owned(), version)));
    }
    for swept in versions.iter_mut().filter(|swept| swept.kept.is_none()) {
        let (name, version) = swept.plugin.split_once('@').unwrap_or_default();
        if !gone.contains(&(name.to_owned(), version.to_owned())) {
            swept.kept = Some("somebody enabled it at the same moment".to_owned());
        }
    }
    let blobs = sweep_blobs(store, blobs, (&gone, options.dry_run), now).await?;
    Ok(Sweep { versions, blobs })
}

async fn remove(store: &dyn Store, name: &str, versions: &[String]) -> Result<Vec<String>, PluginError> {
    let mut tx = store.round().await?;
    let removed = tx.remove_plugins(name, versions).await?;
    tx.commit().await?;
    Ok(removed)
}

async fn sweep_blobs(
    store: &dyn Store,
    blobs: &Blobs,
    (gone, dry_run): (&HashSet<(String, String)>, bool),
    now: Timestamp,
) -> Result<Vec<SweptBlob>, PluginError> {
    let listed = blobs.list().await?;
    // Read after the list: what is registered meanwhile was put again, and is young.
    let is_gone = |record: &PluginRecord| gone.contains(&(record.name.clone(), record.version.clone()));
    let records = store.plugins().await?;
    let registered: HashSet<Digest> =
        records.iter().filter(|record| !is_gone(record)).map(|record| record.digest).collect();
    let pinned = pins(store).await?;
    let mut swept = Vec::new();
    for blob in listed.into_iter().filter(|blob| !registered.contains(&blob.digest)) {
        let mut kept = why_blob_kept(&blob, &pinned, now);
        if kept.is_none() && !dry_run {
            kept = match blobs.look(&blob.digest).await {
                Ok(again) => why_blob_kept(&again, &pinned, now),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error.into()),
            };
            if kept.is_none() {
                blobs.remove(&blob.digest).await?;
            }
        }
        swept.push(SweptBlob { digest: blob.digest, bytes: blob.bytes, kept });
    }
    Ok(swept)
}

/// Why a version that is not enabled stays.
fn why_kept(
    record: &PluginRecord,
    (pinned, resolved): (&HashMap<Digest, u64>, &[Resolution]),
    older_than: Duration,
    now: Timestamp,
) -> Option<String> {
    if record.state == PluginState::Quarantined {
        return Some("it is quarantined, until a person enables or disables it".to_owned());
    }
    if let Some(tasks) = pinned.get(&record.digest) {
        let tasks =
            if *tasks == 1 { "1 unfinished task".to_owned() } else { format!("{tasks} unfinished tasks") };
        return Some(format!("pinned by {tasks}"));
    }
    let since = record.changed.as_ref().map_or(record.registered_at, |deed| deed.at);
    if now.since(since) < older_than {
        return Some(format!("{} not long enough ago", record.state.as_str()));
    }
    let uses = |resolution: &&Resolution| {
        resolution.plan.as_ref().is_ok_and(|plan| {
            plan.steps.iter().any(|step| step.plugin == record.name && step.plugin_version == record.version)
        })
    };
    let template = resolved.iter().find(uses)?;
    Some(format!("template {} asks for exactly it", template.template))
}

/// Why a component that no version has stays.
fn why_blob_kept(blob: &Blob, pinned: &HashMap<Digest, u64>, now: Timestamp) -> Option<String> {
    if pinned.contains_key(&blob.digest) {
        return Some("pinned by unfinished tasks".to_owned());
    }
    match blob.put_at {
        None => Some("nobody knows since when it is there".to_owned()),
        Some(put_at) if now.since(put_at) < BLOB_AGE_MIN => {
            Some("put there within the last hour: somebody may be registering it".to_owned())
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::PluginDeed;
    use stepwright_workflow::Payload;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn record(state: PluginState, changed_ms_ago: i64) -> PluginRecord {
        let at = Timestamp(NOW.0 - changed_ms_ago);
        PluginRecord {
            digest: Digest::of(b"component"),
            name: "shop/pay".to_owned(),
            version: "1.0.0".to_owned(),
            bytes: 1,
            description: Payload::null(),
            registered_at: Timestamp(0),
            state,
            changed: Some(PluginDeed { at, who: String::new(), why: String::new() }),
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: None,
        }
    }

    #[test]
    fn a_version_is_kept_for_one_reason_after_the_other() {
        let why = |record: &PluginRecord, pins: &[(Digest, u64)]| {
            let pins = pins.iter().copied().collect();
            why_kept(record, (&pins, &[]), Duration::from_secs(60), NOW)
        };
        let digest = Digest::of(b"component");
        let yanked = |ms| record(PluginState::Yanked, ms);
        assert_eq!(why(&yanked(60_000), &[]), None);
        assert_eq!(why(&yanked(59_999), &[]), Some("yanked not long enough ago".to_owned()));
        assert_eq!(why(&yanked(60_000), &[(digest, 2)]), Some("pinned by 2 unfinished tasks".to_owned()));
        assert!(why(&record(PluginState::Quarantined, 99_999), &[]).is_some());
    }

    #[test]
    fn a_component_is_kept_while_somebody_may_be_registering_it() {
        let digest = Digest::of(b"component");
        let why = |put_at| why_blob_kept(&Blob { digest, bytes: 1, put_at }, &HashMap::new(), NOW);
        assert!(why(None).is_some());
        assert!(why(Some(Timestamp(NOW.0 - 3_599_999))).is_some());
        assert_eq!(why(Some(Timestamp(NOW.0 - 3_600_000))), None);
        // A clock that is ahead of ours.
        assert!(why(Some(Timestamp(NOW.0 + 5_000))).is_some());
    }
}
