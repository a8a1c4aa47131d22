//! Certificates for tests: an authority, and what it signs, as files in PEM.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A certificate authority whose files are in a folder.
pub(crate) struct Authority {
    folder: PathBuf,
    name: &'static str,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let authority = Self { folder: folder.to_owned(), name, issuer: Issuer::new(params.clone(), key) };
        let certificate = params.self_signed(authority.issuer.key()).unwrap();
        write(&authority.file("ca.pem"), &certificate.pem());
        authority
    }

    fn file(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}-{what}", self.name))
    }

    /// Its own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate for a name or address, and its key.
    pub(crate) fn sign(&self, subject: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) =
            (self.file(&format!("{subject}.pem")), self.file(&format!("{subject}.key")));
        write(&certificate_file, &certificate.pem());
        write(&key_file, &key.serialize_pem());
        (certificate_file, key_file)
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}
