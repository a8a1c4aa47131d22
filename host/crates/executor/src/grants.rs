//! What a step may reach beyond its own memory. Whatever no grant names is denied.
//!
//! Grants are the operator's, written in the configuration of whoever runs the steps. A step gets all those that match its
//! plugin and its task's namespace, added up.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use semver::{Prerelease, Version, VersionReq};

/// One entry of the configuration: for whom, and what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantEntry {
    /// Which plugins.
    pub plugins: PluginPattern,
    /// Only tasks whose template is in this namespace; `None` means any.
    pub namespace: Option<String>,
    /// What is granted.
    pub grants: Grants,
}

/// `namespace/name`, `namespace/*` or `*`, with a version requirement if not every version is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginPattern {
    /// `None` means any.
    pub namespace: Option<String>,
    /// `None` means any.
    pub name: Option<String>,
    /// `None` means any.
    pub requirement: Option<VersionReq>,
}

/// What an attempt is granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Hosts that it may call.
    pub http: Vec<HttpGrant>,
    /// Private, loopback and link-local networks that granted host names may lead to. Everything else that is not public is
    /// refused, whatever name leads there.
    pub networks: Vec<IpNet>,
    /// Directories of this machine that it sees.
    pub directories: Vec<DirectoryGrant>,
    /// A directory of its own at `/scratch`, gone after the attempt, into which it may write so many bytes.
    pub scratch_bytes: Option<u64>,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Its secrets.
    pub secrets: Vec<SecretGrant>,
    /// What it reads through `wasi:config/store`.
    pub settings: Vec<(String, String)>,
    /// Limits in place of the sandbox's own.
    pub limits: PluginLimits,
}

/// Hosts and methods that may be called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpGrant {
    /// `GET` and its like, upper-case; empty means all.
    pub methods: Vec<String>,
    /// Whether without TLS. With TLS is the usual case.
    pub plain: bool,
    /// A host name in lower case, `*.example.com` for every name below, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A directory that a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// Where it is on this machine.
    pub host: PathBuf,
    /// Where the guest sees it.
    pub guest: String,
    /// Whether the guest may write into it.
    pub writable: bool,
}

/// A secret that a guest may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// The name by which the guest asks for it.
    pub name: String,
    /// Its value.
    pub value: SecretValue,
    /// Whether the guest is told the value. Otherwise it gets a placeholder, which the host replaces in what goes out to granted
    /// hosts.
    pub revealed: bool,
    /// The hosts to which the host sends it in place of the placeholder, as in [`HttpGrant::host`]; empty means every granted one.
    pub hosts: Vec<String>,
}

/// A value that no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<str>);

impl SecretValue {
    /// Keeps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Limits that a plugin has in place of the sandbox's own. A template's limits still count where they are lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginLimits {
    /// Linear memory in bytes.
    pub memory_bytes_max: Option<u64>,
    /// CPU time.
    pub cpu_max: Option<Duration>,
    /// The output's JSON text in bytes.
    pub output_bytes_max: Option<u64>,
    /// HTTP requests of one attempt.
    pub http_calls_max: Option<u32>,
    /// HTTP requests of one attempt at the same time.
    pub http_connections_max: Option<u32>,
    /// Bytes of all responses of one attempt.
    pub http_bytes_in_max: Option<u64>,
    /// Bytes of all request bodies of one attempt.
    pub http_bytes_out_max: Option<u64>,
}

impl PluginPattern {
    /// Whether a plugin is meant. `plugin` is `namespace/name`. A pre-release counts as the version that it comes before: grants
    /// written for `^1.2` are meant for what is tried out on the way there, too.
    pub fn matches(&self, plugin: &str, version: &Version) -> bool {
        let (namespace, name) = plugin.split_once('/').unwrap_or(("", plugin));
        let satisfies = |wanted: &VersionReq| {
            wanted.matches(version) || wanted.matches(&Version { pre: Prerelease::EMPTY, ..version.clone() })
        };
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
            && self.requirement.as_ref().is_none_or(satisfies)
    }
}

impl Grants {
    /// Adds what another entry grants. Its limits, where it has any, replace those that are there.
    fn add(&mut self, more: &Self) {
        self.http.extend_from_slice(&more.http);
        self.networks.extend_from_slice(&more.networks);
        self.directories.extend_from_slice(&more.directories);
        self.scratch_bytes = self.scratch_bytes.max(more.scratch_bytes);
        self.environment.extend_from_slice(&more.environment);
        self.secrets.extend_from_slice(&more.secrets);
        self.settings.extend_from_slice(&more.settings);
        self.limits = more.limits.or(self.limits);
    }
}

