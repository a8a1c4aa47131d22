//! Plugins ready to run, by digest: compiled once, linked once, kept while they are used.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use stepwright_registry::FolderError;
use stepwright_workflow::Digest;
use wasmtime::component::Component;

use crate::admission::{NotAdmitted, admit};
use crate::bindings::PluginPre;
use crate::compiled::{self, CompiledFolder, Found};
use crate::compiler::{Code, CompileError};
use crate::components::{Components, Trust};
use crate::sandbox::Sandbox;
use crate::state::StepState;
use crate::supply::Fetched;

/// A plugin that can be instantiated at once.
pub(crate) type Ready = PluginPre<StepState>;

/// Names and digests remembered as trusted: far more than a worker ever meets.
const TRUSTED_MAX: usize = 4_096;

/// Why a plugin cannot be run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// It is not in the folder, or not as it should be.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Nobody has sent it.
    #[error("failed to fetch the component {digest}: {reason}")]
    NotFetched { digest: Digest, reason: String },
    /// What was sent is something else.
    #[error(
        "what was fetched as the component {digest} has the digest {found}; the registry's copy is damaged: register the component again"
    )]
    Mistaken { digest: Digest, found: Digest },
    /// Nobody who is trusted vouches for it.
    #[error("the component is not trusted: {0}")]
    Untrusted(String),
    /// It is not even looked at.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// It does not compile, or not within its limits.
    #[error(transparent)]
    Compile(CompileError),
    /// The code that was made does not load.
    #[error("the component's code does not load: {0}")]
    Code(String),
    /// It wants other imports, or has other exports.
    #[error("the component does not fit this host's interface: {0}")]
    Link(String),
    /// The loading itself broke off.
    #[error("{0}")]
    BrokeOff(String),
}

/// How often plugins were found ready, loaded, refused or compiled, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Found ready in memory.
    pub ready: u64,
    /// Loaded from the compiled folder.
    pub loaded: u64,
    /// Compiled because nothing usable was there.
    pub compiled: u64,
    /// Entries of the compiled folder that did not prove themselves.
    pub rejected: u64,
    /// Components that came from elsewhere.
    pub fetched: u64,
}

#[derive(Debug, Default)]
struct Counters {
    ready: AtomicU64,
    loaded: AtomicU64,
    compiled: AtomicU64,
    rejected: AtomicU64,
    fetched: AtomicU64,
}

impl Counters {
    fn note(&self, origin: Origin) {
        match origin {
            Origin::Kept => count(&self.loaded),
            Origin::Made { rejected } => {
                count(&self.compiled);
                self.rejected.fetch_add(u64::from(rejected), Ordering::Relaxed);
            }
        }
    }
}

/// The plugins of one executor.
pub(crate) struct Plugins {
    sandbox: Arc<Sandbox>,
    components: Components,
    compiled: CompiledFolder,
    trust: Trust,
    /// Plugins, by name and digest, that have passed.
    trusted: Mutex<HashSet<(String, Digest)>>,
    shelf: Mutex<Shelf>,
    counters: Counters,
}

/// Who was used when; the least recently used goes first.
#[derive(Default)]
struct Shelf {
    places: HashMap<Digest, Place>,
    uses: u64,
}

struct Place {
    entry: Arc<Entry>,
    last_use: u64,
}

#[derive(Default)]
struct Entry {
    ready: OnceLock<Ready>,
    /// Held by the one task that has the plugin loaded; the others wait here without a thread.
    asking: tokio::sync::Mutex<()>,
    /// Held by the one thread that loads it: the task that asked may be gone before it ends.
    loading: Mutex<()>,
}

