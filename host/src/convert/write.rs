//! A template as YAML, laid out as people write it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;

use super::new::{NewStep, NewTemplate};
use super::retry::{self, Backoff};
use super::yaml::{Node, Value};

/// A line of a flow list or mapping is no longer than that, in characters.
const FLOW_CHARS_MAX: usize = 100;

/// A value with its scalars as they are written, and its keys in their order.
enum Tree {
    Scalar(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    fn of(node: &Node) -> Self {
        match &node.value {
            Value::Text(text) => Self::Scalar(scalar(text)),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|(key, node)| (scalar(&key.text), Self::of(node))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(..) => Self::Scalar(node.json().to_string()),
        }
    }

    /// In one line.
    fn flow(&self) -> String {
        match self {
            Self::Scalar(text) => text.clone(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::flow).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, tree)| format!("{key}: {}", tree.flow()));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn has_parts(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// Whether lists and mappings stand within it, which is read better over several lines.
    fn is_nested(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(items) => items.iter().any(Self::has_parts),
            Self::Map(entries) => entries.iter().any(|(_, tree)| tree.has_parts()),
        }
    }
}

pub(super) fn template(template: &NewTemplate, file: &str) -> String {
    let mut text = String::new();
    let from = Path::new(file)
        .file_name()
        .map_or_else(|| file.to_owned(), |name| name.to_string_lossy().into_owned());
    comment(&mut text, 0, &format!("Converted from {from}."));
    entry(&mut text, 0, "template", &template.name);
    entry(&mut text, 0, "namespace", &template.namespace);
    entry(&mut text, 0, "version", &template.version);
    if let Some(description) = &template.description {
        entry(&mut text, 0, "description", description);
    }
    entry(&mut text, 0, "plugin", "external");
    if let Some(schema) = &template.schema {
        text.push('\n');
        value(&mut text, 0, "input_schema:", &Tree::of(schema));
    }
    defaults(&mut text);
    text.push_str("\nsteps:\n");
    steps(&mut text, 1, &template.steps);
    if !template.environments.is_empty() {
        text.push_str("\nenvironments:\n");
    }
    for (name, overrides) in &template.environments {
        let _ = writeln!(text, "  {name}:\n    steps:");
        steps(&mut text, 3, overrides);
    }
    text
}

/// What the earlier engine did with steps that say nothing else.
fn defaults(text: &mut String) {
    let _ = writeln!(
        text,
        "\ndefaults:\n  timeout: {}\n  retry: {{ limit: {}, backoff: exponential, base: {}, cap: {} }}",
        duration(retry::TIMEOUT_MS),
        retry::LIMIT,
        duration(retry::BASE_MS),
        duration(retry::CAP_MS)
    );
}

fn steps(text: &mut String, depth: usize, steps: &[NewStep]) {
    for step in steps {
        if let Some(description) = &step.comment {
            comment(text, depth, description);
        }
        indent(text, depth);
        let _ = writeln!(text, "- name: {}", step.name);
        let depth = depth + 1;
        if let Some(handler) = &step.handler {
            entry(text, depth, "handler", handler);
        }
        if let Some(parents) = &step.depends_on {
            let parents = parents.iter().map(|parent| Tree::Scalar(scalar(parent)));
            value(text, depth, "depends_on:", &Tree::List(parents.collect()));
        }
        if let Some(timeout) = step.timeout_ms {
            entry(text, depth, "timeout", &duration(timeout));
        }
        let retry = retry(step.limit, step.backoff);
        if !retry.is_empty() {
            value(text, depth, "retry:", &Tree::Map(retry));
        }
        if let Some(config) = &step.config {
            value(text, depth, "config:", &Tree::of(config));
        }
    }
}

fn retry(limit: Option<u32>, backoff: Option<Backoff>) -> Vec<(String, Tree)> {
    let (base, cap) = backoff.map_or((None, None), |backoff| (backoff.base_ms, backoff.cap_ms));
    let parts = [
        ("limit", limit.map(|limit| limit.to_string())),
        ("backoff", backoff.map(|backoff| backoff.shape.to_owned())),
        ("base", base.map(duration)),
        ("cap", cap.map(duration)),
    ];
    parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Tree::Scalar(value?)))).collect()
}

/// The largest unit of which it is a whole number.
fn duration(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let fits = units.into_iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"  ".repeat(depth));
}

fn comment(text: &mut String, depth: usize, words: &str) {
    for line in words.lines().map(str::trim_end) {
        indent(text, depth);
        text.push_str(if line.is_empty() { "#" } else { "# " });
        // Whatever else ends a line to YAML would end the comment.
        text.extend(
            line.chars()
                .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }),
        );
        text.push('\n');
    }
}

fn entry(text: &mut String, depth: usize, key: &str, value: &str) {
    indent(text, depth);
    let _ = writeln!(text, "{key}: {}", scalar(value));
}

