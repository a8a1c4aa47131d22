//! `template show`: the text as written, or the plan that comes of it.

use serde::Serialize;
use std::time::Duration;
use stepwright_orchestrator::catalog::{self, Plugins};
use stepwright_store::TemplateSource;
use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::template::Template;
use stepwright_workflow::{Digest, Plan, PlanStep};

use super::explained;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::Paint;
use crate::output::table::Columns;
use crate::output::when;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// The template: namespace/name, or name; with @version, or else the one registered last.
    #[arg(value_name = "REF")]
    template: String,
    /// Show what a task started now would run: one environment merged in, every plugin pinned.
    #[arg(long)]
    resolved: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    source: &'a TemplateSource,
}

#[derive(Serialize)]
struct Resolved<'a> {
    plan: &'a Plan,
}

pub(crate) async fn run(arguments: &ShowArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let source = catalog::find(store.as_ref(), &arguments.template).await?;
    if !arguments.resolved {
        if context.json {
            output::json(&Shown { source: &source })?;
        } else {
            output::line(source.source.trim_end())?;
        }
        return Ok(Exit::Good);
    }
    let name = format!("{}/{}@{}", source.record.namespace, source.record.name, source.record.version);
    let template = Template::parse(&name, &source.source).map_err(|found| explained(found.into()))?;
    let plugins = Plugins::load(store.as_ref()).await?;
    let plan = template.resolve(&context.config.environment, &plugins);
    let plan = plan.map_err(|found| explained(found.into()))?;
    if context.json {
        output::json(&Resolved { plan: &plan })?;
    } else {
        output::line(format_args!("{name} in {}\n", plan.environment))?;
        output::line(table(&plan, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(plan: &Plan, paint: Paint) -> String {
    let names = ["STEP", "HANDLER", "PLUGIN", "DIGEST", "AFTER", "TIMEOUT", "RETRY", "CONFIG"];
    let mut columns = Columns::new(&names);
    for step in &plan.steps {
        let parents = step.parents.iter().filter_map(|parent| plan.step(*parent));
        let parents: Vec<&str> = parents.map(|parent| parent.name.as_str()).collect();
        let PlanStep { name, handler, digest, timeout_ms, retry, config, .. } = step;
        columns.row([
            name.into(),
            handler.into(),
            step.plugin_reference().into(),
            Digest::short(digest).into(),
            parents.join(", ").into(),
            when::duration(Duration::from_millis(*timeout_ms)).into(),
            retries(retry).into(),
            config.as_str().into(),
        ]);
    }
    columns.render(paint)
}

fn retries(retry: &RetryPolicy) -> String {
    match retry.limit {
        0 | 1 => "never".to_owned(),
        limit => format!("{limit} attempts, from {}", when::duration(Duration::from_millis(retry.base_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::{Payload, StepLimits};

    #[test]
    fn a_plan_names_its_parents_and_pins_its_plugins() {
        let step = |name: &str, parents: Vec<u16>| PlanStep {
            name: name.to_owned(),
            plugin: "shop/shop".to_owned(),
            plugin_version: "1.2.0".to_owned(),
            digest: Digest::of(b"component"),
            handler: name.to_owned(),
            parents,
            config: Payload::parse("{}").unwrap(),
            timeout_ms: 30_000,
            retry: RetryPolicy::default(),
            limits: StepLimits::default(),
        };
        let plan = Plan {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: "1.0.0".to_owned(),
            environment: "production".to_owned(),
            input_schema: None,
            steps: vec![step("validate", vec![]), step("pay", vec![0])],
        };
        let table = table(&plan, Paint::PLAIN);
        let last: Vec<&str> =
            table.lines().last().unwrap().split("  ").map(str::trim).filter(|s| !s.is_empty()).collect();
        let digest = Digest::of(b"component").short();
        assert_eq!(
            last,
            ["pay", "pay", "shop/shop@1.2.0", &digest, "validate", "30 s", "3 attempts, from 1 s", "{}"]
        );
    }
}
