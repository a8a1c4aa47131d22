//! The tables `[[trust]]` of the configuration file: whose signatures a namespace's plugins need.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stepwright_registry::{PluginName, Policy, PublicKey, TrustPolicy, TrustRule};
use toml::de::{DeArray, DeTable, DeValue};

use super::layers::{Layers, nearest, place};
use crate::error::CliError;
use crate::input;

/// What such a table is called.
pub(super) const TABLE: &str = "trust";
/// The namespace that stands for all others.
const OTHERS: &str = "*";
/// The largest file of a key, in bytes: several times what one takes.
const KEY_BYTES_MAX: u64 = 4 << 10;

const KEYS: [&str; 3] = ["namespace", "policy", "keys"];

/// One table, as written and checked, but for the files that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TrustSetting {
    /// Where it stands.
    pub(crate) place: String,
    /// The namespace, or `*`.
    pub(crate) namespace: String,
    /// `off`, `warn` or `require`.
    pub(crate) policy: String,
    /// Files with public keys.
    pub(crate) keys: Vec<PathBuf>,
}

/// Reads the tables; what is wrong with them is added to the layers' problems.
pub(super) fn read(layers: &mut Layers, (file, text): (&str, &str), tables: &DeArray<'_>) {
    for table in tables {
        let at = place(file, text, table.span().start);
        let DeValue::Table(fields) = table.get_ref() else {
            layers.problem(at, TABLE, "expected tables, each written as [[trust]]".to_owned());
            continue;
        };
        let problems = layers.problems.len();
        let setting = one(layers, (file, text, &at), fields);
        if layers.trust.iter().any(|known| known.namespace == setting.namespace) {
            let problem = format!("'{}' has a rule already; a namespace has one", setting.namespace);
            layers.problem(at, "trust.namespace", problem);
        } else if layers.problems.len() == problems {
            layers.trust.push(setting);
        }
    }
}

fn one(layers: &mut Layers, (file, text, at): (&str, &str, &str), fields: &DeTable<'_>) -> TrustSetting {
    let mut setting = TrustSetting {
        place: at.to_owned(),
        namespace: String::new(),
        policy: String::new(),
        keys: Vec::new(),
    };
    for (key, value) in fields {
        let name = format!("{TABLE}.{}", key.get_ref());
        let at = place(file, text, key.span().start);
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("namespace", DeValue::String(value)) => setting.namespace = value.to_string(),
            ("policy", DeValue::String(value)) => setting.policy = value.to_string(),
            ("keys", DeValue::Array(keys)) => {
                for key in keys {
                    match key.get_ref() {
                        DeValue::String(path) => setting.keys.push(PathBuf::from(path.as_ref())),
                        _ => layers.problem(at.clone(), &name, "expected a list of files".to_owned()),
                    }
                }
            }
            ("keys", _) => layers.problem(at, &name, "expected a list of files".to_owned()),
            (known, _) if KEYS.contains(&known) => layers.problem(at, &name, "expected a text".to_owned()),
            (other, _) => {
                let nearest = nearest(other, KEYS.iter().map(ToString::to_string))
                    .unwrap_or_else(|| format!("known are {}", KEYS.join(", ")));
                let problem = format!("unknown key; {nearest}");
                layers.problem(at, &name, problem);
            }
        }
    }
    for (key, problem) in wrong(&setting) {
        layers.problem(at.to_owned(), &format!("{TABLE}.{key}"), problem);
    }
    setting
}

fn wrong(setting: &TrustSetting) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let namespace = &setting.namespace;
    if namespace != OTHERS && format!("{namespace}/x").parse::<PluginName>().is_err() {
        let expected = "write a namespace such as \"shop\", or \"*\" for all others";
        problems.push(("namespace", format!("'{namespace}' is no namespace; {expected}")));
    }
    match setting.policy.parse::<Policy>() {
        Err(problem) => problems.push(("policy", problem)),
        Ok(Policy::Require | Policy::Warn) if setting.keys.is_empty() => {
            let help = "name at least one file that 'stepwright plugin keygen' made";
            problems.push(("keys", format!("nobody is trusted, so every plugin would be unsigned; {help}")));
        }
        Ok(_) => {}
    }
    problems
}

