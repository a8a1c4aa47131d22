//! A template with one environment laid over it.

use serde_json::{Map, Value as Json};

use super::settings::Settings;
use super::tree::Place;
use super::{Environment, PluginRequirement, StepDraft, Template};

/// The steps of one environment, in the template's order.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) steps: Vec<MergedStep>,
}

#[derive(Debug)]
pub(crate) struct MergedStep {
    pub(crate) name: String,
    pub(crate) field: String,
    pub(crate) at: Place,
    pub(crate) plugin: Option<PluginRequirement>,
    pub(crate) handler: Option<(String, Place)>,
    pub(crate) depends_on: Vec<(String, Place)>,
    pub(crate) config: Map<String, Json>,
    pub(crate) config_at: Place,
    pub(crate) settings: Settings,
    pub(crate) repeat: Option<u16>,
}

impl MergedStep {
    /// Whether workers of the application's own run it.
    pub(crate) fn is_external(&self) -> bool {
        self.plugin.as_ref().is_some_and(PluginRequirement::is_external)
    }
}

pub(super) fn merge(template: &Template, environment: Option<&Environment>) -> Merged {
    let defaults =
        environment.map(|environment| environment.defaults).unwrap_or_default().over(template.defaults);
    let steps = template.steps.iter().map(|step| {
        let over =
            environment.and_then(|environment| environment.steps.iter().find(|over| over.name == step.name));
        merge_step(template, step, over, defaults)
    });
    Merged { steps: steps.collect() }
}

fn merge_step(
    template: &Template,
    step: &StepDraft,
    over: Option<&StepDraft>,
    defaults: Settings,
) -> MergedStep {
    let settings = over.map(|over| over.settings).unwrap_or_default().over(step.settings).over(defaults);
    let plugin = over.and_then(|over| over.plugin.clone()).or_else(|| step.plugin.clone());
    let (mut config, mut config_at) = step.config.clone().unwrap_or_else(|| (Map::new(), step.at));
    if let Some((over, at)) = over.and_then(|over| over.config.clone()) {
        merge_maps(&mut config, over);
        config_at = at;
    }
    MergedStep {
        name: step.name.clone(),
        field: step.field.clone(),
        at: step.at,
        plugin: plugin.or_else(|| template.plugin.clone()),
        handler: over.and_then(|over| over.handler.clone()).or_else(|| step.handler.clone()),
        depends_on: over
            .and_then(|over| over.depends_on.clone())
            .or_else(|| step.depends_on.clone())
            .unwrap_or_default(),
        config,
        config_at,
        settings,
        repeat: over.and_then(|over| over.repeat).or(step.repeat),
    }
}

/// Objects are merged key by key, everything else is replaced.
fn merge_maps(under: &mut Map<String, Json>, over: Map<String, Json>) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Json::Object(under)), Json::Object(over)) => merge_maps(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}
