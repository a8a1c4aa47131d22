//! What one attempt may reach, and what became of its asking.

use std::sync::Arc;

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::egress::Egress;
use crate::egress::Outbound;
use crate::egress::account::Account;
use crate::egress::secrets::Held;
use crate::files::{Directories, Scratch};
use crate::grants::{GrantBook, Grants, SecretGrant};
use crate::journal::Journal;
use crate::wanted::{Observations, Wanted, grant_toml};

/// Bytes that a guest hands over at once for a request's body. It bounds what the host buffers.
const BODY_CHUNK_BYTES: usize = 64 << 10;

/// Everything outside the sandbox that grants can open. One for each executor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    pub(crate) book: Arc<GrantBook>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) observations: Option<Arc<Observations>>,
    pub(crate) directories: Arc<Directories>,
    pub(crate) scratch: Arc<Scratch>,
}

/// Who asks, and what it was granted.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// The plugin as `namespace/name`.
    pub(crate) plugin: String,
    pub(crate) grants: Arc<Grants>,
    pub(crate) outside: Arc<Outside>,
    pub(crate) journal: Journal,
}

impl Asker {
    /// Says no: once in the step's log, with the configuration that would turn it into a yes.
    pub(crate) fn deny(&self, why: &str, wanted: &[Wanted]) {
        self.observe(wanted);
        if wanted.is_empty() {
            self.journal.notice(why.to_owned());
        } else {
            let toml = grant_toml(&self.plugin, wanted);
            self.journal.notice(format!("{why}. This in the configuration would allow it:\n{toml}"));
        }
    }

    /// Notes what was asked for, where that is wanted.
    pub(crate) fn observe(&self, wanted: &[Wanted]) {
        if let Some(observations) = &self.outside.observations {
            wanted.iter().for_each(|wish| observations.note(&self.plugin, wish, 1));
        }
    }
}

/// One attempt's way out of the sandbox. Without an asker there is none.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    asker: Option<Asker>,
    held: Vec<Held>,
    account: Option<Arc<Account>>,
}

impl Reach {
    pub(crate) fn of(asker: Asker) -> Self {
        Self { asker: Some(asker), held: Vec::new(), account: None }
    }

    /// A secret's value, or what stands for it until it leaves.
    pub(crate) fn secret(&mut self, name: &str) -> wasmtime::Result<Option<String>> {
        let Some(asker) = &self.asker else { return Ok(None) };
        let named = |secret: &SecretGrant| secret.name == name;
        let Some(place) = asker.grants.secrets.iter().rposition(named) else {
            asker.deny(
                &format!("{} was denied: no grant names it", Wanted::secret(name)),
                &[Wanted::secret(name)],
            );
            return Ok(None);
        };
        let secret = &asker.grants.secrets[place];
        if secret.revealed {
            return Ok(Some(secret.value.reveal().to_owned()));
        }
        if let Some(held) = self.held.iter().find(|held| held.secret == place) {
            return Ok(Some(held.placeholder.clone()));
        }
        let held = Held::new(name, place).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        let placeholder = held.placeholder.clone();
        self.held.push(held);
        Ok(Some(placeholder))
    }

    /// A setting's value.
    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        let asker = self.asker.as_ref()?;
        let found = asker.grants.settings.iter().rev().find(|(name, _)| name == key);
        if found.is_none() {
            let wanted = Wanted::setting(key);
            asker.deny(&format!("{wanted} was denied: no grant gives it a value"), &[wanted]);
        }
        found.map(|(_, value)| value.clone())
    }

    /// Every setting; of several with the same key, the last.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.asker.as_ref().map_or_else(Vec::new, |asker| last_of_each(&asker.grants.settings))
    }

    /// Requests sent, bytes of their bodies, bytes of the responses' bodies.
    pub(crate) fn http_used(&self) -> (u64, u64, u64) {
        self.account.as_ref().map_or((0, 0, 0), |account| account.used())
    }

    fn outbound(&mut self) -> Option<Outbound> {
        let asker = self.asker.as_ref()?;
        let account = self.account.get_or_insert_with(|| {
            let options = asker.outside.egress.options.with(&asker.grants.limits);
            Arc::new(Account::new(options, asker.journal.clone()))
        });
        Some(Outbound { asker: asker.clone(), account: Arc::clone(account), held: self.held.clone() })
    }
}

/// Pairs without those that a later one replaces.
pub(crate) fn last_of_each(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let replaced = |at: usize| pairs[at + 1..].iter().any(|(key, _)| *key == pairs[at].0);
    (0..pairs.len()).filter(|at| !replaced(*at)).map(|at| pairs[at].clone()).collect()
}

type Answer = wasmtime_wasi_http::Result<(http::Response<WasiBody>, Ending)>;
type Ending = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Reach {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Ending,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let outbound = self.outbound().map(|outbound| (outbound.account.turn(), outbound));
        Box::new(async move {
            let (turn, outbound) = outbound.ok_or(Error::HttpRequestDenied)?;
            let (response, rest) = outbound.run(turn, request, options).await?;
            Ok((response, Box::new(rest) as Ending))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_values_the_last_counts() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let pairs = [pair("a", "1"), pair("b", "2"), pair("a", "3")];
        assert_eq!(last_of_each(&pairs), [pair("b", "2"), pair("a", "3")]);
    }
}
