//! `template add`: checks every file, then registers all of them.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;
use stepwright_orchestrator::catalog::{self, Plugins};
use stepwright_store::{Added, Store};
use stepwright_workflow::template::{PluginSource, Template};

use super::{TemplateFile, check};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to register.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArguments {
    /// Template files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct AddedTemplate {
    file: String,
    template: String,
    added: Added,
}

#[derive(Serialize)]
struct Report {
    templates: Vec<AddedTemplate>,
}

pub(crate) async fn run(arguments: &AddArguments, context: &Context) -> Result<Exit, CliError> {
    let files = TemplateFile::read_all(&arguments.files)?;
    let store = context.store().await?;
    let environment = &context.config.environment;
    let templates = check_all(&files, environment, &Plugins::load(store.as_ref()).await?)?;
    refuse_changed(store.as_ref(), &files, &templates).await?;
    let mut report = Report { templates: Vec::with_capacity(files.len()) };
    for file in &files {
        let source = (file.name.as_str(), file.text.as_str());
        let (template, added) =
            catalog::add_template(store.as_ref(), source, environment, context.now()).await?;
        report.templates.push(AddedTemplate {
            file: file.name.clone(),
            template: template.reference(),
            added,
        });
    }
    if context.json {
        output::json(&report)?;
    } else {
        for AddedTemplate { file, template, added } in &report.templates {
            output::line(match added {
                Added::New => format!("{file}: added {template}"),
                Added::Unchanged | Added::Signed => format!("{file}: {template} was there already"),
            })?;
        }
    }
    Ok(Exit::Good)
}

fn check_all(
    files: &[TemplateFile],
    environment: &str,
    plugins: &dyn PluginSource,
) -> Result<Vec<Template>, CliError> {
    let (mut templates, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match check::check(file, environment, Some(plugins)) {
            Ok(template) => templates.push(template),
            Err(found) => problems.extend(found),
        }
    }
    match problems.len() {
        0 => Ok(templates),
        _ => Err(check::refusal(&problems, files.len() - templates.len(), files.len())),
    }
}

/// Refuses versions that are registered, or given twice, with another text: seen before anything is stored.
async fn refuse_changed(
    store: &dyn Store,
    files: &[TemplateFile],
    templates: &[Template],
) -> Result<(), CliError> {
    let mut seen: HashMap<String, &TemplateFile> = HashMap::new();
    let mut changed = Vec::new();
    for (file, template) in files.iter().zip(templates) {
        let version = template.version.to_string();
        let stored = store.template(&template.namespace, &template.name, Some(&version)).await?;
        let advice = "give this one another version";
        if stored.is_some_and(|stored| stored.source != file.text) {
            let reference = template.reference();
            changed.push(format!("{}: {reference} is registered with another text; {advice}", file.name));
        } else if let Some(first) =
            seen.insert(template.reference(), file).filter(|first| first.text != file.text)
        {
            let reference = template.reference();
            changed.push(format!("{}: {} holds another {reference}; {advice}", file.name, first.name));
        }
    }
    match changed.len() {
        0 => Ok(()),
        count => Err(CliError::listed(
            format!("{count} of {} templates cannot be registered; nothing was stored", files.len()),
            &changed,
        )),
    }
}
