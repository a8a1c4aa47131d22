//! Plugins ready to run, by digest: compiled once, linked once, kept while they are used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use stepwright_registry::{FolderError, PluginFolder};
use stepwright_workflow::Digest;
use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use crate::bindings::PluginPre;
use crate::compiled::{CompiledFolder, Found};
use crate::sandbox::Sandbox;
use crate::state::StepState;

/// A plugin that can be instantiated at once.
pub(crate) type Ready = PluginPre<StepState>;

/// Why a plugin cannot be run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// It is not in the folder, or not as it should be.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It is larger than what is compiled.
    #[error("the component has {bytes} bytes, the limit is {max}")]
    TooLarge { bytes: usize, max: usize },
    /// Its components lie in each other deeper than is looked at.
    #[error("the component's parts are nested more than {max} deep")]
    Nested { max: usize },
    /// wasmtime does not take it.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// It wants other imports, or has other exports.
    #[error("the component does not fit this host's interface: {0}")]
    Link(String),
    /// The loading itself broke off.
    #[error("loading the component broke off: {0}")]
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
}

#[derive(Debug, Default)]
struct Counters {
    ready: AtomicU64,
    loaded: AtomicU64,
    compiled: AtomicU64,
    rejected: AtomicU64,
}

/// The plugins of one executor.
pub(crate) struct Plugins {
    sandbox: Arc<Sandbox>,
    folder: PluginFolder,
    compiled: CompiledFolder,
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
    pub(crate) fn new(sandbox: Arc<Sandbox>, folder: PluginFolder, compiled: CompiledFolder) -> Self {
        Self { sandbox, folder, compiled, shelf: Mutex::default(), counters: Counters::default() }
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { ready, loaded, compiled, rejected } = &self.counters;
        CacheCounts {
            ready: read(ready),
            loaded: read(loaded),
            compiled: read(compiled),
            rejected: read(rejected),
        }
    }

    /// The plugin with this digest, loaded first if need be. However many ask at the same time, it is loaded once.
    pub(crate) async fn get(self: &Arc<Self>, digest: Digest) -> Result<Ready, LoadError> {
        let entry = self.entry(digest);
        if let Some(ready) = entry.ready.get() {
            count(&self.counters.ready);
            return Ok(ready.clone());
        }
        let _first = entry.asking.lock().await;
        if let Some(ready) = entry.ready.get() {
            return Ok(ready.clone());
        }
        let (plugins, its_entry) = (Arc::clone(self), Arc::clone(&entry));
        // Reading, hashing and compiling take milliseconds to seconds, so they stay off the threads that run steps.
        let loading = tokio::task::spawn_blocking(move || plugins.load(&digest, &its_entry));
        let loaded = loading.await.unwrap_or_else(|error| Err(LoadError::BrokeOff(error.to_string())));
        if loaded.is_err() {
            self.forget(&digest, &entry);
        }
        loaded
    }

    fn load(&self, digest: &Digest, entry: &Entry) -> Result<Ready, LoadError> {
        let _only = entry.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = entry.ready.get() {
            return Ok(ready.clone());
        }
        let component = self.component(digest)?;
        let ready = self.sandbox.link(&component).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(entry.ready.get_or_init(|| ready).clone())
    }

    fn component(&self, digest: &Digest) -> Result<Component, LoadError> {
        // Also with compiled code at hand: a plugin that was removed or damaged is not run.
        let bytes = self.folder.get(digest)?;
        match self.compiled.load(&self.sandbox.engine, digest) {
            Found::Loaded(component) => {
                count(&self.counters.loaded);
                return Ok(component);
            }
            Found::Nothing => {}
            Found::Rejected(reason) => {
                count(&self.counters.rejected);
                tracing::warn!(%digest, reason, "compiled code was rejected; compiling again");
            }
        }
        let component = compile(&self.sandbox, &bytes)?;
        count(&self.counters.compiled);
        if let Err(error) = self.compiled.keep(&self.sandbox.engine, digest, &component) {
            tracing::warn!(%digest, %error, "compiled code could not be kept");
        }
        Ok(component)
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

/// The deepest that components may lie in each other. Toolchains nest two or three deep, compositions of components some more;
/// what wasmtime does with them takes time that grows with the depth's square.
const NESTED_MAX: usize = 64;

/// Whether a component is small and flat enough to be looked at. Takes one pass over the names of its sections.
pub(crate) fn admit(sandbox: &Sandbox, bytes: &[u8]) -> Result<(), LoadError> {
    let max = sandbox.options.component_bytes_max;
    if bytes.len() > max {
        return Err(LoadError::TooLarge { bytes: bytes.len(), max });
    }
    let mut depth = 0_usize;
    // What cannot be read any further is wasmtime's to refuse, with its own words.
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTED_MAX {
            return Err(LoadError::Nested { max: NESTED_MAX });
        }
    }
    Ok(())
}

/// Compiles a component. Takes seconds for a large one; nobody can interrupt it.
pub(crate) fn compile(sandbox: &Sandbox, bytes: &[u8]) -> Result<Component, LoadError> {
    admit(sandbox, bytes)?;
    Component::from_binary(&sandbox.engine, bytes).map_err(|error| LoadError::Compile(format!("{error:#}")))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
