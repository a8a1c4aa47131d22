//! `[[grants]]` in the configuration file: what plugins may reach, entry by entry.
//!
//! Entries are checked whenever the file is read; secrets are fetched only by who runs steps.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use stepwright_executor::grants::{
    DirectoryGrant, GrantEntry, Grants, HttpGrant, PluginLimits, PluginPattern, SecretGrant, SecretValue,
};
use stepwright_registry::PluginName;
use stepwright_workflow::template::values::duration_ms;

use super::entry::Entry;
use crate::error::CliError;

/// The largest secret that is read from a file, in bytes: a key or a certificate, not a document.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// One `[[grants]]` entry, checked; the values of its secrets are not fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantSpec {
    /// Where it stands, for messages.
    place: String,
    entry: GrantEntry,
    environment: Vec<(String, Source)>,
    secrets: Vec<SecretSpec>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SecretSpec {
    name: String,
    source: Source,
    revealed: bool,
    hosts: Vec<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// It stands in the configuration file.
    Written(String),
    /// A variable of the host's own environment.
    Variable(String),
    /// A file; one line end after the value does not belong to it.
    File(PathBuf),
}

const KEYS: &[&str] = &[
    "plugin",
    "namespace",
    "http",
    "networks",
    "directories",
    "scratch",
    "environment",
    "secrets",
    "settings",
    "limits",
];

/// Reads one entry; what is wrong with it is noted, and it is left out then.
pub(super) fn read(entry: &Entry) -> Option<GrantSpec> {
    let before = entry.problems();
    entry.known(KEYS);
    let plugins = pattern(entry);
    let grants = grants(entry);
    let (environment, secrets) = (environment(entry), secrets(entry));
    if entry.problems() > before {
        return None;
    }
    let entry_of = |plugins| GrantEntry { plugins, namespace: entry.text("namespace"), grants };
    plugins.map(|plugins| GrantSpec { place: entry.place(), entry: entry_of(plugins), environment, secrets })
}

impl GrantSpec {
    /// The entry with the values of its secrets, fetched now.
    pub(crate) fn fetch(&self, variable: impl Fn(&str) -> Option<String>) -> Result<GrantEntry, CliError> {
        let mut entry = self.entry.clone();
        for (name, source) in &self.environment {
            let value = self.value(&format!("environment.{name}"), source, &variable)?;
            entry.grants.environment.push((name.clone(), value));
        }
        for SecretSpec { name, source, revealed, hosts } in &self.secrets {
            let value = SecretValue::new(self.value(&format!("secret '{name}'"), source, &variable)?);
            let (name, hosts) = (name.clone(), hosts.clone());
            entry.grants.secrets.push(SecretGrant { name, value, revealed: *revealed, hosts });
        }
        Ok(entry)
    }

    /// The entry without values: for whoever shows it.
    pub(crate) fn names_only(&self) -> GrantEntry {
        let mut entry = self.entry.clone();
        entry.grants.environment =
            self.environment.iter().map(|(name, _)| (name.clone(), String::new())).collect();
        let secret = |spec: &SecretSpec| SecretGrant {
            name: spec.name.clone(),
            value: SecretValue::new(""),
            revealed: spec.revealed,
            hosts: spec.hosts.clone(),
        };
        entry.grants.secrets = self.secrets.iter().map(secret).collect();
        entry
    }

