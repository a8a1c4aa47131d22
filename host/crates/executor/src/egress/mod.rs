//! The way out of the sandbox: HTTP requests of guests, checked against their grants, sent by the host, and counted.
//!
//! ```text
//! guest ─▶ grant? ─▶ place ─▶ secrets in ─▶ name → addresses, all allowed? ─▶ connect to one of them ─▶ TLS ─▶ HTTP/1.1
//!            └── no: denied, and the log says which grant is missing ──┘         response: counted as it is read ◀─┘
//! ```

pub(crate) mod account;
mod address;
mod body;
pub(crate) mod code;
mod dial;
mod errand;
mod fake;
mod options;
mod outbound;
pub(crate) mod secrets;
mod target;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use crate::egress::errand::check_address;
pub use crate::egress::fake::{FakeAnswer, FakeBody, FakeHttp, FakeRequest};
pub use crate::egress::options::EgressOptions;
pub(crate) use crate::egress::outbound::Outbound;

use crate::egress::dial::Resolver;

/// Name lookups of the system at the same time.
const LOOKUPS_MAX: usize = 32;

/// Where requests go: to the network, or to a list of answers.
pub struct Egress {
    pub(crate) options: EgressOptions,
    connections: Arc<Semaphore>,
    way: Way,
}

enum Way {
    Real(Network),
    Fake(Arc<FakeHttp>),
}

struct Network {
    roots: RootCertStore,
    tls: Result<TlsConnector, String>,
    resolver: Resolver,
}

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM.
    #[error("the certificates cannot be read: {0}; PEM with '-----BEGIN CERTIFICATE-----' is wanted")]
    Pem(String),
    /// PEM without a certificate.
    #[error("there is no certificate in it; PEM with '-----BEGIN CERTIFICATE-----' is wanted")]
    Empty,
    /// Not a certificate that can be trusted.
    #[error("a certificate cannot be trusted: {0}")]
    Certificate(String),
}

impl Default for Egress {
    fn default() -> Self {
        Self::new(EgressOptions::default())
    }
}

impl Egress {
    /// To the network, with Mozilla's certificate authorities.
    pub fn new(options: EgressOptions) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        let tls = connector(&roots);
        let resolver = Resolver::System(Arc::new(Semaphore::new(LOOKUPS_MAX)));
        Self::with_way(options, Way::Real(Network { roots, tls, resolver }))
    }

    /// To a list of answers. Grants, limits and secrets count as always; addresses are not looked at, for there are none.
    pub fn fake(options: EgressOptions, answers: Arc<FakeHttp>) -> Self {
        Self::with_way(options, Way::Fake(answers))
    }

    fn with_way(options: EgressOptions, way: Way) -> Self {
        let connections = Arc::new(Semaphore::new(options.connections_process_max as usize));
        Self { options, connections, way }
    }

    /// Trusts these certificate authorities, too.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self, TrustError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|error| TrustError::Pem(error.to_string()))?;
        if found.is_empty() {
            return Err(TrustError::Empty);
        }
        if let Way::Real(network) = &mut self.way {
            for certificate in found {
                network.roots.add(certificate).map_err(|error| TrustError::Certificate(error.to_string()))?;
            }
            network.tls = connector(&network.roots);
        }
        Ok(self)
    }

    /// Looks names up in another way than the system does.
    #[must_use]
    pub fn resolving(
        mut self,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        if let Way::Real(network) = &mut self.way {
            network.resolver = Resolver::Told(Arc::new(lookup));
        }
        self
    }

    /// Requests that could be under way beside those that are.
    pub fn connections_free(&self) -> usize {
        self.connections.available_permits()
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = if matches!(self.way, Way::Real(_)) { "network" } else { "fake" };
        f.debug_struct("Egress").field("options", &self.options).field("way", &way).finish_non_exhaustive()
    }
}

fn connector(roots: &RootCertStore) -> Result<TlsConnector, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
