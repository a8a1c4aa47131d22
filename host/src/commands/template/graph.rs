//! `template graph`: a template as text for a drawing program.

use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;
use stepwright_orchestrator::catalog;
use stepwright_workflow::template::{Template, render};

use super::{TemplateFile, check};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to draw, and for whom.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArguments {
    /// A template file, or a registered template: namespace/name, or name; with @version, or else the one registered last.
    #[arg(value_name = "FILE|REF")]
    template: String,
    /// The language of the drawing.
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

/// A drawing program's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// A Mermaid flowchart: GitHub and many editors show it.
    Mermaid,
    /// A Graphviz digraph, for 'dot'.
    Dot,
}

#[derive(Serialize)]
struct Drawn {
    template: String,
    format: Format,
    graph: String,
}

pub(crate) async fn run(arguments: &GraphArguments, context: &Context) -> Result<Exit, CliError> {
    let file = source(&arguments.template, context).await?;
    let checked = check::check(&file, &context.config.environment, None);
    let template = checked.map_err(|problems| check::refusal(&problems, 1, 1))?;
    let graph = draw(&template, arguments.format);
    if context.json {
        output::json(&Drawn { template: template.reference(), format: arguments.format, graph })?;
    } else {
        output::line(graph.trim_end())?;
    }
    Ok(Exit::Good)
}

fn draw(template: &Template, format: Format) -> String {
    match format {
        Format::Mermaid => render::mermaid(template),
        Format::Dot => render::dot(template),
    }
}

/// A file if there is one of that name, or if it can be nothing else.
async fn source(template: &str, context: &Context) -> Result<TemplateFile, CliError> {
    let path = Path::new(template);
    let is_file_name = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if path.is_file() || is_file_name {
        return TemplateFile::read(path);
    }
    let found = catalog::find(context.store().await?.as_ref(), template).await?;
    Ok(TemplateFile { name: template.to_owned(), text: found.source })
}
