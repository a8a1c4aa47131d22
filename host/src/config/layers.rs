//! Settings as written, one layer over the other.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::grants::GrantSpec;
use super::settings::{Kind, SETTINGS, find, variable};
use super::trust::{self, TrustSetting};
use super::{CommandFlags, ConfigProblem, entry, grants};
use crate::cli::GlobalFlags;
use crate::error::CliError;

/// The file that is read if no other is named.
const FILE: &str = "stepwright.toml";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Origin {
    /// `default`, `file`, `environment` or `flag`.
    pub(crate) layer: &'static str,
    /// The file with line and column, the variable, or the flag.
    pub(crate) place: String,
}

/// What was written, by key.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) values: BTreeMap<&'static str, (String, Origin)>,
    /// The tables `[[trust]]` of the file.
    pub(crate) trust: Vec<TrustSetting>,
    pub(crate) problems: Vec<ConfigProblem>,
    /// The `[[grants]]` of the file.
    pub(crate) grants: Vec<GrantSpec>,
}

impl Layers {
    /// The defaults.
    pub(crate) fn new() -> Self {
        let origin = || Origin { layer: "default", place: "default".to_owned() };
        let values = SETTINGS.iter().map(|setting| (setting.key, (setting.default.to_owned(), origin())));
        Self { values: values.collect(), ..Self::default() }
    }

    fn set(&mut self, key: &str, value: String, layer: &'static str, place: String) {
        match find(key) {
            Some(setting) => drop(self.values.insert(setting.key, (value, Origin { layer, place }))),
            None => {
                let nearest = nearest_setting(key, SETTINGS.iter().map(|setting| setting.key.to_owned()));
                let problem = format!("unknown setting; {nearest}");
                self.problem(place, key, problem);
            }
        }
    }

    pub(crate) fn problem(&mut self, origin: String, key: &str, problem: String) {
        self.problems.push(ConfigProblem { origin, key: key.to_owned(), problem });
    }

