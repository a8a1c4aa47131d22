//! A real OCI registry in a folder of its own, and requests to it as other tools make them.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use stepwright_workflow::Digest;

/// The login of a registry that wants one.
pub const LOGIN: (&str, &str) = ("ann", "s3cret");
/// The same for the registry: bcrypt of the password.
const HTPASSWD: &str = "ann:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";

/// A running registry. Stopped, and its folder removed, when it is dropped.
pub struct Registry {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one on a port of its own, and waits until it listens.
    pub fn start(with_login: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("sw-oci-").tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: '{}' }} }}\n\
             http: {{ addr: '127.0.0.1:0', secret: 'only here' }}\n",
            at("data")
        );
        if with_login {
            std::fs::write(at("htpasswd"), HTPASSWD).expect("a file");
            writeln!(config, "auth: {{ htpasswd: {{ realm: test, path: '{}' }} }}", at("htpasswd"))
                .expect("a text");
        }
        std::fs::write(at("config.yml"), config).expect("a file");
        let started = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.expect("'docker-registry' is installed; 'cargo xtask test' does that");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let host = log.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ' ', ',']).next()?.to_owned())
        });
        let host = host.expect("the registry says where it listens");
        // Nobody else reads it; it ends with the process.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, host, _folder: folder }
    }

    /// Its address and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A place in it.
    pub fn place(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.host)
    }

    /// Puts an image there that holds no component: a layer of some archive.
    pub fn put_image(&self, repository: &str, tag: &str) {
        let (config, layer) = (b"{}".as_slice(), b"no archive either".as_slice());
        for blob in [config, layer] {
            let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
            let location = begun
                .lines()
                .find_map(|line| line.strip_prefix("Location: "))
                .unwrap_or_else(|| panic!("no place for an upload: {begun}"));
            let path = location.split_once(&self.host).map_or(location, |(_, path)| path);
            let separator = if path.contains('?') { '&' } else { '?' };
            let put = format!("{path}{separator}digest={}", Digest::of(blob));
            let answer = self.send("PUT", &put, "application/octet-stream", blob);
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let descriptor = |kind: &str, blob: &[u8]| serde_json::json!({ "mediaType": kind, "digest": Digest::of(blob).to_string(), "size": blob.len() });
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        });
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.send("PUT", &path, kind, manifest.to_string().as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    /// A manifest, as another tool reads it.
    pub fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        let answer = self.send("GET", &format!("/v2/{repository}/manifests/{tag}"), "", b"");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// One request on a connection of its own; the answer with its head.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).expect("the registry listens");
        let accept = "application/vnd.oci.image.manifest.v1+json";
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.host,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a request");
        stream.write_all(body).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
