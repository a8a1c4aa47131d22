//! How we introduce ourselves to an OCI registry: flags, then variables, then what other tools have written.

use std::io::Read as _;
use std::path::PathBuf;

use stepwright_registry::oci::{Login, OciPlace, from_docker_config};

use crate::config::{OCI_PASSWORD, OCI_USERNAME, Variables};
use crate::context::Context;
use crate::error::CliError;
use crate::input;

/// The longest password, in bytes: tokens of registries are some thousand long.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;
/// The largest configuration of other tools, in bytes.
const DOCKER_BYTES_MAX: u64 = 1 << 20;

/// A login for a registry.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct LoginFlags {
    /// The name for the OCI registry [default: STEPWRIGHT_OCI_USERNAME, or else what ~/.docker/config.json has]
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read its password from stdin.
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

impl LoginFlags {
    /// The login for the registry of a place.
    pub(super) fn login(&self, place: &OciPlace, context: &Context) -> Result<Login, CliError> {
        if let Some(name) = &self.username {
            return Ok(Login::of(name.clone(), password(std::io::stdin())?));
        }
        let variables = &context.config.variables;
        match (variables.get(OCI_USERNAME), variables.get(OCI_PASSWORD)) {
            (Some(name), Some(password)) => return Ok(Login::of(name.to_owned(), password.to_owned())),
            (None, None) => {}
            _ => {
                return Err(CliError::new(format!("{OCI_USERNAME} and {OCI_PASSWORD} must be set together")));
            }
        }
        let Some(path) = docker_config(variables).filter(|path| path.is_file()) else {
            return Ok(Login::default());
        };
        let text = input::text(&path, DOCKER_BYTES_MAX)?;
        let found = from_docker_config(&text, place.host());
        let found =
            found.map_err(|error| CliError::new(format!("failed to read {}: {error}", path.display())));
        Ok(found?.unwrap_or_default())
    }
}

/// Where other tools keep their logins.
fn docker_config(variables: &Variables) -> Option<PathBuf> {
    let folder = variables.get("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| variables.get("HOME").map(|home| PathBuf::from(home).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

fn password(stdin: impl std::io::Read) -> Result<String, CliError> {
    let mut text = String::new();
    let read = stdin.take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| CliError::new(format!("failed to read the password from stdin: {error}")))?;
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(CliError::new(format!(
            "the password on stdin is longer than {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(CliError::new("there is no password on stdin"));
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_of_stdin() {
        assert_eq!(password(&b"s3 cret\r\n"[..]).unwrap(), "s3 cret");
        assert!(format!("{:?}", password(&b"\n"[..]).unwrap_err()).contains("no password"));
        assert!(password(&vec![b'x'; 70_000][..]).is_err());
    }

    #[test]
    fn other_tools_say_where_their_logins_are() {
        let place = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            docker_config(&Variables::split(all).0).map(|path| path.display().to_string())
        };
        assert_eq!(place(&[("HOME", "/home/ann")]).unwrap(), "/home/ann/.docker/config.json");
        assert_eq!(place(&[("HOME", "/home/ann"), ("DOCKER_CONFIG", "/d")]).unwrap(), "/d/config.json");
        assert_eq!(place(&[]), None);
    }
}