    /// Lays the configuration file over the defaults. The one in the current directory need not be there.
    pub(crate) fn file(&mut self, path: Option<&Path>) -> Result<(), CliError> {
        let (path, wanted) = path.map_or((Path::new(FILE), false), |path| (path, true));
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&path.display().to_string(), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !wanted => {}
            Err(error) => {
                return Err(CliError::new(format!(
                    "failed to read the configuration file {}: {error}",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Lays a configuration file's text over what is there.
    pub(crate) fn text(&mut self, file: &str, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => self.table(file, text, "", table.get_ref()),
            Err(error) => {
                let place = place(file, text, error.span().map_or(0, |span| span.start));
                self.problem(place, "(syntax)", error.message().to_owned());
            }
        }
    }

    fn table(&mut self, file: &str, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let full = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let place = place(file, text, key.span().start);
            match value.get_ref() {
                _ if full == "grants" => {
                    let (grants, problems) = entry::tables((file, text), &full, value, grants::read);
                    self.grants.extend(grants);
                    self.problems.extend(problems);
                }
                DeValue::Table(inner)
                    if SETTINGS.iter().any(|setting| setting.key.starts_with(&format!("{full}."))) =>
                {
                    self.table(file, text, &full, inner);
                }
                DeValue::Array(rules) if full == trust::TABLE => trust::read(self, (file, text), rules),
                DeValue::String(value) => self.set(&full, value.to_string(), "file", place),
                DeValue::Integer(value) => self.set(&full, value.as_str().to_owned(), "file", place),
                DeValue::Boolean(value) if find(&full).is_none_or(|setting| setting.kind == Kind::Flag) => {
                    self.set(&full, value.to_string(), "file", place);
                }
                DeValue::Table(_) if find(&full).is_none() => self.set(&full, String::new(), "file", place),
                _ => self.problem(place, &full, "expected a text or a whole number".to_owned()),
            }
        }
    }

    /// Lays `STEPWRIGHT_*` variables over what is there.
    pub(crate) fn environment(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            match SETTINGS.iter().find(|setting| variable(setting) == *name) {
                Some(setting) => self.set(setting.key, value.clone(), "environment", name.clone()),
                None => {
                    let problem =
                        format!("unknown variable; {}", nearest_setting(name, SETTINGS.iter().map(variable)));
                    self.problem("environment".to_owned(), name, problem);
                }
            }
        }
    }

    /// Lays flags over what is there.
    pub(crate) fn flags(&mut self, global: &GlobalFlags, flags: &CommandFlags) {
        let shown = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        let given = [
            ("data_dir", "--data-dir", global.data_dir.as_ref().map(shown)),
            ("store.path", "--db", global.db.clone().filter(|db| !is_url(db))),
            ("store.url", "--db", global.db.clone().filter(|db| is_url(db))),
            ("run_dir", "--run-dir", global.run_dir.as_ref().map(shown)),
            ("environment", "--environment", global.environment.clone()),
            ("log.level", "--log-level", global.log_level.clone()),
            ("gate.listen", "--gate-listen", flags.orchestrate.gate_listen.clone()),
            ("api.listen", "--api-listen", flags.orchestrate.api_listen.clone()),
            ("orchestrator.advertise", "--advertise", flags.orchestrate.advertise.clone()),
            ("orchestrator.pumps", "--pumps", flags.orchestrate.pumps.map(|pumps| pumps.to_string())),
            ("worker.name", "--name", flags.work.common.name.clone()),
            ("worker.slots", "--slots", flags.work.common.slots.map(|slots| slots.to_string())),
            ("sandbox.observe", "--observe", flags.work.common.observe.then(|| "true".to_owned())),
            (
                "worker.orchestrators",
                "--orchestrator",
                Some(flags.work.orchestrators.join(",")).filter(|list| !list.is_empty()),
            ),
        ];
        for (key, flag, value) in given {
            if let Some(value) = value {
                self.set(key, value, "flag", flag.to_owned());
            }
        }
        for pair in &global.set {
            match pair.split_once('=') {
                Some((key, value)) => {
                    self.set(key.trim(), value.trim().to_owned(), "flag", "--set".to_owned());
                }
                None => self.problem("--set".to_owned(), pair, "expected KEY=VALUE".to_owned()),
            }
        }
    }
}

/// Whether a database is named by an address rather than a path.
fn is_url(database: &str) -> bool {
    database.contains("://")
}

/// A value as it may be shown: an address without its password.
pub(crate) fn without_password(kind: Kind, value: &str) -> String {
    let (Kind::Url | Kind::Place, Some((scheme, rest))) = (kind, value.split_once("://")) else {
        return value.to_owned();
    };
    match rest.rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}://{user}:***@{host}"),
        _ => value.to_owned(),
    }
}

/// Where a byte of the file stands: its line and column.
pub(super) fn place(file: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    format!("{file}:{line}:{column}")
}

fn nearest_setting(wanted: &str, known: impl Iterator<Item = String>) -> String {
    nearest(wanted, known).unwrap_or_else(|| "'stepwright config show' lists them all".to_owned())
}

/// A question that names what was probably meant, if anything is near.
pub(super) fn nearest(wanted: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let (distance, name) = known.map(|name| (strsim::damerau_levenshtein(wanted, &name), name)).min()?;
    (distance <= 4 && distance < wanted.len()).then(|| format!("did you mean '{name}'?"))
}

#[cfg(test)]
mod tests {
    use super::super::typed::Config;
    use super::*;
    use crate::config::settings::Setting;

