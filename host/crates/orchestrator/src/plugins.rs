//! What a person does to versions of plugins: enable, disable, yank, quarantine, roll back. Each deed is one transaction.
//!
//! Tasks keep the component that they have pinned whatever is done here; only a quarantine holds their steps up, by the pause of
//! the component's digest.

use std::collections::{HashMap, HashSet};

use semver::Version;
use stepwright_store::{
    PauseRecord, PluginChange, PluginDeed, PluginRecord, PluginState, Round, Store, StoreError,
};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Digest, Timestamp};

use crate::catalog::CatalogError;
use crate::operator::Deed;
use crate::pauses::{lift, put_back_rest};

/// Why nothing was done to a plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is no such version.
    #[error("no plugin '{reference}' is registered; {}", known(.versions))]
    Unknown {
        /// What was asked for.
        reference: String,
        /// What there is of that name.
        versions: Vec<String>,
    },
    /// It is quarantined, which is more than what was asked for.
    #[error(
        "{0} is quarantined, so nothing new resolves to it; 'stepwright plugin enable {0}' ends that first"
    )]
    Quarantined(String),
    /// There is nothing to go back from, or nothing to go back to.
    #[error("{name} cannot be rolled back: {reason}")]
    NoWayBack {
        /// The plugin.
        name: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A registered template is broken.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The registry's components cannot be read or removed.
    #[error(transparent)]
    Blobs(#[from] stepwright_registry::BlobError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn known(versions: &[String]) -> String {
    match versions {
        [] => "'stepwright plugin list' shows what is".to_owned(),
        versions => format!("its versions are {}", versions.join(", ")),
    }
}

/// A version whose state was to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// As it was before.
    pub before: PluginRecord,
    /// Its state now.
    pub state: PluginState,
    /// Whether the digest was paused by this.
    pub paused: bool,
    /// Whether a pause of the digest was taken away by this.
    pub resumed: bool,
}

impl Changed {
    /// Whether anything was changed.
    pub fn is_new(&self) -> bool {
        self.before.state != self.state || self.paused || self.resumed
    }
}

/// Gives one version of a plugin a state. A quarantine also pauses its digest; enabling it again takes that pause away, unless the
/// same component is in quarantine under another name.
pub async fn change(
    store: &dyn Store,
    (name, version): (&str, &str),
    to: PluginState,
    deed: &Deed,
    now: Timestamp,
) -> Result<Changed, PluginError> {
    let elsewhere: Vec<PluginRecord> = store.plugins().await?;
    let mut tx = store.round().await?;
    let before = one_of(&mut *tx, name, version).await?;
    if before.state == PluginState::Quarantined && matches!(to, PluginState::Disabled | PluginState::Yanked) {
        return Err(PluginError::Quarantined(before.reference()));
    }
    if before.state != to {
        let versions = vec![before.version.clone()];
        tx.change_plugins(&PluginChange { name: name.to_owned(), versions, to, deed: kept(deed, now) })
            .await?;
    }
    let mut changed = Changed { state: to, paused: false, resumed: false, before };
    let target = PauseTarget::Digest(changed.before.digest);
    let mut lifted = None;
    if to == PluginState::Quarantined {
        let (who, why) = (deed.who.clone(), deed.why.clone());
        changed.paused = tx.pause(&PauseRecord { target, since: now, who, why }).await?;
    } else if changed.before.state == PluginState::Quarantined && !shared(&elsewhere, &changed.before) {
        let taken = lift(&mut *tx, &target, now).await?;
        changed.resumed = taken.was_paused;
        lifted = Some(taken);
    }
    tx.commit().await?;
    if let Some(lifted) = &mut lifted {
        put_back_rest(store, lifted).await?;
    }
    Ok(changed)
}

/// Whether another version with the same component is in quarantine as well.
fn shared(all: &[PluginRecord], one: &PluginRecord) -> bool {
    let other = |record: &&PluginRecord| (&record.name, &record.version) != (&one.name, &one.version);
    let same =
        |record: &PluginRecord| record.digest == one.digest && record.state == PluginState::Quarantined;
    all.iter().filter(other).any(same)
}

fn kept(deed: &Deed, now: Timestamp) -> PluginDeed {
    PluginDeed { at: now, who: deed.who.clone(), why: deed.why.clone() }
}

async fn one_of(tx: &mut dyn Round, name: &str, version: &str) -> Result<PluginRecord, PluginError> {
    let all = tx.plugin_versions(name).await?;
    let versions = all.iter().map(|record| record.version.clone()).collect();
    let found = all.into_iter().find(|record| record.version == version);
    found.ok_or_else(|| PluginError::Unknown { reference: format!("{name}@{version}"), versions })
}

/// A plugin that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The version that is the newest enabled one now.
    pub to: String,
    /// What was yanked for it, the newest first.
    pub yanked: Vec<String>,
}

/// Yanks every enabled version that is newer than the one given, or than the one before the newest.
pub async fn roll_back(
    store: &dyn Store,
    name: &str,
    to: Option<&str>,
    deed: &Deed,
    now: Timestamp,
) -> Result<RolledBack, PluginError> {
    let mut tx = store.round().await?;
    let all = tx.plugin_versions(name).await?;
    let rolled = way_back(name, &all, to)?;
    let change = PluginChange {
        name: name.to_owned(),
        versions: rolled.yanked.clone(),
        to: PluginState::Yanked,
        deed: kept(deed, now),
    };
    tx.change_plugins(&change).await?;
    tx.commit().await?;
    Ok(rolled)
}

