//! `oci://host[:port]/repository[:tag][@sha256:…]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use oci_client::Reference;

/// What an address in a registry begins with.
const SCHEME: &str = "oci://";

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciPlace {
    reference: Reference,
    is_pinned: bool,
}

/// A text that is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no place in a registry: {reason}; write oci://host[:port]/repository:tag, or …/repository@sha256:…"
)]
pub struct BadPlace {
    text: String,
    reason: String,
}

impl OciPlace {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Whether it names a tag or a digest.
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// The same place with a tag. A tag has no '+', which versions may have.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        let (registry, repository) = (self.host().to_owned(), self.reference.repository().to_owned());
        let reference = Reference::with_tag(registry, repository, tag.replace('+', "_"));
        Self { reference, is_pinned: true }
    }

    /// The same place, which had this manifest: as it is kept as a source.
    pub fn at_manifest(&self, digest: &str) -> String {
        let repository = self.reference.repository();
        let tag = self.reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
        format!("{SCHEME}{}/{repository}{tag}@{digest}", self.host())
    }

    /// The registry, with its port if it has one.
    pub fn host(&self) -> &str {
        self.reference.registry()
    }

    /// The digest of the manifest, if that is what is named.
    pub fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// Whether the registry is on this machine, as far as its name says so.
    pub(super) fn is_here(&self) -> bool {
        let name = self.host().rsplit_once(':').map_or(self.host(), |(name, _)| name);
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }
}

impl FromStr for OciPlace {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let bad = |reason: &str| BadPlace { text: text.to_owned(), reason: reason.to_owned() };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| bad("it does not begin with oci://"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| bad("it names no repository"))?;
        if host != "localhost" && !host.contains(['.', ':']) {
            // Others would take it for a repository of a well-known registry.
            return Err(bad(&format!("'{host}' is no host: it has neither a dot nor a port")));
        }
        let reference = Reference::from_str(rest).map_err(|error| bad(&error.to_string()))?;
        Ok(Self { reference, is_pinned: path.contains([':', '@']) })
    }
}

impl fmt::Display for OciPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_pinned {
            write!(f, "{SCHEME}{}", self.reference.whole())
        } else {
            write!(f, "{SCHEME}{}/{}", self.host(), self.reference.repository())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_prints() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, host, pinned) in [
            ("oci://registry.example/shop/pay:1.2.3", "registry.example", true),
            (&format!("oci://localhost:5000/pay@{digest}"), "localhost:5000", true),
            ("oci://127.0.0.1:5000/a/b/c", "127.0.0.1:5000", false),
        ] {
            let place: OciPlace = text.parse().unwrap();
            assert_eq!((place.to_string().as_str(), place.host(), place.is_pinned()), (text, host, pinned));
        }
        for (text, expect) in [
            ("registry.example/shop:1", "does not begin with oci://"),
            ("oci://registry.example", "names no repository"),
            ("oci://shop/pay:1", "'shop' is no host"),
            ("oci://registry.example/Shop:1", "invalid reference format"),
            ("oci://registry.example/shop@sha256:12", "oci://host[:port]/repository:tag"),
        ] {
            let error = text.parse::<OciPlace>().unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_here() {
        let is_here = |host: &str| format!("oci://{host}/shop:1").parse::<OciPlace>().unwrap().is_here();
        assert!(
            ["localhost", "localhost:5000", "127.0.0.1:80", "127.9.9.9:5000"]
                .iter()
                .all(|host| is_here(host))
        );
        for host in ["registry.example", "10.0.0.1:5000", "localhost.example:5000", "127.0.0.1.example"] {
            assert!(!is_here(host), "{host}");
        }
    }

    #[test]
    fn a_version_becomes_a_tag_and_a_manifest_a_source() {
        let place: OciPlace = "oci://registry.example/shop".parse().unwrap();
        let tagged = place.with_tag("1.2.3+build.7");
        assert_eq!(tagged.to_string(), "oci://registry.example/shop:1.2.3_build.7");
        assert_eq!(tagged.at_manifest("sha256:12"), "oci://registry.example/shop:1.2.3_build.7@sha256:12");
    }
}
