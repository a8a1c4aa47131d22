//! Compiled code on disk, kept from one start of the host to the next.
//!
//! Loading compiled code runs it as it stands, so it must be what this host wrote: each file carries a keyed hash over the
//! plugin's digest, the engine's identity and the code, under a key that never leaves the folder. Whatever does not prove
//! itself is compiled again. Nobody else can hand in compiled code.

use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use stepwright_registry::PrivateFolder;
use stepwright_workflow::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compiler::Code;

/// The host's key; 32 random bytes.
const KEY_FILE: &str = "host.key";
const KEY_BYTES: usize = 32;
/// The keyed hash in front of the code.
const PROOF_BYTES: usize = 32;
const SUFFIX: &str = ".compiled";
/// The largest entry that is read, in bytes: only bounds memory. Python's 18 MB compile to 34.
const ENTRY_BYTES_MAX: u64 = 1 << 30;
/// Sets the hash apart from any other use of the key, and from other versions of this file's layout.
const PURPOSE: &[u8] = b"stepwright compiled component, layout 1\0";

/// The folder of compiled code.
#[derive(Debug)]
pub struct CompiledFolder {
    folder: PrivateFolder,
    keyed: Hmac<Sha256>,
    bytes_max: u64,
}

/// What the folder had for a plugin.
pub(crate) enum Found {
    /// Code that this host wrote, loaded.
    Loaded(Component),
    /// Nothing.
    Nothing,
    /// Something that did not prove itself, or does not load; why.
    Rejected(String),
}

impl CompiledFolder {
    /// Opens the folder, creates it and its key if they are missing, and takes it away from everybody else. When the entries
    /// grow beyond `bytes_max`, the oldest go.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = PrivateFolder::open(path)?;
        let keyed =
            Hmac::new_from_slice(&key(&folder)?).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { folder, keyed, bytes_max })
    }

    /// Loads the code of a plugin for this very engine, if it is there and proves itself.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest) -> Found {
        let name = entry_name(engine, digest);
        let bytes = match self.folder.read(&name, ENTRY_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Found::Nothing,
            Err(error) => return Found::Rejected(format!("failed to read {name}: {error}")),
        };
        let Some(code) = self.proven(&name, &bytes) else {
            return Found::Rejected(format!("{name} was not written by this host, or was changed since"));
        };
        match deserialize(engine, &code) {
            Ok(component) => Found::Loaded(component),
            Err(error) => Found::Rejected(format!("{name} does not load: {error:#}")),
        }
    }

    /// Keeps the code of a plugin for the next start.
    pub(crate) fn keep(&self, engine: &Engine, digest: &Digest, code: &Code) -> io::Result<()> {
        let code = code.bytes();
        let name = entry_name(engine, digest);
        let mut entry = Vec::with_capacity(PROOF_BYTES + code.len());
        entry.extend_from_slice(&self.proof(&name, code).finalize().into_bytes());
        entry.extend_from_slice(code);
        self.folder.write(&name, &entry)?;
        self.evict(&name)
    }

    fn proof(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut proof = self.keyed.clone();
        proof.update(PURPOSE);
        proof.update(name.as_bytes());
        proof.update(b"\0");
        proof.update(code);
        proof
    }

    fn proven<'a>(&self, name: &str, entry: &'a [u8]) -> Option<Proven<'a>> {
        let (claimed, code) = entry.split_at_checked(PROOF_BYTES)?;
        self.proof(name, code).verify_slice(claimed).ok()?;
        Some(Proven(code))
    }

    /// Removes the oldest entries until the rest fits, but never the one just written.
    fn evict(&self, newest: &str) -> io::Result<()> {
        let mut entries = self.folder.files()?;
        entries.retain(|entry| entry.name.ends_with(SUFFIX));
        entries.sort_by_key(|entry| entry.modified);
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if bytes > self.bytes_max && entry.name != newest {
                self.folder.remove(&entry.name)?;
                bytes -= entry.bytes;
            }
        }
        Ok(())
    }
}

/// Loads code that was made just now.
pub(crate) fn load(engine: &Engine, code: &Code) -> wasmtime::Result<Component> {
    deserialize(engine, &Proven(code.bytes()))
}

/// Code whose hash was checked, or that was made just now: the only thing that is ever loaded.
struct Proven<'a>(&'a [u8]);

#[expect(
    unsafe_code,
    reason = "wasmtime marks loading compiled code unsafe, because it runs whatever it is given"
)]
fn deserialize(engine: &Engine, code: &Proven<'_>) -> wasmtime::Result<Component> {
    // SAFETY: a `Proven` is a `Code`, which only the compiler makes, or one that `keep` wrote: its keyed hash covers every byte,
    // and only this host has the key. wasmtime itself checks that engine and code agree.
    unsafe { Component::deserialize(engine, code.0) }
}

/// The plugin's digest and the engine's identity: another wasmtime, another target or another setting is another entry.
fn entry_name(engine: &Engine, digest: &Digest) -> String {
    format!("{}-{}{SUFFIX}", digest.hex(), identity(engine).short())
}

/// Engines with the same identity run each other's code.
pub(crate) fn identity(engine: &Engine) -> Digest {
    let mut identity = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut identity);
    Digest::from_bytes(identity.0.finalize().into())
}

/// A hasher whose result is the same in every build, unlike the standard library's.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.clone().finalize().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

/// Reads the host's key, and makes one where there is none. A key of the wrong length is replaced: all it proves is lost, and
/// is compiled again.
fn key(folder: &PrivateFolder) -> io::Result<[u8; KEY_BYTES]> {
    let mut fresh = [0; KEY_BYTES];
    getrandom::fill(&mut fresh).map_err(|error| io::Error::other(error.to_string()))?;
    if folder.create(KEY_FILE, &fresh)? {
        return Ok(fresh);
    }
    match folder.read(KEY_FILE, KEY_BYTES as u64) {
        Ok(Some(key)) if key.len() == KEY_BYTES => {
            fresh.copy_from_slice(&key);
            Ok(fresh)
        }
        Err(error) if error.kind() != io::ErrorKind::FileTooLarge => Err(error),
        _ => {
            tracing::warn!("the key of the compiled plugins was damaged; they are compiled again");
            folder.write(KEY_FILE, &fresh).map(|()| fresh)
        }
    }
}
