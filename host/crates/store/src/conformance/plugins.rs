//! What may be done with versions of plugins, and which plans are in use.

use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Digest, Payload};

use super::{NOW, SINGLE, World, at, committed, payload, plan};
use crate::{Added, NewPlugin, NewTemplate, PluginChange, PluginDeed, PluginRecord, PluginState, Store};

fn plugin(name: &str, version: &str) -> NewPlugin {
    NewPlugin {
        digest: Digest::of(version.as_bytes()),
        name: name.to_owned(),
        version: version.to_owned(),
        bytes: 7,
        description: payload("{}"),
        source: "file".to_owned(),
        signatures: payload("[]"),
        imports: vec!["wasi:io/poll@0.2.0".to_owned()],
    }
}

async fn register(store: &dyn Store, versions: &[&str]) {
    for (ms, version) in (0..).zip(versions) {
        store.add_plugin(&plugin("shop/pay", version), at(ms)).await.unwrap();
    }
}

fn change(versions: &[&str], to: PluginState, ms: i64) -> PluginChange {
    PluginChange {
        name: "shop/pay".to_owned(),
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        to,
        deed: PluginDeed { at: at(ms), who: "ann".to_owned(), why: "it double-charges".to_owned() },
    }
}

fn states(records: &[PluginRecord]) -> Vec<(&str, PluginState)> {
    records.iter().map(|record| (record.version.as_str(), record.state)).collect()
}

/// It begins enabled, each state reads back with who, when and why, and other versions and plugins are left alone.
pub async fn a_plugins_state_is_kept_with_who_and_why(store: &dyn Store) {
    register(store, &["1.0.0", "1.1.0"]).await;
    store.add_plugin(&plugin("shop/mail", "1.0.0"), NOW).await.unwrap();
    let first = committed!(store, plugin_versions("shop/pay"));
    assert_eq!(states(&first), [("1.0.0", PluginState::Enabled), ("1.1.0", PluginState::Enabled)]);
    assert!(first.iter().all(|record| record.changed.is_none()));
    for (ms, to) in (0..).zip([
        PluginState::Yanked,
        PluginState::Disabled,
        PluginState::Quarantined,
        PluginState::Enabled,
    ]) {
        committed!(store, change_plugins(&change(&["1.1.0", "9.9.9"], to, ms)));
        let records = committed!(store, plugin_versions("shop/pay"));
        assert_eq!(states(&records), [("1.0.0", PluginState::Enabled), ("1.1.0", to)]);
        let deed = PluginDeed { at: at(ms), who: "ann".to_owned(), why: "it double-charges".to_owned() };
        assert_eq!((&records[0].changed, records[1].changed.as_ref()), (&None, Some(&deed)));
        assert_eq!(store.plugins().await.unwrap()[1..], records);
    }
    assert_eq!(committed!(store, plugin_versions("shop/none")), []);
    // What is not committed never was.
    let mut round = store.round().await.unwrap();
    round.change_plugins(&change(&["1.0.0"], PluginState::Yanked, 9)).await.unwrap();
    drop(round);
    assert_eq!(store.plugins().await.unwrap()[1].state, PluginState::Enabled);
}

/// Registering the same component again takes over its signatures, and never takes any away.
pub async fn a_plugin_is_signed_later(store: &dyn Store) {
    let unsigned = plugin("shop/pay", "1.0.0");
    let signed = NewPlugin { signatures: payload("[{\"key\":\"a\"}]"), ..unsigned.clone() };
    assert_eq!(store.add_plugin(&unsigned, NOW).await.unwrap(), Added::New);
    assert_eq!(store.add_plugin(&signed, at(1)).await.unwrap(), Added::Signed);
    assert_eq!(store.add_plugin(&signed, at(2)).await.unwrap(), Added::Unchanged);
    assert_eq!(store.add_plugin(&unsigned, at(3)).await.unwrap(), Added::Unchanged);
    let records = store.plugins().await.unwrap();
    assert_eq!((&records[0].signatures, records[0].registered_at), (&signed.signatures, NOW));
}

