//! From the tree to a template.

use semver::Version;
use serde_json::{Map, Value as Json};

use super::problem::Problems;
use super::read::{Fields, join, list, text};
use super::settings::{KEYS, Settings};
use super::tree::{self, Node, Place, Value};
use super::{Environment, PluginRequirement, StepDraft, Template, TemplateProblems, check, values};
use crate::Payload;

const TEMPLATE_KEYS: &[&str] = &[
    "template",
    "namespace",
    "version",
    "description",
    "plugin",
    "input_schema",
    "defaults",
    "steps",
    "environments",
];
const STEP_KEYS: &[&str] =
    &["name", "handler", "plugin", "depends_on", "config", "timeout", "retry", "limits", "repeat"];

pub(super) fn template(file: &str, text: &str) -> Result<Template, TemplateProblems> {
    let mut problems = Problems::new(file);
    let read = read_template(file, text, &mut problems);
    if let Some(template) = &read {
        check::graph(template, &mut problems);
    }
    match read {
        Some(template) if problems.is_empty() => Ok(template),
        _ => Err(TemplateProblems(problems.into_sorted())),
    }
}

/// As much of a template as can be made of the text; what is missing is already a problem.
fn read_template(file: &str, text: &str, problems: &mut Problems) -> Option<Template> {
    let Some(root) = tree::read(text, problems) else {
        if problems.is_empty() {
            problems.add(
                Place::START,
                "",
                None,
                "the file is empty".to_owned(),
                Some("a template begins with 'template: name'".to_owned()),
            );
        }
        return None;
    };
    let fields = Fields::of(&root, "", TEMPLATE_KEYS, problems)?;
    let name = required_name(&fields, "template", problems);
    let namespace = required_name(&fields, "namespace", problems);
    fields.required("version", "write 'version: 1.0.0'", problems);
    let version = fields.text("version", problems, version).map(|(version, _)| version);
    let description = fields.text("description", problems, |text| Ok(text.to_owned()));
    let plugin = plugin(&fields, problems);
    let input_schema = fields.get("input_schema").and_then(|node| schema(node, "input_schema", problems));
    let defaults =
        fields.get("defaults").map(|node| defaults(node, "defaults", problems)).unwrap_or_default();
    let steps = read_steps(&fields, plugin.as_ref(), problems);
    let environments =
        fields.get("environments").map(|node| environments(node, problems)).unwrap_or_default();
    Some(Template {
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        version: version.unwrap_or(Version::new(0, 0, 0)),
        description: description.map(|(text, _)| text).unwrap_or_default(),
        file: file.to_owned(),
        input_schema,
        plugin,
        defaults,
        steps,
        environments,
    })
}

fn required_name(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    fields.required(key, &format!("write '{key}: some_name'"), problems)?;
    fields.text(key, problems, |text| values::name(text).map(|()| text.to_owned())).map(|(name, _)| name)
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| {
        format!("'{text}' is not a semantic version ({error}); write three numbers, such as 1.0.0")
    })
}

fn plugin(fields: &Fields<'_>, problems: &mut Problems) -> Option<PluginRequirement> {
    let ((name, requirement), at) = fields.text("plugin", problems, values::plugin)?;
    Some(PluginRequirement { name, requirement, at })
}

fn schema(node: &Node, field: &str, problems: &mut Problems) -> Option<Payload> {
    let json = node.json();
    if !json.is_object() && !json.is_boolean() {
        problems.add(
            node.at,
            field,
            node.shown(),
            format!("expected a JSON Schema, found {}", node.kind()),
            None,
        );
        return None;
    }
    if let Err(error) = jsonschema::meta::validate(&json) {
        let pointer = error.instance_path().as_str();
        let what = format!("not a JSON Schema: {error}");
        problems.add(node.place(pointer), &format!("{field}{}", pointer.replace('/', ".")), None, what, None);
        return None;
    }
    if let Err(error) = jsonschema::validator_for(&json) {
        let help = Some("a schema may only refer to itself".to_owned());
        problems.add(node.at, field, None, format!("the JSON Schema cannot be used: {error}"), help);
        return None;
    }
    Payload::of(&json).ok()
}

fn defaults(node: &Node, field: &str, problems: &mut Problems) -> Settings {
    Fields::of(node, field, KEYS, problems)
        .map(|fields| Settings::read(&fields, problems))
        .unwrap_or_default()
}

