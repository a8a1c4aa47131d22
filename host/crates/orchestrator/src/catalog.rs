//! Templates, plugins and plans as values over a store: what can be started, and with what.
//!
//! A template is checked against the registered plugins when it is added. When tasks are started it is resolved once more,
//! so that a newer plugin serves new tasks, and the plan that comes out is what the tasks keep.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use semver::Version;
use stepwright_registry::{Description, ParentDescription};
use stepwright_store::{
    Added, NewTask, NewTemplate, PluginRecord, PluginState, Store, StoreError, TemplateRecord, TemplateSource,
};
use stepwright_workflow::template::{
    ContextProblems, ContextSchema, HandlerOffer, OfferTerms, ParentOffer, PluginOffer, PluginSource,
    ResolveProblems, Template, TemplateProblems,
};
use stepwright_workflow::{Payload, Plan, PlanId, Timestamp};

/// Why a template could not be added or prepared.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file is no template; every problem is listed.
    #[error("{0}")]
    Template(#[from] TemplateProblems),
    /// The template does not fit the registered plugins; every problem is listed.
    #[error("{0}")]
    Resolve(#[from] ResolveProblems),
    /// There is no such template.
    #[error("there is no template '{reference}'{}", hint(.known))]
    NoTemplate {
        /// What was asked for.
        reference: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Several namespaces have a template of that name.
    #[error("'{reference}' could be {}; name the namespace", .candidates.join(" or "))]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// What it could be.
        candidates: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn hint(known: &[String]) -> String {
    match known {
        [] => "; none is registered: add one with 'stepwright template add FILE'".to_owned(),
        known => format!("; registered are {}", known.join(", ")),
    }
}

/// Reads, checks and registers a template. `file` is its name in messages; `environment` is the one that its handlers are
/// checked for, beside every environment that it names itself.
pub async fn add_template(
    store: &dyn Store,
    (file, text): (&str, &str),
    environment: &str,
    now: Timestamp,
) -> Result<(Template, Added), CatalogError> {
    let template = Template::parse(file, text)?;
    let plugins = Plugins::load(store).await?;
    template.resolve(environment, &plugins)?;
    for named in template.environments() {
        template.resolve(named, &plugins)?;
    }
    let new = NewTemplate {
        namespace: template.namespace.clone(),
        name: template.name.clone(),
        version: template.version.to_string(),
        source: text.to_owned(),
    };
    let added = store.add_template(&new, now).await?;
    Ok((template, added))
}

/// What a task is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRequest {
    /// The context.
    pub context: Payload,
    /// Labels.
    pub tags: Vec<(String, String)>,
    /// Higher is claimed first; usually 0.
    pub priority: i32,
    /// Starting again with the same key returns the first task.
    pub idempotency_key: Option<String>,
    /// Nothing of it begins before this moment; `None` means at once.
    pub start_at: Option<Timestamp>,
}

/// A template that is ready to be started: its plan is stored.
#[derive(Debug)]
pub struct Prepared {
    /// The plan's id.
    pub id: PlanId,
    /// The plan.
    pub plan: Plan,
    parents: Arc<[u32]>,
    external: Arc<[(u16, String)]>,
    schema: Option<ContextSchema>,
}

/// Finds a template by `namespace/name`, `name`, or either with `@version`. Without a version it is the one registered last.
pub async fn find(store: &dyn Store, reference: &str) -> Result<TemplateSource, CatalogError> {
    let (path, version) = match reference.split_once('@') {
        Some((path, version)) => (path, Some(version)),
        None => (reference, None),
    };
    let (namespace, name) = locate(store, reference, path).await?;
    if let Some(found) = store.template(&namespace, &name, version).await? {
        return Ok(found);
    }
    let known = store.templates().await?;
    let is_same = |template: &&TemplateRecord| template.namespace == namespace && template.name == name;
    let mut names: Vec<String> = known.iter().filter(is_same).map(full_name).collect();
    if names.is_empty() {
        names = known.iter().map(full_name).collect();
    }
    Err(CatalogError::NoTemplate { reference: reference.to_owned(), known: names })
}

/// Finds a template as [`find`] does, resolves it for an environment, and stores its plan.
pub async fn prepare(
    store: &dyn Store,
    reference: &str,
    environment: &str,
) -> Result<Prepared, CatalogError> {
    let found = find(store, reference).await?;
    let template = Template::parse(&full_name(&found.record), &found.source)?;
    let plan = template.resolve(environment, &Plugins::load(store).await?)?;
    Prepared::new(store.add_plan(&plan).await?, plan)
}

/// Templates that were prepared before, for one environment, for as long as nobody registers, changes or removes a plugin or a
/// template.
#[derive(Debug)]
pub struct PreparedTemplates {
    environment: String,
    kept: Mutex<Kept>,
}

/// All that were prepared at one revision of the catalog.
#[derive(Debug, Default)]
struct Kept {
    revision: i64,
    by_reference: HashMap<String, Arc<Prepared>>,
}

/// Templates kept at once.
const KEPT_MAX: usize = 256;

impl PreparedTemplates {
    /// None so far.
    pub fn new(environment: impl Into<String>) -> Self {
        Self { environment: environment.into(), kept: Mutex::default() }
    }

    /// What [`prepare`] gives, with one statement where nothing has changed.
    pub async fn get(&self, store: &dyn Store, reference: &str) -> Result<Arc<Prepared>, CatalogError> {
        // Before anything else, so that what is kept is never older than it says.
        let revision = store.catalog_revision().await?;
        if let Some(prepared) = self.kept(revision).by_reference.get(reference) {
            return Ok(prepared.clone());
        }
        let prepared = Arc::new(prepare(store, reference, &self.environment).await?);
        let mut kept = self.kept(revision);
        if kept.by_reference.len() >= KEPT_MAX {
            kept.by_reference.clear();
        }
        if kept.revision == revision {
            kept.by_reference.insert(reference.to_owned(), prepared.clone());
        }
        Ok(prepared)
    }

    /// What is kept at a revision: nothing if it is a newer one.
    fn kept(&self, revision: i64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision < revision {
            *kept = Kept { revision, ..Kept::default() };
        }
        kept
    }
}

/// What new tasks of a registered template would run now, in one environment.
#[derive(Debug)]
pub struct Resolution {
    /// `namespace/name@version`.
    pub template: String,
    /// The environment.
    pub environment: String,
    /// The plan, or why there is none.
    pub plan: Result<Plan, String>,
}

/// Resolves every registered template as if a task were started now: in the environment given, and in those that it names.
pub async fn resolutions(store: &dyn Store, environment: &str) -> Result<Vec<Resolution>, CatalogError> {
    let plugins = Plugins::load(store).await?;
    let mut found = Vec::new();
    for record in store.templates().await? {
        let source = store.template(&record.namespace, &record.name, Some(&record.version)).await?;
        let Some(source) = source else { continue };
        let reference = full_name(&record);
        let template = Template::parse(&reference, &source.source)?;
        let named = template.environments().filter(|named| *named != environment);
        for environment in std::iter::once(environment).chain(named) {
            let plan = template.resolve(environment, &plugins).map_err(|problems| problems.to_string());
            found.push(Resolution { template: reference.clone(), environment: environment.to_owned(), plan });
        }
    }
    Ok(found)
}

async fn locate(store: &dyn Store, reference: &str, path: &str) -> Result<(String, String), CatalogError> {
    if let Some((namespace, name)) = path.split_once('/') {
        return Ok((namespace.to_owned(), name.to_owned()));
    }
    let known = store.templates().await?;
    let mut namespaces: Vec<&str> = known
        .iter()
        .filter(|template| template.name == path)
        .map(|template| template.namespace.as_str())
        .collect();
    namespaces.dedup();
    match namespaces.as_slice() {
        [namespace] => Ok(((*namespace).to_owned(), path.to_owned())),
        [] => Err(CatalogError::NoTemplate {
            reference: reference.to_owned(),
            known: known.iter().map(full_name).collect(),
        }),
        several => Err(CatalogError::Ambiguous {
            reference: reference.to_owned(),
            candidates: several.iter().map(|namespace| format!("{namespace}/{path}")).collect(),
        }),
    }
}

fn full_name(template: &TemplateRecord) -> String {
    format!("{}/{}@{}", template.namespace, template.name, template.version)
}

impl Prepared {
    fn new(id: PlanId, plan: Plan) -> Result<Self, CatalogError> {
        let parents =
            plan.steps.iter().map(|step| u32::try_from(step.parents.len()).unwrap_or(u32::MAX)).collect();
        let schema = plan.input_schema.as_ref().map(ContextSchema::compile).transpose();
        let schema = schema.map_err(|error| {
            StoreError::Inconsistent(format!(
                "the input schema of plan {id} ({}) is invalid: {error}",
                plan.reference()
            ))
        })?;
        let external = (0..).zip(&plan.steps);
        let external = external.filter_map(|(at, step)| Some((at, step.external()?.to_owned()))).collect();
        Ok(Self { id, plan, parents, external, schema })
    }

    /// The task that a request makes, or everything that is wrong with its context.
    pub fn task(&self, request: TaskRequest) -> Result<NewTask, ContextProblems> {
        if let Some(schema) = &self.schema {
            schema.check(&request.context)?;
        }
        Ok(NewTask {
            plan: self.id,
            namespace: self.plan.namespace.clone(),
            template: self.plan.name.clone(),
            parents: self.parents.clone(),
            external: self.external.clone(),
            context: request.context,
            tags: request.tags,
            priority: request.priority,
            idempotency_key: request.idempotency_key,
            start_at: request.start_at,
        })
    }
}

/// The registered plugins, as templates see them.
pub struct Plugins(Vec<PluginOffer>);

impl Plugins {
    /// Reads them from the store.
    pub async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        store.plugins().await?.iter().map(offer).collect::<Result<_, _>>().map(Self)
    }
}

impl PluginSource for Plugins {
    fn versions(&self, name: &str) -> Vec<PluginOffer> {
        self.0.iter().filter(|offer| offer.name == name).cloned().collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().map(|offer| offer.name.clone()).collect();
        names.dedup();
        names
    }
}

fn offer(record: &PluginRecord) -> Result<PluginOffer, StoreError> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        StoreError::Inconsistent(format!(
            "plugin {}@{} has a bad {what}: {error}",
            record.name, record.version
        ))
    };
    let version = Version::parse(&record.version).map_err(|error| wrong("version", &error))?;
    let description: Description = record.description.read().map_err(|error| wrong("description", &error))?;
    let schema =
        |text: Option<String>| text.map(Payload::parse).transpose().map_err(|error| wrong("schema", &error));
    let mut handlers = Vec::with_capacity(description.handlers.len());
    for handler in description.handlers {
        let parent = |parent: ParentDescription| {
            Ok(ParentOffer { step: parent.step, optional: parent.optional, schema: schema(parent.schema)? })
        };
        let parents: Result<_, StoreError> = handler.parents.into_iter().map(parent).collect();
        handlers.push(HandlerOffer {
            name: handler.name,
            config_schema: schema(handler.config_schema)?,
            input_schema: schema(handler.input_schema)?,
            output_schema: schema(handler.output_schema)?,
            parents: parents?,
        });
    }
    let terms = match record.state {
        PluginState::Enabled => OfferTerms::Open,
        PluginState::Yanked => OfferTerms::Exact,
        PluginState::Disabled | PluginState::Quarantined => OfferTerms::Closed,
    };
    Ok(PluginOffer { name: record.name.clone(), version, digest: record.digest, terms, handlers })
}
