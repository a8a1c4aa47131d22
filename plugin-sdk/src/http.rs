//! Calls to other services: what a handler asks for, what it is answered, and which failures another attempt may mend.
//!
//! ```
//! use stepwright_sdk::prelude::*;
//! use stepwright_sdk::testing::{Answer, TestContext};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Charged {
//!     reference: String,
//! }
//!
//! /// Charges a card.
//! #[handler]
//! fn charge(cents: u64, ctx: &Context) -> StepResult<Charged> {
//!     let call = ctx.http().post("https://pay.example/charges").header("idempotency-key", ctx.idempotency_key());
//!     call.json(&json!({ "cents": cents })).send()?.good()?.json()
//! }
//!
//! let test = TestContext::new()
//!     .answer("POST https://pay.example/charges", Answer::status(201).json(&json!({ "reference": "P-1" })));
//! assert_eq!(test.run(charge, 500)?.reference, "P-1");
//! assert_eq!(test.requests()[0].body, br#"{"cents":500}"#);
//! # Ok::<(), StepError>(())
//! ```
//!
//! The host allows only what the operator granted; a call that is not granted fails for good with code `http_request_denied`.
//! A component that never calls [`Context::http`] imports nothing of this.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::context::Context;
use crate::error::{StepError, StepResult, permanent, retryable};
use crate::payload::decode;

/// The largest answer that is read unless the request says otherwise: as much as a step's output may have.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How much of an unwelcome answer goes into the failure's details, in bytes.
const EXCERPT_BYTES_MAX: usize = 1 << 10;

/// The way to other services.
#[derive(Clone, Copy)]
pub struct Http<'a> {
    context: &'a Context,
}

impl Context {
    /// The way to other services, as far as the operator granted it.
    pub fn http(&self) -> Http<'_> {
        Http { context: self }
    }
}

impl<'a> Http<'a> {
    /// A GET request.
    pub fn get(self, url: impl Into<String>) -> Request<'a> {
        self.request("GET", url)
    }

    /// A POST request.
    pub fn post(self, url: impl Into<String>) -> Request<'a> {
        self.request("POST", url)
    }

    /// A PUT request.
    pub fn put(self, url: impl Into<String>) -> Request<'a> {
        self.request("PUT", url)
    }

    /// A PATCH request.
    pub fn patch(self, url: impl Into<String>) -> Request<'a> {
        self.request("PATCH", url)
    }

    /// A DELETE request.
    pub fn delete(self, url: impl Into<String>) -> Request<'a> {
        self.request("DELETE", url)
    }

    /// A request of any method.
    pub fn request(self, method: impl Into<String>, url: impl Into<String>) -> Request<'a> {
        let sent = Sent { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() };
        Request { context: self.context, sent, timeout: None, body_bytes_max: BODY_BYTES_MAX, problem: None }
    }
}

/// A request that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its method, in capitals.
    pub method: String,
    /// Its whole address.
    pub url: String,
    /// Its header, in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A request while it is made.
#[must_use = "nothing is sent before `send`"]
pub struct Request<'a> {
    #[cfg_attr(
        target_family = "wasm",
        expect(dead_code, reason = "a component's calls go past its context")
    )]
    context: &'a Context,
    sent: Sent,
    timeout: Option<Duration>,
    body_bytes_max: usize,
    problem: Option<StepError>,
}

impl Request<'_> {
    /// Adds a line to the header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.sent.headers.push((name.into(), value.into()));
        self
    }

    /// Sends a value as JSON, with its content type.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.sent.body = body,
            Err(error) => {
                let problem = permanent(format!("the request's body is no JSON: {error}"));
                self.problem = Some(problem.code("http_request_invalid"));
            }
        }
        self.header("content-type", "application/json")
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.sent.body = body.into();
        self
    }

    /// Waits no longer than this for the connection, for the first byte, and between two bytes. The operator's limits, and the
    /// step's own deadline, end a call all the same.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reads at most this many bytes of the answer's body, instead of 1 MiB.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Sends the request and reads the whole answer, whatever its status.
    ///
    /// What another attempt may mend is retryable: `http_connection` and `http_timeout`. For good are `http_request_denied`
    /// (not granted), `http_request_invalid` and `http_response_too_large`.
    pub fn send(self) -> StepResult<Response> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let address = Address::of(&self.sent.url)?;
        #[cfg(target_family = "wasm")]
        let answered = crate::guest_http::send(&self.sent, &address, (self.timeout, self.body_bytes_max));
        #[cfg(not(target_family = "wasm"))]
        let answered = {
            let Address { https: _, authority: _, path: _ } = address;
            let response = self.context.host().http(&self.sent);
            response.and_then(|response| response.within(self.body_bytes_max))
        };
        answered.map_err(|problem| problem.into_error(&self.sent))
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub(crate) request: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Its status, such as 200.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its header, in order. Names are in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The first line of its header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its body as a `T`. What does not fit is a permanent failure with code `http_response_invalid` that names the value.
    pub fn json<T: DeserializeOwned>(&self) -> StepResult<T> {
        let subject = format!("the answer to {}", self.request);
        let text = std::str::from_utf8(&self.body).map_err(|error| {
            permanent(format!("{subject} is no UTF-8: {error}")).code("http_response_invalid")
        })?;
        decode(text).map_err(|error| error.into_error(&subject, "http_response_invalid"))
    }

    /// The same answer if its status is 2xx, a failure with code `http_status` otherwise: retryable for 408, 425, 429 and 5xx,
    /// when the service says so (`retry-after` in seconds, RFC 9110 10.2.3); permanent for all others.
    pub fn good(self) -> StepResult<Self> {
        let Self { request, status, body, .. } = &self;
        if (200..300).contains(status) {
            return Ok(self);
        }
        let message = format!("{request} was answered with status {status}");
        let may_pass = matches!(status, 408 | 425 | 429 | 500..=599);
        let mut error = if may_pass { retryable(message) } else { permanent(message) };
        if let Some(seconds) = self.header("retry-after").and_then(|value| value.trim().parse().ok()) {
            error = error.retry_after(Duration::from_secs(seconds));
        }
        let excerpt = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES_MAX)]);
        Err(error.code("http_status").details(json!({ "status": status, "body": excerpt })))
    }

    #[cfg(not(target_family = "wasm"))]
    fn within(self, bytes_max: usize) -> Result<Self, Problem> {
        if self.body.len() > bytes_max { Err(Problem::TooLarge(bytes_max)) } else { Ok(self) }
    }
}

