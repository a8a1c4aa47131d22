//! `stepwright template`: what tasks are made from.

mod add;
mod check;
mod convert;
mod graph;
mod list;
mod show;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use stepwright_orchestrator::catalog::CatalogError;

use crate::context::Context;
use crate::error::{CliError, Exit};

/// The largest template file, in bytes: ten thousand steps of a hundred bytes each.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What can be done with templates.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// Check template files and list every problem, with line, column, and what would be right.
    #[command(
        after_help = "Plugins are looked up too if the database has any; --syntax-only needs no database.\n\n\
        Examples:\n  stepwright template check order.yaml\n  stepwright template check --syntax-only templates/*.yaml"
    )]
    Check(check::CheckArguments),
    /// Check template files against the registered plugins and register them: all, or none if one is bad.
    #[command(
        after_help = "A version that was registered never changes: change 'version' when you change the file.\n\n\
        Example:\n  stepwright template add config/templates/*.yaml"
    )]
    Add(add::AddArguments),
    /// List the registered templates.
    List,
    /// Print a registered template as it was written, or what its tasks run.
    #[command(after_help = "Examples:\n  stepwright template show shop/order\n  \
        stepwright template show shop/order@1.2.0 --resolved --environment production")]
    Show(show::ShowArguments),
    /// Draw a template's steps as a Mermaid or Graphviz graph.
    #[command(after_help = "Examples:\n  stepwright template graph order.yaml\n  \
        stepwright template graph shop/order --format dot | dot -Tsvg > order.svg")]
    Graph(graph::GraphArguments),
    /// Make templates of the earlier Ruby system into ours, with a warning for whatever has no counterpart.
    #[command(
        after_help = "Nothing is written if anything is wrong, and no file is replaced without --force.\n\n\
        Examples:\n  stepwright template convert config/tasker/tasks/order.yaml\n  \
        stepwright template convert config/tasker/tasks/*.yaml --output config/templates"
    )]
    Convert(convert::ConvertArguments),
}

/// Does what was asked.
pub(crate) async fn run(command: TemplateCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        TemplateCommand::Check(arguments) => check::run(&arguments, context).await,
        TemplateCommand::Add(arguments) => add::run(&arguments, context).await,
        TemplateCommand::List => list::run(context).await,
        TemplateCommand::Show(arguments) => show::run(&arguments, context).await,
        TemplateCommand::Graph(arguments) => graph::run(&arguments, context).await,
        TemplateCommand::Convert(arguments) => convert::run(&arguments, context),
    }
}

/// Lists what a template that could be found is refused for.
pub(super) fn explained(error: CatalogError) -> CliError {
    match error {
        CatalogError::Template(found) => {
            CliError::listed("the stored template cannot be read", found.problems())
        }
        CatalogError::Resolve(found) => {
            CliError::listed("the template does not fit the registered plugins", found.problems())
        }
        other => other.into(),
    }
}

/// A template's text and its name in messages.
struct TemplateFile {
    name: String,
    text: String,
}

impl TemplateFile {
    fn read(path: &Path) -> Result<Self, CliError> {
        let name = crate::input::name(path);
        let text = crate::input::text(path, FILE_BYTES_MAX)?;
        Ok(Self { name, text })
    }

    fn read_all(paths: &[PathBuf]) -> Result<Vec<Self>, CliError> {
        paths.iter().map(|path| Self::read(path)).collect()
    }
}
