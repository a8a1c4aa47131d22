//! Where the registry keeps components, by digest: a private folder, or any object store that has an address.
//!
//! The key of a component is `<64 hexadecimal digits>.wasm`. What is read as a whole is checked against it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use stepwright_workflow::{Digest, Timestamp, chain};
use url::Url;

use crate::folder::{FolderError, PluginFolder, digest_of, file_name};

/// The addresses that can be used, as messages show them.
pub const ADDRESSES: &str = "file:///directory, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, http://host/path or https://host/path";

/// Schemes that lead to a store. One in memory would forget everything with the process.
const SCHEMES: [&str; 10] = ["file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https"];
/// Variables of these names are the object stores' own: credentials, regions, endpoints.
const VARIABLES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// One component that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last put there, if that can be told.
    pub put_at: Option<Timestamp>,
}

/// Why a component could not be put, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The address is none.
    #[error("'{url}' is no place for plugins: {reason}; write {ADDRESSES}")]
    BadAddress {
        /// The address, without its password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Nobody put this component here.
    #[error(
        "there is no component {digest} in {place}; 'stepwright plugin add' of the same file puts it back"
    )]
    Missing {
        /// The component.
        digest: Digest,
        /// Where.
        place: String,
    },
    /// The object is not what its name says.
    #[error(
        "{place} holds other bytes as {digest}: theirs is {found}; remove the object and add the plugin again"
    )]
    Corrupt {
        /// The component that was asked for.
        digest: Digest,
        /// The digest of what is there.
        found: Digest,
        /// Where.
        place: String,
    },
    /// The object is larger than any component may be.
    #[error("{digest} in {place} has {bytes} bytes; at most {} are read", PluginFolder::COMPONENT_BYTES_MAX)]
    TooLarge {
        /// The component.
        digest: Digest,
        /// Its size.
        bytes: u64,
        /// Where.
        place: String,
    },
    /// The folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The object store failed.
    #[error("failed to {action} plugins in {place}")]
    Objects {
        /// `put`, `read`, `remove` or `list`.
        action: &'static str,
        /// Where.
        place: String,
        /// What it says.
        source: ObjectsError,
    },
}

/// What an object store says, without the password that its address has.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ObjectsError(String);

impl BlobError {
    /// Whether the component is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Folder(FolderError::Missing(_)))
    }

    /// Whether [`Blobs::put`] of the same component would help: it is not there, or is not what its name says.
    pub fn is_mendable(&self) -> bool {
        self.is_missing() || matches!(self, Self::Corrupt { .. } | Self::Folder(FolderError::Corrupt { .. }))
    }
}

/// The registry's components. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    place: Place,
    shown: String,
    /// The address's, as the address spells it.
    password: Option<String>,
}

#[derive(Clone)]
enum Place {
    Folder(Arc<PluginFolder>),
    Objects { store: Arc<dyn ObjectStore>, prefix: Key },
}

impl Blobs {
    /// In a folder that belongs to us alone; see [`PluginFolder`].
    pub fn folder(path: &Path) -> io::Result<Self> {
        let folder = PluginFolder::open(path)?;
        let shown = path.display().to_string();
        Ok(Self { place: Place::Folder(Arc::new(folder)), shown, password: None })
    }

    /// At an address. `variables` are the process's, of which those are used that object stores know, such as
    /// `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, `GOOGLE_APPLICATION_CREDENTIALS` or `AZURE_STORAGE_ACCOUNT_KEY`.
    pub fn at(url: &str, variables: &[(String, String)]) -> Result<Self, BlobError> {
        let shown = without_password(url);
        let bad = |reason: String| BlobError::BadAddress { url: shown.clone(), reason };
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        let password = parsed.password().map(str::to_owned);
        if !SCHEMES.contains(&parsed.scheme()) {
            return Err(bad(format!("nothing is known of '{}'", parsed.scheme())));
        }
        let (store, prefix): (Arc<dyn ObjectStore>, Key) = if parsed.scheme() == "file" {
            let path = parsed.to_file_path().map_err(|()| bad("the path must be absolute".to_owned()))?;
            let made = std::fs::create_dir_all(&path);
            made.map_err(|error| bad(format!("failed to make the directory: {error}")))?;
            let files = LocalFileSystem::new_with_prefix(&path).map_err(|error| bad(error.to_string()))?;
            (Arc::new(files.with_fsync(true)), Key::default())
        } else {
            let options = options(&parsed, variables);
            let parsed = object_store::parse_url_opts(&parsed, options);
            let (store, prefix) = parsed.map_err(|error| bad(error.to_string()))?;
            (Arc::from(store), prefix)
        };
        Ok(Self { place: Place::Objects { store, prefix }, shown, password })
    }

