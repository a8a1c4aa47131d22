//! `dev --watch`: save, and the next task uses it. Projects are built again, component files and folders of them are taken as they
//! come. Each is registered as a build of its own version: `1.2.0+dev.N`, which satisfies what `1.2.0` satisfies and, of the
//! builds of one version, sorts last (docs/adr/0019).
//!
//! ```text
//! notify ─▶ something happened ─▶ quiet for a moment ─▶ fingerprint differs? ─▶ build ─▶ inspect ─▶ register ─▶ one line
//! ```

mod sources;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};
use semver::{BuildMetadata, Version};
use serde::Serialize;
use stepwright_orchestrator::catalog::Plugins;
use stepwright_store::{Store, TemplateRecord};
use stepwright_workflow::template::Template;
use stepwright_workflow::{Clock as _, Digest, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::sources::{Fingerprint, fingerprint};
use super::project::Project;
use super::{Component, Found, Inspector, add};
use crate::context::Context;
use crate::error::CliError;
use crate::output;
use crate::output::when;

/// How long nothing must have happened before a build begins: editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// When it begins all the same: something else may write there all the time.
const LATEST: Duration = Duration::from_secs(2);

/// What is watched.
enum Place {
    Project(Project),
    /// A component, or a folder of them.
    Components(PathBuf),
}

impl Place {
    fn find(path: &Path) -> Result<Self, CliError> {
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        if is_component || (path.is_dir() && !Project::is_in(path)) {
            return Ok(Self::Components(path.to_owned()));
        }
        Project::find(path).map(Self::Project)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Project(project) => project.folder(),
            Self::Components(path) => path,
        }
    }

    /// A component is watched through its folder: whoever writes a new one often puts it in the old one's place.
    fn watched(&self) -> (&Path, RecursiveMode) {
        match self {
            Self::Project(project) => (project.folder(), RecursiveMode::Recursive),
            Self::Components(path) if path.is_dir() => (path, RecursiveMode::NonRecursive),
            Self::Components(path) => {
                let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                (folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)
            }
        }
    }

    fn fingerprint(&self) -> Result<Fingerprint, CliError> {
        match self {
            Self::Project(project) => fingerprint(project.folder()),
            Self::Components(path) => sources::of(&sources::components(path)?),
        }
    }

    /// The components as they are now.
    async fn components(&self) -> Result<Vec<PathBuf>, CliError> {
        match self {
            Self::Project(project) => project.build().await,
            Self::Components(path) => sources::components(path),
        }
    }
}

/// Whoever watches, until it is told to stop.
pub(crate) struct Watch {
    places: Vec<(Place, Option<Fingerprint>)>,
    /// What each file was when it was last taken in: the same bytes again are no news.
    taken: HashMap<PathBuf, Digest>,
    happened: Arc<Notify>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Begins to watch; everything is taken in once at the start.
    pub(crate) fn start(paths: &[PathBuf]) -> Result<Self, CliError> {
        let happened = Arc::new(Notify::new());
        let tell = Arc::clone(&happened);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Looking at files is no change of theirs; an error may hide one.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                tell.notify_one();
            }
        })?;
        let mut places = Vec::with_capacity(paths.len());
        for path in paths {
            let place = Place::find(path)?;
            let (folder, mode) = place.watched();
            watcher
                .watch(folder, mode)
                .map_err(|error| CliError::caused(format!("failed to watch {}", folder.display()), &error))?;
            places.push((place, None));
        }
        Ok(Self { places, taken: HashMap::new(), happened, _watcher: watcher })
    }

    /// Takes in what changes. What goes wrong is told, and ends nothing: the next save may mend it.
    pub(crate) async fn run(mut self, context: Context, store: Arc<dyn Store>, stop: CancellationToken) {
        loop {
            for index in 0..self.places.len() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look(index, &context, store.as_ref()) => {}
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.happened.notified() => {}
            }
            let latest = Instant::now() + LATEST;
            while Instant::now() < latest
                && tokio::time::timeout(QUIET, self.happened.notified()).await.is_ok()
            {}
        }
    }

    async fn look(&mut self, index: usize, context: &Context, store: &dyn Store) {
        let (place, last) = &mut self.places[index];
        let name = place.path().display().to_string();
        let found = match place.fingerprint() {
            Ok(found) if last.as_ref() == Some(&found) => return,
            Ok(found) => found,
            Err(error) => return complain(&name, &error),
        };
        // Before the build: what is saved while it runs is built once more.
        *last = Some(found);
        let begun = context.clock.now();
        let components = match place.components().await {
            Ok(components) => components,
            Err(error) => return complain(&name, &error),
        };
        for component in components {
            if let Err(error) = self.take(&component, begun, (context, store)).await {
                complain(&component.display().to_string(), &error);
            }
        }
    }

    async fn take(
        &mut self,
        file: &Path,
        begun: Timestamp,
        (context, store): (&Context, &dyn Store),
    ) -> Result<(), CliError> {
        let found = Found::file(file, context.config.engine.component_bytes_max as u64)?;
        let digest = Digest::of(&found.bytes);
        if self.taken.insert(file.to_owned(), digest) == Some(digest) {
            return Ok(());
        }
        // The worker of this process finds the code that is made here.
        let mut component = Inspector::keeping(context)?.look_at_one(found).await?;
        let name = component.inspection.description.name.clone();
        let version = development(&component.inspection.description.version, context.now().0)?;
        component.inspection.description.version = version.to_string();
        register(store, &component, context).await?;
        let used_by = used_by(store, digest, context).await?;
        tell(
            &Told {
                watched: file.display().to_string(),
                plugin: format!("{name}@{version}"),
                digest,
                took: context.clock.now().since(begun),
                used_by,
            },
            context,
        )
    }
}

