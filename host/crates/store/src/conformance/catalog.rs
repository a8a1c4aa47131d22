//! Plugins, templates and plans.

use stepwright_workflow::{Digest, PlanId};

use super::{DIAMOND, NOW, SINGLE, at, payload, plan};
use crate::{Added, NewPlugin, NewTemplate, PluginRecord, PluginState, Store, StoreError, TemplateRecord};

fn plugin(name: &str, version: &str, component: &[u8]) -> NewPlugin {
    NewPlugin {
        digest: Digest::of(component),
        name: name.to_owned(),
        version: version.to_owned(),
        bytes: component.len() as u64,
        description: payload("{\"handlers\": [ ]}"),
        source: "file".to_owned(),
        signatures: payload("[]"),
        imports: Vec::new(),
    }
}

fn template(name: &str, version: &str, source: &str) -> NewTemplate {
    NewTemplate {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        source: source.to_owned(),
    }
}

/// New, unchanged, or a conflict that names the plugin; and listed by name, then by registration.
pub async fn a_plugin_version_is_registered_once(store: &dyn Store) {
    let first = plugin("shop/pay", "1.10.0", b"a");
    assert_eq!(store.add_plugin(&first, NOW).await.unwrap(), Added::New);
    assert_eq!(store.add_plugin(&first, at(5)).await.unwrap(), Added::Unchanged);
    let other = store.add_plugin(&plugin("shop/pay", "1.10.0", b"b"), at(5)).await.unwrap_err();
    assert!(
        matches!(&other, StoreError::Conflict { subject, .. } if subject.contains("shop/pay@1.10.0")),
        "{other}"
    );
    assert_eq!(store.add_plugin(&plugin("shop/pay", "1.9.0", b"c"), at(6)).await.unwrap(), Added::New);
    assert_eq!(store.add_plugin(&plugin("shop/mail", "1.0.0", b"d"), at(7)).await.unwrap(), Added::New);
    let plugins = store.plugins().await.unwrap();
    let listed: Vec<_> =
        plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.version.as_str())).collect();
    assert_eq!(listed, [("shop/mail", "1.0.0"), ("shop/pay", "1.10.0"), ("shop/pay", "1.9.0")]);
    let NewPlugin { digest, name, version, bytes, description, source, signatures, imports } = first;
    let record = PluginRecord {
        digest,
        name,
        version,
        bytes,
        description,
        registered_at: NOW,
        state: PluginState::Enabled,
        changed: None,
        source,
        signatures,
        imports: Some(imports),
    };
    assert_eq!(plugins[1], record);
}

/// New, unchanged, or a conflict that names the template.
pub async fn a_template_version_is_registered_once(store: &dyn Store) {
    assert_eq!(
        store.add_template(&template("order", "1.0.0", "steps: []\n"), NOW).await.unwrap(),
        Added::New
    );
    assert_eq!(
        store.add_template(&template("order", "1.0.0", "steps: []\n"), at(1)).await.unwrap(),
        Added::Unchanged
    );
    let other =
        store.add_template(&template("order", "1.0.0", "steps: [] # new\n"), at(1)).await.unwrap_err();
    assert!(
        matches!(&other, StoreError::Conflict { subject, .. } if subject.contains("shop/order@1.0.0")),
        "{other}"
    );
    let found = store.template("shop", "order", Some("1.0.0")).await.unwrap().unwrap();
    assert_eq!((found.source.as_str(), found.record.registered_at), ("steps: []\n", NOW));
    for (namespace, name, version) in
        [("other", "order", None), ("shop", "odd", None), ("shop", "order", Some("2.0.0"))]
    {
        assert_eq!(store.template(namespace, name, version).await.unwrap(), None);
    }
}

/// The order of registration decides, not the version.
pub async fn the_template_that_was_registered_last_is_the_one_without_a_version(store: &dyn Store) {
    for (name, version) in [("order", "2.0.0"), ("order", "1.5.0"), ("audit", "1.0.0")] {
        store.add_template(&template(name, version, &format!("version: {version}")), NOW).await.unwrap();
    }
    let last = store.template("shop", "order", None).await.unwrap().unwrap();
    assert_eq!((last.record.version.as_str(), last.source.as_str()), ("1.5.0", "version: 1.5.0"));
    let record = |name: &str, version: &str| TemplateRecord {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        registered_at: NOW,
    };
    let all = [record("audit", "1.0.0"), record("order", "2.0.0"), record("order", "1.5.0")];
    assert_eq!(store.templates().await.unwrap(), all);
}

/// Equal content has one id, inside and outside a round.
pub async fn a_plan_is_stored_once_per_content(store: &dyn Store) {
    let (single, diamond) = (plan("order", SINGLE), plan("order", DIAMOND));
    let first = store.add_plan(&single).await.unwrap();
    let second = store.add_plan(&diamond).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(store.add_plan(&single).await.unwrap(), first);
    assert_eq!(store.plan(second).await.unwrap(), Some(diamond));
    let mut round = store.round().await.unwrap();
    assert_eq!(round.plan(first).await.unwrap(), Some(single));
    assert_eq!(round.plan(PlanId(9_999)).await.unwrap(), None);
    drop(round);
    assert_eq!(store.plan(PlanId(9_999)).await.unwrap(), None);
}