/// Which versions a way back leads over, and where to.
fn way_back(name: &str, all: &[PluginRecord], to: Option<&str>) -> Result<RolledBack, PluginError> {
    let no_way = |reason: String| PluginError::NoWayBack { name: name.to_owned(), reason };
    let mut enabled = Vec::new();
    for record in all.iter().filter(|record| record.state == PluginState::Enabled) {
        enabled.push((parsed(record)?, record));
    }
    // The newest first.
    enabled.sort_by(|(a, _), (b, _)| b.cmp(a));
    let versions = || all.iter().map(|record| record.version.clone()).collect();
    let place = match to {
        None if all.is_empty() => {
            return Err(PluginError::Unknown { reference: name.to_owned(), versions: versions() });
        }
        None if enabled.len() < 2 => {
            let one = enabled.first().map_or("none of its versions is enabled".to_owned(), |(version, _)| {
                format!("{version} is its only enabled version")
            });
            let help = "'stepwright plugin list' shows the others, 'plugin enable' gives one back";
            return Err(no_way(format!("{one}; {help}")));
        }
        None => 1,
        Some(wanted) => {
            let Some(record) = all.iter().find(|record| record.version == wanted) else {
                let reference = format!("{name}@{wanted}");
                return Err(PluginError::Unknown { reference, versions: versions() });
            };
            let place = enabled.iter().position(|(_, enabled)| enabled.version == record.version);
            place.ok_or_else(|| {
                let (state, reference) = (record.state.as_str(), record.reference());
                no_way(format!("{reference} is {state}; 'stepwright plugin enable {reference}' comes first"))
            })?
        }
    };
    let to = enabled.get(place).map(|(_, record)| record.version.clone()).unwrap_or_default();
    if place == 0 {
        return Err(no_way(format!("{to} is the newest enabled version already")));
    }
    let yanked = enabled.iter().take(place).map(|(_, record)| record.version.clone()).collect();
    Ok(RolledBack { to, yanked })
}

/// A record's version, of which the registry has made sure.
fn parsed(record: &PluginRecord) -> Result<Version, StoreError> {
    Version::parse(&record.version).map_err(|error| {
        StoreError::Inconsistent(format!("plugin {} has a bad version: {error}", record.reference()))
    })
}

/// The newest version of a plugin among these records by semantic version; of equal ones the one registered last.
pub fn newest<'a>(
    records: impl IntoIterator<Item = &'a PluginRecord>,
) -> Result<Option<&'a PluginRecord>, StoreError> {
    let mut best: Option<(Version, &PluginRecord)> = None;
    for record in records {
        let version = parsed(record)?;
        if best.as_ref().is_none_or(|(known, _)| version >= *known) {
            best = Some((version, record));
        }
    }
    Ok(best.map(|(_, record)| record))
}

/// How many tasks that are not final have pinned each component.
pub async fn pins(store: &dyn Store) -> Result<HashMap<Digest, u64>, StoreError> {
    let mut pins = HashMap::new();
    for (id, tasks) in store.plans_in_use().await? {
        let Some(plan) = store.plan(id).await? else { continue };
        let digests: HashSet<Digest> = plan.steps.iter().map(|step| step.digest).collect();
        for digest in digests {
            *pins.entry(digest).or_insert(0) += tasks;
        }
    }
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::Payload;

    fn record(version: &str, state: PluginState) -> PluginRecord {
        PluginRecord {
            digest: Digest::of(version.as_bytes()),
            name: "shop/pay".to_owned(),
            version: version.to_owned(),
            bytes: 1,
            description: Payload::null(),
            registered_at: Timestamp(0),
            state,
            changed: None,
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: None,
        }
    }

    #[test]
    fn the_way_back_leads_over_what_is_enabled() {
        use PluginState::{Disabled, Enabled, Quarantined, Yanked};
        let all = [
            record("1.9.0", Enabled),
            record("1.10.0", Enabled),
            record("1.11.0", Yanked),
            record("2.0.0", Enabled),
            record("3.0.0", Disabled),
            record("1.0.0", Quarantined),
        ];
        let back = |to: Option<&str>| {
            let rolled = way_back("shop/pay", &all, to).map_err(|error| error.to_string());
            rolled.map(|rolled| format!("{} over {}", rolled.to, rolled.yanked.join(" ")))
        };
        assert_eq!(back(None), Ok("1.10.0 over 2.0.0".to_owned()));
        assert_eq!(back(Some("1.9.0")), Ok("1.9.0 over 2.0.0 1.10.0".to_owned()));
        for (to, expect) in [
            ("2.0.0", "2.0.0 is the newest enabled version already"),
            ("1.11.0", "shop/pay@1.11.0 is yanked; 'stepwright plugin enable shop/pay@1.11.0'"),
            ("1.0.0", "is quarantined"),
            ("9.9.9", "no plugin 'shop/pay@9.9.9' is registered; its versions are 1.9.0"),
        ] {
            let error = back(Some(to)).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
        let alone = way_back("shop/pay", &all[..1], None).unwrap_err().to_string();
        assert!(alone.contains("1.9.0 is its only enabled version"), "{alone}");
        let none = way_back("shop/pay", &all[2..3], None).unwrap_err().to_string();
        assert!(none.contains("none of its versions is enabled"), "{none}");
        assert!(matches!(way_back("shop/pay", &[], None), Err(PluginError::Unknown { .. })));
        assert_eq!(newest(&all).unwrap().unwrap().version, "3.0.0");
        assert_eq!(newest([]).unwrap(), None);
    }
}