async fn register(store: &dyn Store, component: &Component, context: &Context) -> Result<(), CliError> {
    add::add((store, &context.blobs()?), component, context).await?;
    Ok(())
}

/// A build of a version: it satisfies what the version satisfies, and a later one sorts after it.
fn development(version: &str, now_ms: i64) -> Result<Version, CliError> {
    let version = Version::parse(version)?;
    Ok(Version { build: BuildMetadata::new(&format!("dev.{now_ms}"))?, ..version })
}

/// The templates whose next task runs this component, each by its newest version.
async fn used_by(store: &dyn Store, digest: Digest, context: &Context) -> Result<Vec<String>, CliError> {
    let plugins = Plugins::load(store).await?;
    let mut names: Vec<(String, String)> = Vec::new();
    for TemplateRecord { namespace, name, .. } in store.templates().await? {
        names.push((namespace, name));
    }
    names.dedup();
    let mut users = Vec::new();
    for (namespace, name) in names {
        let Some(found) = store.template(&namespace, &name, None).await? else { continue };
        let template = Template::parse(&name, &found.source)?;
        let plan = template.resolve(&context.config.environment, &plugins);
        if plan.is_ok_and(|plan| plan.steps.iter().any(|step| step.digest == digest)) {
            users.push(format!("{namespace}/{name}"));
        }
    }
    Ok(users)
}

#[derive(Serialize)]
struct Told {
    watched: String,
    plugin: String,
    digest: Digest,
    #[serde(serialize_with = "in_ms")]
    took: Duration,
    used_by: Vec<String>,
}

fn in_ms<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn tell(told: &Told, context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(told);
    }
    let Told { watched, plugin, took, used_by, .. } = told;
    let used_by = match used_by.as_slice() {
        [] => "no template names it yet".to_owned(),
        templates => format!("used next by {}", templates.join(", ")),
    };
    output::line(format_args!("{watched}: {plugin} after {}; {used_by}", when::duration(*took)))
}

fn complain(what: &str, error: &CliError) {
    error.print(false);
    output::hint(format_args!("{what}: what was there before stays in use"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use semver::VersionReq;

    #[test]
    fn a_development_build_satisfies_what_its_version_does_and_the_latest_sorts_last() {
        let earlier = development("1.2.0", 1_700_000_000_000).unwrap();
        let later = development(&earlier.to_string(), 1_700_000_000_001).unwrap();
        assert_eq!(later.to_string(), "1.2.0+dev.1700000000001");
        let release = Version::new(1, 2, 0);
        assert!(release < earlier && earlier < later && later < Version::new(1, 2, 1));
        for requirement in ["^1.2", "=1.2.0", "*"] {
            assert!(VersionReq::parse(requirement).unwrap().matches(&later), "{requirement}");
        }
    }
}
