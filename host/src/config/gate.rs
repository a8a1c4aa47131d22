//! Settings of the gate, and of the way to other machines' gates.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use stepwright_transport::gate::{GateFiles, TunnelTls};

use super::typed::Reader;

/// Where an orchestrator is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A gate.
    Gate {
        /// `host:port`.
        address: String,
        /// Whether it is spoken to through TLS.
        tls: bool,
        /// Which pump behind it, counted from 1.
        pump: u32,
    },
    /// A socket on this machine.
    Socket(PathBuf),
}

impl Endpoint {
    /// A socket's path, or a gate as `tls://host:port`, `tcp://host:port`, or `host:port` for the latter. The number of a pump may
    /// follow a gate with its scheme: `tls://host:port/2`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme {
            "" | "ipc" if rest.contains('/') => return Some(Self::Socket(PathBuf::from(rest))),
            "" | "tcp" | "tls" => {}
            _ => return None,
        }
        let (address, pump) = rest.split_once('/').unwrap_or((rest, "1"));
        let (host, port) = address.rsplit_once(':')?;
        let pump = pump.parse::<u32>().ok().filter(|pump| *pump > 0)?;
        let is_gate = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
        is_gate.then(|| Self::Gate { address: address.to_owned(), tls: scheme == "tls", pump })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Gate { address, tls, pump } => {
                write!(f, "{}://{address}", if *tls { "tls" } else { "tcp" })?;
                if *pump > 1 { write!(f, "/{pump}") } else { Ok(()) }
            }
        }
    }
}

/// The gate of an orchestrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GateSettings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// TLS, unless it is to do without.
    pub(crate) tls: Option<GateFiles>,
    /// Connections that are inside at once.
    pub(crate) connections_max: usize,
}

impl GateSettings {
    /// Where it is reached: the first pump behind it.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> Endpoint {
        Endpoint::Gate { address: address.to_string(), tls: self.tls.is_some(), pump: 1 }
    }
}

