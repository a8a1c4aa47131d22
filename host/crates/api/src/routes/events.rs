//! The stream of events.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use stepwright_orchestrator::feed::{Event, EventFilter, FeedError, Follower, From, Position};
use stepwright_store::TokenScope;
use utoipa::IntoParams;

use super::NAME_BYTES_MAX;
use crate::access::Caller;
use crate::app::App;
use crate::code::Code;
use crate::extract::{Id, Query, plain};
use crate::limit::Place;
use crate::problem::Problem;
use crate::route::Route;
use crate::view;

/// How often it is looked whether the token is still good.
const LOOK: Duration = Duration::from_secs(1);
/// After so many of these looks without an event a line comes that says nothing, so that the way stays open and a broken one is noticed.
const SILENT_LOOKS: u32 = 10;
/// Where a client that has lost its connection wants to go on, as browsers say it.
const LAST_EVENT_ID: &str = "last-event-id";
/// Bytes of a list of names.
const NAMES_BYTES_MAX: usize = 2_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/events", events)
            .named("events", "stream_events", "What happens, as it happens")
            .described(
                "Server-sent events without end: each message has the event's position as `id`, its name as `event`, and `data` as \
                 the schema Event says. Without `after` it begins now, or with a task at that task's beginning. A connection that \
                 broke goes on behind the last position that was seen, with `after` or the header Last-Event-ID; nothing is left \
                 out and nothing comes twice. Events of one task come in the order in which they happened.",
            )
            .needs(TokenScope::Read)
            .query::<Wanted>()
            .header(LAST_EVENT_ID, "The last position that was seen. It comes before `after`.", 50)
            .answers_stream::<view::Event>("Events")
            .fails(&[Code::EventsExpired]),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only events behind this position; 0 for all that are kept.
    #[param(pattern = "^[0-9]{1,18}(-[0-9]{1,9})?$")]
    after: Option<String>,
    /// Only events about this task.
    #[param(value_type = Option<i64>, minimum = 1)]
    task: Option<Id>,
    /// Only events about tasks and templates of this namespace.
    #[param(min_length = 1, max_length = 400)]
    namespace: Option<String>,
    /// Only events about tasks of this template, or about the template.
    #[param(min_length = 1, max_length = 400)]
    template: Option<String>,
    /// Only events of these names, as `task.completed,step.*`.
    #[param(pattern = "^[a-z]+[.]([a-z_]+|[*])(,[a-z]+[.]([a-z_]+|[*]))*$", max_length = 2000)]
    name: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<EventFilter, Problem> {
        for (field, text) in [("namespace", &self.namespace), ("template", &self.template)] {
            text.as_deref().map_or(Ok(()), |text| plain(field, text, NAME_BYTES_MAX))?;
        }
        let names = self.name.as_deref().unwrap_or_default();
        plain("name", names, NAMES_BYTES_MAX)?;
        let names = match names {
            "" => Vec::new(),
            names => EventFilter::names(names).map_err(|why| Problem::field("name", why))?,
        };
        Ok(EventFilter {
            task: self.task.map(Id::task).transpose()?,
            namespace: self.namespace.clone(),
            template: self.template.clone(),
            names,
        })
    }

    fn from(&self, headers: &HeaderMap) -> Result<From, Problem> {
        let position = |field: &str, text: &str| {
            text.parse::<Position>().map(From::After).map_err(|why| Problem::field(field, why.to_string()))
        };
        if let Some(last) = headers.get(LAST_EVENT_ID) {
            return position(LAST_EVENT_ID, last.to_str().unwrap_or("no text"));
        }
        self.after.as_deref().map_or(Ok(From::Now), |after| position("after", after))
    }
}

async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let (from, filter) = (wanted.from(&headers)?, wanted.filter()?);
    let place = app.limits.place(caller.token)?;
    let follower = app.feed().follow(from, filter).await?;
    let stream = Stream { app, follower, headers, _place: place, begun: false };
    let body = Body::from_stream(futures::stream::unfold(stream, Stream::next));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that would wait for the end of an answer before they hand it on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A stream under way. A client that is slow is read for no faster than it reads.
struct Stream {
    app: App,
    follower: Follower,
    /// What the client showed.
    headers: HeaderMap,
    _place: Place,
    begun: bool,
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !std::mem::replace(&mut self.begun, true) {
            // The head of the answer goes out with it, so that the client knows that it is being told.
            return Some((Ok(Bytes::from_static(b": events\n\n")), self));
        }
        for _ in 0..SILENT_LOOKS {
            let told = tokio::select! {
                () = self.app.stop() => return None,
                told = tokio::time::timeout(LOOK, self.follower.next()) => told,
            };
            // A token may be revoked, or expire, while it is told.
            self.app.gatekeeper.admit(&self.headers, TokenScope::Read).ok()?;
            match told {
                Ok(Ok(events)) => return Some((Ok(messages(&events)), self)),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a stream of events ends; its client may go on from where it was");
                    return None;
                }
                Err(_) => {}
            }
        }
        Some((Ok(Bytes::from_static(b":\n\n")), self))
    }
}

fn messages(events: &[Event]) -> Bytes {
    let mut text = String::with_capacity(events.len() * 256);
    for event in events {
        let data = serde_json::to_string(event).unwrap_or_default();
        let _ = write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", event.position, event.event.as_str());
    }
    text.into()
}

impl std::convert::From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Expired { .. } => Self::new(Code::EventsExpired, error.to_string()),
            FeedError::Unknown(_) => Self::field("after", error.to_string()),
            FeedError::Store(error) => error.into(),
        }
    }
}