fn read_steps(
    fields: &Fields<'_>,
    template_plugin: Option<&PluginRequirement>,
    problems: &mut Problems,
) -> Vec<StepDraft> {
    let Some(node) = fields.required("steps", "a template has at least one step", problems) else {
        return Vec::new();
    };
    let items = list(node, "steps", problems);
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        problems.add(
            node.at,
            "steps",
            None,
            "there is no step; a template has at least one".to_owned(),
            None,
        );
    }
    let steps = drafts(items, "steps", problems);
    for step in &steps {
        if step.handler.is_none() {
            let help = Some("name the handler of the plugin that runs this step".to_owned());
            problems.add(
                step.at,
                &join(&step.field, "handler"),
                None,
                "'handler' is missing".to_owned(),
                help,
            );
        }
        let plugin = step.plugin.as_ref().or(template_plugin);
        if let (true, Some(limit)) =
            (plugin.is_some_and(PluginRequirement::is_external), step.settings.sandbox_limit())
        {
            let field = format!("{}.{limit}", join(&step.field, "limits"));
            let what =
                format!("'{limit}' limits a sandbox, and an external handler runs in a process of your own");
            problems.add(
                step.at,
                &field,
                None,
                what,
                Some("leave it out; 'timeout' and 'limits.output' apply".to_owned()),
            );
        }
        if step.plugin.is_none() && fields.get("plugin").is_none() {
            let help = Some(
                "name one here, or one for all steps at the top of the template: 'plugin: namespace/name@^1'"
                    .to_owned(),
            );
            problems.add(step.at, &join(&step.field, "plugin"), None, "'plugin' is missing".to_owned(), help);
        }
    }
    steps
}

fn drafts(items: &[Node], field: &str, problems: &mut Problems) -> Vec<StepDraft> {
    let mut drafts: Vec<StepDraft> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(draft) = draft(item, &format!("{field}[{at}]"), problems) else { continue };
        if let Some(earlier) = drafts.iter().find(|earlier| earlier.name == draft.name) {
            let what = format!("the step '{}' is here a second time", draft.name);
            let help = Some(format!("rename one of the two; the first is on line {}", earlier.at.line));
            problems.add(draft.at, &join(&draft.field, "name"), Some(draft.name.clone()), what, help);
        } else {
            drafts.push(draft);
        }
    }
    drafts
}

fn draft(node: &Node, field: &str, problems: &mut Problems) -> Option<StepDraft> {
    let fields = Fields::of(node, field, STEP_KEYS, problems)?;
    let name = required_name(&fields, "name", problems);
    let handler = fields.text("handler", problems, |text| {
        if text.is_empty() { Err("the handler's name is empty".to_owned()) } else { Ok(text.to_owned()) }
    });
    let draft = StepDraft {
        name: name?,
        field: field.to_owned(),
        at: node.at,
        plugin: plugin(&fields, problems),
        handler,
        depends_on: fields
            .get("depends_on")
            .map(|node| dependencies(node, &fields.path("depends_on"), problems)),
        config: fields.get("config").and_then(|node| config(node, &fields.path("config"), problems)),
        settings: Settings::read(&fields, problems),
        repeat: fields
            .number("repeat", (1, super::STEPS_MAX as u64), problems)
            .and_then(|n| u16::try_from(n).ok()),
    };
    Some(draft)
}

fn dependencies(node: &Node, field: &str, problems: &mut Problems) -> Vec<(String, Place)> {
    if let Value::Text(name) = &node.value {
        return vec![(name.clone(), node.at)];
    }
    let mut names: Vec<(String, Place)> = Vec::new();
    for (at, item) in list(node, field, problems).iter().enumerate() {
        let field = format!("{field}[{at}]");
        let Some(name) = text(item, &field, problems, |text| Ok(text.to_owned())) else { continue };
        if names.iter().any(|(earlier, _)| *earlier == name) {
            problems.add(item.at, &field, Some(name.clone()), format!("'{name}' is listed twice"), None);
        } else {
            names.push((name, item.at));
        }
    }
    names
}

fn config(node: &Node, field: &str, problems: &mut Problems) -> Option<(Map<String, Json>, Place)> {
    match node.json() {
        Json::Object(map) => Some((map, node.at)),
        _ => {
            problems.add(
                node.at,
                field,
                node.shown(),
                format!("expected a mapping, found {}", node.kind()),
                None,
            );
            None
        }
    }
}

fn environments(node: &Node, problems: &mut Problems) -> Vec<Environment> {
    let Value::Map(entries) = &node.value else {
        let help = Some("write a mapping from the environment's name to its overrides".to_owned());
        problems.add(
            node.at,
            "environments",
            node.shown(),
            format!("expected a mapping, found {}", node.kind()),
            help,
        );
        return Vec::new();
    };
    let mut environments = Vec::new();
    for (key, node) in entries {
        let field = format!("environments.{}", key.text);
        if let Err(what) = values::name(&key.text) {
            problems.add(key.at, &field, Some(key.text.clone()), what, None);
        }
        let Some(fields) = Fields::of(node, &field, &["defaults", "steps"], problems) else { continue };
        let overrides =
            fields.get("steps").map(|node| list(node, &fields.path("steps"), problems)).unwrap_or_default();
        environments.push(Environment {
            name: key.text.clone(),
            defaults: fields
                .get("defaults")
                .map(|node| defaults(node, &fields.path("defaults"), problems))
                .unwrap_or_default(),
            steps: drafts(overrides, &fields.path("steps"), problems),
        });
    }
    environments
}