/// Why there is no answer. In tests there is less that can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
pub(crate) enum Problem {
    /// The operator did not grant it.
    Denied(String),
    /// Nobody could send this.
    Invalid(String),
    Connection(String),
    Timeout(String),
    TooLarge(usize),
}

impl Problem {
    fn into_error(self, sent: &Sent) -> StepError {
        let call = format!("{} {}", sent.method, sent.url);
        match self {
            Self::Denied(why) => {
                permanent(format!("{call} is not granted: {why}")).code("http_request_denied")
            }
            Self::Invalid(why) => {
                permanent(format!("{call} cannot be sent: {why}")).code("http_request_invalid")
            }
            Self::Connection(why) => retryable(format!("{call} failed: {why}")).code("http_connection"),
            Self::Timeout(why) => retryable(format!("{call} took too long: {why}")).code("http_timeout"),
            Self::TooLarge(max) => permanent(format!("the answer to {call} has more than {max} bytes"))
                .code("http_response_too_large"),
        }
    }
}

/// An address, taken apart (RFC 3986).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) https: bool,
    pub(crate) authority: &'a str,
    /// With the query; empty stands for `/`.
    pub(crate) path: &'a str,
}

impl<'a> Address<'a> {
    fn of(url: &'a str) -> StepResult<Self> {
        let wrong = |why: &str| Err(permanent(format!("'{url}' {why}")).code("http_request_invalid"));
        let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return wrong("is no address: it begins with neither https:// nor http://"),
        };
        // What comes after a '#' is the reader's own affair and never sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return wrong("names no host");
        }
        if authority.contains('@') {
            return Err(permanent("the address holds a name or a password; send them in a header")
                .code("http_request_invalid"));
        }
        Ok(Self { https, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, TestContext};

    #[test]
    fn addresses_are_taken_apart_or_refused() {
        let address = |url| Address::of(url).map_err(|error| error.message);
        assert_eq!(
            address("https://pay.example:8443/a?b=c#d"),
            Ok(Address { https: true, authority: "pay.example:8443", path: "/a?b=c" })
        );
        assert_eq!(address("http://h?q"), Ok(Address { https: false, authority: "h", path: "?q" }));
        for (url, why) in [("ftp://h", "https://"), ("https:///x", "no host"), ("https://a:b@h/", "password")]
        {
            assert!(address(url).unwrap_err().contains(why), "{url}");
        }
    }

    #[test]
    fn a_status_says_whether_another_attempt_may_help() {
        let call = |status: u16| {
            let answer = Answer::status(status).header("Retry-After", "7").body("sorry");
            let test = TestContext::new().answer("GET https://h/", answer);
            test.context().http().get("https://h/").send().and_then(Response::good)
        };
        assert_eq!(call(204).map(|response| response.status()), Ok(204));
        let busy = call(503).unwrap_err();
        assert!(busy.is_retryable() && busy.retry_after == Some(Duration::from_secs(7)));
        assert_eq!(busy.details.as_ref().unwrap()["body"], "sorry");
        let gone = call(404).unwrap_err();
        assert_eq!((gone.is_retryable(), gone.code.as_deref()), (false, Some("http_status")));
    }

    #[test]
    fn what_goes_wrong_has_its_class_and_its_code() {
        let test = TestContext::new()
            .answer("GET https://h/large", Answer::status(200).body(vec![b'x'; 11]))
            .answer("GET https://h/text", Answer::status(200).body("{\"n\":\"x\"}"))
            .answer("GET https://h/down", Answer::unreachable("connection refused"));
        let get = |url: &str| test.context().http().get(url).body_bytes_max(10).send();
        let failed = |url: &str| {
            let error = get(url).unwrap_err();
            (error.is_retryable(), error.code.unwrap(), error.message)
        };
        assert_eq!(failed("https://h/large").1, "http_response_too_large");
        let down = failed("https://h/down");
        assert_eq!((down.0, down.1.as_str()), (true, "http_connection"));
        let denied = failed("https://elsewhere/");
        assert_eq!((denied.0, denied.1.as_str()), (false, "http_request_denied"));
        assert!(denied.2.contains("GET https://elsewhere/"), "{}", denied.2);
        let answer = get("https://h/text").unwrap();
        let error = answer.json::<std::collections::BTreeMap<String, u32>>().unwrap_err();
        assert_eq!(error.code.as_deref(), Some("http_response_invalid"));
        assert!(error.message.contains("at `n`"), "{}", error.message);
    }
}
