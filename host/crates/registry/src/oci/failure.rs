//! Why a registry did not do what was asked: one variant for each thing that can be done about it.

use oci_client::errors::{OciDistributionError as Cause, OciErrorCode};
use stepwright_workflow::chain;

use super::place::OciPlace;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The way to registries cannot be set up.
    #[error(
        "failed to set up the connections to registries: {0}; install the system's CA certificates if they are missing"
    )]
    Client(String),
    /// Nobody answers.
    #[error("failed to reach the registry of {place}: {reason}{}", .hint)]
    Unreachable {
        /// What was asked for.
        place: String,
        /// Why.
        reason: String,
        /// What may help.
        hint: &'static str,
    },
    /// It wants a login, or another one.
    #[error("the registry of {place} does not let us: {}", .advice)]
    Unauthorized {
        /// What was asked for.
        place: String,
        /// What to do.
        advice: &'static str,
    },
    /// It has no such thing.
    #[error("there is no {place}: the registry answers, and has no such repository, tag or digest")]
    NotFound {
        /// What was asked for.
        place: String,
    },
    /// It is something else than a component.
    #[error(
        "{place} is no WebAssembly artifact: it has {found}; wanted are a configuration of \
         'application/vnd.wasm.config.v0+json' and one layer of 'application/wasm', as 'stepwright plugin push' makes them"
    )]
    NotWasm {
        /// What was asked for.
        place: String,
        /// What it is.
        found: String,
    },
    /// It is larger than allowed.
    #[error("{place} has {bytes} bytes; sandbox.component_bytes_max allows {bytes_max}")]
    TooLarge {
        /// What was asked for.
        place: String,
        /// Its size, as far as it was read.
        bytes: u64,
        /// What is allowed.
        bytes_max: u64,
    },
    /// What came is not what was promised.
    #[error("{place} is corrupt: {reason}")]
    Corrupt {
        /// What was asked for.
        place: String,
        /// What differs.
        reason: String,
    },
    /// Anything else.
    #[error("the registry of {place} failed: {reason}")]
    Failed {
        /// What was asked for.
        place: String,
        /// What it says.
        reason: String,
    },
}

impl OciError {
    pub(super) fn of(place: &OciPlace, with_login: bool, cause: &Cause) -> Self {
        let (at, reason) = (place.to_string(), chain(cause));
        match cause {
            Cause::UnauthorizedError { .. } | Cause::AuthenticationFailure(_) => unauthorized(at, with_login),
            Cause::RegistryError { envelope, .. } => {
                let is =
                    |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
                if is(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                    unauthorized(at, with_login)
                } else if is(&UNKNOWN) {
                    Self::NotFound { place: at }
                } else {
                    Self::Failed { place: at, reason }
                }
            }
            Cause::ServerError { code: 401 | 403, .. } => unauthorized(at, with_login),
            Cause::ServerError { code: 404, .. } | Cause::ImageManifestNotFoundError(_) => {
                Self::NotFound { place: at }
            }
            Cause::UnsupportedMediaTypeError(kind) => {
                Self::NotWasm { place: at, found: format!("a manifest of '{kind}'") }
            }
            Cause::ImageIndexParsingNoPlatformResolverError => {
                Self::NotWasm { place: at, found: "an index over several artifacts".to_owned() }
            }
            Cause::DigestError(_) => Self::Corrupt { place: at, reason },
            Cause::RequestError(_) => {
                let plain =
                    "; a registry that speaks plain HTTP must be named in registry.oci_insecure_hosts";
                Self::Unreachable { place: at, reason, hint: if place.is_here() { "" } else { plain } }
            }
            _ => Self::Failed { place: at, reason },
        }
    }
}

/// Codes of things that are not there.
const UNKNOWN: [OciErrorCode; 4] = [
    OciErrorCode::ManifestUnknown,
    OciErrorCode::NameUnknown,
    OciErrorCode::BlobUnknown,
    OciErrorCode::NotFound,
];

fn unauthorized(place: String, with_login: bool) -> OciError {
    let advice = if with_login {
        "the name or the password is wrong, or may not do this"
    } else {
        "it wants a login; give --username and --password-stdin, or STEPWRIGHT_OCI_USERNAME and STEPWRIGHT_OCI_PASSWORD, \
         or log in with a tool that writes ~/.docker/config.json (credential helpers are not asked)"
    };
    OciError::Unauthorized { place, advice }
}
