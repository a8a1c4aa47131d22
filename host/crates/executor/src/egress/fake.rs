//! Answers from a list, in place of the network: for tests of plugins.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

/// A request that is expected, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeAnswer {
    /// The method, upper-case.
    pub method: String,
    /// The whole address, with the query.
    pub url: String,
    /// Headers that the request must have; others may be there, too.
    pub headers: Vec<(String, String)>,
    /// What the body must be, if that matters.
    pub body: Option<FakeBody>,
    /// Whether it answers any number of requests; otherwise one.
    pub repeatedly: bool,
    /// The response's status.
    pub status: u16,
    /// The response's headers.
    pub response_headers: Vec<(String, String)>,
    /// The response's body.
    pub response_body: Vec<u8>,
}

/// What a request's body must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FakeBody {
    /// Exactly this text.
    Text(String),
    /// This text somewhere within.
    Contains(String),
    /// The same JSON, however it is spaced and ordered.
    Json(Value),
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeRequest {
    /// Its method.
    pub method: String,
    /// Its whole address.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether an answer was found for it.
    pub answered: bool,
}

/// A network that answers from a list. Requests are checked against grants and limits as real ones are, except for addresses,
/// of which there are none.
#[derive(Debug, Default)]
pub struct FakeHttp(Mutex<Script>);

#[derive(Debug, Default)]
struct Script {
    answers: Vec<(FakeAnswer, u64)>,
    requests: Vec<FakeRequest>,
}

impl FakeAnswer {
    /// Answers one such request with `200` and no body.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            repeatedly: false,
            status: 200,
            response_headers: Vec::new(),
            response_body: Vec::new(),
        }
    }

    fn response(&self) -> Result<Response<Full<Bytes>>, String> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            format!("the answer to {} {} has a {what} that is none: {error}", self.method, self.url)
        };
        let mut response = Response::new(Full::new(Bytes::from(self.response_body.clone())));
        *response.status_mut() =
            StatusCode::from_u16(self.status).map_err(|error| wrong("status", &error))?;
        for (name, value) in &self.response_headers {
            let name = HeaderName::try_from(name).map_err(|error| wrong("header name", &error))?;
            let value = HeaderValue::try_from(value).map_err(|error| wrong("header value", &error))?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

impl FakeHttp {
    /// The answers, each for the first request that fits.
    pub fn new(answers: Vec<FakeAnswer>) -> Self {
        let answers = answers.into_iter().map(|answer| (answer, 0)).collect();
        Self(Mutex::new(Script { answers, requests: Vec::new() }))
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<FakeRequest> {
        self.script().requests.clone()
    }

    /// Answers that nobody asked for, as `METHOD url`.
    pub fn unused(&self) -> Vec<String> {
        let script = self.script();
        script
            .answers
            .iter()
            .filter(|(_, uses)| *uses == 0)
            .map(|(it, _)| format!("{} {}", it.method, it.url))
            .collect()
    }

    /// The answer to a request, or why there is none.
    pub(crate) fn answer(
        &self,
        url: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Full<Bytes>>, String> {
        let script = &mut *self.script();
        let fits = |(answer, uses): &&mut (FakeAnswer, u64)| {
            (answer.repeatedly || *uses == 0) && fits(answer, url, request)
        };
        let answer = script.answers.iter_mut().find(fits);
        script.requests.push(FakeRequest {
            method: request.method().to_string(),
            url: url.to_owned(),
            headers: headers(request),
            body: request.body().to_vec(),
            answered: answer.is_some(),
        });
        match answer {
            Some((answer, uses)) => {
                *uses += 1;
                answer.response()
            }
            None => {
                let open = script.answers.iter().filter(|(answer, uses)| answer.repeatedly || *uses == 0);
                let expected: Vec<String> = open.map(|(answer, _)| expectation(answer)).collect();
                let expected =
                    if expected.is_empty() { "nothing more".to_owned() } else { expected.join("; ") };
                Err(format!("{} {url} was not expected; expected: {expected}", request.method()))
            }
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn headers(request: &Request<Bytes>) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn fits(answer: &FakeAnswer, url: &str, request: &Request<Bytes>) -> bool {
    let has = |(name, value): &(String, String)| {
        request.headers().get_all(name.as_str()).iter().any(|found| found.as_bytes() == value.as_bytes())
    };
    let body_fits = match &answer.body {
        None => true,
        Some(FakeBody::Text(text)) => request.body() == text.as_bytes(),
        Some(FakeBody::Contains(text)) => String::from_utf8_lossy(request.body()).contains(text.as_str()),
        Some(FakeBody::Json(value)) => {
            serde_json::from_slice::<Value>(request.body()).is_ok_and(|found| found == *value)
        }
    };
    answer.method == request.method().as_str()
        && same_url(&answer.url, url)
        && answer.headers.iter().all(has)
        && body_fits
}

/// Whether two addresses mean the same, as with and without the usual port or the first slash.
fn same_url(one: &str, other: &str) -> bool {
    one == other
        || matches!((url::Url::parse(one), url::Url::parse(other)), (Ok(one), Ok(other)) if one == other)
}

fn expectation(answer: &FakeAnswer) -> String {
    let mut text = format!("{} {}", answer.method, answer.url);
    for (name, value) in &answer.headers {
        text.push_str(&format!(" with {name}: {value}"));
    }
    match &answer.body {
        Some(FakeBody::Text(body)) => text.push_str(&format!(" with the body '{body}'")),
        Some(FakeBody::Contains(part)) => text.push_str(&format!(" with '{part}' in the body")),
        Some(FakeBody::Json(value)) => text.push_str(&format!(" with the body {value}")),
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, body: &str) -> Request<Bytes> {
        Request::builder().method(method).header("x-key", "k").body(Bytes::from(body.to_owned())).unwrap()
    }

    #[test]
    fn the_first_answer_that_fits_is_used_up_and_the_rest_is_named() {
        let post = FakeAnswer {
            headers: vec![("X-Key".to_owned(), "k".to_owned())],
            body: Some(FakeBody::Json(serde_json::json!({ "a": [1, 2] }))),
            status: 201,
            ..FakeAnswer::new("POST", "https://a.test")
        };
        let get = FakeAnswer { repeatedly: true, ..FakeAnswer::new("GET", "https://a.test/x") };
        let fake = FakeHttp::new(vec![post, get]);
        let status =
            |url: &str, request: Request<Bytes>| fake.answer(url, &request).map(|it| it.status().as_u16());
        assert_eq!(status("https://a.test/x", request("GET", "")), Ok(200));
        assert_eq!(fake.unused(), ["POST https://a.test"]);
        assert_eq!(status("https://a.test/", request("POST", "{ \"a\": [1,2] }")), Ok(201));
        assert_eq!(
            status("https://a.test/", request("POST", "{\"a\":[1,2]}")).unwrap_err(),
            "POST https://a.test/ was not expected; expected: GET https://a.test/x"
        );
        assert_eq!(status("https://a.test/x", request("GET", "")), Ok(200));
        let answered: Vec<bool> = fake.requests().iter().map(|request| request.answered).collect();
        assert_eq!(answered, [true, true, false, true]);
        let strict =
            FakeAnswer { body: Some(FakeBody::Text("x".to_owned())), ..FakeAnswer::new("PUT", "http://b") };
        let message = FakeHttp::new(vec![strict]).answer("http://b/", &request("PUT", "y")).unwrap_err();
        assert!(message.ends_with("expected: PUT http://b with the body 'x'"), "{message}");
    }
}