/// Reads the files that the tables name.
pub(super) fn load(settings: &[TrustSetting]) -> Result<TrustPolicy, CliError> {
    let mut rules = Vec::with_capacity(settings.len());
    for setting in settings {
        let keys = setting.keys.iter().map(|path| public_key(path));
        let keys = keys.collect::<Result<_, _>>();
        rules.push(TrustRule {
            namespace: (setting.namespace != OTHERS).then(|| setting.namespace.clone()),
            policy: setting.policy.parse().map_err(CliError::new)?,
            keys: keys.map_err(|error: CliError| {
                CliError::new(format!("{}: trust.keys: {}", setting.place, error.message()))
            })?,
        });
    }
    Ok(TrustPolicy::new(rules))
}

/// A public key in a file.
pub(crate) fn public_key(path: &Path) -> Result<PublicKey, CliError> {
    let text = input::text(path, KEY_BYTES_MAX)?;
    PublicKey::from_pem(&text).map_err(|error| CliError::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_registry::PrivateKey;

    fn read(text: &str) -> (Vec<TrustSetting>, Vec<String>) {
        let mut layers = Layers::new();
        layers.text("s.toml", text);
        (layers.trust, layers.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn tables_are_read_beside_the_settings() {
        let text = "environment = 'x'\n[[trust]]\nnamespace = 'shop'\npolicy = 'require'\nkeys = ['a.pem', 'b.pem']\n\
            [[trust]]\nnamespace = '*'\npolicy = 'off'\n";
        let (trust, problems) = read(text);
        assert_eq!(problems, [] as [String; 0]);
        assert_eq!(trust.len(), 2);
        assert_eq!((trust[0].namespace.as_str(), trust[0].keys.len()), ("shop", 2));
        assert_eq!((trust[1].namespace.as_str(), trust[1].policy.as_str()), ("*", "off"));
        assert!(trust[0].place.starts_with("s.toml:2:"), "{}", trust[0].place);
    }

    #[test]
    fn everything_wrong_is_named_with_its_place() {
        let check = |text: &str, expect: &[&str]| {
            let (trust, problems) = read(text);
            assert!(trust.len() < 2, "{trust:?}");
            assert_eq!(problems.len(), expect.len(), "{problems:?}");
            for (problem, expect) in problems.iter().zip(expect) {
                assert!(problem.contains(expect), "{problem}");
            }
        };
        check("trust = 'shop'", &["trust: unknown setting"]);
        check("trust = ['shop']", &["trust: expected tables"]);
        check(
            "[[trust]]\n",
            &["trust.namespace: '' is no namespace", "trust.policy: '' is not one of off, warn"],
        );
        check(
            "[[trust]]\nnamespace = 'shop/pay'\npolicy = 'of'\nkey = 1\n",
            &[
                "s.toml:4:1: trust.key: unknown key; did you mean 'keys'?",
                "'shop/pay' is no namespace",
                "'of' is not one of",
            ],
        );
        check("[[trust]]\nnamespace = '*'\npolicy = 'require'\n", &["trust.keys: nobody is trusted"]);
        check(
            "[[trust]]\nnamespace = '*'\npolicy = 'off'\nkeys = [1]\n",
            &["trust.keys: expected a list of files"],
        );
        let twice = "[[trust]]\nnamespace = 'a'\npolicy = 'off'\n".repeat(2);
        check(&twice, &["'a' has a rule already"]);
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("shop.pub.pem");
        let setting = TrustSetting {
            place: "s.toml:1:1".to_owned(),
            namespace: "shop".to_owned(),
            policy: "require".to_owned(),
            keys: vec![path.clone()],
        };
        let failed = || format!("{:?}", load(std::slice::from_ref(&setting)).unwrap_err());
        assert!(failed().contains("s.toml:1:1: trust.keys: failed to open"), "{}", failed());
        std::fs::write(&path, "no key").unwrap();
        assert!(failed().contains("shop.pub.pem: it is no Ed25519 public key"), "{}", failed());
        std::fs::write(&path, PrivateKey::from_random(&[1; 32]).public().to_pem().unwrap()).unwrap();
        assert!(!load(&[setting]).unwrap().is_off());
    }
}
