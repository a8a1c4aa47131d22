//! `plugin add`: looks at components, keeps their bytes, and registers them.

use std::path::PathBuf;

use serde::Serialize;
use stepwright_store::{Added, NewPlugin, PluginRecord, Store};
use stepwright_workflow::Payload;

use super::{Component, FileProblem, Identity, Inspector, Shown};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to register.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArguments {
    /// Components for the target wasm32-wasip2.
    #[arg(required = true, value_name = "FILE.wasm")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Serialize)]
struct AddedPlugin<'a> {
    file: &'a str,
    added: Added,
    #[serde(flatten)]
    plugin: Shown<'a>,
}

#[derive(Serialize)]
struct Report<'a> {
    plugins: Vec<AddedPlugin<'a>>,
}

pub(crate) async fn run(arguments: &AddArguments, context: &Context) -> Result<Exit, CliError> {
    if arguments.files.len() > 1 && arguments.identity.is_given() {
        return Err(CliError::new(
            "--name and --version are for one file; register the others by themselves",
        ));
    }
    let components = Inspector::keeping(context)?.look_all(&arguments.files).await?;
    register(components, &arguments.identity, context).await
}

/// Registers components that were looked at, and says so.
pub(super) async fn register(
    mut components: Vec<Component>,
    identity: &Identity,
    context: &Context,
) -> Result<Exit, CliError> {
    for component in &mut components {
        identity.apply(&mut component.inspection.description);
    }
    let (store, folder) = (context.store().await?, context.plugins()?);
    refuse_changed(&components, &store.plugins().await?)?;
    let mut report = Report { plugins: Vec::with_capacity(components.len()) };
    for component in &components {
        // The bytes first: what is registered can be run.
        folder.put(&component.bytes)?;
        let added = add(store.as_ref(), component, context).await?;
        let Component { file, inspection, .. } = component;
        let plugin = Shown {
            digest: inspection.digest,
            bytes: inspection.bytes,
            description: &inspection.description,
        };
        report.plugins.push(AddedPlugin { file, added, plugin });
    }
    tell(&report, context)?;
    Ok(Exit::Good)
}

/// Registers one component whose bytes are kept.
pub(super) async fn add(
    store: &dyn Store,
    component: &Component,
    context: &Context,
) -> Result<Added, CliError> {
    let inspection = &component.inspection;
    let plugin = NewPlugin {
        digest: inspection.digest,
        name: inspection.description.name.clone(),
        version: inspection.description.version.clone(),
        bytes: inspection.bytes,
        description: Payload::of(&inspection.description)?,
    };
    Ok(store.add_plugin(&plugin, context.now()).await?)
}

/// Refuses versions that are registered, or given twice, with other bytes: seen before anything is stored.
fn refuse_changed(components: &[Component], registered: &[PluginRecord]) -> Result<(), CliError> {
    let mut problems = Vec::new();
    for (position, Component { file, inspection, .. }) in components.iter().enumerate() {
        let (name, version) = (&inspection.description.name, &inspection.description.version);
        let is_other = |other_name: &str, other_version: &str, digest| {
            other_name == name && other_version == version && digest != inspection.digest
        };
        let stored = registered.iter().any(|record| is_other(&record.name, &record.version, record.digest));
        let given = components[..position].iter().any(|earlier| {
            let description = &earlier.inspection.description;
            is_other(&description.name, &description.version, earlier.inspection.digest)
        });
        if stored || given {
            let what = if stored { "is registered already" } else { "is given twice" };
            let problem = format!(
                "{name}@{version} {what} with other bytes; give the new component a new version, in itself or with --version"
            );
            problems.push(FileProblem { file: file.clone(), problem });
        }
    }
    match problems.len() {
        0 => Ok(()),
        bad => Err(CliError::listed(
            format!("{bad} of {} plugins cannot be registered; nothing was stored", components.len()),
            &problems,
        )),
    }
}

fn tell(report: &Report<'_>, context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(report);
    }
    for AddedPlugin { file, added, plugin } in &report.plugins {
        let description = plugin.description;
        let reference = format!("{}@{}", description.name, description.version);
        let handlers: Vec<&str> = description.handlers.iter().map(|handler| handler.name.as_str()).collect();
        output::line(match added {
            Added::New => format!("{file}: added {reference} with {}", handlers.join(", ")),
            Added::Unchanged => format!("{file}: {reference} was there already"),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_executor::Inspection;
    use stepwright_registry::Description;
    use stepwright_workflow::{Digest, Timestamp};

    fn component(file: &str, version: &str, bytes: &[u8]) -> Component {
        let description = Description {
            name: "shop/shop".to_owned(),
            version: version.to_owned(),
            ..Description::default()
        };
        let inspection = Inspection {
            digest: Digest::of(bytes),
            bytes: bytes.len() as u64,
            imports: Vec::new(),
            exports: Vec::new(),
            description,
        };
        Component { file: file.to_owned(), bytes: bytes.to_vec(), inspection }
    }

    fn record(version: &str, bytes: &[u8]) -> PluginRecord {
        PluginRecord {
            digest: Digest::of(bytes),
            name: "shop/shop".to_owned(),
            version: version.to_owned(),
            bytes: 1,
            description: Payload::null(),
            registered_at: Timestamp(0),
        }
    }

    #[test]
    fn a_version_never_changes_its_bytes() {
        let registered = [record("1.0.0", b"old")];
        let check = |components: &[Component]| {
            refuse_changed(components, &registered).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(
            check(&[component("a.wasm", "1.0.0", b"old"), component("b.wasm", "1.1.0", b"new")]),
            Ok(())
        );
        let stored = check(&[component("a.wasm", "1.0.0", b"new")]).unwrap_err();
        assert!(stored.contains("a.wasm: shop/shop@1.0.0 is registered already"), "{stored}");
        let twice = [component("a.wasm", "2.0.0", b"one"), component("b.wasm", "2.0.0", b"two")];
        let given = check(&twice).unwrap_err();
        assert!(
            given.contains("b.wasm: shop/shop@2.0.0 is given twice") && !given.contains("a.wasm:"),
            "{given}"
        );
    }
}
