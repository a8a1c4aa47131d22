//! What a new version asks for that the newest registered one did not, and the other way round.

use serde::Serialize;
use stepwright_executor::Inspection;
use stepwright_orchestrator::plugins::newest;
use stepwright_registry::{Description, Wishes};
use stepwright_store::PluginRecord;

use super::list;
use crate::error::CliError;

/// What came and what went, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Delta {
    kind: &'static str,
    added: Vec<String>,
    removed: Vec<String>,
}

/// A new version beside the newest registered one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// The version that it is compared with; the first of its name has none, and everything is added.
    since: Option<String>,
    /// What differs.
    changes: Vec<Delta>,
}

impl Difference {
    /// Compares what was looked at with what is registered.
    pub(super) fn of(inspection: &Inspection, registered: &[PluginRecord]) -> Result<Self, CliError> {
        let name = &inspection.description.name;
        let others =
            registered.iter().filter(|record| record.name == *name && record.digest != inspection.digest);
        let Some(elder) = newest(others)? else {
            let none = Description::default();
            let changes = changes((&none, Some(&[])), (&inspection.description, &[]));
            return Ok(Self { since: None, changes });
        };
        let before = list::description(elder)?;
        let changes =
            changes((&before, elder.imports.as_deref()), (&inspection.description, &inspection.imports));
        Ok(Self { since: Some(elder.version.clone()), changes })
    }

    /// Lines for a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let Some(since) = &self.since else {
            let all = self.changes.iter().filter(|change| change.kind != "handlers");
            return all
                .map(|change| format!("asks for {}: {}", change.kind, change.added.join(", ")))
                .collect();
        };
        if self.changes.is_empty() {
            return vec![format!("asks for the same as {since}")];
        }
        let mut lines = Vec::new();
        for Delta { kind, added, removed } in &self.changes {
            if !added.is_empty() {
                lines.push(format!("new since {since}: {kind} {}", added.join(", ")));
            }
            if !removed.is_empty() {
                lines.push(format!("gone since {since}: {kind} {}", removed.join(", ")));
            }
        }
        lines
    }
}

fn changes(
    (before, imports_before): (&Description, Option<&[String]>),
    (after, imports_after): (&Description, &[String]),
) -> Vec<Delta> {
    let handlers = |description: &Description| -> Vec<String> {
        description.handlers.iter().map(|handler| handler.name.clone()).collect()
    };
    let Wishes { hosts, directories, environment, secrets } = &before.wishes;
    let wishes = &after.wishes;
    let mut changes = vec![
        delta("hosts", hosts, &wishes.hosts),
        delta("directories", directories, &wishes.directories),
        delta("environment", environment, &wishes.environment),
        delta("secrets", secrets, &wishes.secrets),
        delta("handlers", &handlers(before), &handlers(after)),
    ];
    // Of what was registered before imports were kept, nothing is known.
    changes.extend(imports_before.map(|before| delta("imports", before, imports_after)));
    changes.retain(|change| !change.added.is_empty() || !change.removed.is_empty());
    changes
}

fn delta(kind: &'static str, before: &[String], after: &[String]) -> Delta {
    let only = |these: &[String], others: &[String]| {
        these.iter().filter(|one| !others.contains(one)).cloned().collect()
    };
    Delta { kind, added: only(after, before), removed: only(before, after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::PluginState;
    use stepwright_workflow::{Digest, Payload, Timestamp};

    fn described(hosts: &[&str], secrets: &[&str]) -> Description {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let wishes = Wishes { hosts: texts(hosts), secrets: texts(secrets), ..Wishes::default() };
        Description { name: "shop/pay".to_owned(), wishes, ..Description::default() }
    }

    fn looked_at(description: Description, imports: &[&str]) -> Inspection {
        Inspection {
            digest: Digest::of(b"new"),
            bytes: 1,
            imports: imports.iter().map(|one| (*one).to_owned()).collect(),
            exports: Vec::new(),
            description,
        }
    }

    fn record(version: &str, description: &Description, imports: Option<&[&str]>) -> PluginRecord {
        PluginRecord {
            digest: Digest::of(version.as_bytes()),
            name: "shop/pay".to_owned(),
            version: version.to_owned(),
            bytes: 1,
            description: Payload::of(description).unwrap(),
            registered_at: Timestamp(0),
            state: PluginState::Enabled,
            changed: None,
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: imports.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
        }
    }

    #[test]
    fn what_is_new_is_said_against_the_newest_version() {
        let registered = [
            record("1.10.0", &described(&["https://a:443"], &["old"]), Some(&["x", "y"])),
            record("1.9.0", &described(&[], &[]), None),
        ];
        let now = described(&["https://a:443", "https://b:443"], &[]);
        let difference = Difference::of(&looked_at(now, &["x", "z"]), &registered).unwrap();
        let expect = [
            "new since 1.10.0: hosts https://b:443",
            "gone since 1.10.0: secrets old",
            "new since 1.10.0: imports z",
            "gone since 1.10.0: imports y",
        ];
        assert_eq!(difference.lines(), expect);
        let same =
            Difference::of(&looked_at(described(&["https://a:443"], &["old"]), &["x", "y"]), &registered);
        assert_eq!(same.unwrap().lines(), ["asks for the same as 1.10.0"]);
    }

    #[test]
    fn the_first_version_asks_for_all_that_it_asks_for() {
        let first = looked_at(described(&["https://a:443"], &["key"]), &["x"]);
        let difference = Difference::of(&first, &[]).unwrap();
        assert_eq!(difference.lines(), ["asks for hosts: https://a:443", "asks for secrets: key"]);
        // The imports of what was registered before they were kept are not known.
        let old = [record("1.0.0", &described(&["https://a:443"], &["key"]), None)];
        assert_eq!(Difference::of(&first, &old).unwrap().lines(), ["asks for the same as 1.0.0"]);
    }
}
