//! A template of the earlier system, read and checked. What that system let pass in silence, a step depended on that is not there, a cycle,
//! a name that is here twice, is an error.

use std::collections::HashMap;

use stepwright_workflow::graph::Graph;

use super::fields::{Fields, Named, list, suggest};
use super::lost;
use super::notes::{Notes, Spot};
use super::schema;
use super::step::OldStep;
use super::yaml::{Node, Value};

const KNOWN: &[&str] = &[
    "name",
    "namespace_name",
    "version",
    "description",
    "named_steps",
    "schema",
    "step_templates",
    "environments",
];

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct OldTemplate {
    pub(super) name: Named,
    pub(super) namespace: Option<Named>,
    pub(super) version: Option<Named>,
    pub(super) description: Option<String>,
    pub(super) schema: Option<Node>,
    pub(super) steps_at: Spot,
    pub(super) steps: Vec<OldStep>,
    pub(super) environments: Vec<OldEnvironment>,
}

/// What one environment says otherwise.
#[derive(Debug, Clone)]
pub(super) struct OldEnvironment {
    pub(super) name: Named,
    /// Of steps that there are.
    pub(super) steps: Vec<OldStep>,
}

impl OldTemplate {
    /// The classes of all handlers.
    pub(super) fn classes(&self) -> impl Iterator<Item = &str> {
        let overrides = self.environments.iter().flat_map(|environment| &environment.steps);
        self.steps
            .iter()
            .chain(overrides)
            .filter_map(|step| step.class.as_ref())
            .map(|class| class.name.as_str())
    }

    /// The steps as they are in an environment.
    fn merged(&self, environment: &OldEnvironment) -> Vec<OldStep> {
        let over = |step: &OldStep| environment.steps.iter().find(|over| over.name.name == step.name.name);
        self.steps
            .iter()
            .map(|step| over(step).map_or_else(|| step.clone(), |over| over.over(step)))
            .collect()
    }
}

pub(super) fn template(root: &Node, notes: &mut Notes) -> Option<OldTemplate> {
    let fields = Fields::of(root, "", notes)?;
    if fields.get("step_templates").is_none() && fields.get("steps").is_some() {
        let help = "this reads templates with 'step_templates' and 'handler_class'; a template with 'handler' and 'depends_on' in its \
                    steps is one of ours already";
        notes.error(
            &fields.spot("steps"),
            "'step_templates' is missing, and 'steps' is another format's",
            help,
        );
        return None;
    }
    lost::warn(&fields, KNOWN, lost::OF_TEMPLATES, notes);
    let name = fields.required("name", "write 'name: process_order', for instance", notes);
    let name = name.and_then(|_| fields.text("name", notes));
    let steps = fields.required("step_templates", "a template has at least one step", notes);
    let steps = steps.map(|node| read_steps(node, "step_templates", true, notes)).unwrap_or_default();
    let namespace = fields.text("namespace_name", notes);
    let description = fields.scalar("description", notes);
    let version = fields.scalar("version", notes).map(|name| Named { name, spot: fields.spot("version") });
    let schema = fields.get("schema").and_then(|node| schema::convert(node, notes));
    let named = fields.texts("named_steps", notes);
    let environments =
        fields.get("environments").map(|node| environments(node, &steps, notes)).unwrap_or_default();
    let steps_at = Spot { value: None, ..fields.spot("step_templates") };
    let template =
        OldTemplate { name: name?, namespace, version, description, schema, steps_at, steps, environments };
    check(&template, named.as_deref(), notes);
    Some(template)
}

/// `whole` steps name their class; an environment's need not.
fn read_steps(node: &Node, field: &str, whole: bool, notes: &mut Notes) -> Vec<OldStep> {
    let Some(items) = list(node, field, notes) else { return Vec::new() };
    if items.is_empty() && whole {
        notes.error(&node.spot(field), "there is no step", "a template has at least one");
    }
    let mut steps: Vec<OldStep> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(step) = OldStep::read(item, &format!("{field}[{at}]"), whole, notes) else { continue };
        if let Some(earlier) = steps.iter().find(|earlier| earlier.name.name == step.name.name) {
            let what = format!("the step '{}' is here a second time", step.name.name);
            let help = format!("rename one of the two; the first is on line {}", earlier.name.spot.at.line);
            notes.error(&step.name.spot, what, help);
        } else {
            steps.push(step);
        }
    }
    steps
}