    /// Keeps a component. Once this has returned, it stays, and its age begins anew even if it was there.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let digest = Digest::of(&bytes);
        match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                Ok(apart(move || folder.renew(&bytes)).await?)
            }
            Place::Objects { store, prefix } => {
                let put = store.put(&key(prefix, &digest), bytes.into()).await;
                put.map_err(|error| self.failed("put", &digest, error))?;
                Ok(digest)
            }
        }
    }

    /// The component with this digest, proven to be it.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        let (store, prefix) = match &self.place {
            Place::Folder(folder) => {
                let (folder, digest) = (Arc::clone(folder), *digest);
                return Ok(apart(move || folder.get(&digest)).await?.into());
            }
            Place::Objects { store, prefix } => (store, prefix),
        };
        let failed = |error| self.failed("read", digest, error);
        let found = store.get(&key(prefix, digest)).await.map_err(failed)?;
        let bytes = found.meta.size;
        if bytes > PluginFolder::COMPONENT_BYTES_MAX {
            return Err(BlobError::TooLarge { digest: *digest, bytes, place: self.shown.clone() });
        }
        let bytes = found.bytes().await.map_err(failed)?;
        let found = Digest::of(&bytes);
        if found == *digest {
            return Ok(bytes);
        }
        Err(BlobError::Corrupt { digest: *digest, found, place: self.shown.clone() })
    }

    /// The size of a component, in bytes.
    pub async fn len(&self, digest: &Digest) -> Result<u64, BlobError> {
        Ok(self.look(digest).await?.bytes)
    }

    /// What is known of a component without reading it.
    pub async fn look(&self, digest: &Digest) -> Result<Blob, BlobError> {
        match &self.place {
            Place::Folder(folder) => {
                let (folder, digest) = (Arc::clone(folder), *digest);
                let file = apart(move || folder.file(&digest)).await?;
                Ok(Blob { digest, bytes: file.bytes, put_at: moment(file.modified) })
            }
            Place::Objects { store, prefix } => {
                let meta = store.head(&key(prefix, digest)).await;
                Ok(blob(*digest, &meta.map_err(|error| self.failed("read", digest, error))?))
            }
        }
    }

    /// At most `bytes_max` bytes of a component from an offset on; none beyond its end. Not checked: whoever puts the parts together
    /// checks the digest of the whole.
    pub async fn part(&self, digest: &Digest, offset: u64, bytes_max: u64) -> Result<Bytes, BlobError> {
        let (store, prefix) = match &self.place {
            Place::Folder(folder) => {
                let (folder, digest) = (Arc::clone(folder), *digest);
                return Ok(apart(move || folder.part(&digest, offset, bytes_max)).await?.into());
            }
            Place::Objects { store, prefix } => (store, prefix),
        };
        let key = key(prefix, digest);
        let range = GetRange::Bounded(offset..offset.saturating_add(bytes_max));
        let found = store.get_opts(&key, GetOptions { range: Some(range), ..GetOptions::default() }).await;
        match found {
            Ok(found) => found.bytes().await.map_err(|error| self.failed("read", digest, error)),
            // Stores refuse a range that begins at the end.
            Err(error) => match self.len(digest).await? {
                bytes if offset >= bytes => Ok(Bytes::new()),
                _ => Err(self.failed("read", digest, error)),
            },
        }
    }

    /// Every component, in the order of the digests. Objects of other names are not the registry's business.
    pub async fn list(&self) -> Result<Vec<Blob>, BlobError> {
        let (store, prefix) = match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                let files = apart(move || folder.files()).await?;
                let blob = |(digest, file): (Digest, crate::PrivateFile)| Blob {
                    digest,
                    bytes: file.bytes,
                    put_at: moment(file.modified),
                };
                return Ok(files.into_iter().map(blob).collect());
            }
            Place::Objects { store, prefix } => (store, prefix),
        };
        let within = (!prefix.is_root()).then_some(prefix);
        let found: Vec<ObjectMeta> =
            store.list(within).try_collect().await.map_err(|error| self.refused("list", &error))?;
        let mut blobs: Vec<Blob> = found
            .iter()
            .filter_map(|meta| {
                let digest = digest_of(meta.location.filename()?)?;
                (meta.location == key(prefix, &digest)).then(|| blob(digest, meta))
            })
            .collect();
        blobs.sort_unstable_by_key(|blob| blob.digest);
        Ok(blobs)
    }

    /// Forgets a component and says whether it was there. Stores that do not tell are believed to have had it.
    pub async fn remove(&self, digest: &Digest) -> Result<bool, BlobError> {
        match &self.place {
            Place::Folder(folder) => {
                let (folder, digest) = (Arc::clone(folder), *digest);
                Ok(apart(move || folder.remove(&digest)).await?)
            }
            Place::Objects { store, prefix } => match store.delete(&key(prefix, digest)).await {
                Ok(()) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.failed("remove", digest, error)),
            },
        }
    }

    fn failed(&self, action: &'static str, digest: &Digest, source: object_store::Error) -> BlobError {
        match source {
            object_store::Error::NotFound { .. } => {
                BlobError::Missing { digest: *digest, place: self.shown.clone() }
            }
            error => self.refused(action, &error),
        }
    }

    fn refused(&self, action: &'static str, error: &object_store::Error) -> BlobError {
        let mut said = chain(error);
        if let Some(password) = &self.password {
            said = said.replace(&format!(":{password}@"), ":***@");
        }
        BlobError::Objects { action, place: self.shown.clone(), source: ObjectsError(said) }
    }
}

