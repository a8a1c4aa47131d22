//! TLS for the gate and the tunnel: files in PEM, read again when they change. rustls does everything that is cryptography.
//!
//! TLS 1.3 only, and no sessions to resume: connections last for days, and a client certificate is checked for each.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate is a few kilobytes, a system's bundle of roots a few hundred.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Files that TLS cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {wanted} in PEM (it begins with '-----BEGIN {begins}-----')", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// How that begins.
        begins: &'static str,
    },
    /// Everybody can read a private key.
    #[error("the private key {} has mode {mode:o}, so every user can read it; run 'chmod o= {}'", .path.display(), .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The files can be read, and do not do.
    #[error("{} cannot be used: {reason}", .path.display())]
    Unusable {
        /// The first of the files.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The files of a gate with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateFiles {
    /// The gate's certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// If clients must show a certificate: those that may have signed it.
    pub client_ca: Option<PathBuf>,
}

/// TLS of a gate, or of another listener of this process.
#[derive(Debug)]
pub struct GateTls {
    files: GateFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// The files as they were when they were last tried.
    seen: Vec<Option<Version>>,
}

/// What changes when a file does: when it was written, where it is, and how long.
type Version = (i64, i64, u64, u64);

impl GateTls {
    /// Reads the files.
    pub fn load(files: GateFiles) -> Result<Self, TlsError> {
        let loaded = Loaded { seen: files.versions(), config: Arc::new(files.config()?) };
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }

    /// What accepts with the files as they are now, or as they were when they last did: half of a new pair is no reason to turn
    /// everybody away.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = self.files.versions();
        if loaded.seen != versions {
            loaded.seen = versions;
            match self.files.config() {
                Ok(config) => {
                    loaded.config = Arc::new(config);
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
                }
                Err(error) => tracing::error!(%error, "the old certificate stays in use"),
            }
        }
        TlsAcceptor::from(loaded.config.clone())
    }
}

impl GateFiles {
    fn versions(&self) -> Vec<Option<Version>> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let version = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.ino(), file.len()))
        };
        files.into_iter().flatten().map(version).collect()
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let unsuited = |error: rustls::Error| unusable(&self.certificate, &error);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unsuited)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider());
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, &error))?)
            }
        };
        let mut config = builder
            .with_single_cert(certificates(&self.certificate)?, private_key(&self.key)?)
            .map_err(unsuited)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// TLS of a tunnel: what it trusts, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelTls {
    /// The certificates that may have signed the gate's.
    pub ca: PathBuf,
    /// A certificate of its own, and the private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TunnelTls {
    /// Whether its files do.
    pub fn check(&self) -> Result<(), TlsError> {
        self.config().map(drop)
    }

    /// Connects with the files as they are now.
    pub(super) fn connector(&self) -> Result<TlsConnector, TlsError> {
        Ok(TlsConnector::from(Arc::new(self.config()?)))
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&self.ca, &error))?
            .with_root_certificates(roots(&self.ca)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| unusable(certificate, &error))?,
        };
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

/// The name that a gate's certificate must have: the host of `host:port`.
pub(super) fn server_name(gate: &str) -> io::Result<ServerName<'static>> {
    let host = gate.rsplit_once(':').map_or(gate, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("'{host}' is no name of a host")))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::Content {
        path: path.to_owned(),
        wanted: "certificate",
        begins: "CERTIFICATE",
    })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    let mode =
        std::fs::metadata(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })?.mode()
            & 0o777;
    if mode & 0o007 != 0 {
        return Err(TlsError::Open { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Content {
        path: path.to_owned(),
        wanted: "private key",
        begins: "PRIVATE KEY",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;
    let io = |source| TlsError::Io { path: path.to_owned(), source };
    let mut text = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(io)?;
    Ok(text)
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), reason: error.to_string() }
}
