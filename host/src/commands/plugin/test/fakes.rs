//! What stands in for the world in a case: answers of the hosts that the handler calls, and its secrets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use stepwright_executor::GrantBook;
use stepwright_executor::egress::{FakeAnswer, FakeBody};
use stepwright_executor::grants::{GrantEntry, Grants, HttpGrant, SecretGrant, SecretValue};

/// A request that is expected, and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    request: Request,
    #[serde(default)]
    response: Response,
    /// Whether it answers any number of requests; otherwise one.
    #[serde(default)]
    repeatedly: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_contains: Option<String>,
    json: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    json: Option<Value>,
}

impl Default for Response {
    fn default() -> Self {
        Self { status: ok(), headers: BTreeMap::new(), body: None, json: None }
    }
}

fn ok() -> u16 {
    200
}

/// A secret: its value, of which the handler gets a placeholder, or the same with a word on that.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Secret {
    Value(String),
    Told(ToldSecret),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToldSecret {
    value: String,
    #[serde(default)]
    reveal: bool,
}

impl Exchange {
    /// The answer, and the grant that lets the request through; or what is wrong.
    pub(super) fn read(&self) -> Result<(FakeAnswer, HttpGrant), String> {
        let Self { request, response, repeatedly } = self;
        let grant = grant(request)?;
        let body = match (&request.body, &request.body_contains, &request.json) {
            (None, None, None) => None,
            (Some(text), None, None) => Some(FakeBody::Text(text.clone())),
            (None, Some(text), None) => Some(FakeBody::Contains(text.clone())),
            (None, None, Some(json)) => Some(FakeBody::Json(json.clone())),
            _ => return Err("request: 'body', 'body_contains' and 'json' exclude each other".to_owned()),
        };
        if !(200..=599).contains(&response.status) {
            return Err(format!("response.status: {} is not from 200 to 599", response.status));
        }
        let mut response_headers: Vec<(String, String)> = response.headers.clone().into_iter().collect();
        let response_body = match (&response.body, &response.json) {
            (Some(_), Some(_)) => return Err("response: 'body' and 'json' exclude each other".to_owned()),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(json)) => {
                if !response_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    response_headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                json.to_string().into_bytes()
            }
            (None, None) => Vec::new(),
        };
        let answer = FakeAnswer {
            headers: request.headers.clone().into_iter().collect(),
            body,
            repeatedly: *repeatedly,
            status: response.status,
            response_headers,
            response_body,
            ..FakeAnswer::new(&request.method, &request.url)
        };
        Ok((answer, grant))
    }
}

/// The scheme, host and port of a request's address, with its method.
fn grant(request: &Request) -> Result<HttpGrant, String> {
    let Request { method, url, .. } = request;
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| after_scheme + at);
    format!("{method} {}", &url[..end]).parse().map_err(|error| format!("request: {error}"))
}

/// What a case's handler is granted: the hosts of its exchanges, and its secrets.
pub(super) fn grants(http: Vec<HttpGrant>, secrets: &BTreeMap<String, Secret>) -> GrantBook {
    let secret = |(name, secret): (&String, &Secret)| {
        let (value, revealed) = match secret {
            Secret::Value(value) => (value, false),
            Secret::Told(ToldSecret { value, reveal }) => (value, *reveal),
        };
        SecretGrant {
            name: name.clone(),
            value: SecretValue::new(value.as_str()),
            revealed,
            hosts: Vec::new(),
        }
    };
    let grants = Grants { http, secrets: secrets.iter().map(secret).collect(), ..Grants::default() };
    GrantBook::new(vec![GrantEntry { grants, ..GrantEntry::default() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(FakeAnswer, HttpGrant), String> {
        serde_json::from_str::<Exchange>(text).map_err(|error| error.to_string())?.read()
    }

    #[test]
    fn an_exchange_is_an_answer_and_the_grant_for_it() {
        let (answer, grant) = read(
            r#"{"request": {"method": "POST", "url": "https://pay.example:8443/charges?x=1", "json": {"cents": 5}},
                "response": {"status": 201, "json": {"id": 7}}}"#,
        )
        .unwrap();
        assert_eq!(grant.to_string(), "POST https://pay.example:8443");
        assert_eq!((answer.status, answer.response_body.as_slice()), (201, br#"{"id":7}"#.as_slice()));
        assert_eq!(answer.response_headers, [("content-type".to_owned(), "application/json".to_owned())]);
        let (answer, grant) = read(r#"{"request": {"method": "GET", "url": "http://a.example"}}"#).unwrap();
        assert_eq!((answer.status, grant.to_string().as_str()), (200, "GET http://a.example"));
    }

    #[test]
    fn what_no_exchange_can_mean_is_refused() {
        for (text, expect) in [
            (r#"{"request": {"method": "get", "url": "https://a"}}"#, "'get'"),
            (r#"{"request": {"method": "GET", "url": "a.example/x"}}"#, "request: "),
            (
                r#"{"request": {"method": "GET", "url": "https://a", "body": "", "json": 1}}"#,
                "exclude each other",
            ),
            (
                r#"{"request": {"method": "GET", "url": "https://a"}, "response": {"status": 99}}"#,
                "response.status: 99",
            ),
            (r#"{"request": {"method": "GET", "url": "https://a", "verb": 1}}"#, "unknown field"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }
}
