//! `plugin push` and `plugin pull`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::Serialize;
use stepwright_registry::oci::{OciPlace, OciRegistry, Package, Pulled};
use stepwright_registry::{Description, PluginName};
use stepwright_workflow::Digest;

use super::login::LoginFlags;
use super::{Found, Identity, Inspector, find, list, signature_file, signatures_of};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::when;

/// What every plugin exports.
const HANDLER: &str = "stepwright:step/handler@0.1.0";

/// What to push, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArguments {
    /// A component file, or a registered plugin: namespace/name, with @version, or else the one registered last.
    #[arg(value_name = "FILE|REF")]
    plugin: String,
    /// Where to, as `oci://host[:port]/repository[:tag]`.
    #[arg(value_name = "OCI")]
    to: OciPlace,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    login: LoginFlags,
}

#[derive(Serialize)]
struct Pushed {
    plugin: String,
    digest: Digest,
    place: String,
    manifest: String,
}

pub(crate) async fn push(arguments: &PushArguments, context: &Context) -> Result<Exit, CliError> {
    if arguments.to.digest().is_some() {
        return Err(CliError::new(format!(
            "{} names a digest, which comes out of the push; name a tag, or none for the version",
            arguments.to
        )));
    }
    let package = package(arguments, context).await?;
    let to =
        if arguments.to.is_pinned() { arguments.to.clone() } else { arguments.to.with_tag(&package.version) };
    let registry = registry(&to, &arguments.login, context)?;
    let manifest = registry.push(&to, &package, context.now()).await?;
    let pushed = Pushed {
        plugin: format!("{}@{}", package.title, package.version),
        digest: Digest::of(&package.bytes),
        place: to.to_string(),
        manifest,
    };
    if context.json {
        output::json(&pushed)?;
    } else {
        output::line(format_args!("pushed {} to {to}, as {}", pushed.plugin, pushed.manifest))?;
    }
    Ok(Exit::Good)
}

/// What a file or a registered plugin makes.
async fn package(arguments: &PushArguments, context: &Context) -> Result<Package, CliError> {
    let path = Path::new(&arguments.plugin);
    if path.is_file() || path.extension().is_some_and(|extension| extension == "wasm") {
        let mut component = Inspector::start(context)?.look(path).await?;
        let inspection = &mut component.inspection;
        arguments.identity.apply(&mut inspection.description);
        let (imports, exports) = (inspection.imports.clone(), inspection.exports.clone());
        let made = described(&inspection.description, component.bytes.into());
        return Ok(Package { imports, exports, signatures: component.signatures, ..made });
    }
    if arguments.identity.is_given() {
        return Err(CliError::new("--name and --version are for files; a registered plugin keeps its own"));
    }
    let record = find(context.store().await?.as_ref(), &arguments.plugin).await?;
    let bytes = context.blobs()?.get(&record.digest).await?;
    let signatures = signatures_of(&record)?;
    let imports = record.imports.clone().unwrap_or_default();
    let named = Description {
        name: record.name.clone(),
        version: record.version.clone(),
        ..list::description(&record)?
    };
    Ok(Package { imports, exports: vec![HANDLER.to_owned()], signatures, ..described(&named, bytes) })
}

fn described(description: &Description, bytes: bytes::Bytes) -> Package {
    Package {
        bytes,
        title: description.name.clone(),
        version: description.version.clone(),
        summary: description.summary.clone(),
        imports: Vec::new(),
        exports: Vec::new(),
        signatures: Vec::new(),
    }
}

/// What to pull, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArguments {
    /// Where from, as `oci://host[:port]/repository:tag`, or `…/repository@sha256:…`.
    #[arg(value_name = "OCI")]
    from: OciPlace,
    /// The file, which must not be there yet [default: NAME-VERSION.wasm]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    login: LoginFlags,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    digest: Digest,
    bytes: u64,
    source: String,
    signatures: usize,
}

pub(crate) async fn pull(arguments: &PullArguments, context: &Context) -> Result<Exit, CliError> {
    let (pulled, source) = fetch(&arguments.from, &arguments.login, context).await?;
    let Package { bytes, signatures, .. } = &pulled.package;
    let file = arguments.out.clone().unwrap_or_else(|| file_name(&pulled.package).into());
    new_file(&file, bytes)?;
    if !signatures.is_empty() {
        new_file(&signature_file(&file), serde_json::to_string_pretty(signatures)?.as_bytes())?;
    }
    let digest = Digest::of(bytes);
    let written = Written { file, digest, bytes: bytes.len() as u64, source, signatures: signatures.len() };
    if context.json {
        output::json(&written)?;
    } else {
        let (file, size) = (written.file.display(), when::bytes(written.bytes));
        output::line(format_args!("{file}: {digest}, {size}, from {}", written.source))?;
    }
    Ok(Exit::Good)
}

/// `pay-1.2.0.wasm` after what the manifest says, if that is a name and a version.
fn file_name(package: &Package) -> String {
    match (package.title.parse::<PluginName>(), Version::parse(&package.version)) {
        (Ok(name), Ok(version)) => format!("{}-{version}.wasm", name.name()),
        _ => "component.wasm".to_owned(),
    }
}

/// Writes a file that must not be there yet.
fn new_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let opened = File::options().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CliError::new(format!("{} exists already; name another file with --out", path.display()))
        }
        _ => CliError::new(format!("failed to write {}: {error}", path.display())),
    })
}

/// Pulls a component to register it.
pub(super) async fn found(
    place: &OciPlace,
    login: &LoginFlags,
    context: &Context,
) -> Result<Found, CliError> {
    let (Pulled { package, .. }, source) = fetch(place, login, context).await?;
    let bytes = package.bytes.to_vec();
    Ok(Found { file: place.to_string(), bytes, source, signatures: package.signatures })
}

/// A package, and its source with the manifest's digest.
async fn fetch(
    place: &OciPlace,
    login: &LoginFlags,
    context: &Context,
) -> Result<(Pulled, String), CliError> {
    if !place.is_pinned() {
        return Err(CliError::new(format!("{place} names neither a tag nor a digest; write {place}:TAG")));
    }
    let registry = registry(place, login, context)?;
    let pulled = registry.pull(place, context.config.engine.component_bytes_max as u64).await?;
    let source = place.at_manifest(&pulled.manifest);
    Ok((pulled, source))
}

fn registry(place: &OciPlace, login: &LoginFlags, context: &Context) -> Result<OciRegistry, CliError> {
    let login = login.login(place, context)?;
    Ok(OciRegistry::new(place, login, &context.config.oci_insecure_hosts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_a_good_name_only() {
        let named = |title: &str, version: &str| {
            let description =
                Description { name: title.to_owned(), version: version.to_owned(), ..Description::default() };
            file_name(&described(&description, bytes::Bytes::new()))
        };
        assert_eq!(named("shop/pay", "1.2.0"), "pay-1.2.0.wasm");
        assert_eq!(named("shop/../../etc", "1.2.0"), "component.wasm");
        assert_eq!(named("shop/pay", "../1"), "component.wasm");
    }
}
