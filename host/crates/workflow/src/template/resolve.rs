//! From a template to a plan: plugins found, handlers checked, repetitions made.

use std::collections::HashMap;

use semver::{Comparator, Op, VersionReq};
use serde_json::Value as Json;

use super::merge::MergedStep;
use super::parents;
use super::problem::{Problems, suggest};
use super::read::join;
use super::values;
use super::{
    HandlerOffer, OfferTerms, PluginOffer, PluginRequirement, PluginSource, ResolveProblems, Template,
};
use crate::retry::RetryPolicy;
use crate::{EXTERNAL, Payload, Plan, PlanStep, StepLimits, external_digest};

pub(super) fn plan(
    template: &Template,
    environment: &str,
    plugins: &dyn PluginSource,
) -> Result<Plan, ResolveProblems> {
    let merged = template.merged(Some(environment));
    let mut problems = Problems::new(&template.file);
    let mut found = Vec::with_capacity(merged.steps.len());
    for step in &merged.steps {
        if step.is_external() {
            check_external(step, &mut problems);
            found.push(None);
            continue;
        }
        let offer = step.plugin.as_ref().and_then(|wanted| find(wanted, step, plugins, &mut problems));
        if let (Some(offer), Some((handler, at))) = (&offer, &step.handler) {
            match offer.handlers.iter().find(|candidate| candidate.name == *handler) {
                Some(handler) => check_config(step, handler, &mut problems),
                None => {
                    let what = format!("{}@{} has no handler '{handler}'", offer.name, offer.version);
                    let help = suggest(handler, offer.handlers.iter().map(|handler| handler.name.as_str()));
                    problems.add(*at, &join(&step.field, "handler"), Some(handler.clone()), what, help);
                }
            }
        }
        found.push(offer);
    }
    parents::check(&merged.steps, &found, &mut problems);
    if !problems.is_empty() {
        return Err(ResolveProblems(problems.into_sorted()));
    }
    Ok(Plan {
        namespace: template.namespace.clone(),
        name: template.name.clone(),
        version: template.version.to_string(),
        environment: environment.to_owned(),
        input_schema: template.input_schema.clone(),
        steps: expand(&merged.steps, &found),
    })
}

/// Nobody knows here what workers will offer; but a name that none can offer would wait for ever.
fn check_external(step: &MergedStep, problems: &mut Problems) {
    let Some((handler, at)) = &step.handler else { return };
    if let Err(what) = values::external_handler(handler) {
        problems.add(*at, &join(&step.field, "handler"), Some(handler.clone()), what, None);
    }
}

/// The highest registered version that satisfies the requirement and may be had on its terms.
fn find(
    wanted: &PluginRequirement,
    step: &MergedStep,
    plugins: &dyn PluginSource,
    problems: &mut Problems,
) -> Option<PluginOffer> {
    let versions = plugins.versions(&wanted.name);
    let matching: Vec<&PluginOffer> =
        versions.iter().filter(|offer| wanted.requirement.matches(&offer.version)).collect();
    let had = matching.iter().filter(|offer| may_be_had(offer, &wanted.requirement));
    if let Some(best) = had.max_by(|a, b| a.version.cmp(&b.version)) {
        return Some((*best).clone());
    }
    let (what, help) = if !matching.is_empty() {
        withdrawn(wanted, &matching)
    } else if versions.is_empty() {
        let names = plugins.names();
        let nearest = suggest(&wanted.name, names.iter().map(String::as_str));
        let register = || "register it with 'stepwright plugin add FILE'".to_owned();
        (format!("no plugin '{}' is registered", wanted.name), nearest.unwrap_or_else(register))
    } else {
        let known: Vec<String> = versions.iter().map(|offer| offer.version.to_string()).collect();
        (
            format!("no registered version of '{}' satisfies {}", wanted.name, wanted.requirement),
            format!("registered are {}", known.join(", ")),
        )
    };
    problems.add(wanted.at, &join(&step.field, "plugin"), Some(wanted.name.clone()), what, Some(help));
    None
}

fn may_be_had(offer: &PluginOffer, requirement: &VersionReq) -> bool {
    match offer.terms {
        OfferTerms::Open => true,
        OfferTerms::Exact => is_exact(requirement),
        OfferTerms::Closed => false,
    }
}

