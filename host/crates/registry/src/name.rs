//! How people write a plugin: `namespace/name`, and `namespace/name@requirement` where a version is chosen.

use std::fmt;
use std::str::FromStr;

use semver::VersionReq;
use serde::{Deserialize, Serialize};

/// A plugin's name, `namespace/name`. Both halves hold lower-case letters, digits, `-` and `_`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName {
    text: String,
    slash: usize,
}

impl PluginName {
    /// The longest that each half may be, in characters.
    pub const HALF_CHARS_MAX: usize = 64;

    /// The part before the slash: whose plugin it is.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// Both parts, as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that is no plugin name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// There is not exactly one slash.
    #[error("'{0}' is not a plugin name: expected 'namespace/name', such as 'shop/charge'")]
    Shape(String),
    /// One half has a character that it must not have, or the wrong length.
    #[error(
        "'{text}' is not a plugin name: the {half} '{part}' must be 1 to {max} lower-case letters, digits, '-' or '_', \
         a letter first",
        max = PluginName::HALF_CHARS_MAX
    )]
    Half {
        /// The whole text.
        text: String,
        /// `namespace` or `name`.
        half: &'static str,
        /// The half that is wrong.
        part: String,
    },
}

impl FromStr for PluginName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text
            .split_once('/')
            .filter(|(_, name)| !name.contains('/'))
            .ok_or_else(|| BadName::Shape(text.to_owned()))?;
        for (half, part) in [("namespace", namespace), ("name", name)] {
            if !half_is_good(part) {
                return Err(BadName::Half { text: text.to_owned(), half, part: part.to_owned() });
            }
        }
        Ok(Self { text: text.to_owned(), slash: namespace.len() })
    }
}

fn half_is_good(part: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    part.len() <= PluginName::HALF_CHARS_MAX
        && part.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && part.bytes().all(allowed)
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PluginName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PluginName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A plugin and the versions of it that will do: `shop/charge@^1.2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginReference {
    /// Which plugin.
    pub name: PluginName,
    /// Which of its versions.
    pub requirement: VersionReq,
}

/// A text that is no plugin reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// The part before the `@` is no plugin name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// There is no `@`.
    #[error("'{0}' does not say which version: write it as '{0}@^1.0', or '{0}@*' for any")]
    NoRequirement(String),
    /// The part after the `@` is no version requirement.
    #[error("'{text}' has no version requirement after the '@', such as '^1.2' or '=1.2.3': {reason}")]
    Requirement {
        /// The whole text.
        text: String,
        /// What the version parser says.
        reason: String,
    },
}

impl FromStr for PluginReference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, requirement)) = text.split_once('@') else {
            text.parse::<PluginName>()?;
            return Err(BadReference::NoRequirement(text.to_owned()));
        };
        let name = name.parse()?;
        let requirement = requirement.parse().map_err(|error: semver::Error| BadReference::Requirement {
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { name, requirement })
    }
}

impl fmt::Display for PluginReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.requirement)
    }
}

impl Serialize for PluginReference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginReference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_good_halves() {
        let name: PluginName = "shop/charge-card_2".parse().unwrap();
        assert_eq!(
            (name.namespace(), name.name(), name.as_str()),
            ("shop", "charge-card_2", "shop/charge-card_2")
        );
        let long = "a".repeat(65);
        for bad in [
            "",
            "shop",
            "/",
            "shop/",
            "/charge",
            "a/b/c",
            "Shop/charge",
            "shop/1st",
            "shop/ü",
            &format!("a/{long}"),
        ] {
            assert!(bad.parse::<PluginName>().is_err(), "{bad}");
        }
        let error = "shop/Charge".parse::<PluginName>().unwrap_err().to_string();
        assert!(error.contains("the name 'Charge'"), "{error}");
    }

    #[test]
    fn a_reference_reads_back_what_it_prints() {
        let reference: PluginReference = "shop/charge@^1.2".parse().unwrap();
        assert!(reference.requirement.matches(&semver::Version::new(1, 3, 0)));
        assert_eq!(reference.to_string(), "shop/charge@^1.2");
        assert_eq!(serde_json::to_string(&reference).unwrap(), "\"shop/charge@^1.2\"");
        assert_eq!(serde_json::from_str::<PluginReference>("\"shop/charge@^1.2\"").unwrap(), reference);
        assert_eq!(
            "shop/charge".parse::<PluginReference>().unwrap_err(),
            BadReference::NoRequirement("shop/charge".into())
        );
        for bad in ["shop@1", "shop/charge@", "shop/charge@one"] {
            assert!(bad.parse::<PluginReference>().is_err(), "{bad}");
        }
    }
}
