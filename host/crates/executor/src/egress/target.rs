//! Where a request goes: scheme, host and port in one spelling, and whether a grant covers them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::request::Parts;
use http::{HeaderValue, Method};
use url::{Host, Url};

use crate::egress::address;
use crate::grants::HttpGrant;

/// One request's destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) method: Method,
    pub(crate) plain: bool,
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

impl Target {
    /// Reads a request's destination the way browsers do: whatever `0x7f.1`, `2130706433` or `LOCALHOST.` stand for is seen.
    pub(crate) fn of(request: &Parts) -> Result<Self, String> {
        let scheme = request.uri.scheme_str().unwrap_or("https");
        let authority = request.uri.authority().map_or("", |authority| authority.as_str());
        let (plain, host, port) = place(&format!("{scheme}://{authority}"))?;
        Ok(Self { method: request.method.clone(), plain, host, port })
    }

    /// The address, where the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The host as a grant names it.
    pub(crate) fn host_text(&self) -> String {
        self.host.to_string()
    }

    /// What the `host` header says.
    pub(crate) fn header(&self) -> Result<HeaderValue, String> {
        let text = if self.port == usual_port(self.plain) {
            self.host_text()
        } else {
            format!("{}:{}", self.host_text(), self.port)
        };
        HeaderValue::from_str(&text).map_err(|error| format!("the host '{text}' is no header value: {error}"))
    }

    /// The grant that would just cover it.
    pub(crate) fn grant(&self) -> HttpGrant {
        HttpGrant {
            methods: vec![self.method.as_str().to_owned()],
            plain: self.plain,
            host: self.host_text(),
            port: self.port,
        }
    }
}

/// The destination as a person writes it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.grant().fmt(f)
    }
}

/// Scheme, host and port of `scheme://host[:port]`, and nothing more than these.
fn place(text: &str) -> Result<(bool, Host<String>, u16), String> {
    let wrong = |why: &str| format!("'{text}' is no address to call: {why}");
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        other => return Err(wrong(&format!("the scheme '{other}' is neither https nor http"))),
    };
    if text.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a user name in an address is not passed on; use the header 'authorization'"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a path does not belong here"));
    }
    let host = match url.host().map(|host| host.to_owned()) {
        Some(Host::Domain(name)) => {
            Host::Domain(domain(&name).ok_or_else(|| wrong("the host's name is malformed"))?)
        }
        Some(address) => address,
        None => return Err(wrong("it has no host")),
    };
    let port = url.port().unwrap_or(usual_port(plain));
    if port == 0 {
        return Err(wrong("nothing listens on port 0"));
    }
    Ok((plain, host, port))
}

/// A name without the root's dot, lower-case.
fn domain(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.split('.').any(str::is_empty)).then_some(name)
}

fn usual_port(plain: bool) -> u16 {
    if plain { 80 } else { 443 }
}

/// Whether a host is the one that a grant names.
pub(crate) fn covers_host(granted: &str, host: &Host<String>) -> bool {
    let same = |address: IpAddr| {
        let granted = granted.trim_start_matches('[').trim_end_matches(']');
        granted.parse::<IpAddr>().is_ok_and(|granted| address::bare(granted) == address::bare(address))
    };
    match host {
        Host::Ipv4(address) => same((*address).into()),
        Host::Ipv6(address) => same((*address).into()),
        Host::Domain(name) => match granted.strip_prefix('*') {
            Some(suffix) => suffix.starts_with('.') && name.len() > suffix.len() && name.ends_with(suffix),
            None => granted == name,
        },
    }
}

impl HttpGrant {
    /// Whether it allows all that another grant would: the same scheme and port, its host, its methods.
    pub fn includes(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|method| self.methods.contains(method)));
        methods
            && self.plain == other.plain
            && self.port == other.port
            && (self.host == other.host
                || Host::parse(&other.host).is_ok_and(|host| covers_host(&self.host, &host)))
    }

    /// Whether it allows a request.
    pub(crate) fn covers(&self, target: &Target) -> bool {
        let method = target.method.as_str();
        self.plain == target.plain
            && self.port == target.port
            && (self.methods.is_empty() || self.methods.iter().any(|granted| granted == method))
            && covers_host(&self.host, &target.host)
    }
}

