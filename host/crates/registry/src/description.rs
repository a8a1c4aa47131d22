//! What a plugin says of itself, as plain values, and the check that lists everything wrong with it.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::PluginName;

/// What a plugin says of itself, once, when it is registered. The registry's record wins over what it says later.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Description {
    /// `namespace/name`.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// One line for a person.
    pub summary: String,
    /// What it can do.
    pub handlers: Vec<HandlerDescription>,
    /// What it would like to be granted.
    #[serde(default)]
    pub wishes: Wishes,
}

/// One handler of a plugin. The schemas are JSON texts, as the plugin gave them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HandlerDescription {
    /// The name that templates use.
    pub name: String,
    /// One line for a person.
    pub summary: String,
    /// JSON Schema of the task context, as far as the handler reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<String>,
    /// JSON Schema of the step's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<String>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<String>,
    /// The direct parents whose outputs it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentDescription>,
}

/// A direct parent whose output a handler reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParentDescription {
    /// The parent's step name.
    pub step: String,
    /// Whether the handler also works without it.
    #[serde(default)]
    pub optional: bool,
    /// JSON Schema of the parent's output, as far as the handler reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// What the plugin would like to be granted. Nothing is granted by asking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wishes {
    /// Hosts to call, as `https://host:port`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Directories, as the path that the guest wants to see.
    #[serde(default)]
    pub directories: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Secrets, by name.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// One thing wrong with a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where it is, such as `handlers[2].name`.
    pub at: String,
    /// What it is, and what is expected instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl Description {
    /// The longest name, in bytes: both halves, and the slash.
    pub const NAME_BYTES_MAX: usize = 2 * PluginName::HALF_CHARS_MAX + 1;
    /// The longest summary, in bytes: it is one line of a listing.
    pub const SUMMARY_BYTES_MAX: usize = 400;
    /// The most handlers of one plugin: far above any real one, far below what would hurt a listing.
    pub const HANDLERS_MAX: usize = 256;
    /// The longest handler name, in bytes; the interface says so.
    pub const HANDLER_NAME_BYTES_MAX: usize = 64;
    /// The largest schema, in bytes of JSON text.
    pub const SCHEMA_BYTES_MAX: usize = 64 << 10;
    /// The most parents that a handler names.
    pub const PARENTS_MAX: usize = 64;
    /// The longest name of a parent's step, in bytes.
    pub const STEP_NAME_BYTES_MAX: usize = 128;
    /// The longest version, in bytes.
    pub const VERSION_BYTES_MAX: usize = 64;
    /// The most wishes of one kind.
    pub const WISHES_MAX: usize = 64;
    /// The longest wish, in bytes.
    pub const WISH_BYTES_MAX: usize = 256;

    /// Everything that is wrong, in the order of the fields; empty if the plugin may be registered.
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Findings::default();
        // A name that is far too long is not repeated: it would come back in every log and message.
        if self.name.len() > Self::NAME_BYTES_MAX {
            found.add("name", format!("{} bytes long: at most {}", self.name.len(), Self::NAME_BYTES_MAX));
        } else if let Err(error) = self.name.parse::<PluginName>() {
            found.add("name", error.to_string().replace(char::is_control, "\u{fffd}"));
        }
        self.check_version(&mut found);
        found.summary("summary", &self.summary);
        match self.handlers.len() {
            0 => found.add("handlers", "there are none: a plugin has at least one handler".to_owned()),
            many if many > Self::HANDLERS_MAX => {
                found.add("handlers", format!("{many} of them: at most {} are allowed", Self::HANDLERS_MAX));
            }
            _ => self.check_handlers(&mut found),
        }
        self.check_wishes(&mut found);
        found.0
    }

    fn check_version(&self, found: &mut Findings) {
        let parsed = semver::Version::parse(&self.version);
        if self.version.len() > Self::VERSION_BYTES_MAX {
            found.add(
                "version",
                format!("{} bytes long: at most {}", self.version.len(), Self::VERSION_BYTES_MAX),
            );
        } else if let Err(error) = parsed {
            found.add(
                "version",
                format!("'{}' is not a semantic version, such as 1.2.3: {error}", self.version),
            );
        }
    }

    fn check_handlers(&self, found: &mut Findings) {
        let mut names = HashSet::new();
        for (position, handler) in self.handlers.iter().enumerate() {
            let at = |field: &str| format!("handlers[{position}].{field}");
            if !handler_name_is_good(&handler.name) {
                let max = Self::HANDLER_NAME_BYTES_MAX;
                let expected = format!("1 to {max} lower-case letters, digits and '_', a letter first");
                found.add(at("name"), format!("'{}' must be {expected}", shortened(&handler.name)));
            } else if !names.insert(handler.name.as_str()) {
                found.add(at("name"), format!("'{}' is the name of two handlers", handler.name));
            }
            found.summary(at("summary"), &handler.summary);
            found.schema(at("input_schema"), handler.input_schema.as_deref());
            found.schema(at("config_schema"), handler.config_schema.as_deref());
            found.schema(at("output_schema"), handler.output_schema.as_deref());
            check_parents(&at("parents"), &handler.parents, found);
        }
    }

    fn check_wishes(&self, found: &mut Findings) {
        let Wishes { hosts, directories, environment, secrets } = &self.wishes;
        for (kind, wishes) in [
            ("hosts", hosts),
            ("directories", directories),
            ("environment", environment),
            ("secrets", secrets),
        ] {
            if wishes.len() > Self::WISHES_MAX {
                found.add(
                    format!("wishes.{kind}"),
                    format!("{} of them: at most {}", wishes.len(), Self::WISHES_MAX),
                );
                continue;
            }
            for (position, wish) in wishes.iter().enumerate() {
                if wish.is_empty() || wish.len() > Self::WISH_BYTES_MAX || wish.chars().any(char::is_control)
                {
                    let expected = format!("1 to {} bytes without control characters", Self::WISH_BYTES_MAX);
                    found.add(
                        format!("wishes.{kind}[{position}]"),
                        format!("'{}' must be {expected}", shortened(wish)),
                    );
                }
            }
        }
    }
}

