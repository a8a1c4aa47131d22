//! Puts secrets in place of their placeholders, at the last moment and only for the hosts that may have them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::egress::target::{Target, covers_host};
use crate::grants::{Grants, SecretGrant};

/// Random bytes of a placeholder.
const RANDOM_BYTES: usize = 16;
/// What a value keeps in an address or a form: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A placeholder that the guest was given.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The text that it was given.
    pub(crate) placeholder: String,
    /// The secret's place among the grants.
    pub(crate) secret: usize,
}

impl Held {
    /// A placeholder like no other, of characters that survive in headers, addresses, forms and JSON.
    pub(crate) fn new(name: &str, secret: usize) -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut placeholder = format!("stepwright-secret-{}-", name.chars().map(plain).collect::<String>());
        for byte in random {
            placeholder.push_str(&format!("{byte:02x}"));
        }
        Ok(Self { placeholder, secret })
    }
}

/// Why a request with a placeholder in it does not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The secret is not for this host.
    Elsewhere(String),
    /// The value cannot stand where the placeholder does.
    Unfit(String, &'static str),
}

/// The placeholders of one attempt and where they may go with one request.
pub(crate) struct Exchange<'a> {
    pub(crate) grants: &'a Grants,
    pub(crate) held: &'a [Held],
    pub(crate) target: &'a Target,
    /// Whether a grant names the host; it may have been let through without.
    pub(crate) granted: bool,
}

/// How a value is written at a certain place.
type Writing = fn(&str) -> String;

impl Exchange<'_> {
    /// The request with values in place of placeholders, and its trailers.
    pub(crate) fn fill(
        &self,
        request: Request<Vec<u8>>,
        mut trailers: Option<HeaderMap>,
    ) -> Result<(Request<Vec<u8>>, Option<HeaderMap>), Kept> {
        let (mut parts, mut body) = request.into_parts();
        if let Some(path) = parts.uri.path_and_query()
            && let Some(filled) =
                self.swap(path.as_str().as_bytes(), |value| utf8_percent_encode(value, ENCODED).to_string())?
        {
            let mut pieces = parts.uri.into_parts();
            pieces.path_and_query = PathAndQuery::from_maybe_shared(filled).ok();
            parts.uri = Uri::from_parts(pieces).map_err(|_| Kept::Unfit(String::new(), "the address"))?;
        }
        if let Some(filled) = self.swap(&body, writing(&parts.headers))? {
            body = filled;
            // The guest counted the placeholder's bytes; the HTTP library counts the value's.
            parts.headers.remove(CONTENT_LENGTH);
        }
        self.fill_headers(&mut parts.headers)?;
        if let Some(trailers) = &mut trailers {
            self.fill_headers(trailers)?;
        }
        Ok((Request::from_parts(parts, body), trailers))
    }

    fn fill_headers(&self, headers: &mut HeaderMap) -> Result<(), Kept> {
        for header in headers.values_mut() {
            let filled = match self.swap(header.as_bytes(), str::to_owned)? {
                Some(filled) => Some(filled),
                None => self.basic(header)?,
            };
            if let Some(filled) = filled {
                let mut value = HeaderValue::from_bytes(&filled).map_err(|_| {
                    Kept::Unfit(
                        self.first_name(),
                        "a header: it has a line break or another control character",
                    )
                })?;
                value.set_sensitive(true);
                *header = value;
            }
        }
        Ok(())
    }

    /// User name and password of `Basic` are wrapped in base64, and the placeholder with them.
    fn basic(&self, header: &HeaderValue) -> Result<Option<Vec<u8>>, Kept> {
        let bytes = header.as_bytes();
        let Some((scheme, wrapped)) = bytes.split_at_checked(6) else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return Ok(None);
        }
        let Ok(decoded) = BASE64.decode(wrapped.trim_ascii()) else { return Ok(None) };
        let filled = self.swap(&decoded, str::to_owned)?;
        Ok(filled.map(|filled| [scheme, BASE64.encode(filled).as_bytes()].concat()))
    }

    /// The bytes with values in place of placeholders, if there is one.
    fn swap(&self, bytes: &[u8], write: impl Fn(&str) -> String) -> Result<Option<Vec<u8>>, Kept> {
        let mut swapped: Option<Vec<u8>> = None;
        for held in self.held {
            let placeholder = held.placeholder.as_bytes();
            let now = swapped.as_deref().unwrap_or(bytes);
            let Some(secret) = self.grants.secrets.get(held.secret) else { continue };
            let Some(at) = find(now, placeholder) else { continue };
            if !self.may_have(secret) {
                return Err(Kept::Elsewhere(secret.name.clone()));
            }
            swapped = Some(replace((now, at), placeholder, write(secret.value.reveal()).as_bytes()));
        }
        Ok(swapped)
    }

    fn may_have(&self, secret: &SecretGrant) -> bool {
        let named = |host: &String| covers_host(host, &self.target.host);
        self.granted && (secret.hosts.is_empty() || secret.hosts.iter().any(named))
    }

    fn first_name(&self) -> String {
        let first = self.held.first().and_then(|held| self.grants.secrets.get(held.secret));
        first.map(|secret| secret.name.clone()).unwrap_or_default()
    }
}

