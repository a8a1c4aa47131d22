//! Who may ask, and for what: tokens by the hash of their secrets, and the scope that each route needs.
//!
//! The list of good tokens is read again when something wakes its keeper, and every ten seconds. A secret is looked up by its
//! hash, so that no time that this takes says anything about the secrets that are known.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use stepwright_store::{Store, StoreError, TokenRecord, TokenScope};
use stepwright_workflow::{Clock, Digest, TokenId};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::code::Code;
use crate::problem::Problem;

/// How often the tokens are read when nobody says that they have changed. Whoever changes them says so, so that this is only
/// for when that was lost.
const POLL: Duration = Duration::from_secs(10);

/// Between two reads however often somebody is woken: under load that is often, and hardly ever about tokens.
const PAUSE: Duration = Duration::from_millis(500);

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: whoever reaches the listener.
    Free,
    /// A token of this scope, or of one that includes it.
    Scope(TokenScope),
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token; `None` where no token is needed.
    pub token: Option<TokenId>,
    /// Its name, for the ledger.
    pub name: Arc<str>,
}

#[derive(Debug, Clone)]
struct Known {
    id: TokenId,
    name: Arc<str>,
    scope: TokenScope,
    until: Option<Instant>,
}

/// The tokens that are good now.
#[derive(Debug, Clone, Default)]
struct Tokens {
    by_hash: HashMap<Digest, Known>,
    /// Whether a token for this API was ever made, whatever became of it.
    ever_made: bool,
}

/// Lets requests in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gatekeeper {
    tokens: watch::Receiver<Tokens>,
    used: Used,
    /// Whether no token is needed as long as none was ever made.
    open: bool,
}

/// Tokens that were used since they were last noted.
#[derive(Debug, Clone, Default)]
struct Used(Arc<Mutex<BTreeSet<TokenId>>>);

impl Used {
    fn note(&self, token: TokenId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token);
    }

    fn take(&self) -> Vec<TokenId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Gatekeeper {
    /// Whose request this is, if a token of this scope opens what it asks for.
    pub(crate) fn admit(&self, headers: &HeaderMap, wanted: TokenScope) -> Result<Caller, Problem> {
        let tokens = self.tokens.borrow();
        let Some(secret) = bearer(headers)? else {
            if self.open && !tokens.ever_made {
                from_this_machine(headers)?;
                return Ok(Caller { token: None, name: "somebody".into() });
            }
            let detail = "send 'Authorization: Bearer sw_…' with a token; \
                          'stepwright token create --name NAME --scope SCOPE' makes one";
            return Err(Problem::new(Code::Unauthorized, detail));
        };
        let known = tokens.by_hash.get(&Digest::of(secret.as_bytes()));
        let known = known.filter(|known| known.until.is_none_or(|end| end > Instant::now()));
        let Some(known) = known else {
            return Err(Problem::new(
                Code::Unauthorized,
                "the token is not known, has expired, or was revoked",
            ));
        };
        self.used.note(known.id);
        if !known.scope.includes(wanted) {
            return Err(Problem::new(
                Code::Forbidden,
                format!(
                    "the token '{}' has the scope {}; this needs {}",
                    known.name,
                    known.scope.as_str(),
                    wanted.as_str()
                ),
            ));
        }
        Ok(Caller { token: Some(known.id), name: known.name.clone() })
    }
}

/// The secret of an `Authorization: Bearer` header, if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let bad = || Problem::new(Code::Unauthorized, "write the header as 'Authorization: Bearer sw_…', once");
    let text = value.to_str().map_err(|_| bad())?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(bad)?;
    if !scheme.eq_ignore_ascii_case("bearer") || all.next().is_some() {
        return Err(bad());
    }
    Ok(Some(secret.trim()))
}

/// Whether a request without a token was meant for this machine's own name, and no page of another site made a browser send it.
fn from_this_machine(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Err(Problem::new(
            Code::Forbidden,
            "without a token, only requests to localhost, 127.0.0.1 or [::1] are answered",
        ));
    }
    match text(header::ORIGIN) {
        None if headers.contains_key(header::ORIGIN) => {}
        None => return Ok(()),
        Some(origin)
            if origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)) =>
        {
            return Ok(());
        }
        Some(_) => {}
    }
    Err(Problem::new(Code::Forbidden, "without a token, no page of another origin is answered"))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Keeps the list of tokens as the database has it.
pub(crate) struct Keeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    list: watch::Sender<Tokens>,
    used: Used,
    /// What the list was made from.
    seen: Vec<TokenRecord>,
}