fn environments(node: &Node, steps: &[OldStep], notes: &mut Notes) -> Vec<OldEnvironment> {
    let Value::Map(entries) = &node.value else {
        let what = format!("expected a mapping, found {}", node.kind());
        notes.error(
            &node.spot("environments"),
            what,
            "write each environment's name with its overrides below it",
        );
        return Vec::new();
    };
    let mut environments = Vec::new();
    for (key, node) in entries.iter().filter(|(_, node)| node.value != Value::Null) {
        let field = format!("environments.{}", key.text);
        let Some(fields) = Fields::of(node, &field, notes) else { continue };
        lost::warn(&fields, &["step_templates"], lost::OF_ENVIRONMENTS, notes);
        let path = fields.path("step_templates");
        let mut overrides = fields
            .get("step_templates")
            .map(|node| read_steps(node, &path, false, notes))
            .unwrap_or_default();
        overrides.retain(|over| {
            let is_there = steps.iter().any(|step| step.name.name == over.name.name);
            if !is_there {
                let what = format!(
                    "there is no step '{}' to override; this is dropped, as it had no effect",
                    over.name.name
                );
                notes.warn(&over.name.spot, what, known_steps(&over.name.name, steps));
            }
            is_there
        });
        let spot = Spot { at: key.at, field, value: Some(key.text.clone()) };
        environments.push(OldEnvironment { name: Named { name: key.text.clone(), spot }, steps: overrides });
    }
    environments
}

fn known_steps(wanted: &str, steps: &[OldStep]) -> String {
    let names: Vec<&str> = steps.iter().map(|step| step.name.name.as_str()).collect();
    suggest(wanted, names.iter().copied()).unwrap_or_else(|| format!("known are {}", names.join(", ")))
}

/// What only the whole shows.
fn check(template: &OldTemplate, named: Option<&[Named]>, notes: &mut Notes) {
    if let Some(named) = named {
        check_named(&template.steps, named, notes);
    }
    check_graph(&template.steps, notes);
    for environment in &template.environments {
        check_graph(&template.merged(environment), notes);
    }
}

/// `named_steps` has to list every step; what else it lists did nothing.
fn check_named(steps: &[OldStep], named: &[Named], notes: &mut Notes) {
    for step in steps.iter().filter(|step| named.iter().all(|named| named.name != step.name.name)) {
        let what = format!(
            "the step '{}' is not among 'named_steps', so the template could not be loaded",
            step.name.name
        );
        notes.error(&step.name.spot, what, "add it there, or remove 'named_steps'");
    }
    for name in named.iter().filter(|name| steps.iter().all(|step| step.name.name != name.name)) {
        let what = format!("'{}' is dropped: no step has this name", name.name);
        notes.warn(&name.spot, what, known_steps(&name.name, steps));
    }
}

fn check_graph(steps: &[OldStep], notes: &mut Notes) {
    let positions: HashMap<&str, u16> =
        (0..).zip(steps).map(|(at, step)| (step.name.name.as_str(), at)).collect();
    let mut graph = Vec::with_capacity(steps.len());
    for step in steps {
        let mut known = Vec::new();
        for parent in step.parents() {
            match positions.get(parent.name.as_str()) {
                Some(position) => known.push(*position),
                None => {
                    let what = format!("there is no step '{}'", parent.name);
                    notes.error(&parent.spot, what, known_steps(&parent.name, steps));
                }
            }
        }
        graph.push(known);
    }
    let Some(mut cycle) = Graph::of(graph).cycle() else { return };
    // Beginning with the step that stands first in the file.
    let first = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
    cycle.rotate_left(first);
    let around: Vec<&OldStep> = cycle.iter().filter_map(|at| steps.get(usize::from(*at))).collect();
    let Some(first) = around.first() else { return };
    let names: Vec<&str> = around.iter().map(|step| step.name.name.as_str()).collect();
    let what = format!("the steps wait for each other: {} → {}", names.join(" → "), first.name.name);
    notes.error(&first.name.spot, what, "remove one of these dependencies");
}
