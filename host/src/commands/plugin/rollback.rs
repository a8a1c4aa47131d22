//! `plugin rollback`: back to the version before, in one command.

use serde::Serialize;
use stepwright_orchestrator::catalog::{Resolution, resolutions};
use stepwright_orchestrator::plugins;

use crate::commands::task::DeedFlags;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to roll back.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArguments {
    /// The plugin, as namespace/name.
    #[arg(value_name = "NAMESPACE/NAME")]
    plugin: String,
    /// The version to go back to [default: the enabled one before the newest]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    flags: DeedFlags,
}

#[derive(Serialize)]
struct Report<'a> {
    plugin: &'a str,
    to: &'a str,
    yanked: &'a [String],
    templates: Vec<TemplateUse>,
}

/// What new tasks of a template get of a plugin now.
#[derive(Debug, Serialize)]
pub(super) struct TemplateUse {
    template: String,
    environment: String,
    /// Versions that its steps get; none if it does not resolve.
    versions: Vec<String>,
    /// Why it does not resolve.
    problem: Option<String>,
}

pub(crate) async fn run(arguments: &RollbackArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let (name, to) = (arguments.plugin.as_str(), arguments.to.as_deref());
    if name.contains('@') {
        return Err(CliError::new(format!("'{name}' has a version; write the name, and --to VERSION")));
    }
    let rolled = plugins::roll_back(store.as_ref(), name, to, &arguments.flags.deed(), context.now()).await?;
    let resolutions = resolutions(store.as_ref(), &context.config.environment).await?;
    let report =
        Report { plugin: name, to: &rolled.to, yanked: &rolled.yanked, templates: uses(&resolutions, name) };
    if context.json {
        output::json(&report)?;
        return Ok(Exit::Good);
    }
    let yanked: Vec<String> = rolled.yanked.iter().map(|version| format!("{name}@{version}")).collect();
    output::line(format_args!("yanked {}; {name}@{} is the newest again", yanked.join(", "), rolled.to))?;
    for used in &report.templates {
        output::line(used.line(name))?;
    }
    Ok(Exit::Good)
}

/// The templates that use a plugin, or that do not resolve because of it.
pub(super) fn uses(resolutions: &[Resolution], name: &str) -> Vec<TemplateUse> {
    let used = |resolution: &Resolution| {
        let (versions, problem) = match &resolution.plan {
            Ok(plan) => {
                let steps = plan.steps.iter().filter(|step| step.plugin == name);
                let mut versions: Vec<String> = steps.map(|step| step.plugin_version.clone()).collect();
                versions.sort_unstable();
                versions.dedup();
                (versions, None)
            }
            Err(problem) if problem.contains(&format!("'{name}'")) => (Vec::new(), Some(problem.clone())),
            Err(_) => (Vec::new(), None),
        };
        let (template, environment) = (resolution.template.clone(), resolution.environment.clone());
        TemplateUse { template, environment, versions, problem }
    };
    let all = resolutions.iter().map(used);
    all.filter(|used| !used.versions.is_empty() || used.problem.is_some()).collect()
}

impl TemplateUse {
    /// Whether its new tasks get this version.
    pub(super) fn gets(&self, version: &str) -> bool {
        self.versions.iter().any(|got| got == version)
    }

    /// `shop/order@1.0.0`, with the environment.
    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.template, self.environment)
    }

    fn line(&self, name: &str) -> String {
        match &self.problem {
            Some(problem) => format!("new tasks of {} cannot be started any more: {problem}", self.name()),
            None => format!("new tasks of {} use {name}@{}", self.name(), self.versions.join(", ")),
        }
    }
}
