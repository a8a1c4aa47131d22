//! Where an executor's components are: in the registry's own folder, or in a cache that fetches what it does not have.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use stepwright_registry::{FolderError, PluginFolder, PrivateFolder, Signature};
use stepwright_workflow::Digest;

use crate::supply::{Fetched, Supply};

/// The largest list of signatures that is read back, in bytes.
const SIGNATURES_BYTES_MAX: u64 = 64 << 10;
const COMPONENT: &str = ".wasm";
const SIGNATURES: &str = ".signatures.json";

/// Where components come from.
#[derive(Debug)]
pub enum Components {
    /// The registry's folder: what is not there is nowhere.
    Folder(PluginFolder),
    /// A folder of one's own, and where to order what it lacks.
    Cache(ComponentCache, Supply),
}

impl From<PluginFolder> for Components {
    fn from(folder: PluginFolder) -> Self {
        Self::Folder(folder)
    }
}

/// Fetched components, beside each who vouches for it. The least recently loaded ones go.
#[derive(Debug)]
pub struct ComponentCache {
    path: PathBuf,
    components: PluginFolder,
    files: PrivateFolder,
    bytes_max: u64,
}

/// Decides whether a component may run as the plugin of this name, given who vouches for it; the text says why it may not.
pub type TrustCheck = Arc<dyn Fn(&str, &Digest, &[Signature]) -> Result<(), String> + Send + Sync>;

/// Whether signatures matter.
#[derive(Clone, Default)]
pub enum Trust {
    /// Every component that has its digest is run.
    #[default]
    Off,
    /// Only what passes.
    Check(TrustCheck),
}

impl Components {
    /// A component that is here, proven to be what its digest says.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Vec<u8>, FolderError> {
        match self {
            Self::Folder(folder) => folder.get(digest),
            Self::Cache(cache, _) => cache.get(digest),
        }
    }

    /// Who vouches for a component that is here. The registry's folder has checked that itself.
    pub(crate) fn signatures(&self, digest: &Digest) -> Vec<Signature> {
        match self {
            Self::Folder(_) => Vec::new(),
            Self::Cache(cache, _) => cache.signatures(digest),
        }
    }
}

impl ComponentCache {
    /// Opens the folder, creates it if it is missing, and takes it away from everybody else.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let (components, files) = (PluginFolder::open(path)?, PrivateFolder::open(path)?);
        Ok(Self { path: path.to_owned(), components, files, bytes_max })
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, FolderError> {
        let bytes = self.components.get(digest)?;
        if let Err(error) = self.touch(&file_name(digest, COMPONENT)) {
            tracing::debug!(%digest, %error, "a cached component looks older than it is");
        }
        Ok(bytes)
    }

    fn signatures(&self, digest: &Digest) -> Vec<Signature> {
        // What cannot be read vouches for nothing.
        let bytes = self.files.read(&file_name(digest, SIGNATURES), SIGNATURES_BYTES_MAX).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps a component that was checked, and makes room for it.
    pub(crate) fn keep(&self, digest: &Digest, fetched: &Fetched) -> io::Result<()> {
        let signatures = serde_json::to_vec(&fetched.signatures)?;
        self.files.write(&file_name(digest, SIGNATURES), &signatures)?;
        self.components.put(&fetched.bytes).map_err(io::Error::other)?;
        self.evict(digest)
    }

    /// Removes what was loaded longest ago until the rest fits, but never what has just come.
    fn evict(&self, newest: &Digest) -> io::Result<()> {
        let mut files = self.files.files()?;
        files.retain(|file| file.name.ends_with(COMPONENT));
        files.sort_by_key(|file| file.modified);
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            let digest = file.name.strip_suffix(COMPONENT).and_then(|hex| hex.parse::<Digest>().ok());
            let Some(digest) = digest.filter(|digest| bytes > self.bytes_max && digest != newest) else {
                continue;
            };
            self.files.remove(&file.name)?;
            self.files.remove(&file_name(&digest, SIGNATURES))?;
            bytes -= file.bytes;
        }
        Ok(())
    }

    fn touch(&self, name: &str) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        Ok(utimensat(CWD, self.path.join(name), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn file_name(digest: &Digest, suffix: &str) -> String {
    format!("{}{suffix}", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(bytes: &[u8]) -> Fetched {
        let signature = Signature { key: "k".to_owned(), signature: "s".to_owned() };
        Fetched { bytes: bytes.to_vec(), signatures: vec![signature] }
    }

    #[test]
    fn the_least_recently_loaded_component_goes_with_its_signatures() {
        let home = tempfile::tempdir().unwrap();
        let cache = ComponentCache::open(home.path(), 25).unwrap();
        let component = |n: u8| (Digest::of(&[n; 10]), fetched(&[n; 10]));
        let age = |digest: &Digest, second: i64| {
            let then = Timespec { tv_sec: second, tv_nsec: 0 };
            let times = Timestamps { last_access: then, last_modification: then };
            let path = home.path().join(file_name(digest, COMPONENT));
            utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
        };
        let [(first, _), (second, _), (third, _)] = [1, 2, 3].map(component);
        for n in [1, 2] {
            let (digest, fetched) = component(n);
            cache.keep(&digest, &fetched).unwrap();
            age(&digest, i64::from(n));
        }
        // Loading makes the first one the newest.
        assert_eq!(cache.get(&first).unwrap(), [1; 10]);
        cache.keep(&third, &component(3).1).unwrap();
        assert!(matches!(cache.get(&second), Err(FolderError::Missing(_))));
        assert!(cache.get(&first).is_ok() && cache.get(&third).is_ok());
        assert_eq!(
            (cache.signatures(&first), cache.signatures(&second)),
            (fetched(b"").signatures, Vec::new())
        );
        // One that is too large alone stays until the next one comes.
        let large = fetched(&[9; 100]);
        let digest = Digest::of(&large.bytes);
        cache.keep(&digest, &large).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
    }
}
