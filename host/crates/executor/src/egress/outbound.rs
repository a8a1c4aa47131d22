//! One request of a guest, from the question whether it may go to the response.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use crate::egress::account::{Account, Permits, Turn};
use crate::egress::body::{Download, Upload};
use crate::egress::dial::{self, Rest};
use crate::egress::secrets::{Exchange, Held, Kept};
use crate::egress::target::Target;
use crate::egress::{FakeHttp, Network, Way, address};
use crate::reach::Asker;
use crate::wanted::Wanted;

/// A request and whose it is. It outlives the guest's call: the guest may do other things while it is under way.
pub(crate) struct Outbound {
    pub(crate) asker: Asker,
    pub(crate) account: Arc<Account>,
    pub(crate) held: Vec<Held>,
}

/// A response whose body is still to be read, and the work to be done meanwhile.
type Answer = Result<(Response<WasiBody>, Rest), Error>;

impl Outbound {
    /// Checks, sends, and waits for the response's headers.
    pub(crate) async fn run(
        self,
        turn: Turn,
        request: Request<WasiBody>,
        wishes: Option<RequestOptions>,
    ) -> Answer {
        self.account.ask()?;
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            let why = "CONNECT is not passed on: it would open a tunnel past every check";
            return Err(self.refuse(why, Error::HttpRequestMethodInvalid));
        }
        let target = Target::of(&parts).map_err(|why| self.refuse(&why, Error::HttpRequestUriInvalid))?;
        let granted = self.check_grant(&target)?;
        self.check_size(&parts)?;
        let host = target.header().map_err(|why| self.refuse(&why, Error::HttpRequestUriInvalid))?;
        parts.headers.insert(HOST, host);
        let egress = &self.asker.outside.egress;
        let permits = Arc::new(self.account.connection(turn, &egress.connections).await?);
        let request = Request::from_parts(parts, body);
        match &egress.way {
            Way::Real(network) => {
                self.to_network(network, (&target, granted), request, (permits, wishes)).await
            }
            Way::Fake(fake) => self.to_fake(fake, (&target, granted), request, permits).await,
        }
    }

    /// Whether a grant names the host. Without one, the request goes on only where that is being observed.
    fn check_grant(&self, target: &Target) -> Result<bool, Error> {
        if self.asker.grants.http.iter().any(|grant| grant.covers(target)) {
            return Ok(true);
        }
        let mut wanted = vec![Wanted::Http(target.grant())];
        if self.asker.outside.observations.is_some() {
            self.asker.observe(&wanted);
            return Ok(false);
        }
        let closed =
            target.address().filter(|it| address::refusal(*it, &self.asker.grants.networks).is_some());
        wanted.extend(closed.and_then(network_of));
        self.asker.deny(&format!("{target} was denied: no grant names it"), &wanted);
        Err(Error::HttpRequestDenied)
    }

    fn check_size(&self, parts: &Parts) -> Result<(), Error> {
        let max = self.account.options.header_bytes_max;
        let headers: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
        if headers <= max && path <= max {
            return Ok(());
        }
        self.account.headers_too_large();
        if path > max {
            return Err(Error::HttpRequestUriTooLong);
        }
        Err(Error::HttpRequestHeaderSectionSize(u32::try_from(headers).ok()))
    }

    async fn to_network(
        &self,
        network: &Network,
        (target, granted): (&Target, bool),
        request: Request<WasiBody>,
        (permits, wishes): (Arc<Permits>, Option<RequestOptions>),
    ) -> Answer {
        let options = &self.account.options;
        let wishes = wishes.unwrap_or_default();
        let shorter = |wish: Option<std::time::Duration>, max| wish.map_or(max, |wish| wish.min(max));
        let request = if self.held.is_empty() {
            request.map(|body| Upload::new(body, Arc::clone(&self.account)).boxed_unsync())
        } else {
            let (request, trailers) = self.fill((target, granted), request).await?;
            request.map(|bytes| whole(bytes, trailers))
        };
        let tls = network.tls.as_ref().map_err(|error| Error::InternalError(Some(error.clone())))?;
        let connecting = async {
            let addresses = self.addresses(network, target).await?;
            dial::connect(target, &addresses, tls).await
        };
        let limit = shorter(wishes.connect_timeout, options.connect_max);
        let stream =
            tokio::time::timeout(limit, connecting).await.map_err(|_| Error::ConnectionTimeout)??;
        self.account.send();
        let first_byte = shorter(wishes.first_byte_timeout, options.first_byte_max);
        let (response, rest) = dial::exchange(stream, request, &self.account, first_byte).await?;
        let between_bytes = shorter(wishes.between_bytes_timeout, options.between_bytes_max);
        let held = Arc::clone(&permits);
        let response =
            response.map(|body| Download::boxed(body, Arc::clone(&self.account), permits, between_bytes));
        let rest: Rest = Box::pin(async move {
            let ended = rest.await;
            drop(held);
            ended
        });
        Ok((response, rest))
    }

    /// Every address of the host. If a single one may not be connected to, none is: names that lead here and there are how guests
    /// get where they must not.
    async fn addresses(&self, network: &Network, target: &Target) -> Result<Vec<IpAddr>, Error> {
        let found = match target.address() {
            Some(address) => vec![address],
            None => network.resolver.resolve(&target.host_text()).await?,
        };
        for address in &found {
            if let Some(what) = address::refusal(*address, &self.asker.grants.networks) {
                let why = format!("{target} was denied: it leads to {address}, {what}");
                self.asker.deny(&why, network_of(*address).as_slice());
                return Err(Error::HttpRequestDenied);
            }
        }
        Ok(found)
    }

    async fn to_fake(
        &self,
        fake: &FakeHttp,
        (target, granted): (&Target, bool),
        request: Request<WasiBody>,
        permits: Arc<Permits>,
    ) -> Answer {
        let (request, _) = self.fill((target, granted), request).await?;
        self.account.send();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let scheme = if target.plain { "http" } else { "https" };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let url = format!("{scheme}://{host}{path}");
        let answer =
            fake.answer(&url, &request).map_err(|why| self.refuse(&why, Error::HttpRequestDenied))?;
        let between_bytes = self.account.options.between_bytes_max;
        let body = |body| Download::boxed(body, Arc::clone(&self.account), permits, between_bytes);
        Ok((answer.map(body), Box::pin(std::future::ready(Ok(())))))
    }

    /// Waits for the whole body, and puts secrets in place of their placeholders.
    async fn fill(
        &self,
        (target, granted): (&Target, bool),
        request: Request<WasiBody>,
    ) -> Result<(Request<Bytes>, Option<HeaderMap>), Error> {
        let (parts, body) = request.into_parts();
        let collected = Upload::new(body, Arc::clone(&self.account)).collect().await?;
        let trailers = collected.trailers().cloned();
        let request = Request::from_parts(parts, collected.to_bytes());
        if self.held.is_empty() {
            return Ok((request, trailers));
        }
        let exchange = Exchange { grants: &self.asker.grants, held: &self.held, target, granted };
        match exchange.fill(request.map(Vec::from), trailers) {
            Ok((request, trailers)) => Ok((request.map(Bytes::from), trailers)),
            Err(Kept::Elsewhere(name)) => {
                let why = format!(
                    "{target} was denied: the request holds the secret '{name}', which is not for this host"
                );
                let mut wanted = vec![Wanted::SecretHost(name, target.host_text())];
                if !granted {
                    wanted.push(Wanted::Http(target.grant()));
                }
                self.asker.deny(&why, &wanted);
                Err(Error::HttpRequestDenied)
            }
            Err(Kept::Unfit(name, place)) => {
                let why = format!("{target} was denied: the secret '{name}' cannot stand in {place}");
                Err(self.refuse(&why, Error::HttpRequestDenied))
            }
        }
    }

    /// Notes in the step's log why a request goes nowhere; no grant would help.
    fn refuse(&self, why: &str, error: Error) -> Error {
        self.asker.deny(why, &[]);
        error
    }
}

/// The network that would open an address, if one would.
fn network_of(address: IpAddr) -> Option<Wanted> {
    let openable = !matches!(address::kind(address), address::Kind::Never(_));
    openable.then(|| Wanted::Network(address::bare(address).into()))
}

fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> WasiBody {
    let body = Full::new(bytes).map_err(|never| match never {});
    match trailers {
        Some(trailers) => body.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync(),
        None => body.boxed_unsync(),
    }
}