impl Plugins {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        components: Components,
        compiled: CompiledFolder,
        trust: Trust,
    ) -> Self {
        let (trusted, shelf, counters) = (Mutex::default(), Mutex::default(), Counters::default());
        Self { sandbox, components, compiled, trust, trusted, shelf, counters }
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { ready, loaded, compiled, rejected, fetched } = &self.counters;
        CacheCounts {
            ready: read(ready),
            loaded: read(loaded),
            compiled: read(compiled),
            rejected: read(rejected),
            fetched: read(fetched),
        }
    }

    /// The plugin with this digest, loaded first if need be. However many ask at the same time, it is loaded once.
    pub(crate) async fn get(self: &Arc<Self>, digest: Digest) -> Result<Ready, LoadError> {
        self.get_or_load(digest, None).await
    }

    /// The plugin that a component is, without its being in the folder: known by its digest until others push it out.
    pub(crate) async fn hold(self: &Arc<Self>, component: Vec<u8>) -> Result<Digest, LoadError> {
        let digest = Digest::of(&component);
        self.get_or_load(digest, Some(component)).await.map(|_| digest)
    }

    async fn get_or_load(
        self: &Arc<Self>,
        digest: Digest,
        component: Option<Vec<u8>>,
    ) -> Result<Ready, LoadError> {
        let entry = self.entry(digest);
        if let Some(ready) = entry.ready.get() {
            count(&self.counters.ready);
            return Ok(ready.clone());
        }
        let _first = entry.asking.lock().await;
        if let Some(ready) = entry.ready.get() {
            return Ok(ready.clone());
        }
        let loaded = match self.load_aside(digest, &entry, component).await {
            // One that was damaged here is fetched again.
            Err(LoadError::Folder(FolderError::Missing(_) | FolderError::Corrupt { .. }))
                if matches!(self.components, Components::Cache(..)) =>
            {
                match self.fetch(digest).await {
                    Ok(fetched) => self.load_aside(digest, &entry, Some(fetched.bytes)).await,
                    Err(error) => Err(error),
                }
            }
            loaded => loaded,
        };
        if loaded.is_err() {
            self.forget(&digest, &entry);
        }
        loaded
    }

    /// Whether the component may run as the plugin of this name. Asked once for each, unless the answer is no.
    pub(crate) async fn trust(self: &Arc<Self>, name: &str, digest: Digest) -> Result<(), LoadError> {
        let Trust::Check(check) = &self.trust else { return Ok(()) };
        let plugin = (name.to_owned(), digest);
        if self.trusted().contains(&plugin) {
            return Ok(());
        }
        let mut checked = check(name, &digest, &self.components.signatures(&digest));
        if checked.is_err() && matches!(self.components, Components::Cache(..)) {
            // Somebody may have signed it since it was fetched.
            checked = check(name, &digest, &self.fetch(digest).await?.signatures);
        }
        checked.map_err(LoadError::Untrusted)?;
        let mut trusted = self.trusted();
        if trusted.len() >= TRUSTED_MAX {
            trusted.clear();
        }
        trusted.insert(plugin);
        Ok(())
    }

    fn trusted(&self) -> MutexGuard<'_, HashSet<(String, Digest)>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a component, proves that it is the one, and keeps it.
    async fn fetch(self: &Arc<Self>, digest: Digest) -> Result<Fetched, LoadError> {
        let Components::Cache(_, supply) = &self.components else {
            return Err(FolderError::Missing(digest).into());
        };
        let fetched = supply.fetch(digest).await;
        let fetched = fetched.map_err(|reason| LoadError::NotFetched { digest, reason })?;
        let plugins = Arc::clone(self);
        aside(move || plugins.receive(&digest, fetched)).await
    }

    fn receive(&self, digest: &Digest, fetched: Fetched) -> Result<Fetched, LoadError> {
        let (digest, found) = (*digest, Digest::of(&fetched.bytes));
        if found != digest {
            return Err(LoadError::Mistaken { digest, found });
        }
        if let Components::Cache(cache, _) = &self.components
            && let Err(error) = cache.keep(&digest, &fetched)
        {
            tracing::warn!(%digest, %error, "a fetched component could not be kept");
        }
        count(&self.counters.fetched);
        Ok(fetched)
    }

    async fn load_aside(
        self: &Arc<Self>,
        digest: Digest,
        entry: &Arc<Entry>,
        bytes: Option<Vec<u8>>,
    ) -> Result<Ready, LoadError> {
        let (plugins, entry) = (Arc::clone(self), Arc::clone(entry));
        aside(move || plugins.load(&digest, &entry, bytes)).await
    }

    fn load(&self, digest: &Digest, entry: &Entry, bytes: Option<Vec<u8>>) -> Result<Ready, LoadError> {
        let _only = entry.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = entry.ready.get() {
            return Ok(ready.clone());
        }
        // Also with compiled code at hand: a plugin that was removed or damaged is not run.
        let bytes = bytes.map_or_else(|| self.components.get(digest), Ok)?;
        let (component, origin) = component(&self.sandbox, Some(&self.compiled), (digest, &bytes))?;
        self.counters.note(origin);
        let ready = self.sandbox.link(&component).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(entry.ready.get_or_init(|| ready).clone())
    }

    fn entry(&self, digest: Digest) -> Arc<Entry> {
        let shelf = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.uses += 1;
        let last_use = shelf.uses;
        if let Some(place) = shelf.places.get_mut(&digest) {
            place.last_use = last_use;
            return Arc::clone(&place.entry);
        }
        if shelf.places.len() >= self.sandbox.options.plugins_loaded_max {
            let oldest =
                shelf.places.iter().min_by_key(|(_, place)| place.last_use).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| shelf.places.remove(&oldest));
        }
        let entry = Arc::<Entry>::default();
        shelf.places.insert(digest, Place { entry: Arc::clone(&entry), last_use });
        entry
    }

    fn forget(&self, digest: &Digest, entry: &Arc<Entry>) {
        let shelf = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.places.get(digest).is_some_and(|place| Arc::ptr_eq(&place.entry, entry)) {
            shelf.places.remove(digest);
        }
    }
}

