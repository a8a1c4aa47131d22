//! `plugin add`: looks at components, keeps their bytes, and registers them.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stepwright_registry::oci::OciPlace;
use stepwright_registry::signature::merged;
use stepwright_registry::{BlobError, Blobs, PluginName, Signature, TrustPolicy, Verdict};
use stepwright_store::{Added, NewPlugin, PluginRecord, PluginState, Store, StoreError};
use stepwright_workflow::Payload;

use super::difference::Difference;
use super::login::LoginFlags;
use super::{Component, FileProblem, Found, Identity, Inspector, Shown, oci, signatures_in, signatures_of};
use crate::commands::grants;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to register.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArguments {
    /// Components for the target wasm32-wasip2, or places in OCI registries, as `oci://host[:port]/repository:tag`.
    #[arg(required = true, value_name = "FILE.wasm|OCI")]
    components: Vec<String>,
    #[command(flatten)]
    identity: Identity,
    /// The signatures of the component, as 'plugin sign' wrote them [default: FILE.wasm.sig, if it is there]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    #[command(flatten)]
    login: LoginFlags,
}

#[derive(Serialize)]
struct AddedPlugin<'a> {
    file: &'a str,
    added: Added,
    /// It was there already, and its component had been lost or damaged.
    restored: bool,
    source: &'a str,
    /// The keys that signed it, as they say themselves.
    signed_by: Vec<String>,
    /// What a `[[trust]]` rule warns of.
    warning: Option<String>,
    /// What a person has made of a version that was there already.
    state: PluginState,
    difference: Difference,
    /// What the settings here grant it, in tasks of its own namespace.
    granted: Vec<String>,
    /// What it asks for beyond that.
    not_granted: Vec<String>,
    #[serde(flatten)]
    plugin: Shown<'a>,
}

#[derive(Serialize)]
struct Report<'a> {
    plugins: Vec<AddedPlugin<'a>>,
}

pub(crate) async fn run(arguments: &AddArguments, context: &Context) -> Result<Exit, CliError> {
    let several = arguments.components.len() > 1;
    if several && arguments.identity.is_given() {
        return Err(CliError::new(
            "--name and --version are for one file; register the others by themselves",
        ));
    }
    if several && arguments.signature.is_some() {
        return Err(CliError::new("--signature is for one file; give the others a FILE.sig beside them"));
    }
    let inspector = Inspector::keeping(context)?;
    let mut found = Vec::with_capacity(arguments.components.len());
    for component in &arguments.components {
        found.push(if OciPlace::is_meant(component) {
            oci::found(&component.parse()?, &arguments.login, context).await?
        } else {
            Found::file(Path::new(component), inspector.component_bytes_max)?
        });
    }
    if let (Some(file), Some(found)) = (&arguments.signature, found.first_mut()) {
        found.signatures = merged(&found.signatures, &signatures_in(file)?);
    }
    let components = inspector.look_into(found).await?;
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
    let (store, blobs) = (context.store().await?, context.blobs()?);
    let registered = store.plugins().await?;
    refuse_changed(&components, &registered)?;
    for component in &mut components {
        if let Some(known) = known(component, &registered) {
            component.signatures = merged(&signatures_of(known)?, &component.signatures);
        }
    }
    let warnings = refuse_untrusted(&components, &context.config.trust()?)?;
    let mut report = Report { plugins: Vec::with_capacity(components.len()) };
    for (component, warning) in components.iter().zip(warnings) {
        let restored = match known(component, &registered) {
            Some(known) => blobs.get(&known.digest).await.is_err_and(|error| error.is_mendable()),
            None => false,
        };
        let added = add((store.as_ref(), &blobs), component, context).await?;
        let Component { file, inspection, source, signatures, .. } = component;
        let description = &inspection.description;
        let name = &description.name;
        let asker = (name.as_str(), description.version.as_str(), grants::own_namespace(name));
        let grants = grants::granted(context, asker);
        let plugin = Shown {
            digest: inspection.digest,
            bytes: inspection.bytes,
            description: &inspection.description,
        };
        report.plugins.push(AddedPlugin {
            file,
            added,
            restored,
            source,
            signed_by: signatures.iter().map(|signature| signature.key.clone()).collect(),
            warning,
            state: known(component, &registered).map_or(PluginState::Enabled, |known| known.state),
            difference: Difference::of(inspection, &registered)?,
            granted: grants::lines(&grants),
            not_granted: grants::missing(&description.wishes, &grants),
            plugin,
        });
    }
    tell(&report, context)?;
    Ok(Exit::Good)
}

/// The same version, if it is registered already.
pub(super) fn known<'a>(component: &Component, registered: &'a [PluginRecord]) -> Option<&'a PluginRecord> {
    let description = &component.inspection.description;
    registered.iter().find(|record| record.name == description.name && record.version == description.version)
}