/// A value after what leads to it: `key:`, or `-`. On the same line if it is short enough.
fn value(text: &mut String, depth: usize, lead: &str, tree: &Tree) {
    indent(text, depth);
    text.push_str(lead);
    let flow = tree.flow();
    let is_short = depth * 2 + lead.len() + flow.len() < FLOW_CHARS_MAX;
    match tree {
        Tree::List(items) if tree.has_parts() && (tree.is_nested() || !is_short) => {
            text.push('\n');
            items.iter().for_each(|tree| value(text, depth + 1, "-", tree));
        }
        Tree::Map(entries) if tree.has_parts() && (tree.is_nested() || !is_short) => {
            text.push('\n');
            entries.iter().for_each(|(key, tree)| value(text, depth + 1, &format!("{key}:"), tree));
        }
        _ => {
            let _ = writeln!(text, " {flow}");
        }
    }
}

/// Plain where no reader of YAML takes it for something else, else in double quotes, which YAML reads as JSON does.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '$');
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == '/')
        && !text.ends_with(' ')
        && text.chars().all(|c| word(c) || c == ' ');
    let lower = text.to_ascii_lowercase();
    let means_more = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&lower.as_str());
    let version = semver::Version::parse(text).is_ok();
    let duration =
        text.len() < 12 && text.starts_with(|first: char| first.is_ascii_digit()) && is_duration(text);
    if (plain && !means_more) || version || duration { text.to_owned() } else { quoted(text) }
}

/// As in JSON, whose escapes are YAML's too; and those characters escaped that a reader of YAML may refuse or break a line at.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in Json::from(text).to_string().chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            let _ = write!(quoted, "\\u{:04x}", u32::from(c));
        } else {
            quoted.push(c);
        }
    }
    quoted
}

fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    ["ms", "s", "m", "h", "d"].contains(&unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_is_written_is_read_as_the_same() {
        let hard = json!({
            "a": ["", " a", "a ", "a: b", "a #b", "#a", "- a", "yes", "Null", "~", "1", "1.5", "0x1F", "1e3", "1_000", "12:30", "y"],
            "b": ["a\nb", "tab\there", "quote\"", "back\\slash", "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "'a'", "|", ">"],
            "c": [null, true, false, 0, -7, 0.8, 1e-7, 1e300, u64::MAX, i64::MIN],
            "d": { "": {}, "e": [], "f g": { "h": [[1, [2]], { "i": {} }] }, "on": 1, "1": 2, "-": 3, "ünï": "cödé \u{2028} \u{7f}" },
            "g": "x".repeat(300), "h": ["https://a.b/c?d=e&f=#g", "${VAR}", "a, b", "1.0.0", "30s", "v1"],
        });
        let mut text = String::new();
        value(&mut text, 0, "v:", &tree(&hard));
        assert_eq!(comparable(ours(&text)), comparable(hard), "{text}");
    }

    fn tree(json: &Json) -> Tree {
        match json {
            Json::String(text) => Tree::Scalar(scalar(text)),
            Json::Array(items) => Tree::List(items.iter().map(tree).collect()),
            Json::Object(entries) => {
                Tree::Map(entries.iter().map(|(key, json)| (scalar(key), tree(json))).collect())
            }
            other => Tree::Scalar(other.to_string()),
        }
    }

    /// What our own reader makes of it: a step's configuration, as a plan has it.
    fn ours(text: &str) -> Json {
        let indented: String = text.lines().map(|line| format!("      {line}\n")).collect();
        let template = format!(
            "template: a\nnamespace: a\nversion: 1.0.0\nplugin: external\nsteps:\n  - name: a\n    handler: a\n    config:\n{indented}"
        );
        let template = stepwright_workflow::template::Template::parse("a.yaml", &template).unwrap();
        let plan = template.resolve("", &super::super::NoPlugins).unwrap();
        plan.steps[0].config.read::<Json>().unwrap()["v"].clone()
    }

    /// Numbers of another kind that are equal all the same.
    fn comparable(json: Json) -> Json {
        match json {
            Json::Number(number) => format!("{:e}", number.as_f64().unwrap()).into(),
            Json::Array(items) => items.into_iter().map(comparable).collect(),
            Json::Object(entries) => entries.into_iter().map(|(key, json)| (key, comparable(json))).collect(),
            other => other,
        }
    }

    #[test]
    fn durations_have_the_largest_unit_that_fits() {
        let cases = [
            (0, "0ms"),
            (1, "1ms"),
            (2_500, "2500ms"),
            (30_000, "30s"),
            (1_800_000, "30m"),
            (7_200_000, "2h"),
            (86_400_000, "1d"),
        ];
        for (ms, expected) in cases {
            assert_eq!(duration(ms), expected);
        }
    }
}