/// Where a component's code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was kept.
    Kept,
    /// It was made now.
    Made {
        /// Because what was kept did not prove itself.
        rejected: bool,
    },
}

/// A component with its code: what was kept for it, or else made now and kept.
pub(crate) fn component(
    sandbox: &Sandbox,
    kept: Option<&CompiledFolder>,
    (digest, bytes): (&Digest, &[u8]),
) -> Result<(Component, Origin), LoadError> {
    let rejected = match kept.map_or(Found::Nothing, |kept| kept.load(&sandbox.engine, digest)) {
        Found::Loaded(component) => return Ok((component, Origin::Kept)),
        Found::Nothing => false,
        Found::Rejected(reason) => {
            tracing::warn!(%digest, reason, "compiled code was rejected; compiling again");
            true
        }
    };
    let code = compile(sandbox, bytes)?;
    if let Some(Err(error)) = kept.map(|kept| kept.keep(&sandbox.engine, digest, &code)) {
        tracing::warn!(%digest, %error, "compiled code could not be kept");
    }
    let component = compiled::load(&sandbox.engine, &code);
    let component = component.map_err(|error| LoadError::Code(format!("{error:#}")))?;
    Ok((component, Origin::Made { rejected }))
}

/// Compiles a component. Takes seconds for a large one.
pub(crate) fn compile(sandbox: &Sandbox, bytes: &[u8]) -> Result<Code, LoadError> {
    admit(&sandbox.options, bytes)?;
    let compiled = sandbox.options.compiler.compile(&sandbox.engine, &sandbox.options, bytes);
    compiled.map_err(|error| match error {
        CompileError::BrokeOff(_) => LoadError::BrokeOff(error.to_string()),
        error => LoadError::Compile(error),
    })
}

/// Reading, hashing and compiling take milliseconds to seconds, so they stay off the threads that run steps.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LoadError::BrokeOff(format!("loading the component broke off: {error}"))))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