/// Only versions that are not enabled are forgotten; the same version may then be registered with other bytes.
pub async fn only_withdrawn_plugins_are_forgotten(store: &dyn Store) {
    register(store, &["1.0.0", "1.1.0", "1.2.0"]).await;
    committed!(store, change_plugins(&change(&["1.0.0", "1.1.0"], PluginState::Yanked, 1)));
    let named = ["1.0.0", "1.2.0", "9.9.9"].map(str::to_owned);
    assert_eq!(committed!(store, remove_plugins("shop/pay", &named)), ["1.0.0"]);
    assert_eq!(committed!(store, remove_plugins("shop/pay", &[])), [] as [String; 0]);
    let left = store.plugins().await.unwrap();
    assert_eq!(states(&left), [("1.1.0", PluginState::Yanked), ("1.2.0", PluginState::Enabled)]);
    let other = NewPlugin { digest: Digest::of(b"other"), ..plugin("shop/pay", "1.0.0") };
    assert_eq!(store.add_plugin(&other, at(2)).await.unwrap(), Added::New);
}

/// Whoever registers, signs, changes or removes anything: what was read before is known to be old.
pub async fn the_catalogs_revision_grows_with_every_change(store: &dyn Store) {
    let mut last = store.catalog_revision().await.unwrap();
    let mut grown = async || {
        let before = std::mem::replace(&mut last, store.catalog_revision().await.unwrap());
        last > before
    };
    assert!(!grown().await);
    register(store, &["1.0.0"]).await;
    assert!(grown().await);
    let signed = NewPlugin { signatures: payload("[1]"), ..plugin("shop/pay", "1.0.0") };
    assert_eq!(store.add_plugin(&signed, NOW).await.unwrap(), Added::Signed);
    assert!(grown().await);
    committed!(store, change_plugins(&change(&["1.0.0"], PluginState::Yanked, 1)));
    assert!(grown().await);
    let new = NewTemplate {
        namespace: "shop".to_owned(),
        name: "order".to_owned(),
        version: "1.0.0".to_owned(),
        source: "steps: []".to_owned(),
    };
    store.add_template(&new, NOW).await.unwrap();
    assert!(grown().await);
    committed!(store, remove_plugins("shop/pay", &["1.0.0".to_owned()]));
    assert!(grown().await && !grown().await);
}

/// Those of tasks that are not final, in error included, with how many of them there are.
pub async fn plans_of_unfinished_tasks_are_in_use(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    assert_eq!(store.plans_in_use().await.unwrap(), []);
    let other = store.add_plan(&plan("other", SINGLE)).await.unwrap();
    let (first, second) = (world.start().await, world.start().await);
    let mut third = world.task();
    third.plan = other;
    let third = world.start_with(third).await;
    committed!(store, settle(&[(second, TaskState::Pending, TaskState::Error)], NOW));
    let mut in_use = store.plans_in_use().await.unwrap();
    in_use.sort();
    assert_eq!(in_use, [(world.plan, 2), (other, 1)]);
    let ends = [
        (first, TaskState::Pending, TaskState::Cancelled),
        (second, TaskState::Error, TaskState::ResolvedManually),
        (third, TaskState::Pending, TaskState::Complete),
    ];
    committed!(store, settle(&ends, NOW));
    assert_eq!(store.plans_in_use().await.unwrap(), []);
}

/// What an earlier version of the program registered has no imports; here they read back in their order.
pub async fn a_plugin_keeps_where_it_came_from(store: &dyn Store) {
    let new = NewPlugin {
        source: "oci://registry.example/shop/pay:1".to_owned(),
        imports: vec!["b".to_owned(), "a".to_owned()],
        signatures: Payload::parse("[ 1 ]").unwrap(),
        ..plugin("shop/pay", "1.0.0")
    };
    store.add_plugin(&new, NOW).await.unwrap();
    let record = store.plugins().await.unwrap().remove(0);
    assert_eq!((record.source, record.imports), (new.source, Some(new.imports)));
    assert_eq!(record.signatures.as_str(), "[ 1 ]");
}
