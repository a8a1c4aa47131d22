//! A request of the host's own, over the same way as those of guests: the name is looked up once, every address is checked, and one of
//! them is connected to.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;

use crate::egress::target::Target;
use crate::egress::{Egress, Network, Way, address, dial};

/// The longest wait for an answer's status, from the end of the request.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer's headers.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Whether an address may be sent to at all: `https`, or `http` where networks are named in which it may lie.
pub fn check_address(url: &str, networks: &[IpNet]) -> Result<(), String> {
    let (target, _) = target(url)?;
    if target.plain && networks.is_empty() {
        return Err(format!("'{url}' would encrypt nothing; use https, or name the receiver's network"));
    }
    match target.address().and_then(|address| address::refusal(address, networks)) {
        Some(what) => Err(format!("'{url}' leads to {what}; name its network to allow it")),
        None => Ok(()),
    }
}

fn target(url: &str) -> Result<(Target, Request<()>), String> {
    let wrong = |why: String| format!("'{url}' is no address to send to: {why}");
    if !url.contains("://") {
        return Err(wrong("it begins with https://".to_owned()));
    }
    let request = Request::post(url).body(()).map_err(|error| wrong(error.to_string()))?;
    let (parts, body) = request.into_parts();
    let target = Target::of(&parts)?;
    Ok((target, Request::from_parts(parts, body)))
}

impl Egress {
    /// Posts a body and returns the answer's status; or says in a sentence why there is none. Nothing of the answer's body is read,
    /// and no redirect is followed. Private addresses only within `networks`, and `http` only to those.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: String,
        networks: &[IpNet],
    ) -> Result<u16, String> {
        let Way::Real(network) = &self.way else { return Err("there is no network".to_owned()) };
        let (target, request) = target(url)?;
        let mut request = request.map(|()| Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        for (name, value) in headers {
            let bad = |error: http::Error| format!("the header {name}: {error}");
            let name = HeaderName::try_from(*name).map_err(|error| bad(error.into()))?;
            let value = HeaderValue::try_from(value).map_err(|error| bad(error.into()))?;
            request.headers_mut().insert(name, value);
        }
        request.headers_mut().insert(http::header::HOST, target.header()?);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|error| format!("'{url}': {error}"))?;
        let connecting = self.reach(network, &target, networks);
        let stream = tokio::time::timeout(self.options.connect_max, connecting).await;
        let stream = stream.map_err(|_| format!("{target} did not let itself be reached in time"))??;
        let exchange = async {
            let mut builder = hyper::client::conn::http1::Builder::new();
            builder.max_buf_size(HEADER_BYTES_MAX);
            let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
            let mut connection = std::pin::pin!(connection);
            let mut answer = std::pin::pin!(sender.send_request(request));
            tokio::select! {
                answer = answer.as_mut() => answer,
                // It may have ended well with the answer.
                ended = connection.as_mut() => match ended {
                    Ok(()) => answer.await,
                    Err(error) => Err(error),
                },
            }
        };
        let answer = tokio::time::timeout(ANSWER_MAX, exchange).await;
        let answer = answer.map_err(|_| format!("{target} did not answer in time"))?;
        answer.map(|answer| answer.status().as_u16()).map_err(|error| format!("{target}: {error}"))
    }

    async fn reach(
        &self,
        network: &Network,
        target: &Target,
        networks: &[IpNet],
    ) -> Result<Box<dyn dial::Stream>, String> {
        let failed = |error| format!("{target}: {error}");
        let found = match target.address() {
            Some(address) => vec![address],
            None => network.resolver.resolve(&target.host_text()).await.map_err(failed)?,
        };
        for address in &found {
            if let Some(what) = address::refusal(*address, networks) {
                return Err(format!("{target} leads to {address}, {what}, which no named network holds"));
            }
            let named = networks.iter().any(|network| network.contains(&address::bare(*address)));
            if target.plain && !named {
                return Err(format!("{target} would encrypt nothing, and {address} is in no named network"));
            }
        }
        dial::connect(target, &found, network.tls.as_ref().map_err(Clone::clone)?).await.map_err(failed)
    }
}
