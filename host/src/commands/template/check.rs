//! `template check`: every problem of every file, nothing stored.

use std::path::PathBuf;

use serde::Serialize;
use stepwright_orchestrator::catalog::Plugins;
use stepwright_workflow::template::{PluginSource, Problem, Template};

use super::TemplateFile;
use crate::context::Context;
use crate::database::missing_file;
use crate::error::{CliError, Exit};
use crate::output;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// Template files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check only the files themselves; look up no plugin and open no database.
    #[arg(long)]
    syntax_only: bool,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    template: String,
    /// Its plugins, handlers and configurations were looked up too.
    resolved: bool,
    environments: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    templates: Vec<Checked>,
}

pub(crate) async fn run(arguments: &CheckArguments, context: &Context) -> Result<Exit, CliError> {
    let files = TemplateFile::read_all(&arguments.files)?;
    let plugins = if arguments.syntax_only { None } else { registered(context).await? };
    let environment = &context.config.environment;
    let mut problems = Vec::new();
    let mut templates = Vec::new();
    for file in &files {
        match check(file, environment, plugins.as_ref().map(|plugins| plugins as &dyn PluginSource)) {
            Ok(template) => templates.push(Checked {
                file: file.name.clone(),
                template: template.reference(),
                resolved: plugins.is_some(),
                environments: template.environments().map(str::to_owned).collect(),
            }),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(refusal(&problems, files.len() - templates.len(), files.len()));
    }
    if context.json {
        output::json(&Report { templates })?;
    } else {
        for Checked { file, template, resolved, .. } in &templates {
            let how = if *resolved { "fits the registered plugins" } else { "plugins not looked up" };
            output::line(format_args!("{file}: {template} is fine ({how})"))?;
        }
    }
    Ok(Exit::Good)
}

/// The registered plugins; `None` if there is no database yet, or none in it.
async fn registered(context: &Context) -> Result<Option<Plugins>, CliError> {
    if missing_file(&context.config.database).is_some() {
        return Ok(None);
    }
    let plugins = Plugins::load(context.store().await?.as_ref()).await?;
    Ok((!plugins.names().is_empty()).then_some(plugins))
}

/// Reads a template and resolves it for the environment given and for every environment that it names.
pub(super) fn check(
    file: &TemplateFile,
    environment: &str,
    plugins: Option<&dyn PluginSource>,
) -> Result<Template, Vec<Problem>> {
    let template = Template::parse(&file.name, &file.text).map_err(|found| found.problems().to_vec())?;
    let Some(plugins) = plugins else { return Ok(template) };
    let mut problems: Vec<Problem> = Vec::new();
    for environment in std::iter::once(environment).chain(template.environments()) {
        if let Err(found) = template.resolve(environment, plugins) {
            problems.extend(found.problems().iter().cloned());
        }
    }
    // Environments share most of their steps, and steps a plugin named once: what is wrong in one place is told once.
    problems.sort();
    problems.dedup_by(|a, b| (a.line, a.column, &a.problem) == (b.line, b.column, &b.problem));
    if problems.is_empty() { Ok(template) } else { Err(problems) }
}

/// The error that lists problems.
pub(super) fn refusal(problems: &[Problem], bad: usize, all: usize) -> CliError {
    let (count, what) = (problems.len(), if problems.len() == 1 { "problem" } else { "problems" });
    let message = match all {
        1 => format!("{count} {what} in the template"),
        all => format!("{count} {what} in {bad} of {all} templates"),
    };
    CliError::listed(message, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::template::PluginOffer;

    struct NoPlugins;

    impl PluginSource for NoPlugins {
        fn versions(&self, _name: &str) -> Vec<PluginOffer> {
            Vec::new()
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn file(text: &str) -> TemplateFile {
        TemplateFile { name: "order.yaml".to_owned(), text: text.to_owned() }
    }

    const GOOD: &str = "template: order\nnamespace: shop\nversion: 1.0.0\nplugin: shop/shop@^1\n\
        steps:\n  - name: pay\n    handler: pay\nenvironments:\n  production:\n    steps: []\n";

    #[test]
    fn plugins_are_looked_up_only_where_there_are_some() {
        let template = check(&file(GOOD), "development", None).unwrap();
        assert_eq!(template.reference(), "shop/order@1.0.0");
        let problems = check(&file(GOOD), "development", Some(&NoPlugins)).unwrap_err();
        assert_eq!(problems.len(), 1, "the environments' common problem is told once: {problems:?}");
        assert!(problems[0].problem.contains("shop/shop"));
    }

    #[test]
    fn the_refusal_counts_what_is_bad() {
        let problems = check(&file("template: 7\nnonsense: 1\n"), "development", None).unwrap_err();
        assert!(problems.len() > 1);
        let count = problems.len();
        let error = refusal(&problems, 1, 3);
        assert_eq!(format!("{error:?}").matches("order.yaml:").count(), count);
        assert!(format!("{error:?}").contains(&format!("{count} problems in 1 of 3 templates")));
    }
}