fn check_parents(at: &str, parents: &[ParentDescription], found: &mut Findings) {
    if parents.len() > Description::PARENTS_MAX {
        let max = Description::PARENTS_MAX;
        return found.add(at, format!("{} of them: at most {max} are allowed", parents.len()));
    }
    let mut steps = HashSet::new();
    for (position, ParentDescription { step, schema, .. }) in parents.iter().enumerate() {
        let max = Description::STEP_NAME_BYTES_MAX;
        if step.is_empty() || step.len() > max || step.chars().any(char::is_control) {
            let expected = format!("the name of a step, of 1 to {max} bytes without control characters");
            found.add(format!("{at}[{position}].step"), format!("'{}' must be {expected}", shortened(step)));
        } else if !steps.insert(step) {
            found.add(format!("{at}[{position}].step"), format!("'{step}' stands here twice"));
        }
        found.schema(format!("{at}[{position}].schema"), schema.as_deref());
    }
}

fn handler_name_is_good(name: &str) -> bool {
    name.len() <= Description::HANDLER_NAME_BYTES_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

/// A hostile text as far as a message can bear it.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn add(&mut self, at: impl Into<String>, message: String) {
        self.0.push(Problem { at: at.into(), message });
    }

    fn summary(&mut self, at: impl Into<String>, summary: &str) {
        if summary.len() > Description::SUMMARY_BYTES_MAX {
            let max = Description::SUMMARY_BYTES_MAX;
            self.add(at, format!("{} bytes long: at most {max} are allowed", summary.len()));
        } else if summary.chars().any(char::is_control) {
            self.add(at, "must be one line without control characters".to_owned());
        }
    }

    fn schema(&mut self, at: impl Into<String>, schema: Option<&str>) {
        let Some(schema) = schema else { return };
        if schema.len() > Description::SCHEMA_BYTES_MAX {
            let max = Description::SCHEMA_BYTES_MAX;
            self.add(at, format!("{} bytes of schema: at most {max} are allowed", schema.len()));
            return;
        }
        match serde_json::from_str::<serde_json::Value>(schema) {
            Ok(serde_json::Value::Object(_) | serde_json::Value::Bool(_)) => {}
            Ok(_) => self.add(at, "a JSON Schema is an object, true or false".to_owned()),
            Err(error) => self.add(at, format!("the schema is not JSON: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Description {
        Description {
            name: "shop/charge".to_owned(),
            version: "1.2.3".to_owned(),
            summary: "Charges cards.".to_owned(),
            handlers: vec![HandlerDescription {
                name: "charge_card".to_owned(),
                summary: "Charges one card.".to_owned(),
                output_schema: Some("{\"type\":\"object\"}".to_owned()),
                ..HandlerDescription::default()
            }],
            wishes: Wishes { hosts: vec!["https://pay.example:443".to_owned()], ..Wishes::default() },
        }
    }

    fn check(change: impl FnOnce(&mut Description), expect: &[(&str, &str)]) {
        let mut description = good();
        change(&mut description);
        let problems = description.check();
        assert_eq!(problems.len(), expect.len(), "{problems:?}");
        for (problem, (at, message)) in problems.iter().zip(expect) {
            assert_eq!(problem.at, *at, "{problem}");
            assert!(problem.message.contains(message), "{problem}");
        }
    }

    #[test]
    fn a_good_description_has_no_problems_and_reads_back() {
        check(|_| {}, &[]);
        let text = serde_json::to_string(&good()).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), good());
    }

    #[test]
    fn each_field_is_checked() {
        check(|it| it.name = "charge".to_owned(), &[("name", "namespace/name")]);
        check(|it| it.name = "a/\u{1b}[2J".to_owned(), &[("name", "\u{fffd}[2J")]);
        check(|it| it.name = "a".repeat(130), &[("name", "130 bytes long: at most 129")]);
        check(|it| it.version = "1.2".to_owned(), &[("version", "'1.2' is not a semantic version")]);
        check(|it| it.version = format!("1.2.3-{}", "a".repeat(64)), &[("version", "at most 64")]);
        check(|it| it.summary = "a\nb".to_owned(), &[("summary", "one line")]);
        check(|it| it.summary = "a".repeat(401), &[("summary", "401 bytes")]);
        check(|it| it.handlers.clear(), &[("handlers", "none")]);
        check(|it| it.handlers = vec![it.handlers[0].clone(); 257], &[("handlers", "257 of them")]);
        check(|it| it.handlers[0].name = "Charge".to_owned(), &[("handlers[0].name", "'Charge' must be")]);
        check(|it| it.handlers.push(it.handlers[0].clone()), &[("handlers[1].name", "two handlers")]);
        check(
            |it| it.handlers[0].input_schema = Some("{".to_owned()),
            &[("handlers[0].input_schema", "not JSON")],
        );
        check(
            |it| it.handlers[0].config_schema = Some("7".to_owned()),
            &[("handlers[0].config_schema", "object")],
        );
        let large = Some(" ".repeat(65_537));
        check(|it| it.handlers[0].output_schema = large, &[("handlers[0].output_schema", "65537 bytes")]);
        let parent = |step: &str| ParentDescription { step: step.to_owned(), ..ParentDescription::default() };
        check(|it| it.handlers[0].parents = vec![parent("")], &[("handlers[0].parents[0].step", "1 to 128")]);
        check(
            |it| it.handlers[0].parents = vec![parent("a"), parent("a")],
            &[("handlers[0].parents[1].step", "'a' stands here twice")],
        );
        check(|it| it.handlers[0].parents = vec![parent("a"); 65], &[("handlers[0].parents", "65 of them")]);
        let broken = ParentDescription { schema: Some("[".to_owned()), ..parent("a") };
        check(|it| it.handlers[0].parents = vec![broken], &[("handlers[0].parents[0].schema", "not JSON")]);
        check(|it| it.wishes.hosts = vec![String::new()], &[("wishes.hosts[0]", "1 to 256")]);
        check(|it| it.wishes.secrets = vec!["s".to_owned(); 65], &[("wishes.secrets", "65 of them")]);
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let wrong = |it: &mut Description| {
            it.name.clear();
            it.version.clear();
            it.handlers[0].name.clear();
        };
        check(wrong, &[("name", "''"), ("version", "''"), ("handlers[0].name", "''")]);
    }
}