/// Whether a requirement names one version in full, as `=1.2.3` does.
fn is_exact(requirement: &VersionReq) -> bool {
    matches!(
        requirement.comparators.as_slice(),
        [Comparator { op: Op::Exact, minor: Some(_), patch: Some(_), .. }]
    )
}

/// Versions would satisfy the requirement, and none of them may be had.
fn withdrawn(wanted: &PluginRequirement, matching: &[&PluginOffer]) -> (String, String) {
    let shown = matching.iter().map(|offer| match offer.terms {
        OfferTerms::Closed => format!("{} is disabled", offer.version),
        OfferTerms::Open | OfferTerms::Exact => format!("{} is yanked", offer.version),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let what =
        format!("no version of '{}' that satisfies {} is enabled: {shown}", wanted.name, wanted.requirement);
    let latest =
        matching.iter().map(|offer| &offer.version).max().map(ToString::to_string).unwrap_or_default();
    let mut help = format!("'stepwright plugin enable {}@{latest}' gives it back", wanted.name);
    let yanked = matching.iter().filter(|offer| offer.terms == OfferTerms::Exact);
    if let Some(yanked) = yanked.map(|offer| &offer.version).max() {
        help.push_str(&format!("; '={yanked}' asks for a yanked version all the same"));
    }
    (what, help)
}

fn check_config(step: &MergedStep, handler: &HandlerOffer, problems: &mut Problems) {
    let Some(schema) = handler.config_schema.as_ref().and_then(|schema| schema.read::<Json>().ok()) else {
        return;
    };
    // A schema that does not compile was the plugin's to get right, and was refused when the plugin was registered.
    let Ok(validator) = jsonschema::validator_for(&schema) else { return };
    let config = config(step, step.repeat.map(|_| 1));
    for error in validator.iter_errors(&config) {
        let field =
            format!("{}{}", join(&step.field, "config"), error.instance_path().as_str().replace('/', "."));
        let what = format!("does not fit the handler '{}': {error}", handler.name);
        problems.add(step.config_at, &field, None, what, None);
    }
}

fn config(step: &MergedStep, index: Option<u16>) -> Json {
    let mut config = step.config.clone();
    if let Some(index) = index {
        config.insert("index".to_owned(), index.into());
    }
    Json::Object(config)
}

fn expand(steps: &[MergedStep], found: &[Option<PluginOffer>]) -> Vec<PlanStep> {
    let mut positions: HashMap<&str, Vec<u16>> = HashMap::new();
    let mut next = 0_u16;
    for step in steps {
        let count = step.repeat.unwrap_or(1);
        positions.insert(&step.name, (next..next + count).collect());
        next += count;
    }
    let mut expanded = Vec::with_capacity(usize::from(next));
    for (step, offer) in steps.iter().zip(found) {
        let Some((handler, _)) = &step.handler else { continue };
        let (plugin, plugin_version, digest) = match offer {
            Some(offer) => (offer.name.clone(), offer.version.to_string(), offer.digest),
            None if step.is_external() => (EXTERNAL.to_owned(), String::new(), external_digest(handler)),
            None => continue,
        };
        let parents: Vec<u16> = step
            .depends_on
            .iter()
            .filter_map(|(name, _)| positions.get(name.as_str()))
            .flatten()
            .copied()
            .collect();
        let copies: Vec<Option<u16>> =
            step.repeat.map_or_else(|| vec![None], |count| (1..=count).map(Some).collect());
        for index in copies {
            let mut planned = PlanStep {
                name: index.map_or_else(|| step.name.clone(), |index| format!("{}_{index}", step.name)),
                plugin: plugin.clone(),
                plugin_version: plugin_version.clone(),
                digest,
                handler: handler.clone(),
                parents: parents.clone(),
                config: Payload::of(&config(step, index)).unwrap_or_default(),
                timeout_ms: 0,
                retry: RetryPolicy::default(),
                limits: StepLimits::default(),
            };
            step.settings.apply(&mut planned);
            expanded.push(planned);
        }
    }
    expanded
}