    fn value(
        &self,
        what: &str,
        source: &Source,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<String, CliError> {
        let place = &self.place;
        let value = match source {
            Source::Written(value) => value.clone(),
            Source::Variable(name) => variable(name).ok_or_else(|| {
                CliError::new(format!("{place}: {what}: the environment variable {name} is not set"))
            })?,
            Source::File(path) => {
                let read = crate::input::bytes(path, SECRET_BYTES_MAX)
                    .map_err(|error| CliError::new(format!("{place}: {what}: {}", error.message())))?;
                let text = String::from_utf8(read).map_err(|_| {
                    CliError::new(format!("{place}: {what}: {} is not UTF-8 text", path.display()))
                })?;
                text.strip_suffix('\n').map_or(text.clone(), |line| line.trim_end_matches('\r').to_owned())
            }
        };
        if value.is_empty() {
            return Err(CliError::new(format!("{place}: {what} is empty")));
        }
        Ok(value)
    }
}

fn pattern(entry: &Entry) -> Option<PluginPattern> {
    entry.required("plugin").and_then(|text| entry.checked("plugin", plugin_pattern(&text)))
}

/// `namespace/name`, `namespace/*` or `*`, each with `@requirement` if not every version is meant.
fn plugin_pattern(text: &str) -> Result<PluginPattern, String> {
    let (name, requirement) = match text.split_once('@') {
        Some((name, requirement)) => (name, Some(requirement)),
        None => (text, None),
    };
    let requirement = requirement.map(|text| {
        text.parse().map_err(|error| format!("'{text}' is no version requirement, such as ^1.2: {error}"))
    });
    let requirement = requirement.transpose()?;
    if name == "*" {
        return Ok(PluginPattern { namespace: None, name: None, requirement });
    }
    let (checked, any) = match name.strip_suffix("/*") {
        Some(namespace) => (format!("{namespace}/any"), true),
        None => (name.to_owned(), false),
    };
    let checked: PluginName = checked.parse().map_err(|_| {
        format!(
            "'{name}' is no plugin; write namespace/name, namespace/* for all of a namespace, or * for all"
        )
    })?;
    let name = (!any).then(|| checked.name().to_owned());
    Ok(PluginPattern { namespace: Some(checked.namespace().to_owned()), name, requirement })
}

fn grants(entry: &Entry) -> Grants {
    let http = entry.texts("http").into_iter();
    let http = http.filter_map(|(at, text)| entry.checked(&at, text.parse::<HttpGrant>())).collect();
    let networks = entry.texts("networks").into_iter();
    let networks = networks.filter_map(|(at, text)| entry.checked(&at, network(&text))).collect();
    let settings = entry.table("settings");
    let settings = settings.map_or_else(Vec::new, |settings| {
        let pair = |key: &str| settings.text(key).map(|value| (key.to_owned(), value));
        settings.keys().filter_map(pair).collect()
    });
    Grants {
        http,
        networks,
        directories: directories(entry),
        scratch_bytes: entry.size("scratch"),
        settings,
        limits: limits(entry),
        ..Grants::default()
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("'{text}' is no network; write for instance 10.1.0.0/16"))
}

fn directories(entry: &Entry) -> Vec<DirectoryGrant> {
    let mut directories = Vec::new();
    for directory in entry.tables("directories") {
        directory.known(&["path", "as", "mode"]);
        let host = directory.required("path").map(PathBuf::from);
        let guest = directory.required("as");
        let writable = match directory.text("mode").as_deref() {
            None | Some("read-only") => false,
            Some("read-write") => true,
            Some(other) => {
                directory.problem("mode", format!("'{other}' is neither 'read-only' nor 'read-write'"));
                false
            }
        };
        let (Some(host), Some(guest)) = (host, guest) else { continue };
        if !host.is_absolute() {
            directory.problem("path", format!("'{}' must begin with '/'", host.display()));
        } else if !guest.starts_with('/') || guest.split('/').any(|part| part == ".." || part == ".") {
            directory
                .problem("as", format!("'{guest}' must begin with '/' and have neither '.' nor '..' in it"));
        } else if guest == "/scratch" {
            directory.problem("as", "'/scratch' is the scratch directory's; choose another path");
        } else {
            directories.push(DirectoryGrant { host, guest, writable });
        }
    }
    directories
}

fn limits(entry: &Entry) -> PluginLimits {
    let Some(limits) = entry.table("limits") else { return PluginLimits::default() };
    limits.known(&[
        "memory",
        "cpu",
        "output",
        "http_calls",
        "http_connections",
        "http_bytes_in",
        "http_bytes_out",
    ]);
    let cpu = limits.text("cpu").and_then(|text| limits.checked("cpu", duration_ms(&text)));
    PluginLimits {
        memory_bytes_max: limits.size("memory"),
        cpu_max: cpu.map(Duration::from_millis),
        output_bytes_max: limits.size("output"),
        http_calls_max: limits.number("http_calls"),
        http_connections_max: limits.number("http_connections"),
        http_bytes_in_max: limits.size("http_bytes_in"),
        http_bytes_out_max: limits.size("http_bytes_out"),
    }
}

fn environment(entry: &Entry) -> Vec<(String, Source)> {
    let Some(variables) = entry.table("environment") else { return Vec::new() };
    let mut environment = Vec::new();
    for name in variables.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            variables.problem(name, "is no name of an environment variable");
            continue;
        }
        let value = match variables.text_or_table(name) {
            Some(Ok(text)) => Some(Source::Written(text)),
            Some(Err(table)) => {
                table.known(&["env", "file"]);
                source(&table)
            }
            None => None,
        };
        environment.extend(value.map(|value| (name.to_owned(), value)));
    }
    environment
}

