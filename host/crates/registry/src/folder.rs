//! Components by digest, one file each. A blob is checked against its name every time it is read.

use std::io;
use std::path::Path;

use stepwright_workflow::Digest;

use crate::private::{PrivateFile, PrivateFolder};

/// What a component's file is called after its digest.
const SUFFIX: &str = ".wasm";

/// A folder of components, each under its own digest.
#[derive(Debug)]
pub struct PluginFolder(PrivateFolder);

/// Why a component could not be put, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nobody put this component here.
    #[error("no component {0} in the plugin folder; 'stepwright plugin add' of the same file puts it back")]
    Missing(Digest),
    /// The file is not what its name says.
    #[error(
        "the plugin file {file} is corrupt: its bytes have the digest {found}; 'stepwright plugin add' of the same file mends it"
    )]
    Corrupt {
        /// The file within the folder.
        file: String,
        /// The digest of what it holds.
        found: Digest,
    },
    /// The file system failed.
    #[error("failed to {action} the plugin file {file}: {source}")]
    Io {
        /// `read`, `write`, `remove` or `list`.
        action: &'static str,
        /// The file within the folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
}

impl PluginFolder {
    /// The largest component that is read back, in bytes. Admission has its own, smaller limit; this one only bounds memory.
    pub const COMPONENT_BYTES_MAX: u64 = 256 << 20;

    /// Opens the folder, creates it if it is missing, and takes it away from everybody else.
    pub fn open(path: &Path) -> io::Result<Self> {
        PrivateFolder::open(path).map(Self)
    }

    /// Keeps a component. Once this has returned, it stays; after a crash it is there in full or not at all.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, FolderError> {
        let digest = Digest::of(bytes);
        if self.get(&digest).is_err() {
            let file = file_name(&digest);
            self.0.write(&file, bytes).map_err(|source| FolderError::Io { action: "write", file, source })?;
        }
        Ok(digest)
    }

    /// Keeps a component, and writes it even if it is there: then its age begins anew.
    pub fn renew(&self, bytes: &[u8]) -> Result<Digest, FolderError> {
        let digest = Digest::of(bytes);
        let file = file_name(&digest);
        self.0.write(&file, bytes).map_err(|source| FolderError::Io { action: "write", file, source })?;
        Ok(digest)
    }

    /// At most so many bytes of a component from an offset on. Whoever puts the parts together checks the digest of the whole.
    pub fn part(&self, digest: &Digest, offset: u64, bytes_max: u64) -> Result<Vec<u8>, FolderError> {
        let file = file_name(digest);
        match self.0.read_part(&file, offset, bytes_max) {
            Ok(part) => part.ok_or(FolderError::Missing(*digest)),
            Err(source) => Err(FolderError::Io { action: "read", file, source }),
        }
    }

    /// What is known of a component's file.
    pub fn file(&self, digest: &Digest) -> Result<PrivateFile, FolderError> {
        let file = file_name(digest);
        match self.0.file(&file) {
            Ok(found) => found.ok_or(FolderError::Missing(*digest)),
            Err(source) => Err(FolderError::Io { action: "read", file, source }),
        }
    }

    /// The component with this digest, proven to be it.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, FolderError> {
        let file = file_name(digest);
        let bytes = match self.0.read(&file, Self::COMPONENT_BYTES_MAX) {
            Ok(bytes) => bytes.ok_or(FolderError::Missing(*digest))?,
            Err(source) => return Err(FolderError::Io { action: "read", file, source }),
        };
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(FolderError::Corrupt { file, found }) }
    }

    /// Every component's digest, in order. Files of other names are not the folder's business.
    pub fn list(&self) -> Result<Vec<Digest>, FolderError> {
        Ok(self.files()?.into_iter().map(|(digest, _)| digest).collect())
    }

    /// Every component with its file, in the order of the digests.
    pub fn files(&self) -> Result<Vec<(Digest, PrivateFile)>, FolderError> {
        let files = self.0.files();
        let files =
            files.map_err(|source| FolderError::Io { action: "list", file: ".".to_owned(), source })?;
        Ok(files.into_iter().filter_map(|file| Some((digest_of(&file.name)?, file))).collect())
    }

    /// Forgets a component and says whether it was there.
    pub fn remove(&self, digest: &Digest) -> Result<bool, FolderError> {
        let file = file_name(digest);
        self.0.remove(&file).map_err(|source| FolderError::Io { action: "remove", file, source })
    }
}

/// What a component's file or object is called.
pub(crate) fn file_name(digest: &Digest) -> String {
    let mut name = digest.hex();
    name.push_str(SUFFIX);
    name
}

/// The digest that such a name says.
pub(crate) fn digest_of(file_name: &str) -> Option<Digest> {
    file_name.strip_suffix(SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_kept_under_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let folder = PluginFolder::open(home.path()).unwrap();
        let digest = folder.put(b"component").unwrap();
        assert_eq!(folder.put(b"component").unwrap(), digest);
        let other = folder.put(b"another").unwrap();
        std::fs::write(home.path().join("notes.txt"), "").unwrap();

        let mut both = vec![digest, other];
        both.sort();
        assert_eq!(folder.list().unwrap(), both);
        assert_eq!(folder.get(&digest).unwrap(), b"component");
        for (offset, bytes_max, expect) in [(0, 4, "comp"), (4, 100, "onent"), (9, 1, ""), (50, 1, "")] {
            assert_eq!(folder.part(&digest, offset, bytes_max).unwrap(), expect.as_bytes());
        }
        assert!(matches!(folder.part(&Digest::of(b"x"), 0, 1), Err(FolderError::Missing(_))));
        assert!(folder.remove(&digest).unwrap());
        assert!(!folder.remove(&digest).unwrap());
        assert!(matches!(folder.get(&digest), Err(FolderError::Missing(missing)) if missing == digest));
    }

    #[test]
    fn a_corrupt_file_is_named_and_mended_by_putting_it_again() {
        let home = tempfile::tempdir().unwrap();
        let folder = PluginFolder::open(home.path()).unwrap();
        let digest = folder.put(b"component").unwrap();
        std::fs::write(home.path().join(file_name(&digest)), b"cOmponent").unwrap();

        let error = folder.get(&digest).unwrap_err();
        assert!(matches!(&error, FolderError::Corrupt { .. }));
        assert!(error.to_string().contains(&digest.hex()), "{error}");
        folder.put(b"component").unwrap();
        assert_eq!(folder.get(&digest).unwrap(), b"component");
    }
}
