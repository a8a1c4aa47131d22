//! Variables of the environment that are no settings: what object stores and registries of others have always read.

/// They, never shown: most are secrets.
#[derive(Clone, Default)]
pub(crate) struct Variables(Vec<(String, String)>);

/// A login for OCI registries. Secrets are no settings: `config show` must not know them.
pub(crate) const OCI_USERNAME: &str = "STEPWRIGHT_OCI_USERNAME";
pub(crate) const OCI_PASSWORD: &str = "STEPWRIGHT_OCI_PASSWORD";

/// What else is kept: the object stores' own, and where the logins of other tools are.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const NAMES: [&str; 4] = [OCI_USERNAME, OCI_PASSWORD, "HOME", "DOCKER_CONFIG"];

/// What clients such as the gem read. They may stand in an environment that the host shares with them, and tell it nothing.
const CLIENTS: [&str; 5] =
    ["STEPWRIGHT_ENV", "STEPWRIGHT_URL", "STEPWRIGHT_TOKEN", "STEPWRIGHT_TOKEN_FILE", "STEPWRIGHT_BINARY"];

impl Variables {
    /// Sorts an environment into these and the settings, which begin with `STEPWRIGHT_`.
    pub(crate) fn split(all: impl Iterator<Item = (String, String)>) -> (Self, Vec<(String, String)>) {
        let (mut ours, mut settings) = (Vec::new(), Vec::new());
        for (name, value) in all {
            if NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                ours.push((name, value));
            } else if name.starts_with("STEPWRIGHT_") && !CLIENTS.contains(&name.as_str()) {
                settings.push((name, value));
            }
        }
        (Self(ours), settings)
    }

    /// One of them, if it is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_no_settings_and_are_not_shown() {
        let all = [
            ("STEPWRIGHT_OCI_PASSWORD", "s3cret"),
            ("STEPWRIGHT_DATA_DIR", "x"),
            ("STEPWRIGHT_ENV", "test"),
            ("AWS_REGION", "here"),
            ("PATH", "/bin"),
            ("HOME", ""),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (variables, settings) = Variables::split(all.into_iter());
        assert_eq!(settings, [("STEPWRIGHT_DATA_DIR".to_owned(), "x".to_owned())]);
        assert_eq!((variables.get(OCI_PASSWORD), variables.get("HOME")), (Some("s3cret"), None));
        assert_eq!(variables.all().len(), 3);
        let shown = format!("{variables:?}");
        assert!(shown.contains("AWS_REGION") && !shown.contains("s3cret"), "{shown}");
    }
}
