//! Plugins, templates and plans: written seldom, read when tasks are started.

use stepwright_store::column::{digest, inconsistent, json, number, text};
use stepwright_store::row::PluginRow;
use stepwright_store::{
    Added, NewPlugin, NewTemplate, PluginRecord, Result, Round as _, StoreError, TemplateRecord,
    TemplateSource,
};
use stepwright_workflow::{Digest, Plan, PlanId, Timestamp};

use crate::error::engine;
use crate::round::PostgresRound;
use crate::store::PostgresStore;

pub(crate) async fn add_plugin(store: &PostgresStore, plugin: &NewPlugin, now: Timestamp) -> Result<Added> {
    let what = "register a plugin";
    let mut round = PostgresRound::begin(store).await?;
    if round.insert_plugin(plugin, now).await? {
        Box::new(round).commit().await?;
        return Ok(Added::New);
    }
    drop(round);
    let signatures = plugin.signatures.as_str();
    store.counters.statement();
    let known = sqlx::query_file!("queries/plugin_known.sql", plugin.name, plugin.version);
    let known = known.fetch_one(&store.writers).await.map_err(engine(what))?;
    if digest("plugins.digest", &known.digest)? != plugin.digest {
        return Err(StoreError::Conflict {
            subject: format!("plugin {}@{}", plugin.name, plugin.version),
            advice: "give the new component a new version".to_owned(),
        });
    }
    if signatures == "[]" || signatures == known.signatures {
        return Ok(Added::Unchanged);
    }
    store.counters.statement();
    let signed = sqlx::query_file!("queries/plugin_sign.sql", plugin.name, plugin.version, signatures);
    signed.execute(&store.writers).await.map_err(engine(what))?;
    store.counters.commit();
    Ok(Added::Signed)
}

pub(crate) async fn plugins(store: &PostgresStore) -> Result<Vec<PluginRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(PluginRow, "queries/plugins.sql").fetch_all(&store.readers).await;
    rows.map_err(engine("read the plugins"))?.into_iter().map(PluginRow::record).collect()
}

pub(crate) async fn plans_in_use(store: &PostgresStore) -> Result<Vec<(PlanId, u64)>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/plans_in_use.sql").fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("count the tasks of each plan"))?;
    rows.into_iter().map(|row| Ok((PlanId(row.plan_id), number("count of tasks", row.tasks)?))).collect()
}

pub(crate) async fn add_template(store: &PostgresStore, new: &NewTemplate, now: Timestamp) -> Result<Added> {
    let mut round = PostgresRound::begin(store).await?;
    if round.insert_template(new, now).await? {
        Box::new(round).commit().await?;
        return Ok(Added::New);
    }
    drop(round);
    match template(store, &new.namespace, &new.name, Some(&new.version)).await? {
        Some(known) if known.source == new.source => Ok(Added::Unchanged),
        _ => Err(StoreError::Conflict {
            subject: format!("template {}/{}@{}", new.namespace, new.name, new.version),
            advice: "give the changed template a new version".to_owned(),
        }),
    }
}

pub(crate) async fn revision(store: &PostgresStore) -> Result<i64> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/catalog_revision.sql").fetch_one(&store.readers).await;
    Ok(row.map_err(engine("read the catalog's revision"))?.revision)
}

pub(crate) async fn templates(store: &PostgresStore) -> Result<Vec<TemplateRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(Templates, "queries/templates.sql").fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read the templates"))?;
    let record = |row: Templates| TemplateRecord {
        namespace: row.namespace,
        name: row.name,
        version: row.version,
        registered_at: Timestamp(row.registered_at),
    };
    Ok(rows.into_iter().map(record).collect())
}

struct Templates {
    namespace: String,
    name: String,
    version: String,
    registered_at: i64,
}

pub(crate) async fn template(
    store: &PostgresStore,
    namespace: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Option<TemplateSource>> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/template.sql", namespace, name, version);
    let row = row.fetch_optional(&store.readers).await.map_err(engine("read a template"))?;
    Ok(row.map(|row| TemplateSource {
        record: TemplateRecord {
            namespace: row.namespace,
            name: row.name,
            version: row.version,
            registered_at: Timestamp(row.registered_at),
        },
        source: row.source,
    }))
}

pub(crate) async fn add_plan(store: &PostgresStore, plan: &Plan) -> Result<PlanId> {
    let what = "store a plan";
    let content = text(plan)?;
    let fingerprint = Digest::of(content.as_bytes());
    let bytes = fingerprint.as_bytes().as_slice();
    if let Some(id) = plan_by_digest(store, bytes).await? {
        return Ok(id);
    }
    store.counters.statement();
    let insert =
        sqlx::query_file!("queries/plan_insert.sql", bytes, plan.namespace, plan.name, plan.version, content);
    insert.execute(&store.writers).await.map_err(engine(what))?;
    store.counters.commit();
    plan_by_digest(store, bytes).await?.ok_or_else(|| inconsistent("plans.digest", fingerprint))
}

async fn plan_by_digest(store: &PostgresStore, bytes: &[u8]) -> Result<Option<PlanId>> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/plan_by_digest.sql", bytes).fetch_optional(&store.writers).await;
    Ok(row.map_err(engine("find a plan"))?.map(|row| PlanId(row.id)))
}

pub(crate) async fn plan(store: &PostgresStore, id: PlanId) -> Result<Option<Plan>> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/plan.sql", id.0)
        .fetch_optional(&store.readers)
        .await
        .map_err(engine("read a plan"))?;
    row.map(|row| json("plans.content", &row.content)).transpose()
}