impl Reader<'_> {
    /// The gate, if there is to be one.
    pub(super) fn gate(&mut self) -> Option<GateSettings> {
        let connections_max = self.count("gate.connections_max");
        let identity = self.pair("gate.tls_certificate", "gate.tls_key");
        let client_ca = self.path("gate.tls_client_ca");
        if client_ca.is_some() && identity.is_none() {
            let problem = "clients show certificates only to a gate that has one: set gate.tls_certificate and gate.tls_key";
            self.problem("gate.tls_client_ca", problem.to_owned());
        }
        let tls = identity.map(|(certificate, key)| GateFiles { certificate, key, client_ca });
        let plaintext = self.text("gate.allow_plaintext") == "true";
        let listen = self.address("gate.listen")?;
        if tls.is_none() && !plaintext && !listen.ip().is_loopback() {
            let problem = format!(
                "{listen} is beyond the loopback and would encrypt nothing: set gate.tls_certificate and gate.tls_key, \
                 or gate.allow_plaintext = true if nobody can read along on the way"
            );
            self.problem("gate.listen", problem);
        }
        Some(GateSettings { listen, tls, connections_max })
    }

    /// How a worker speaks TLS to gates, if these endpoints ask for it.
    pub(super) fn tunnel_tls(&mut self, endpoints: &[Endpoint]) -> Option<TunnelTls> {
        let identity = self.pair("worker.tls_certificate", "worker.tls_key");
        let ca = self.path("worker.tls_ca");
        let first = endpoints.iter().find_map(|endpoint| match endpoint {
            Endpoint::Gate { address, tls: true, .. } => Some(address),
            _ => None,
        });
        if let (Some(gate), None) = (first, &ca) {
            let problem = format!(
                "tls://{gate} needs to know whom to trust: name a file in PEM with the certificate that signed the gate's, \
                 or the system's own, often /etc/ssl/certs/ca-certificates.crt"
            );
            self.problem("worker.tls_ca", problem);
        }
        Some(TunnelTls { ca: ca?, identity })
    }

    /// Where workers of other machines reach the gate, if that was said. Without a scheme it is that of our own gate.
    pub(super) fn advertised(&mut self, key: &'static str, gate: Option<&GateSettings>) -> Option<Endpoint> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let scheme = if gate.is_some_and(|gate| gate.tls.is_some()) { "tls" } else { "tcp" };
        let url = if text.contains("://") { text.clone() } else { format!("{scheme}://{text}") };
        let parsed =
            Endpoint::parse(&url).filter(|endpoint| matches!(endpoint, Endpoint::Gate { pump: 1, .. }));
        if parsed.is_none() {
            let problem = format!(
                "'{text}' is not a host and a port; write for instance 10.0.0.1:5555 or tls://10.0.0.1:5555"
            );
            self.problem(key, problem);
        }
        parsed
    }

    /// A list of gates and sockets, or the one socket that is meant where there is none.
    pub(super) fn endpoints(&mut self, key: &'static str, usual: PathBuf) -> Vec<Endpoint> {
        let text = self.text(key);
        let mut endpoints = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match Endpoint::parse(entry) {
                Some(endpoint) => endpoints.push(endpoint),
                None => {
                    let problem = format!(
                        "'{entry}' is neither a gate nor a socket; write for instance tls://10.0.0.1:5555 or {}",
                        usual.display()
                    );
                    self.problem(key, problem);
                }
            }
        }
        if endpoints.is_empty() {
            endpoints.push(Endpoint::Socket(usual));
        }
        endpoints
    }

    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// A certificate and its private key: both or none.
    pub(super) fn pair(
        &mut self,
        certificate: &'static str,
        key: &'static str,
    ) -> Option<(PathBuf, PathBuf)> {
        match (self.path(certificate), self.path(key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                self.problem(certificate, format!("a certificate is of no use without {key}"));
                None
            }
            (None, Some(_)) => {
                self.problem(key, format!("a private key is of no use without {certificate}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;
    use super::super::typed::Config;
    use super::*;

    fn read(text: &str) -> (Config, Vec<String>) {
        let mut layers = Layers::new();
        layers.text("s.toml", text);
        let config = Config::read(&mut layers);
        (config, layers.problems.iter().map(ToString::to_string).collect())
    }

    fn refused(text: &str, expect: &str) {
        let (_, problems) = read(text);
        assert!(problems.iter().any(|problem| problem.contains(expect)), "{text}: {problems:?}");
    }

    #[test]
    fn an_endpoint_is_a_gate_or_a_socket() {
        let pump = |address: &str, tls, pump| Some(Endpoint::Gate { address: address.to_owned(), tls, pump });
        let gate = |address: &str, tls| pump(address, tls, 1);
        for (text, expect) in [
            ("10.0.0.1:5555", gate("10.0.0.1:5555", false)),
            ("tcp://a.example:1", gate("a.example:1", false)),
            ("tls://[::1]:5555", gate("[::1]:5555", true)),
            ("/run/x.sock", Some(Endpoint::Socket(PathBuf::from("/run/x.sock")))),
            ("ipc:///run/x.sock", Some(Endpoint::Socket(PathBuf::from("/run/x.sock")))),
            ("tls://a.example", None),
            ("tls://:5555", None),
            ("tls://a.example:0", None),
            ("http://a.example:80", None),
            ("tls://a.example:80/path", None),
            ("tls://a.example:80/0", None),
            ("tls://a.example:80/2", pump("a.example:80", true, 2)),
            ("somewhere", None),
        ] {
            assert_eq!(Endpoint::parse(text), expect, "{text}");
            let written = expect.as_ref().map(ToString::to_string);
            assert_eq!(written.as_deref().and_then(Endpoint::parse), expect, "{written:?}");
        }
    }

    #[test]
    fn a_gate_beyond_the_loopback_has_tls_or_is_told_to_do_without() {
        refused(
            "[gate]\nlisten = '10.0.0.1:5555'\n",
            "s.toml:2:1: gate.listen: 10.0.0.1:5555 is beyond the loopback",
        );
        refused("[gate]\nlisten = '0.0.0.0:5555'\n", "gate.allow_plaintext = true");
        for text in [
            "[gate]\nlisten = '127.0.0.1:5555'\n",
            "[gate]\nlisten = '[::1]:5555'\n",
            "[gate]\nlisten = '10.0.0.1:5555'\nallow_plaintext = true\n",
            "[gate]\nlisten = '10.0.0.1:5555'\ntls_certificate = 'c'\ntls_key = 'k'\n",
        ] {
            let (config, problems) = read(text);
            assert!(problems.is_empty() && config.gate.is_some(), "{text}: {problems:?}");
        }
        refused("[gate]\nallow_plaintext = 'perhaps'\n", "'perhaps' is neither true nor false");
    }

    #[test]
    fn what_is_advertised_has_the_scheme_of_the_gate() {
        let tls = "[gate]\nlisten = '10.0.0.1:5555'\ntls_certificate = 'c'\ntls_key = 'k'\n";
        for (gate, said, expect) in [
            (tls, "db1:5555", "tls://db1:5555"),
            ("", "db1:5555", "tcp://db1:5555"),
            ("", "tls://db1:5555", "tls://db1:5555"),
        ] {
            let (config, problems) = read(&format!("{gate}[orchestrator]\nadvertise = '{said}'\n"));
            let advertised = config.advertise.map(|endpoint| endpoint.to_string());
            assert_eq!((advertised.as_deref(), problems.len()), (Some(expect), 0), "{problems:?}");
        }
        refused("[orchestrator]\nadvertise = 'db1'\n", "'db1' is not a host and a port");
    }

    #[test]
    fn files_of_tls_come_together() {
        refused(
            "[gate]\ntls_certificate = 'c'\n",
            "gate.tls_certificate: a certificate is of no use without gate.tls_key",
        );
        refused(
            "[worker]\ntls_key = 'k'\n",
            "worker.tls_key: a private key is of no use without worker.tls_certificate",
        );
        refused("[gate]\ntls_client_ca = 'c'\n", "set gate.tls_certificate and gate.tls_key");
        refused(
            "[worker]\norchestrators = 'tls://a:1'\n",
            "worker.tls_ca: tls://a:1 needs to know whom to trust",
        );
    }
}