/// `GET,POST https://api.example.com:8443`, as the configuration has it.
impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        write!(f, "{}://{}", if self.plain { "http" } else { "https" }, self.host)?;
        if self.port == usual_port(self.plain) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Reads `[METHOD[,METHOD] ]scheme://host[:port]`, where the host may begin with `*.`.
impl FromStr for HttpGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (methods, address) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
        let methods: Vec<String> =
            methods.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let is_method = |name: &String| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if let Some(wrong) = methods.iter().find(|name| !is_method(name)) {
            return Err(format!(
                "'{wrong}' in '{text}' is no method; write it in capitals, as in 'GET,POST https://example.com'"
            ));
        }
        let wildcard = address.contains("://*.");
        let (plain, host, port) = place(&address.replacen("://*.", "://", 1))?;
        if wildcard && !matches!(host, Host::Domain(_)) {
            return Err(format!("'{text}' has '*.' before an address; it belongs before a name"));
        }
        let host = if wildcard { format!("*.{host}") } else { host.to_string() };
        Ok(Self { methods, plain, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, url: &str) -> Result<Target, String> {
        let request =
            http::Request::builder().method(method).uri(url).body(()).map_err(|error| error.to_string())?;
        Target::of(&request.into_parts().0)
    }

    fn covers(grant: &str, method: &str, url: &str) -> bool {
        grant.parse::<HttpGrant>().unwrap().covers(&target(method, url).unwrap())
    }

    #[test]
    fn scheme_method_host_and_port_must_fit() {
        assert!(covers("https://api.example.com", "GET", "https://api.example.com/v1?x=1"));
        assert!(covers("https://api.example.com", "PURGE", "https://API.Example.com.:443/"));
        assert!(covers("GET,POST https://api.example.com:8443", "POST", "https://api.example.com:8443/"));
        for (grant, method, url) in [
            ("https://api.example.com", "GET", "http://api.example.com/"),
            ("https://api.example.com", "GET", "https://api.example.com:8443/"),
            ("GET https://api.example.com", "POST", "https://api.example.com/"),
            ("https://api.example.com", "GET", "https://api.example.com.evil.test/"),
            ("https://api.example.com", "GET", "https://evilapi.example.com/"),
            ("https://*.example.com", "GET", "https://example.com/"),
            ("https://*.example.com", "GET", "https://badexample.com/"),
            ("http://10.0.0.1", "GET", "http://10.0.0.2/"),
            ("http://127.0.0.1", "GET", "http://localhost/"),
        ] {
            assert!(!covers(grant, method, url), "{grant} covers {method} {url}");
        }
        assert!(covers("https://*.example.com", "GET", "https://a.b.example.com/"));
        assert!(covers("http://[::1]:81", "GET", "http://[0:0::1]:81/"));
    }

    #[test]
    fn odd_spellings_of_addresses_are_seen_as_addresses() {
        for spelling in [
            "127.1",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "127.0.0.1.",
            "[::ffff:127.0.0.1]",
        ] {
            let found = target("GET", &format!("http://{spelling}/")).unwrap();
            assert_eq!(address::bare(found.address().unwrap()), IpAddr::from([127, 0, 0, 1]), "{spelling}");
            assert!(covers("http://127.0.0.1", "GET", &format!("http://{spelling}/")), "{spelling}");
        }
        assert_eq!(target("GET", "http://LocalHost./").unwrap().host_text(), "localhost");
        for wrong in [
            "http://user:pw@example.com/",
            "http://user@example.com/",
            "ftp://example.com/",
            "http://a..b/",
            "http://h:0/",
        ] {
            assert!(target("GET", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn grants_are_read_as_they_are_written() {
        for text in [
            "https://api.example.com",
            "GET,POST http://api.example.com:8080",
            "DELETE https://*.example.com:1",
            "http://[::1]",
        ] {
            assert_eq!(text.parse::<HttpGrant>().unwrap().to_string(), text);
        }
        assert_eq!(
            "https://EXAMPLE.com:443/".parse::<HttpGrant>().unwrap().to_string(),
            "https://example.com"
        );
        for wrong in [
            "example.com",
            "get https://example.com",
            "https://example.com/path",
            "https://*.10.0.0.1",
            "https://a@b",
            "https://",
        ] {
            assert!(wrong.parse::<HttpGrant>().is_err(), "{wrong}");
        }
    }
}