/// How values are written in a body of this type.
fn writing(headers: &HeaderMap) -> Writing {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") {
        |value| {
            let quoted = serde_json::Value::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    } else if kind == "application/x-www-form-urlencoded" {
        |value| utf8_percent_encode(value, ENCODED).to_string()
    } else {
        str::to_owned
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Every occurrence replaced, from the first on, whose place is known.
fn replace((bytes, mut at): (&[u8], usize), wanted: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(with);
        rest = &rest[at + wanted.len()..];
        match find(rest, wanted) {
            Some(next) => at = next,
            None => break,
        }
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::SecretValue;

    struct Case {
        grants: Grants,
        held: Vec<Held>,
        granted: bool,
    }

    impl Case {
        fn new(value: &str, hosts: &[&str]) -> Self {
            let secret = SecretGrant {
                name: "api key".to_owned(),
                value: SecretValue::new(value),
                revealed: false,
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            };
            let grants = Grants { secrets: vec![secret], ..Grants::default() };
            Self { grants, held: vec![Held::new("api key", 0).unwrap()], granted: true }
        }

        /// Sends a request in whose parts `$` stands for the placeholder.
        fn send(&self, path: &str, header: (&str, &str), body: &str) -> Result<Request<Vec<u8>>, Kept> {
            let put = |text: &str| text.replace('$', &self.held[0].placeholder);
            let request = Request::builder()
                .method("POST")
                .uri(format!("https://api.example.com{}", put(path)))
                .header(header.0, put(header.1))
                .header(CONTENT_LENGTH, put(body).len())
                .body(put(body).into_bytes())
                .unwrap();
            let (parts, body) = request.into_parts();
            let target = Target::of(&parts).unwrap();
            let exchange =
                Exchange { grants: &self.grants, held: &self.held, target: &target, granted: self.granted };
            exchange.fill(Request::from_parts(parts, body), None).map(|(request, _)| request)
        }
    }

    #[test]
    fn placeholders_are_random_and_survive_everywhere() {
        let (one, other) = (Held::new("a/b \"c\"", 0).unwrap(), Held::new("a/b \"c\"", 0).unwrap());
        assert_ne!(one.placeholder, other.placeholder);
        assert!(
            one.placeholder.starts_with("stepwright-secret-a_b__c_-") && one.placeholder.len() == 26 + 32
        );
        assert!(one.placeholder.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn values_are_written_as_their_place_wants_it() {
        let case = Case::new("p\"a s/s", &[]);
        let body = |kind: &str, body: &str| {
            String::from_utf8(case.send("/", ("content-type", kind), body).unwrap().into_body()).unwrap()
        };
        assert_eq!(
            body("application/json; charset=utf-8", "{\"k\":\"$\",\"l\":\"$\"}"),
            "{\"k\":\"p\\\"a s/s\",\"l\":\"p\\\"a s/s\"}"
        );
        assert_eq!(body("application/vnd.api+json", "\"$\""), "\"p\\\"a s/s\"");
        assert_eq!(body("application/x-www-form-urlencoded", "k=$&x=1"), "k=p%22a%20s%2Fs&x=1");
        assert_eq!(body("text/plain", "$$"), "p\"a s/sp\"a s/s");
        let request = case.send("/v1/$?key=$", ("authorization", "Bearer $"), "$").unwrap();
        assert_eq!(request.uri().path_and_query().unwrap(), "/v1/p%22a%20s%2Fs?key=p%22a%20s%2Fs");
        assert_eq!(request.headers()["authorization"], "Bearer p\"a s/s");
        assert!(!request.headers().contains_key(CONTENT_LENGTH));
        let wrapped = format!("basic {}", BASE64.encode(format!("me:{}", case.held[0].placeholder)));
        let request = case.send("/", ("authorization", &wrapped), "").unwrap();
        assert_eq!(request.headers()["authorization"], format!("basic {}", BASE64.encode("me:p\"a s/s")));
        assert!(request.headers()["authorization"].is_sensitive());
    }

    #[test]
    fn nothing_leaves_for_hosts_that_may_not_have_it() {
        let everywhere = Case { granted: false, ..Case::new("value", &[]) };
        let elsewhere = Case::new("value", &["other.example.com", "*.api.example.com"]);
        let wrapped =
            |case: &Case| format!("Basic {}", BASE64.encode(format!("me:{}", case.held[0].placeholder)));
        for case in [&everywhere, &elsewhere] {
            for (path, header, body) in
                [("/$", "x", ""), ("/", "$", ""), ("/", "x", "a $ b"), ("/", wrapped(case).as_str(), "")]
            {
                assert_eq!(
                    case.send(path, ("x-a", header), body).unwrap_err(),
                    Kept::Elsewhere("api key".to_owned())
                );
            }
            assert!(case.send("/", ("x-a", "x"), "nothing").is_ok());
        }
        assert!(Case::new("value", &["*.example.com"]).send("/$", ("x-a", "$"), "$").is_ok());
        assert!(matches!(Case::new("two\nlines", &[]).send("/", ("x-a", "$"), ""), Err(Kept::Unfit(..))));
    }
}
