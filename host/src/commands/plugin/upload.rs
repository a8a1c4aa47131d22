//! A component that came through the HTTP API: looked at and registered as `plugin add` does it.

use semver::Version;
use stepwright_api::view::RegisteredPlugin;
use stepwright_api::{RegisterError, Upload};
use stepwright_registry::signature::{merged, read_signatures};
use stepwright_registry::{BlobError, PluginName};
use stepwright_store::{Added, Store};
use stepwright_workflow::chain;

use super::add::{AddError, add, known, refuse_changed, refuse_untrusted};
use super::{Component, Found, Identity, Inspector, signatures_of};
use crate::commands::grants;
use crate::context::Context;
use crate::error::CliError;

/// What it is called in messages, and where its version is said to come from.
const SOURCE: &str = "upload";

/// Registers it.
pub(crate) async fn register(
    upload: Upload,
    store: &dyn Store,
    context: &Context,
) -> Result<RegisteredPlugin, RegisterError> {
    let identity = identity(&upload)?;
    let mut component = look(upload, context).await?;
    identity.apply(&mut component.inspection.description);
    let registered = store.plugins().await?;
    let one = std::slice::from_ref(&component);
    refuse_changed(one, &registered).map_err(|error| RegisterError::Exists(error.text()))?;
    if let Some(known) = known(&component, &registered) {
        component.signatures = merged(&signatures_of(known).map_err(failed)?, &component.signatures);
    }
    let trust = context.config.trust().map_err(failed)?;
    let warnings = refuse_untrusted(std::slice::from_ref(&component), &trust);
    let warnings = warnings.map_err(|error| RegisterError::Refused(error.text()))?;
    let added = add((store, &context.blobs().map_err(failed)?), &component, context).await;
    let added = added.map_err(|error| match error {
        AddError::Store(error) => RegisterError::Store(error),
        AddError::Blobs(error @ BlobError::Objects { .. }) => RegisterError::Unavailable(chain(&error)),
        other => RegisterError::Failed(chain(&other)),
    })?;
    let description = &component.inspection.description;
    let asker =
        (description.name.as_str(), description.version.as_str(), grants::own_namespace(&description.name));
    Ok(RegisteredPlugin {
        name: description.name.clone(),
        version: description.version.clone(),
        digest: component.inspection.digest.to_string(),
        created: added == Added::New,
        asked: RegisteredPlugin::asked(&description.wishes),
        not_granted: grants::missing(&description.wishes, &grants::granted(context, asker)),
        warning: warnings.into_iter().flatten().next(),
    })
}

async fn look(upload: Upload, context: &Context) -> Result<Component, RegisterError> {
    let signatures = upload.signatures.as_deref().map(read_signatures).transpose();
    let signatures = signatures.map_err(|error| RegisterError::Refused(format!("signature: {error}")))?;
    let found = Found {
        file: SOURCE.to_owned(),
        bytes: upload.bytes.into(),
        source: SOURCE.to_owned(),
        signatures: signatures.unwrap_or_default(),
    };
    let inspector = Inspector::keeping(context).map_err(failed)?;
    inspector.look_at_one(found).await.map_err(|error| RegisterError::Refused(error.text()))
}

fn identity(upload: &Upload) -> Result<Identity, RegisterError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| RegisterError::Refused(format!("{what}: {error}"));
    let name = upload.name.as_deref().map(str::parse::<PluginName>).transpose();
    let name = name.map_err(|error| bad("name", &error))?;
    let version = upload.version.as_deref().map(str::parse::<Version>).transpose();
    Ok(Identity { name, version: version.map_err(|error| bad("version", &error))? })
}

#[allow(clippy::needless_pass_by_value, reason = "it is a step of map_err")]
fn failed(error: CliError) -> RegisterError {
    RegisterError::Failed(error.text())
}