fn secrets(entry: &Entry) -> Vec<SecretSpec> {
    let mut secrets: Vec<SecretSpec> = Vec::new();
    for secret in entry.tables("secrets") {
        secret.known(&["name", "env", "file", "reveal", "hosts"]);
        let name = secret.required("name");
        let source = source(&secret);
        let revealed = secret.flag("reveal");
        let hosts = secret.texts("hosts").into_iter().map(|(_, host)| host.to_lowercase()).collect();
        let (Some(name), Some(source)) = (name, source) else { continue };
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_good) {
            secret.problem("name", format!("'{name}' must be 1 to 64 letters, digits, '_', '-' or '.'"));
        } else if secrets.iter().any(|other| other.name == name) {
            secret.problem("name", format!("'{name}' is there twice"));
        } else {
            secrets.push(SecretSpec { name, source, revealed, hosts });
        }
    }
    secrets
}

/// `env = "NAME"` or `file = "/path"`: a secret never stands in the configuration file itself.
fn source(entry: &Entry) -> Option<Source> {
    match (entry.text("env"), entry.text("file")) {
        (Some(name), None) => Some(Source::Variable(name)),
        (None, Some(path)) if path.starts_with('/') => Some(Source::File(path.into())),
        (None, Some(path)) => {
            entry.problem("file", format!("'{path}' must begin with '/'"));
            None
        }
        (Some(_), Some(_)) => {
            entry.problem("env", "and 'file' are both there; only one can say where the value is");
            None
        }
        (None, None) => {
            entry.problem(
                "env",
                "is missing; write env = \"VARIABLE\" or file = \"/path\", where the value is",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;
    use super::*;

    fn read(text: &str) -> (Vec<GrantSpec>, Vec<String>) {
        let mut layers = Layers::new();
        layers.text("s.toml", text);
        (layers.grants, layers.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_entry_is_read_in_full_and_secrets_are_fetched_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "s3cret\n").unwrap();
        let text = format!(
            r#"
            [[grants]]
            plugin = "shop/charge@^1.2"
            namespace = "orders"
            http = ["GET,POST https://Pay.example:8443", "http://*.intranet"]
            networks = ["10.1.0.0/16", "127.0.0.1"]
            directories = [{{ path = "/srv/in", as = "/in" }}, {{ path = "/srv/out", as = "/out", mode = "read-write" }}]
            scratch = "16MiB"
            environment = {{ REGION = "eu", ZONE = {{ env = "ZONE" }} }}
            secrets = [{{ name = "key", file = "{}", hosts = ["pay.example"] }}, {{ name = "other", env = "OTHER", reveal = true }}]
            settings = {{ currency = "EUR" }}
            limits = {{ memory = "32MiB", cpu = "2s", http_calls = 5 }}
            "#,
            file.display()
        );
        let (specs, problems) = read(&text);
        assert_eq!(problems, Vec::<String>::new());
        let variable = |name: &str| (name != "NONE").then(|| format!("{name}'s value"));
        let GrantEntry { plugins, namespace, grants } = specs[0].fetch(variable).unwrap();
        assert!(plugins.matches("shop/charge", &"1.3.0".parse().unwrap()));
        assert_eq!(namespace.as_deref(), Some("orders"));
        let http = |methods: &[&str], plain, host: &str, port| HttpGrant {
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            plain,
            host: host.to_owned(),
            port,
        };
        assert_eq!(
            grants.http,
            [http(&["GET", "POST"], false, "pay.example", 8443), http(&[], true, "*.intranet", 80)]
        );
        assert_eq!(
            grants.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.1.0.0/16", "127.0.0.1/32"]
        );
        assert_eq!(grants.directories.iter().map(|it| it.writable).collect::<Vec<_>>(), [false, true]);
        assert_eq!(
            grants.environment,
            [("REGION".into(), "eu".into()), ("ZONE".into(), "ZONE's value".into())]
        );
        assert_eq!(grants.secrets[0].value, SecretValue::new("s3cret"));
        assert!(!grants.secrets[0].revealed && grants.secrets[1].revealed);
        assert_eq!((grants.limits.memory_bytes_max, grants.limits.http_calls_max), (Some(32 << 20), Some(5)));
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let (specs, problems) = read(
            "[[grants]]\nplugin = 'shop'\nhtp = []\nhttp = ['pay.example', 'get https://a', 7]\nnetworks = ['x']\n\
             secrets = [{ name = 'k' }, { name = 'a b', env = 'A' }]\ndirectories = [{ path = 'srv', as = '/a' }]\nscratch = '1MB'\n\
             [[grants]]\nhttp = 'https://a'\nlimits = { memory = 3 }\n",
        );
        assert!(specs.is_empty());
        let expect = [
            "s.toml:3:1: grants[0].htp: unknown field; did you mean 'http'?",
            "s.toml:2:1: grants[0].plugin: 'shop' is no plugin; write namespace/name",
            "s.toml:4:41: grants[0].http[2]: expected a text",
            "s.toml:4:1: grants[0].http[0]: 'pay.example'",
            "s.toml:4:1: grants[0].http[1]: 'get' in 'get https://a' is no method",
            "s.toml:5:1: grants[0].networks[0]: 'x' is no network",
            "s.toml:7:18: grants[0].directories[0].path: 'srv' must begin with '/'",
            "s.toml:8:1: grants[0].scratch: '1MB' is not a size",
            "s.toml:6:12: grants[0].secrets[0].env: is missing",
            "s.toml:6:30: grants[0].secrets[1].name: 'a b' must be 1 to 64",
            "s.toml:9:1: grants[1].plugin: is missing",
            "s.toml:10:1: grants[1].http: expected a list of texts",
            "s.toml:11:12: grants[1].limits.memory: expected a text",
        ];
        for expect in expect {
            assert!(problems.iter().any(|problem| problem.starts_with(expect)), "{expect}\n{problems:#?}");
        }
        assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let (specs, _) = read("[[grants]]\nplugin = '*'\nsecrets = [{ name = 'key', env = 'NONE' }]\n");
        let error = format!("{:?}", specs[0].fetch(|_| None).unwrap_err());
        assert!(
            error.contains("s.toml:1:1: secret 'key': the environment variable NONE is not set"),
            "{error}"
        );
    }

    #[test]
    fn the_grants_of_the_reference_are_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/grants.md");
        let text = std::fs::read_to_string(path).unwrap();
        let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let (specs, problems) = read(block);
        assert_eq!((specs.len(), problems), (1, Vec::new()));
        let missing: Vec<_> = KEYS.iter().filter(|key| !block.contains(&format!("{key} = "))).collect();
        assert!(missing.is_empty(), "{missing:?} are not in docs/reference/grants.md");
    }
}
