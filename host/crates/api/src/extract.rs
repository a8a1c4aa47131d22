//! What requests hold and answers are made of: every mistake is a problem with its place.

use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::Segment;
use stepwright_workflow::{BatchId, TaskId, TokenId};
use tokio::time::timeout;

use crate::app::Inner;
use crate::code::Code;
use crate::problem::{Problem, no_task};

/// The largest id whose steps have ids: a step's id is its task's, shifted by sixteen bits.
const TASK_ID_MAX: i64 = i64::MAX >> 16;

/// The variable parts of a path.
pub(crate) struct At<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::from_request_parts(parts, state).await;
        found
            .map(|Path(found)| Self(found))
            .map_err(|refused| Problem::new(Code::InvalidRequest, refused.body_text()))
    }
}

/// The query of an address; names that are not known are mistakes.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = axum::extract::Query::try_from_uri(&parts.uri);
        found
            .map(|axum::extract::Query(found)| Self(found))
            .map_err(|refused| Problem::new(Code::InvalidRequest, refused.body_text()))
    }
}

/// A number that the store gave to something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(i64);

impl Id {
    /// As a task's.
    pub(crate) fn task(self) -> Result<TaskId, Problem> {
        if self.0 > TASK_ID_MAX { Err(no_task(self.0)) } else { Ok(TaskId(self.0)) }
    }

    pub(crate) fn batch(self) -> BatchId {
        BatchId(self.0)
    }

    pub(crate) fn token(self) -> TokenId {
        TokenId(self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            number @ 1.. => Ok(Self(number)),
            other => Err(serde::de::Error::custom(format_args!("'{other}' is no id; ids count from 1"))),
        }
    }
}

/// An answer in JSON.
pub(crate) struct Answer<T>(pub(crate) StatusCode, pub(crate) T);

impl<T> Answer<T> {
    pub(crate) fn ok(value: T) -> Self {
        Self(StatusCode::OK, value)
    }

    /// 201 where something is new, 200 where it was there before.
    pub(crate) fn made(is_new: bool, value: T) -> Self {
        Self(if is_new { StatusCode::CREATED } else { StatusCode::OK }, value)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(body) => (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => crate::problem::internal(&error).into_response(),
        }
    }
}

/// What a body says that it is, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The body of another type.
pub(crate) fn unsupported(found: &str, wanted: &str) -> Problem {
    let found = if found.is_empty() { "no Content-Type".to_owned() } else { format!("'{found}'") };
    Problem::new(Code::UnsupportedMediaType, format!("{found} was sent; send {wanted}"))
}

impl Inner {
    /// A body of at most so many bytes, read in time.
    pub(crate) async fn bytes(&self, request: Request, most: usize) -> Result<Bytes, Problem> {
        let too_large =
            || Problem::new(Code::PayloadTooLarge, format!("the body may have at most {most} bytes"));
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let reading = Limited::new(request.into_body(), most).collect();
        match timeout(self.options().body_timeout, reading).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => Err(Problem::new(Code::InvalidRequest, format!("the body broke off: {error}"))),
            Err(_) => Err(Problem::new(
                Code::RequestTimeout,
                format!("the body did not arrive within {} s", self.options().body_timeout.as_secs()),
            )),
        }
    }

    /// A body in JSON; fields that are not known are mistakes.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: Request,
        most: usize,
    ) -> Result<T, Problem> {
        let kind = media_type(request.headers());
        if kind != "application/json" {
            return Err(unsupported(&kind, "application/json"));
        }
        read(&self.bytes(request, most).await?)
    }
}

/// Reads a JSON object. Serde would take a list of its values as well.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Code::InvalidRequest, "the body: a JSON object is expected"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // Once more, and slower, for the name of the field.
        let mut again = serde_json::Deserializer::from_slice(bytes);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Err(found) if found.path().iter().any(|part| !matches!(part, Segment::Unknown)) => {
                Problem::field(&found.path().to_string(), found.inner().to_string())
            }
            _ => Problem::new(Code::InvalidRequest, format!("the body: {error}")),
        }
    })
}

/// A text that a database can keep and a person can read.
pub(crate) fn plain(field: &str, text: &str, most: usize) -> Result<(), Problem> {
    if text.len() > most {
        return Err(Problem::field(field, format!("{} bytes; at most {most}", text.len())));
    }
    if text.contains('\0') {
        return Err(Problem::field(field, "it holds the character U+0000"));
    }
    Ok(())
}
