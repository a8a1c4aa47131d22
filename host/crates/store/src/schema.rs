//! Which migrations a database has, and whether this program may work with it.

use std::collections::BTreeMap;

use serde::Serialize;

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// Every migration that this program knows, in order.
    pub migrations: Vec<Migration>,
    /// Versions that the database has and this program does not know: it is older than the database.
    pub unknown: Vec<i64>,
    /// Versions whose migration was another one when it was applied: the schema is not what this program expects.
    pub changed: Vec<i64>,
}

impl SchemaStatus {
    /// Compares what a program knows, as version, name and checksum, with what a database has, as version and checksum.
    pub fn compare(
        known: impl Iterator<Item = (i64, String, Vec<u8>)>,
        applied: impl Iterator<Item = (i64, Vec<u8>)>,
    ) -> Self {
        let mut applied: BTreeMap<i64, Vec<u8>> = applied.collect();
        let (mut migrations, mut changed) = (Vec::new(), Vec::new());
        for (version, name, checksum) in known {
            let found = applied.remove(&version);
            if found.as_ref().is_some_and(|found| *found != checksum) {
                changed.push(version);
            }
            migrations.push(Migration { version, name, applied: found.is_some() });
        }
        Self { migrations, unknown: applied.into_keys().collect(), changed }
    }

    /// Why this program must not touch the database, if so.
    pub fn refusal(&self) -> Option<String> {
        if let Some(version) = self.unknown.first() {
            return Some(format!(
                "its schema has version {version}, made by a newer stepwright; upgrade this one"
            ));
        }
        let version = self.changed.first()?;
        Some(format!(
            "the migration {version} was changed after it was applied here; use the stepwright that made the database"
        ))
    }

    /// Whether nothing is left to do.
    pub fn is_current(&self) -> bool {
        self.unknown.is_empty()
            && self.changed.is_empty()
            && self.migrations.iter().all(|migration| migration.applied)
    }
}