impl PluginLimits {
    fn or(self, other: Self) -> Self {
        Self {
            memory_bytes_max: self.memory_bytes_max.or(other.memory_bytes_max),
            cpu_max: self.cpu_max.or(other.cpu_max),
            output_bytes_max: self.output_bytes_max.or(other.output_bytes_max),
            http_calls_max: self.http_calls_max.or(other.http_calls_max),
            http_connections_max: self.http_connections_max.or(other.http_connections_max),
            http_bytes_in_max: self.http_bytes_in_max.or(other.http_bytes_in_max),
            http_bytes_out_max: self.http_bytes_out_max.or(other.http_bytes_out_max),
        }
    }
}

/// Every entry of the configuration, and what each plugin was found to get.
#[derive(Debug, Default)]
pub struct GrantBook {
    entries: Vec<GrantEntry>,
    nothing: Arc<Grants>,
    found: Mutex<HashMap<Asker, Arc<Grants>>>,
}

/// For whom grants were added up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asker {
    plugin: String,
    version: String,
    namespace: String,
}

/// Askers that are remembered; beyond that, all are forgotten and added up anew.
const ASKERS_MAX: usize = 4_096;

impl GrantBook {
    /// A book of these entries.
    pub fn new(entries: Vec<GrantEntry>) -> Self {
        Self { entries, ..Self::default() }
    }

    /// What a plugin gets in a step of a task whose template is in `namespace`. A version that cannot be read gets what is meant
    /// for every version.
    pub fn find(&self, plugin: &str, version: &str, namespace: &str) -> Arc<Grants> {
        if self.entries.is_empty() {
            return Arc::clone(&self.nothing);
        }
        let asker = Asker { plugin: plugin.into(), version: version.into(), namespace: namespace.into() };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grants) = found.get(&asker) {
            return Arc::clone(grants);
        }
        let grants = Arc::new(self.add_up(&asker));
        if found.len() >= ASKERS_MAX {
            found.clear();
        }
        found.insert(asker, Arc::clone(&grants));
        grants
    }

    fn add_up(&self, asker: &Asker) -> Grants {
        let version = Version::parse(&asker.version).ok();
        let mut all = Grants::default();
        for entry in &self.entries {
            let meant = match &version {
                Some(version) => entry.plugins.matches(&asker.plugin, version),
                None => {
                    entry.plugins.requirement.is_none()
                        && entry.plugins.matches(&asker.plugin, &Version::new(0, 0, 0))
                }
            };
            if meant && entry.namespace.as_deref().is_none_or(|wanted| wanted == asker.namespace) {
                all.add(&entry.grants);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pattern: (&str, &str, &str), namespace: Option<&str>, host: &str) -> GrantEntry {
        let some = |text: &str| (text != "*").then(|| text.to_owned());
        let (owner, name, requirement) = pattern;
        let http = HttpGrant { methods: Vec::new(), plain: false, host: host.to_owned(), port: 443 };
        GrantEntry {
            plugins: PluginPattern {
                namespace: some(owner),
                name: some(name),
                requirement: some(requirement).map(|text| text.parse().unwrap()),
            },
            namespace: namespace.map(str::to_owned),
            grants: Grants { http: vec![http], ..Grants::default() },
        }
    }

    #[test]
    fn entries_that_match_are_added_up_and_others_are_not() {
        let book = GrantBook::new(vec![
            entry(("shop", "charge", "^1.2"), None, "pay.example"),
            entry(("shop", "*", "*"), Some("orders"), "shop.example"),
            entry(("*", "*", "*"), None, "all.example"),
        ]);
        let check = |plugin: &str, version: &str, namespace: &str, expect: &[&str]| {
            let grants = book.find(plugin, version, namespace);
            let hosts: Vec<&str> = grants.http.iter().map(|grant| grant.host.as_str()).collect();
            assert_eq!(hosts, expect, "{plugin}@{version} in {namespace}");
        };
        check("shop/charge", "1.2.3", "orders", &["pay.example", "shop.example", "all.example"]);
        check("shop/charge", "1.3.0-dev.1", "x", &["pay.example", "all.example"]);
        check("shop/charge", "2.0.0", "x", &["all.example"]);
        check("shop/charge", "what", "x", &["all.example"]);
        check("shopping/charge", "1.2.3", "orders", &["all.example"]);
        check("shop/refund", "0.1.0", "orders", &["shop.example", "all.example"]);
        assert!(GrantBook::default().find("a/b", "1.0.0", "c").http.is_empty());
    }

    #[test]
    fn later_limits_replace_earlier_ones_and_secrets_are_not_shown() {
        let mut all = Grants::default();
        let limits =
            |memory, cpu| PluginLimits { memory_bytes_max: memory, cpu_max: cpu, ..PluginLimits::default() };
        all.add(&Grants { limits: limits(Some(1), Some(Duration::from_secs(1))), ..Grants::default() });
        all.add(&Grants { limits: limits(Some(2), None), ..Grants::default() });
        assert_eq!(all.limits, limits(Some(2), Some(Duration::from_secs(1))));
        assert!(!format!("{:?}", SecretValue::new("hunter2")).contains("hunter2"));
    }
}