impl fmt::Display for Blobs {
    /// The path or the address, without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({})", self.shown)
    }
}

/// Whether a text begins as an address that can be used does.
pub fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// An address as it may be shown.
pub fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Only addresses that cannot have a password refuse one.
            let _ = parsed.set_password(Some("***"));
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

/// What object stores are told beside the address.
fn options(url: &Url, variables: &[(String, String)]) -> Vec<(String, String)> {
    let known = |name: &str| VARIABLES.iter().any(|prefix| name.starts_with(prefix));
    let mut options: Vec<(String, String)> =
        variables.iter().filter(|(name, _)| known(name)).cloned().collect();
    if url.scheme() == "http" {
        // It was asked for in so many words.
        options.push(("allow_http".to_owned(), "true".to_owned()));
    }
    options
}

fn key(prefix: &Key, digest: &Digest) -> Key {
    prefix.clone().join(file_name(digest))
}

fn blob(digest: Digest, meta: &ObjectMeta) -> Blob {
    Blob { digest, bytes: meta.size, put_at: Some(Timestamp(meta.last_modified.timestamp_millis())) }
}

fn moment(modified: Option<std::time::SystemTime>) -> Option<Timestamp> {
    let since = modified?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

/// Does on a thread for such things what waits for the disk.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FolderError> + Send + 'static,
) -> Result<T, FolderError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| FolderError::Io {
        action: "read",
        file: ".".to_owned(),
        source: io::Error::other(error),
    })?
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    /// What every place must do.
    async fn holds(blobs: &Blobs) {
        let digest = blobs.put(Bytes::from_static(b"component")).await.unwrap();
        let other = blobs.put(Bytes::from_static(b"another")).await.unwrap();
        assert_eq!(blobs.put(Bytes::from_static(b"component")).await.unwrap(), digest);
        assert_eq!(blobs.get(&digest).await.unwrap(), "component");
        assert_eq!(blobs.len(&digest).await.unwrap(), 9);
        for (offset, max, expect) in [(0, 4, "comp"), (4, 100, "onent"), (8, 1, "t"), (9, 5, ""), (99, 5, "")]
        {
            assert_eq!(blobs.part(&digest, offset, max).await.unwrap(), expect, "{offset}");
        }
        let mut both = [digest, other];
        both.sort();
        let listed = blobs.list().await.unwrap();
        assert_eq!(listed.iter().map(|blob| blob.digest).collect::<Vec<_>>(), both);
        assert!(listed.iter().all(|blob| blob.put_at.is_some() && blob.bytes >= 7));
        assert_eq!(blobs.look(&digest).await.unwrap().bytes, 9);

        let missing = Digest::of(b"missing");
        for error in [
            blobs.get(&missing).await.unwrap_err(),
            blobs.len(&missing).await.unwrap_err(),
            blobs.part(&missing, 0, 1).await.unwrap_err(),
        ] {
            assert!(error.is_missing() && error.to_string().contains(&missing.hex()), "{error}");
        }
        assert!(blobs.remove(&digest).await.unwrap());
        assert!(blobs.get(&digest).await.unwrap_err().is_missing());
        assert_eq!(blobs.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_folder_holds_components() {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::folder(&home.path().join("plugins")).unwrap();
        holds(&blobs).await;
        assert!(!blobs.remove(&Digest::of(b"missing")).await.unwrap());
    }

    #[tokio::test]
    async fn a_directory_by_address_holds_components_and_shows_what_is_corrupt() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("shared/plugins");
        let blobs = Blobs::at(&format!("file://{}", path.display()), &[]).unwrap();
        std::fs::write(path.join("notes.txt"), "").unwrap();
        holds(&blobs).await;
        let digest = blobs.put(Bytes::from_static(b"component")).await.unwrap();
        std::fs::write(path.join(file_name(&digest)), b"cOmponent").unwrap();
        let error = blobs.get(&digest).await.unwrap_err();
        assert!(
            matches!(error, BlobError::Corrupt { .. }) && error.to_string().contains("other bytes"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_store_with_a_prefix_holds_components() {
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let prefix = Key::from("team/plugins");
        store
            .put(&Key::from("team/plugins/deeper").join(file_name(&Digest::of(b"x"))), "x".into())
            .await
            .unwrap();
        let shown = "memory".to_owned();
        holds(&Blobs { place: Place::Objects { store, prefix }, shown, password: None }).await;
    }

    /// Which say it with the whole address of what they asked for.
    #[test]
    fn what_an_object_store_says_is_shown_without_the_password() {
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let place = Place::Objects { store, prefix: Key::default() };
        let shown = "https://ann:***@host/x".to_owned();
        let blobs = Blobs { place, shown, password: Some("s3cret".to_owned()) };
        let said = "Error performing PUT https://ann:s3cret@host/x/43a9.wasm: refused";
        let error = object_store::Error::Generic { store: "HTTP", source: said.into() };
        let refused = blobs.refused("put", &error);
        let source = refused.source().unwrap().to_string();
        assert!(source.contains("PUT https://ann:***@host/x/43a9.wasm: refused"), "{source}");
        assert!(!format!("{refused:?} {refused}").contains("s3cret"));
    }

    #[test]
    fn an_address_is_checked_and_shown_without_its_password() {
        for (url, expect) in [
            ("memory:///", "nothing is known of 'memory'"),
            ("plugins", "relative URL"),
            ("ftp://host/x", "nothing is known of 'ftp'"),
        ] {
            let error = Blobs::at(url, &[]).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("s3://bucket/prefix"), "{error}");
        }
        assert_eq!(without_password("https://ann:s3cret@host/x"), "https://ann:***@host/x");
        assert_eq!(without_password("s3://bucket/x"), "s3://bucket/x");
        let variables =
            [("AWS_REGION", "here"), ("HOME", "/root")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let options = options(&Url::parse("http://host").unwrap(), &variables);
        assert_eq!(
            options.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["AWS_REGION", "allow_http"]
        );
    }
}
