//! How we introduce ourselves to a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

/// A login, or none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Login(Option<(String, String)>);

impl Login {
    /// A name and a password.
    pub fn of(name: String, password: String) -> Self {
        Self(Some((name, password)))
    }

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn auth(&self) -> RegistryAuth {
        match &self.0 {
            Some((name, password)) => RegistryAuth::Basic(name.clone(), password.clone()),
            None => RegistryAuth::Anonymous,
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Login").field(&self.0.as_ref().map(|(name, _)| name)).finish()
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
}

/// The login for a registry in a `~/.docker/config.json`. Entries that leave it to a credential helper have none; what is wrong
/// with the file is a sentence.
pub fn from_docker_config(text: &str, host: &str) -> Result<Option<Login>, String> {
    let config: DockerConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let named = |name: &str| {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        name.split('/').next() == Some(host)
    };
    let Some((_, entry)) = config.auths.iter().find(|(name, _)| named(name)) else { return Ok(None) };
    if !entry.auth.is_empty() {
        let bad = || format!("the entry for {host} is not base64 of 'name:password'");
        let bytes = STANDARD.decode(&entry.auth).map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        let (name, password) = text.split_once(':').ok_or_else(bad)?;
        // Docker pads the password with zeros at times.
        return Ok(Some(Login::of(name.to_owned(), password.trim_end_matches('\0').to_owned())));
    }
    let given = !entry.username.is_empty();
    Ok(given.then(|| Login::of(entry.username.clone(), entry.password.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host() {
        let auth = STANDARD.encode("ann:s3:cret");
        let text = format!(
            r#"{{"auths": {{"https://index.example/v1/": {{"auth": "{auth}"}}, "localhost:5000": {{"username": "bob", "password": "p"}},
            "helped.example": {{}}, "bad.example": {{"auth": "!"}}}}, "credsStore": "desktop"}}"#
        );
        let login = |host: &str| from_docker_config(&text, host);
        assert_eq!(login("index.example"), Ok(Some(Login::of("ann".to_owned(), "s3:cret".to_owned()))));
        assert_eq!(login("localhost:5000"), Ok(Some(Login::of("bob".to_owned(), "p".to_owned()))));
        assert_eq!((login("helped.example"), login("example")), (Ok(None), Ok(None)));
        assert!(login("bad.example").unwrap_err().contains("bad.example"));
        assert!(from_docker_config("{", "x").is_err());
        assert_eq!(from_docker_config("{}", "x"), Ok(None));
        assert!(!format!("{:?}", login("index.example")).contains("cret"));
    }
}