/// Why a component was not registered that may be.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its bytes cannot be kept.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// What it says of itself cannot be written.
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

/// Registers one component, and keeps its bytes.
pub(super) async fn add(
    (store, blobs): (&dyn Store, &Blobs),
    component: &Component,
    context: &Context,
) -> Result<Added, AddError> {
    let Component { inspection, source, signatures, .. } = component;
    let plugin = NewPlugin {
        digest: inspection.digest,
        name: inspection.description.name.clone(),
        version: inspection.description.version.clone(),
        bytes: inspection.bytes,
        description: Payload::of(&inspection.description)?,
        source: source.clone(),
        signatures: Payload::of(signatures)?,
        imports: inspection.imports.clone(),
    };
    // The bytes first: what is registered can be run.
    let bytes: bytes::Bytes = component.bytes.clone().into();
    blobs.put(bytes.clone()).await?;
    let added = store.add_plugin(&plugin, context.now()).await?;
    // Whoever collects garbage may have taken them away in between, before there was a version that has them.
    match blobs.look(&plugin.digest).await {
        Err(error) if error.is_missing() => drop(blobs.put(bytes).await?),
        looked => {
            looked?;
        }
    }
    Ok(added)
}

/// Refuses components without the signatures that our rules want: seen before anything is stored. Returns a warning for each that
/// deserves one.
pub(super) fn refuse_untrusted(
    components: &[Component],
    trust: &TrustPolicy,
) -> Result<Vec<Option<String>>, CliError> {
    let (mut warnings, mut problems) = (Vec::with_capacity(components.len()), Vec::new());
    for Component { file, inspection, signatures, .. } in components {
        let name: PluginName = inspection.description.name.parse()?;
        let signatures: &[Signature] = signatures;
        match trust.check(&name, &inspection.digest, signatures) {
            Ok(Verdict::Unsigned { warning }) => warnings.push(Some(warning)),
            Ok(Verdict::NotAsked | Verdict::Trusted { .. }) => warnings.push(None),
            Err(refused) => {
                problems.push(FileProblem { file: file.clone(), problem: refused.to_string() });
            }
        }
    }
    match problems.len() {
        0 => Ok(warnings),
        bad => Err(CliError::listed(
            format!("{bad} of {} plugins are not trusted; nothing was stored", components.len()),
            &problems,
        )),
    }
}

/// Refuses versions that are registered, or given twice, with other bytes: seen before anything is stored.
pub(super) fn refuse_changed(components: &[Component], registered: &[PluginRecord]) -> Result<(), CliError> {
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
    for plugin in &report.plugins {
        tell_of(plugin)?;
    }
    Ok(())
}

fn tell_of(added: &AddedPlugin<'_>) -> Result<(), CliError> {
    let AddedPlugin {
        file, added, restored, warning, state, difference, granted, not_granted, plugin, ..
    } = added;
    let description = plugin.description;
    let reference = format!("{}@{}", description.name, description.version);
    let handlers: Vec<&str> = description.handlers.iter().map(|handler| handler.name.as_str()).collect();
    output::line(match added {
        Added::New => format!("{file}: added {reference} with {}", handlers.join(", ")),
        Added::Signed => format!("{file}: {reference} was there already, and has new signatures"),
        Added::Unchanged => format!("{file}: {reference} was there already"),
    })?;
    if *restored {
        output::line("  its component was missing or damaged in the registry, and is whole again")?;
    }
    if *added == Added::New {
        for line in difference.lines() {
            output::line(format_args!("  {line}"))?;
        }
    }
    for grant in granted {
        output::line(format_args!("  granted: {grant}"))?;
    }
    if !not_granted.is_empty() {
        output::line(format_args!("  not granted: {}", not_granted.join(", ")))?;
        output::hint(
            "grants are written into the configuration of whoever runs the steps; see docs/reference/grants.md",
        );
    }
    if let Some(warning) = warning {
        output::hint(format_args!("warning: {warning}"));
    }
    if *state != PluginState::Enabled {
        let state = state.as_str();
        output::hint(format_args!("it is {state}; 'stepwright plugin enable {reference}' gives it back"));
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
        Component {
            file: file.to_owned(),
            bytes: bytes.to_vec(),
            inspection,
            source: "file".to_owned(),
            signatures: Vec::new(),
        }
    }

    fn record(version: &str, bytes: &[u8]) -> PluginRecord {
        PluginRecord {
            digest: Digest::of(bytes),
            name: "shop/shop".to_owned(),
            version: version.to_owned(),
            bytes: 1,
            description: Payload::null(),
            registered_at: Timestamp(0),
            state: PluginState::Enabled,
            changed: None,
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: None,
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
