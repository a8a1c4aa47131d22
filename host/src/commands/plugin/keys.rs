//! `plugin keygen`, `sign` and `verify`.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stepwright_registry::signature::merged;
use stepwright_registry::{PrivateKey, PublicKey, Signature};
use stepwright_workflow::Digest;

use super::{signature_file, signatures_in};
use crate::clock::random_bits;
use crate::config::public_key;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::input;
use crate::output;

/// What a private key is called in a directory.
const KEY: &str = "key.pem";
/// The largest file of a key, in bytes: several times what one takes.
const KEY_BYTES_MAX: u64 = 4 << 10;

/// Where the keys go.
#[derive(Debug, clap::Args)]
pub(crate) struct KeygenArguments {
    /// The file for the private key, or a directory for key.pem; the public key comes beside it.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Made {
    key: String,
    private: PathBuf,
    public: PathBuf,
}

pub(crate) fn keygen(arguments: &KeygenArguments, context: &Context) -> Result<Exit, CliError> {
    let out = &arguments.out;
    let private = if out.is_dir() { out.join(KEY) } else { out.clone() };
    let public = public_path(&private);
    let key = PrivateKey::from_random(&random_bits()?);
    write(&private, &key.to_pem()?, 0o600)?;
    let written = key.public().to_pem().map_err(Into::into).and_then(|pem| write(&public, &pem, 0o644));
    if let Err(error) = written {
        // Half a pair helps nobody.
        let _ = std::fs::remove_file(&private);
        return Err(error);
    }
    let made = Made { key: key.public().id(), private, public };
    if context.json {
        output::json(&made)?;
    } else {
        output::line(format_args!(
            "key {}: the private half is in {}, the public one in {}",
            made.key,
            made.private.display(),
            made.public.display()
        ))?;
        output::hint(
            "whoever has the private half signs in your name; name the public one in a [[trust]] rule",
        );
    }
    Ok(Exit::Good)
}

/// `shop.pub.pem` beside `shop.pem`.
fn public_path(private: &Path) -> PathBuf {
    let name = private.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.strip_suffix(".pem").unwrap_or(&name);
    private.with_file_name(format!("{stem}.pub.pem"))
}

/// A file that must not be there yet.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let opened = File::options().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::new(format!(
            "{} exists already, and a key is never replaced; name another file",
            path.display()
        )),
        _ => CliError::new(format!("failed to write {}: {error}", path.display())),
    })
}

/// What to sign.
#[derive(Debug, clap::Args)]
pub(crate) struct SignArguments {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The private key.
    #[arg(long, value_name = "KEY.pem")]
    key: PathBuf,
    /// Where the signatures go [default: FILE.wasm.sig]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Signed {
    digest: Digest,
    key: String,
    file: PathBuf,
    signatures: Vec<Signature>,
}

pub(crate) fn sign(arguments: &SignArguments, context: &Context) -> Result<Exit, CliError> {
    let digest = digest(&arguments.file, context)?;
    let path = &arguments.key;
    let key = PrivateKey::from_pem(&input::text(path, KEY_BYTES_MAX)?);
    let key = key.map_err(|error| CliError::new(format!("{}: {error}", path.display())))?;
    let file = arguments.out.clone().unwrap_or_else(|| signature_file(&arguments.file));
    // Those of other bytes would only mislead.
    let others = if file.is_file() { signatures_in(&file)? } else { Vec::new() };
    let signatures = merged(&others, &[key.sign(&digest)]);
    let text = serde_json::to_string_pretty(&signatures)?;
    std::fs::write(&file, format!("{text}\n"))
        .map_err(|error| CliError::new(format!("failed to write {}: {error}", file.display())))?;
    let signed = Signed { digest, key: key.public().id(), file, signatures };
    if context.json {
        output::json(&signed)?;
    } else {
        let (file, key) = (signed.file.display(), &signed.key);
        output::line(format_args!("{file}: {digest} is signed by {key}"))?;
    }
    Ok(Exit::Good)
}

/// What to verify.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// A public key that may have signed it; may be given several times.
    #[arg(long = "key", value_name = "KEY.pub.pem", required = true)]
    keys: Vec<PathBuf>,
    /// The signatures [default: FILE.wasm.sig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

#[derive(Serialize)]
struct Verified {
    digest: Digest,
    /// The keys, of those given, that have signed it.
    signed_by: Vec<String>,
}

pub(crate) fn verify(arguments: &VerifyArguments, context: &Context) -> Result<Exit, CliError> {
    let digest = digest(&arguments.file, context)?;
    let file = arguments.signature.clone().unwrap_or_else(|| signature_file(&arguments.file));
    let signatures = signatures_in(&file)?;
    let keys = arguments.keys.iter().map(|path| public_key(path));
    let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>()?;
    let signed = |key: &&PublicKey| signatures.iter().any(|one| key.verifies(&digest, one));
    let signed_by: Vec<String> = keys.iter().filter(signed).map(PublicKey::id).collect();
    if signed_by.is_empty() {
        let ids = |keys: Vec<String>| if keys.is_empty() { "nobody".to_owned() } else { keys.join(", ") };
        return Err(CliError::new(format!(
            "none of the keys {} has signed {}, which is {digest}; {} has signatures of {}",
            ids(keys.iter().map(PublicKey::id).collect()),
            arguments.file.display(),
            file.display(),
            ids(signatures.iter().map(|signature| signature.key.clone()).collect()),
        )));
    }
    let verified = Verified { digest, signed_by };
    if context.json {
        output::json(&verified)?;
    } else {
        let (file, by) = (arguments.file.display(), verified.signed_by.join(", "));
        output::line(format_args!("{file}: {digest} is signed by {by}"))?;
    }
    Ok(Exit::Good)
}

/// The digest of a file that may be a component.
fn digest(file: &Path, context: &Context) -> Result<Digest, CliError> {
    let bytes = input::bytes(file, context.config.engine.component_bytes_max as u64)?;
    if !bytes.starts_with(b"\0asm") {
        return Err(CliError::new(format!("{} is not WebAssembly", input::name(file))));
    }
    Ok(Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_named_after_the_private_one() {
        let beside = |path: &str| public_path(Path::new(path)).display().to_string();
        assert_eq!(beside("keys/shop.pem"), "keys/shop.pub.pem");
        assert_eq!(beside("shop"), "shop.pub.pem");
        assert_eq!(beside("/k/key.pem"), "/k/key.pub.pem");
    }

    #[test]
    fn a_key_is_never_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.pem");
        write(&path, "one", 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = format!("{:?}", write(&path, "two", 0o600).unwrap_err());
        assert!(error.contains("key.pem exists already"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    }
}