impl Keeper {
    /// The keeper and its list, as it is now.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        open: bool,
    ) -> Result<(Self, Gatekeeper), StoreError> {
        let (list, tokens) = watch::channel(Tokens::default());
        let used = Used::default();
        let mut keeper = Self { store, clock, list, used: used.clone(), seen: Vec::new() };
        keeper.reload().await?;
        Ok((keeper, Gatekeeper { tokens, used, open }))
    }

    /// Keeps the list for ever. While the database is away the list stays as it was, and tokens expire all the same.
    pub(crate) async fn run(mut self, wake: Arc<Notify>) -> std::convert::Infallible {
        loop {
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            if let Err(error) = self.reload().await {
                tracing::warn!(%error, "failed to read the tokens; the API goes on with those that it knows");
            }
            // Second, since a revoked token must not wait for anybody's write.
            if let Err(error) = self.store.note_tokens_used(&self.used.take(), self.clock.now()).await {
                tracing::debug!(%error, "failed to note which tokens were used");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One read as long as nothing has changed.
    async fn reload(&mut self) -> Result<(), StoreError> {
        let mut all = self.store.tokens().await?;
        all.iter_mut().for_each(|token| token.used_at = None);
        if all == self.seen {
            return Ok(());
        }
        let (now, present) = (self.clock.now(), Instant::now());
        let mut tokens = Tokens {
            ever_made: all.iter().any(|token| token.scope != TokenScope::Worker),
            ..Tokens::default()
        };
        // A worker's token opens nothing here, and is told so.
        for scope in TokenScope::ALL {
            for valid in self.store.valid_tokens(scope, now).await? {
                let until = valid.expires_at.map(|end| present + end.since(now));
                let known = Known { id: valid.id, name: valid.name.into(), scope, until };
                tokens.by_hash.insert(valid.hash, known);
            }
        }
        self.list.send_replace(tokens);
        self.seen = all;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stepwright_store::NewToken;
    use stepwright_store_sqlite::SqliteStore;
    use stepwright_workflow::Timestamp;
    use tokio::task::JoinSet;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(1_000)
        }
    }

    #[tokio::test]
    async fn the_list_follows_the_database_when_it_is_woken_and_the_loopback_closes_for_good() {
        let store = Arc::new(SqliteStore::in_memory().await.unwrap());
        let (keeper, mut gatekeeper) = Keeper::start(store.clone(), Arc::new(Fixed), true).await.unwrap();
        let (bare, shown) = (
            headers(&[(header::HOST, "localhost")]),
            headers(&[(header::HOST, "localhost"), (header::AUTHORIZATION, "Bearer sw_secret")]),
        );
        let wake = Arc::new(Notify::new());
        let mut keeping = JoinSet::new();
        keeping.spawn(keeper.run(wake.clone()));
        let admit = |gatekeeper: &Gatekeeper, headers: &HeaderMap, scope| {
            gatekeeper
                .admit(headers, scope)
                .map(|caller| caller.name.to_string())
                .map_err(|refused| refused.code)
        };
        assert_eq!(admit(&gatekeeper, &bare, TokenScope::Admin), Ok("somebody".to_owned()));
        assert_eq!(admit(&gatekeeper, &shown, TokenScope::Read), Err(Code::Unauthorized));
        let token = NewToken {
            name: "shop".to_owned(),
            scope: TokenScope::Run,
            hash: Digest::of(b"sw_secret"),
            created_by: "ann".to_owned(),
            expires_at: None,
        };
        let id = store.add_token(&token, Timestamp(1_000)).await.unwrap();
        gatekeeper.tokens.borrow_and_update();
        wake.notify_one();
        gatekeeper.tokens.changed().await.unwrap();
        assert_eq!(admit(&gatekeeper, &bare, TokenScope::Read), Err(Code::Unauthorized));
        assert_eq!(admit(&gatekeeper, &shown, TokenScope::Read), Ok("shop".to_owned()));
        assert_eq!(admit(&gatekeeper, &shown, TokenScope::Operate), Err(Code::Forbidden));
        store.revoke_tokens(&[id], Timestamp(1_000)).await.unwrap();
        gatekeeper.tokens.borrow_and_update();
        wake.notify_one();
        gatekeeper.tokens.changed().await.unwrap();
        for headers in [&bare, &shown] {
            assert_eq!(admit(&gatekeeper, headers, TokenScope::Read), Err(Code::Unauthorized));
        }
        // The use was noted, once nothing more urgent was to be done.
        while store.tokens().await.unwrap()[0].used_at.is_none() {
            tokio::task::yield_now().await;
        }
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machine_is_let_in_without_a_token() {
        for (host, origin, good) in [
            ("127.0.0.1:7780", None, true),
            ("localhost:7780", None, true),
            ("LocalHost", None, true),
            ("[::1]:7780", None, true),
            ("127.8.8.8", None, true),
            ("localhost:7780", Some("http://localhost:7780"), true),
            // DNS rebinding: the name is a stranger's, whatever it leads to.
            ("evil.example:7780", None, false),
            ("localhost.evil.example", None, false),
            ("10.0.0.1:7780", None, false),
            ("", None, false),
            // A page of another site, or of another program of this machine.
            ("localhost:7780", Some("https://evil.example"), false),
            ("localhost:7780", Some("http://localhost:3000"), false),
            ("localhost:7780", Some("null"), false),
        ] {
            let mut all = vec![(header::HOST, host)];
            all.extend(origin.map(|origin| (header::ORIGIN, origin)));
            assert_eq!(from_this_machine(&headers(&all)).is_ok(), good, "{host} {origin:?}");
        }
    }

    #[test]
    fn a_secret_comes_once_and_as_a_bearer() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|secret| secret.map(str::to_owned)).map_err(|problem| problem.code)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["bearer sw_1"]), Ok(Some("sw_1".to_owned())));
        for bad in [&["sw_1"][..], &["Basic YTpi"], &["Bearer sw_1", "Bearer sw_2"]] {
            assert_eq!(of(bad), Err(Code::Unauthorized), "{bad:?}");
        }
    }
}
