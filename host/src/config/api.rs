//! Settings of the HTTP API.

use std::net::SocketAddr;
use std::time::Duration;

use stepwright_api::ApiOptions;
use stepwright_transport::gate::GateFiles;

use super::typed::Reader;

/// Where the API is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Nobody said: it depends on the command.
    Unsaid,
    /// Nowhere, as somebody said.
    Off,
    /// There.
    At(SocketAddr),
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiSettings {
    /// Where it is served.
    pub(crate) listen: Listen,
    /// TLS, unless it is to do without.
    pub(crate) tls: Option<GateFiles>,
    /// Its limits.
    pub(crate) options: ApiOptions,
}

impl Reader<'_> {
    /// The API.
    pub(super) fn api(&mut self) -> ApiSettings {
        let identity = self.pair("api.tls_certificate", "api.tls_key");
        let tls = identity.map(|(certificate, key)| GateFiles { certificate, key, client_ca: None });
        let plaintext = self.text("api.allow_plaintext") == "true";
        let listen = self.listen();
        if let Listen::At(address) = listen
            && tls.is_none()
            && !plaintext
            && !address.ip().is_loopback()
        {
            let problem = format!(
                "{address} is beyond the loopback and would encrypt nothing: set api.tls_certificate and api.tls_key, \
                 or api.allow_plaintext = true if nobody can read along on the way"
            );
            self.problem("api.listen", problem);
        }
        let usual = ApiOptions::default();
        let rate = u32::try_from(self.number("api.requests_per_second"));
        let options = ApiOptions {
            environment: self.text("environment"),
            payload_bytes_max: self.number("wire.payload_bytes_max"),
            component_bytes_max: self.count("sandbox.component_bytes_max"),
            body_bytes_max: self.count("api.body_bytes_max"),
            bulk_bytes_max: self.count("api.bulk_bytes_max"),
            requests_per_second: rate.unwrap_or(usual.requests_per_second),
            waits_max: self.count("api.waits_max"),
            waits_per_token_max: self.count("api.waits_per_token_max"),
            connections_max: self.count("api.connections_max"),
            header_timeout: Duration::from_millis(self.number("api.header_timeout")),
            body_timeout: Duration::from_millis(self.number("api.body_timeout")),
            ..usual
        };
        ApiSettings { listen, tls, options }
    }

    fn listen(&mut self) -> Listen {
        match self.text("api.listen").as_str() {
            "" => Listen::Unsaid,
            "off" => Listen::Off,
            _ => self.address("api.listen").map_or(Listen::Off, Listen::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;
    use super::super::typed::Config;
    use super::*;

    #[test]
    fn beyond_the_loopback_the_api_has_tls_or_is_told_to_do_without() {
        let read = |text: &str| {
            let mut layers = Layers::new();
            layers.text("s.toml", text);
            let config = Config::read(&mut layers);
            (config.api, layers.problems.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (text, listen) in [
            ("", Listen::Unsaid),
            ("[api]\nlisten = 'off'\n", Listen::Off),
            ("[api]\nlisten = '[::1]:0'\n", Listen::At("[::1]:0".parse().unwrap())),
            (
                "[api]\nlisten = '0.0.0.0:1'\nallow_plaintext = true\n",
                Listen::At("0.0.0.0:1".parse().unwrap()),
            ),
            (
                "[api]\nlisten = '10.0.0.1:1'\ntls_certificate = 'c'\ntls_key = 'k'\n",
                Listen::At("10.0.0.1:1".parse().unwrap()),
            ),
        ] {
            let (api, problems) = read(text);
            assert_eq!((api.listen, problems), (listen, vec![]), "{text}");
        }
        for (text, expect) in [
            (
                "[api]\nlisten = '0.0.0.0:7780'\n",
                "s.toml:2:1: api.listen: 0.0.0.0:7780 is beyond the loopback",
            ),
            ("[api]\nlisten = 'localhost'\n", "'localhost' is not an address and a port"),
            ("[api]\ntls_key = 'k'\n", "a private key is of no use without api.tls_certificate"),
        ] {
            let (_, problems) = read(text);
            assert!(problems.iter().any(|problem| problem.contains(expect)), "{text}: {problems:?}");
        }
        let defaults = ApiOptions { component_bytes_max: 32 << 20, ..ApiOptions::default() };
        assert_eq!(read("").0.options, defaults);
    }
}
