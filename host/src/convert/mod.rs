//! Templates of the earlier Ruby system, made into ours: texts go in; texts, and what there is to say about them, come out.
//!
//! ```text
//!   text ──yaml──▶ nodes with positions ──old──▶ OldTemplate ──new──▶ NewTemplate ──write──▶ text ──▶ our own parser
//! ```
//!
//! What is wrong is an error, and then there is no text. What the earlier system had and ours has not is a warning. Units, limits
//! and delays come out as they were meant there; see `docs/guides/migration.md`. No I/O happens here.

mod fields;
mod handlers;
mod lost;
mod names;
mod new;
mod notes;
mod old;
mod retry;
mod schema;
mod step;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

use stepwright_workflow::template::{PluginOffer, PluginSource, Problem, Template};

use handlers::Handlers;
use notes::{Notes, Spot};
use old::OldTemplate;
use yaml::Node;

/// A template of the earlier system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OldFile<'a> {
    /// Its name in messages.
    pub(crate) name: &'a str,
    /// What stands in it.
    pub(crate) text: &'a str,
}

/// One of our templates, made of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Converted {
    /// `namespace/name@version`.
    pub(crate) template: String,
    /// The template's text, which our own parser has accepted.
    pub(crate) text: String,
    /// What the earlier system had and ours has not, in the order of the file.
    pub(crate) warnings: Vec<Problem>,
}

/// A file while it is read.
struct Read {
    notes: Notes,
    root: Option<Node>,
    old: Option<OldTemplate>,
}

/// Converts files that belong together: handlers of the same name in different modules get different names in all of them. One that is
/// wrong spoils all.
pub(crate) fn convert(files: &[OldFile<'_>]) -> Result<Vec<Converted>, Vec<Problem>> {
    let mut all: Vec<Read> = files.iter().map(read).collect();
    let handlers =
        Handlers::of(all.iter().filter_map(|read| read.old.as_ref()).flat_map(OldTemplate::classes));
    let converted: Vec<Option<Converted>> = all.iter_mut().map(|read| convert_one(read, &handlers)).collect();
    let problems: Vec<Problem> = all.into_iter().flat_map(|read| read.notes.into_errors()).collect();
    if problems.is_empty() { Ok(converted.into_iter().flatten().collect()) } else { Err(problems) }
}

fn read(file: &OldFile<'_>) -> Read {
    let mut notes = Notes::new(file.name);
    let root = yaml::read(file.text, &mut notes);
    let old = root.as_ref().and_then(|root| old::template(root, &mut notes));
    Read { notes, root, old }
}

fn convert_one(read: &mut Read, handlers: &Handlers) -> Option<Converted> {
    let (Some(root), Some(old)) = (&read.root, &read.old) else { return None };
    let new = new::template(old, handlers, &mut read.notes);
    if read.notes.has_errors() {
        return None;
    }
    let text = write::template(&new, read.notes.file());
    let template = accepted(&text, root, &mut read.notes)?;
    Some(Converted { template, text, warnings: read.notes.take_warnings() })
}

/// Lets our own parser read what was written. It may refuse the schema, which nobody has looked into before.
fn accepted(text: &str, root: &Node, notes: &mut Notes) -> Option<String> {
    let template = match Template::parse("", text) {
        Ok(template) => template,
        Err(refused) => {
            refused.problems().iter().for_each(|problem| refuse(problem, root, notes));
            return None;
        }
    };
    for environment in std::iter::once("").chain(template.environments()) {
        if let Err(refused) = template.resolve(environment, &NoPlugins) {
            refused.problems().iter().for_each(|problem| refuse(problem, root, notes));
            return None;
        }
    }
    Some(template.reference())
}

/// A problem of the new text, at its place in the old one.
fn refuse(problem: &Problem, root: &Node, notes: &mut Notes) {
    let field = problem.field.replacen("input_schema", "schema", 1);
    let spot = Spot { at: root.nearest(&field), field, value: problem.value.clone() };
    let help =
        problem.help.clone().unwrap_or_else(|| "change it there, and convert the file again".to_owned());
    notes.error(&spot, problem.problem.clone(), help);
}

/// Converted templates have external handlers only.
struct NoPlugins;

impl PluginSource for NoPlugins {
    fn versions(&self, _name: &str) -> Vec<PluginOffer> {
        Vec::new()
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
