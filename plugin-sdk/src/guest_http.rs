//! HTTP in a component: `wasi:http/outgoing-handler`, behind bindings of its own, so that only components which call it import it.

use std::time::Duration;

use bindings::wasi::http::outgoing_handler::handle;
use bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use bindings::wasi::io::streams::StreamError;

use crate::http::{Address, Problem, Response, Sent};

/// Generated from the WIT.
#[allow(missing_docs, unsafe_code, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({ path: "wit/http", world: "http-client", generate_all });
}

/// What one write may hand over (wasi:io/streams, blocking-write-and-flush).
const WRITE_BYTES_MAX: usize = 4 << 10;
/// What one read asks for.
const READ_BYTES: u64 = 64 << 10;

/// Sends a request and reads its answer to the end, or until it has more than `bytes_max`.
pub(crate) fn send(
    sent: &Sent,
    address: &Address<'_>,
    (timeout, bytes_max): (Option<Duration>, usize),
) -> Result<Response, Problem> {
    let request = request(sent, address)?;
    let body = request.body().map_err(|()| invalid("it takes no body"))?;
    let answer = handle(request, timeout.map(options).transpose()?).map_err(problem)?;
    // A connection that breaks while the body is written tells its reason in the answer.
    if write(&body, &sent.body).is_ok() {
        OutgoingBody::finish(body, None).map_err(problem)?;
    }
    let response = wait(&answer)?;
    let line = |(name, value): (String, Vec<u8>)| {
        (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned())
    };
    Ok(Response {
        request: format!("{} {}", sent.method, sent.url),
        status: response.status(),
        headers: response.headers().entries().into_iter().map(line).collect(),
        body: read(&response, bytes_max)?,
    })
}

fn request(sent: &Sent, address: &Address<'_>) -> Result<OutgoingRequest, Problem> {
    let fields = Fields::new();
    for (name, value) in &sent.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|error| invalid(&format!("its header '{name}' is refused: {error}")))?;
    }
    let request = OutgoingRequest::new(fields);
    let scheme = if address.https { Scheme::Https } else { Scheme::Http };
    let slash = if address.path.starts_with('/') { "" } else { "/" };
    let set = request
        .set_method(&method(&sent.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(address.authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("{slash}{}", address.path))));
    set.map_err(|()| invalid("the host refuses its method or its address"))?;
    Ok(request)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

fn options(timeout: Duration) -> Result<RequestOptions, Problem> {
    let nanoseconds = Some(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    options
        .set_connect_timeout(nanoseconds)
        .and_then(|()| options.set_first_byte_timeout(nanoseconds))
        .and_then(|()| options.set_between_bytes_timeout(nanoseconds))
        .map_err(|()| invalid("the host sets no timeouts"))?;
    Ok(options)
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    for chunk in bytes.chunks(WRITE_BYTES_MAX) {
        stream.blocking_write_and_flush(chunk).map_err(|_| ())?;
    }
    Ok(())
}

fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, Problem> {
    loop {
        match answer.get() {
            Some(Ok(response)) => return response.map_err(problem),
            Some(Err(())) => return Err(Problem::Connection("its answer was taken already".to_owned())),
            None => answer.subscribe().block(),
        }
    }
}

fn read(response: &IncomingResponse, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let gone = |()| Problem::Connection("its body was taken already".to_owned());
    let body: IncomingBody = response.consume().map_err(gone)?;
    let stream = body.stream().map_err(gone)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                let known = http_error_code(&error);
                return Err(known.map_or_else(|| Problem::Connection(error.to_debug_string()), problem));
            }
        }
        if bytes.len() > bytes_max {
            return Err(Problem::TooLarge(bytes_max));
        }
    }
}

fn invalid(why: &str) -> Problem {
    Problem::Invalid(why.to_owned())
}

/// What the host says, as far as it makes a difference to a handler.
fn problem(code: ErrorCode) -> Problem {
    let why = format!("{code:?}");
    match code {
        ErrorCode::HttpRequestDenied => Problem::Denied("no grant allows it".to_owned()),
        ErrorCode::DestinationIpProhibited => {
            Problem::Denied("no grant allows the address that it leads to".to_owned())
        }
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Problem::Timeout(why),
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => Problem::Invalid(why),
        ErrorCode::HttpResponseBodySize(most) => {
            Problem::TooLarge(most.and_then(|most| usize::try_from(most).ok()).unwrap_or(0))
        }
        _ => Problem::Connection(why),
    }
}
