//! What a step reads of its parents, against what they give.

use serde_json::Value as Json;

use super::fits::{Misfit, misfit};
use super::merge::MergedStep;
use super::problem::{Problems, suggest};
use super::read::join;
use super::tree::Place;
use super::{HandlerOffer, ParentOffer, PluginOffer};

/// A step with what runs it.
struct Actor<'a> {
    step: &'a MergedStep,
    offer: &'a PluginOffer,
    handler: &'a HandlerOffer,
    /// Where the step names its handler.
    at: Place,
}

/// Checks that each step depends on the parents that its handler reads, and can read what they give.
pub(super) fn check(steps: &[MergedStep], found: &[Option<PluginOffer>], problems: &mut Problems) {
    let actors: Vec<Actor<'_>> =
        steps.iter().zip(found).filter_map(|(step, offer)| Actor::of(step, offer.as_ref()?)).collect();
    for child in &actors {
        for wanted in &child.handler.parents {
            match child.parent(&wanted.step, steps) {
                Some((name, at)) => {
                    if let Some(parent) = actors.iter().find(|actor| actor.step.name == *name) {
                        compare(child, parent, (wanted, at), problems);
                    }
                }
                None if wanted.optional => {}
                None => missing(child, wanted, steps, problems),
            }
        }
    }
}

impl<'a> Actor<'a> {
    fn of(step: &'a MergedStep, offer: &'a PluginOffer) -> Option<Self> {
        let (name, at) = step.handler.as_ref()?;
        let handler = offer.handlers.iter().find(|handler| handler.name == *name)?;
        Some(Self { step, offer, handler, at: *at })
    }

    /// The dependency whose output the handler finds under this name.
    fn parent(&self, wanted: &str, steps: &[MergedStep]) -> Option<&'a (String, Place)> {
        self.step.depends_on.iter().find(|(name, _)| {
            steps.iter().filter(|step| step.name == *name).flat_map(names).any(|name| name == wanted)
        })
    }

    fn reference(&self) -> String {
        format!("{}@{}", self.offer.name, self.offer.version)
    }
}

/// The names under which a step's outputs are found: a repeated one has as many as it has copies.
fn names(step: &MergedStep) -> Vec<String> {
    match step.repeat {
        None => vec![step.name.clone()],
        Some(copies) => (1..=copies).map(|copy| format!("{}_{copy}", step.name)).collect(),
    }
}

fn missing(child: &Actor<'_>, wanted: &ParentOffer, steps: &[MergedStep], problems: &mut Problems) {
    let (step, handler) = (&child.step.name, &child.handler.name);
    let what = format!(
        "the handler '{handler}' reads the output of '{0}', which '{step}' does not depend on",
        wanted.step
    );
    let all: Vec<String> = steps.iter().filter(|other| other.name != *step).flat_map(names).collect();
    let help = if all.contains(&wanted.step) {
        format!("add '{}' to depends_on", wanted.step)
    } else {
        let nearest = suggest(&wanted.step, all.iter().map(String::as_str));
        let rename = format!("a step that '{step}' depends on must be called '{}'", wanted.step);
        nearest.map_or_else(|| rename.clone(), |nearest| format!("{rename}; {nearest}"))
    };
    problems.add(child.at, &join(&child.step.field, "depends_on"), None, what, Some(help));
}

fn compare(
    child: &Actor<'_>,
    parent: &Actor<'_>,
    (wanted, at): (&ParentOffer, &Place),
    problems: &mut Problems,
) {
    let schema = |payload: Option<&crate::Payload>| payload.and_then(|payload| payload.read::<Json>().ok());
    let (given, read) = (schema(parent.handler.output_schema.as_ref()), schema(wanted.schema.as_ref()));
    let (Some(given), Some(read)) = (given, read) else { return };
    let Some(Misfit { path, gives, reads }) = misfit(&given, &read) else { return };
    let (step, handler) = (&wanted.step, &child.handler.name);
    let what = format!(
        "'{step}' does not give what the handler '{handler}' reads: {path}: the parent gives {gives}, the child reads {reads}"
    );
    let help = format!(
        "the schemas are those of the output of '{}' in {} and of the parent '{step}' of '{handler}' in {}: see 'stepwright plugin inspect'",
        parent.handler.name,
        parent.reference(),
        child.reference()
    );
    problems.add(*at, &join(&child.step.field, "depends_on"), Some(step.clone()), what, Some(help));
}