    fn problems(text: &str) -> Vec<String> {
        let mut layers = Layers::new();
        layers.text("s.toml", text);
        Config::read(&mut layers);
        layers.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_later_layer_wins() {
        let mut layers = Layers::new();
        layers.text("s.toml", "environment = 'file'\n[worker]\nslots = 3\nname = 'file'\n");
        layers.environment(&[
            ("STEPWRIGHT_WORKER_NAME".to_owned(), "env".to_owned()),
            ("STEPWRIGHT_ENVIRONMENT".to_owned(), "env".to_owned()),
        ]);
        let global = GlobalFlags { environment: Some("flag".to_owned()), ..GlobalFlags::default() };
        layers.flags(&global, &CommandFlags::default());
        let shown = |key| (layers.values[key].0.as_str(), layers.values[key].1.layer);
        assert_eq!(shown("environment"), ("flag", "flag"));
        assert_eq!(shown("worker.name"), ("env", "environment"));
        assert_eq!(shown("worker.slots"), ("3", "file"));
        assert_eq!(shown("worker.drain"), ("20s", "default"));
        assert!(layers.problems.is_empty());
    }

    #[test]
    fn unknown_keys_and_bad_values_are_all_named() {
        assert_eq!(
            problems(
                "enviroment = 'x'\n[worker]\nslots = 'many'\n[sandbox]\nmemory = '64MB'\n[lgo]\nlevel = 'info'\n"
            ),
            [
                "s.toml:1:1: enviroment: unknown setting; did you mean 'environment'?",
                "s.toml:6:2: lgo: unknown setting; 'stepwright config show' lists them all",
                "s.toml:5:1: sandbox.memory: '64MB' is not a size; write a whole number and a unit, such as 512B, 64KiB, 64MiB or 1GiB",
                "s.toml:3:1: worker.slots: 'many' is not a whole number from 0 to 4096",
            ]
        );
        assert_eq!(problems("a = ").len(), 1);
        assert_eq!(
            problems("environment = true"),
            ["s.toml:1:1: environment: expected a text or a whole number"]
        );
    }

    #[test]
    fn a_database_is_a_path_or_an_address() {
        let key = |db: &str| {
            let mut layers = Layers::new();
            let global = GlobalFlags { db: Some(db.to_owned()), ..GlobalFlags::default() };
            layers.flags(&global, &CommandFlags::default());
            ["store.path", "store.url"].map(|key| layers.values[key].0.clone())
        };
        assert_eq!(key("/tmp/a.db"), ["/tmp/a.db", ""]);
        assert_eq!(key("postgres://h/d"), ["", "postgres://h/d"]);
        // Which is refused as no address of PostgreSQL, without its password.
        assert_eq!(key("mysql://ann:s3cret@h/d"), ["", "mysql://ann:s3cret@h/d"]);
        let shown = |url| without_password(Kind::Url, url);
        assert_eq!(shown("postgres://ann:s@cret@h:5432/d"), "postgres://ann:***@h:5432/d");
        assert_eq!(shown("postgres://ann@h/d"), "postgres://ann@h/d");
        assert_eq!(problems("[store]\nurl = 'mysql://h/d'\n").len(), 1);
    }

    #[test]
    fn unknown_variables_are_errors() {
        let mut layers = Layers::new();
        layers.environment(&[("STEPWRIGHT_WORKER_SLOT".to_owned(), "1".to_owned())]);
        assert_eq!(
            layers.problems[0].to_string(),
            "environment: STEPWRIGHT_WORKER_SLOT: unknown variable; did you mean 'STEPWRIGHT_WORKER_SLOTS'?"
        );
    }

    #[test]
    fn the_reference_file_shows_every_setting_with_its_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/stepwright.toml");
        let text = std::fs::read_to_string(path).unwrap();
        // Commented out, since a file that sets nothing leaves every default in place.
        let uncommented: String = text
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|rest| !rest.starts_with(' ') && (rest.contains(" = ") || rest.starts_with('[')))
                    .unwrap_or(line)
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let mut layers = Layers::new();
        layers.text("stepwright.toml", &uncommented);
        assert_eq!(layers.problems, []);
        let differs = |setting: &&Setting| {
            let (value, origin) = &layers.values[setting.key];
            origin.layer != "file" || value != setting.default || !text.contains(setting.help)
        };
        let wrong: Vec<&str> = SETTINGS.iter().filter(differs).map(|setting| setting.key).collect();
        assert!(wrong.is_empty(), "{wrong:?} in config/stepwright.toml; it should be:\n{}", reference());
    }

    fn reference() -> String {
        let mut text = String::from("# Every setting with its default. Copy what you change.\n");
        let mut section = "";
        for setting in SETTINGS {
            let (of, key) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
            if of != section {
                text.push_str(&format!("\n[{of}]\n"));
                section = of;
            }
            text.push_str(&format!("\n# {}\n", setting.help));
            let quoted = setting.default.parse::<u64>().is_err() && setting.kind != Kind::Flag;
            text.push_str(&if quoted {
                format!("{key} = \"{}\"\n", setting.default)
            } else {
                format!("{key} = {}\n", setting.default)
            });
        }
        text
    }
}
