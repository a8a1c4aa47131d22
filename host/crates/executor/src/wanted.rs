//! What a guest asked for and was not granted, and the lines of configuration that would grant it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;

use crate::grants::HttpGrant;

/// The longest name of a secret or a setting that is repeated, in characters: guests make names up.
const NAME_CHARACTERS_MAX: usize = 128;
/// Wishes that are remembered in all; further new ones are left out.
const WISHES_MAX: usize = 10_000;

/// One thing that a grant could give.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// To call a host.
    Http(HttpGrant),
    /// That a granted host may lead to an address that is not public.
    Network(IpNet),
    /// A secret, by name.
    Secret(String),
    /// That a secret may go to a host; the secret's name, and the host.
    SecretHost(String, String),
    /// A setting, by key.
    Setting(String),
}

impl Wanted {
    pub(crate) fn secret(name: &str) -> Self {
        Self::Secret(name.chars().take(NAME_CHARACTERS_MAX).collect())
    }

    pub(crate) fn setting(key: &str) -> Self {
        Self::Setting(key.chars().take(NAME_CHARACTERS_MAX).collect())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(grant) => write!(f, "{grant}"),
            Self::Network(network) => write!(f, "the network {network}"),
            Self::Secret(name) => write!(f, "the secret '{name}'"),
            Self::SecretHost(name, host) => write!(f, "the secret '{name}' at {host}"),
            Self::Setting(key) => write!(f, "the setting '{key}'"),
        }
    }
}

/// The entry of the configuration that grants all of it to a plugin. Values that only the operator knows are left open.
pub fn grant_toml<'a>(plugin: &str, wanted: impl IntoIterator<Item = &'a Wanted>) -> String {
    let (mut http, mut networks, mut settings) = (Vec::new(), Vec::new(), Vec::new());
    // By name: the hosts that a secret goes to belong into its own entry.
    let mut secrets = BTreeMap::<&str, Vec<String>>::new();
    for wish in wanted {
        match wish {
            Wanted::Http(grant) => http.push(quoted(&grant.to_string())),
            Wanted::Network(network) => networks.push(quoted(&network.to_string())),
            Wanted::Secret(name) => drop(secrets.entry(name).or_default()),
            Wanted::SecretHost(name, host) => secrets.entry(name).or_default().push(quoted(host)),
            Wanted::Setting(key) => settings.push(format!("{} = \"\"", quoted(key))),
        }
    }
    let plugin = if plugin.is_empty() { "namespace/name" } else { plugin };
    let mut text = format!("[[grants]]\nplugin = {}", quoted(plugin));
    let mut line = |key: &str, open: char, items: &[String], close: char| {
        if !items.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{key} = {open}{}{close}", items.join(", "));
        }
    };
    line("http", '[', &http, ']');
    line("networks", '[', &networks, ']');
    let secrets: Vec<String> = secrets.into_iter().map(|(name, hosts)| secret(name, &hosts)).collect();
    line("secrets", '[', &secrets, ']');
    line("settings", '{', &settings, '}');
    text
}

fn secret(name: &str, hosts: &[String]) -> String {
    let variable: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let hosts = if hosts.is_empty() { String::new() } else { format!(", hosts = [{}]", hosts.join(", ")) };
    format!("{{ name = {}, env = {}{hosts} }}", quoted(name), quoted(&variable))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What plugins asked for while nobody stopped them: with this at hand, hosts that are public are let through though no grant
/// names them. Everything else stays denied and is noted.
#[derive(Debug, Default)]
pub struct Observations(Mutex<BTreeMap<(String, Wanted), u64>>);

/// What one plugin would have to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The plugin as `namespace/name`.
    pub plugin: String,
    /// What it asked for, and how often.
    pub wanted: Vec<(Wanted, u64)>,
    /// The entry of the configuration.
    pub toml: String,
}

impl Observations {
    /// Notes a wish that was made so many times.
    pub fn note(&self, plugin: &str, wanted: &Wanted, times: u64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wish = (plugin.to_owned(), wanted.clone());
        if let Some(noted) = noted.get_mut(&wish) {
            *noted = noted.saturating_add(times);
        } else if noted.len() < WISHES_MAX {
            noted.insert(wish, times);
        }
    }

    /// What each plugin asked for, in the order of their names.
    pub fn suggestions(&self) -> Vec<Suggestion> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plugins = BTreeMap::<&str, Vec<(Wanted, u64)>>::new();
        for ((plugin, wanted), times) in noted.iter() {
            plugins.entry(plugin).or_default().push((wanted.clone(), *times));
        }
        let suggestion = |(plugin, wanted): (&str, Vec<(Wanted, u64)>)| Suggestion {
            plugin: plugin.to_owned(),
            toml: grant_toml(plugin, together(&wanted).iter()),
            wanted,
        };
        plugins.into_iter().map(suggestion).collect()
    }
}

/// One entry for each host, whatever the methods.
fn together(wanted: &[(Wanted, u64)]) -> Vec<Wanted> {
    let mut hosts = BTreeMap::<(String, u16, bool), Vec<String>>::new();
    let mut rest = Vec::new();
    for (wish, _) in wanted {
        match wish {
            Wanted::Http(grant) => {
                let host = (grant.host.clone(), grant.port, grant.plain);
                hosts.entry(host).or_default().extend_from_slice(&grant.methods);
            }
            other => rest.push(other.clone()),
        }
    }
    let joined = hosts
        .into_iter()
        .map(|((host, port, plain), methods)| Wanted::Http(HttpGrant { methods, plain, host, port }));
    joined.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_observed_becomes_one_entry_for_each_plugin() {
        let observed = Observations::default();
        let http = |text: &str| Wanted::Http(text.parse().unwrap());
        observed.note("shop/charge", &http("GET https://api.example.com"), 1);
        observed.note("shop/charge", &http("POST https://api.example.com"), 1);
        observed.note("shop/charge", &http("POST https://api.example.com"), 1);
        observed.note("shop/charge", &Wanted::Network("10.1.2.3/32".parse().unwrap()), 1);
        observed.note("shop/charge", &Wanted::secret("api-key"), 1);
        observed.note("shop/charge", &Wanted::SecretHost("api-key".into(), "api.example.com".into()), 1);
        observed.note("a/b", &Wanted::setting("re\"gion"), 1);
        let suggestions = observed.suggestions();
        let texts: Vec<&str> = suggestions.iter().map(|it| it.toml.as_str()).collect();
        assert_eq!(
            texts,
            [
                "[[grants]]\nplugin = \"a/b\"\nsettings = {\"re\\\"gion\" = \"\"}",
                "[[grants]]\nplugin = \"shop/charge\"\nhttp = [\"GET,POST https://api.example.com\"]\n\
                 networks = [\"10.1.2.3/32\"]\n\
                 secrets = [{ name = \"api-key\", env = \"API_KEY\", hosts = [\"api.example.com\"] }]",
            ]
        );
        assert_eq!(suggestions[1].wanted[1], (http("POST https://api.example.com"), 2));
    }
}
