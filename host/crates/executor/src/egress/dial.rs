//! From a checked destination to a response: look the name up once, check every address, connect to one of them, speak TLS and
//! HTTP/1.1. Nothing here follows a redirect, uses a proxy, or decompresses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Host;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::egress::account::Account;
use crate::egress::target::Target;

/// Addresses that are tried, of those that a name has.
const ADDRESSES_TRIED_MAX: usize = 8;
/// The HTTP library wants at least this many bytes for a response's headers.
const HEADER_BYTES_MIN: usize = 8 << 10;

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// Where names are looked up.
#[derive(Clone)]
pub(crate) enum Resolver {
    /// The operating system. Its lookups hold a thread each, so they are few at a time.
    System(Arc<Semaphore>),
    /// Whatever a test says.
    Told(Lookup),
}

impl Resolver {
    /// Every address of a name.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let found = match self {
            Self::Told(lookup) => lookup(name),
            Self::System(places) => {
                let place = Arc::clone(places).acquire_owned().await.map_err(|_| Error::DnsTimeout)?;
                let name = name.to_owned();
                let lookup = tokio::task::spawn_blocking(move || {
                    // Given back by the thread, not by whoever waits for it: a lookup cannot be broken off.
                    let _place = place;
                    (name.as_str(), 0)
                        .to_socket_addrs()
                        .map(|found| found.map(|it| it.ip()).collect::<Vec<_>>())
                });
                lookup.await.map_err(|error| Error::InternalError(Some(error.to_string())))?
            }
        };
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(Error::DnsError { rcode: Some("no address".to_owned()), info_code: None }),
            Err(error) => Err(Error::DnsError { rcode: Some(error.to_string()), info_code: None }),
        }
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to one of the addresses, and proves the host's name where TLS is spoken.
pub(crate) async fn connect(
    target: &Target,
    addresses: &[IpAddr],
    tls: &TlsConnector,
) -> Result<Box<dyn Stream>, Error> {
    let mut last = Error::DestinationNotFound;
    for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
        match TcpStream::connect(SocketAddr::new(*address, target.port)).await {
            Ok(stream) => {
                // A request is written in a few pieces; it should leave when it is written.
                let _ = stream.set_nodelay(true);
                return if target.plain {
                    Ok(Box::new(stream))
                } else {
                    shake_hands(target, stream, tls).await
                };
            }
            Err(error) => last = unreachable(&error),
        }
    }
    Err(last)
}

async fn shake_hands(
    target: &Target,
    stream: TcpStream,
    tls: &TlsConnector,
) -> Result<Box<dyn Stream>, Error> {
    let name = match &target.host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
        Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
    };
    match tls.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            tracing::debug!(%error, host = target.host_text(), "a TLS handshake failed");
            let certificate = error.to_string().contains("certificate");
            Err(if certificate { Error::TlsCertificateError } else { Error::TlsProtocolError })
        }
    }
}

fn unreachable(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

/// What is left of a connection once the headers are there; it must be polled while the body is read.
pub(crate) type Rest = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Sends one request over a fresh connection and waits for the response's headers.
pub(crate) async fn exchange(
    stream: Box<dyn Stream>,
    mut request: Request<WasiBody>,
    account: &Account,
    first_byte: Duration,
) -> Result<(Response<Incoming>, Rest), Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    let told = |error: hyper::Error| reason(&error, account);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(account.options.header_bytes_max.max(HEADER_BYTES_MIN))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(told)?;
    let mut connection = Some(Box::pin(connection));
    let response = {
        let mut sending = pin!(sender.send_request(request));
        // The connection does the work, and may be done before the response is looked at.
        let exchanged = std::future::poll_fn(|context| {
            if let Some(running) = connection.as_mut()
                && let Poll::Ready(ended) = running.as_mut().poll(context)
            {
                connection = None;
                // A connection may end badly after the response has come whole, as TLS does without a farewell.
                return match (sending.as_mut().poll(context), ended) {
                    (Poll::Pending, Err(error)) => Poll::Ready(Err(error)),
                    (polled, _) => polled,
                };
            }
            sending.as_mut().poll(context)
        });
        let timely = tokio::time::timeout(first_byte, exchanged).await;
        timely.map_err(|_| Error::HttpResponseTimeout)?.map_err(told)?
    };
    let rest: Rest = Box::pin(async move {
        // How a connection ends matters only while a body is read, and then the body tells.
        if let Some(connection) = connection
            && let Err(error) = connection.await
        {
            tracing::debug!(%error, "a connection ended");
        }
        Ok(())
    });
    Ok((response, rest))
}

fn reason(error: &hyper::Error, account: &Account) -> Error {
    tracing::debug!(%error, "a request failed");
    if account.is_over_bytes_out() {
        Error::HttpRequestBodySize(Some(account.options.bytes_out_max))
    } else if error.is_parse_too_large() {
        account.headers_too_large();
        Error::HttpResponseHeaderSectionSize(u32::try_from(account.options.header_bytes_max).ok())
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_parse() || error.is_user() {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    }
}
