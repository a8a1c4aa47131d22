//! Webhooks: events as requests, signed, tried again until they are taken, and in order for each task.
//!
//! ```text
//!   hold ─▶ for each: follow ─▶ lanes, one for each task ─▶ request ─▶ taken ─▶ note up to where all were
//!                                      └── not taken: wait, again ◀──┘
//! ```
//!
//! One process at a time speaks for a webhook; the position is noted once everything up to it was taken. So each event comes at
//! least once, and after a crash some come again, under the same id. Ids, timestamps and signatures are those of the Standard
//! Webhooks specification (<https://www.standardwebhooks.com>).

mod mouth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use stepwright_store::{HeldWebhook, NewWebhook, Store, StoreError, WebhookFilter, webhook_name_is_good};
use stepwright_workflow::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::mouth::Mouth;
use crate::feed::{EventFilter, Feed, FeedError, From, Position};
use crate::options::Random;

/// How long a process speaks for a webhook before others may.
const HOLD: Duration = Duration::from_secs(15);
/// How often it says that it still does, and looks for webhooks that are free.
const RENEW: Duration = Duration::from_secs(5);
/// What a secret begins with.
const SECRET: &str = "whsec_";
/// Bytes of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of an address.
const URL_BYTES_MAX: usize = 2_000;

/// What sends requests.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Sends a body to an address, and returns the status; or says in a sentence why there is none.
    async fn post(&self, url: &str, headers: &[(&str, String)], body: String) -> Result<u16, String>;
    /// Whether an address may be one of a webhook's.
    fn check(&self, url: &str) -> Result<(), String>;
}

/// What is wrong with a webhook that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadWebhook {
    /// The field.
    pub field: &'static str,
    /// Why, and what would be right.
    pub why: String,
}

/// Checks everything about a webhook that can be said without its address being asked.
pub fn check(webhook: &NewWebhook, courier: &dyn Courier) -> Result<(), BadWebhook> {
    let bad = |field| move |why| BadWebhook { field, why };
    webhook_name_is_good(&webhook.name).map_err(bad("name"))?;
    if webhook.url.len() > URL_BYTES_MAX {
        return Err(bad("url")(format!("{} bytes; at most {URL_BYTES_MAX}", webhook.url.len())));
    }
    courier.check(&webhook.url).map_err(bad("url"))?;
    key(&webhook.secret.0).map_err(bad("secret"))?;
    filter(&webhook.filter).map(|_| ()).map_err(bad("events"))
}

/// A new secret from random bytes.
pub fn secret(random: &[u8; 32]) -> String {
    format!("{SECRET}{}", STANDARD.encode(random))
}

/// What signs with a secret.
fn key(secret: &str) -> Result<Hmac<Sha256>, String> {
    let wrong = || {
        format!(
            "a secret is '{SECRET}' and {} to {} bytes as base64; without one, a good one is drawn",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        )
    };
    let bytes = secret.strip_prefix(SECRET).and_then(|text| STANDARD.decode(text).ok()).ok_or_else(wrong)?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(wrong());
    }
    Hmac::new_from_slice(&bytes).map_err(|error| error.to_string())
}

/// Where a webhook begins that is told of what is behind a position, or of what is new.
///
/// Fails if nothing can be told from there: events behind it were removed, or there is no such position.
pub async fn beginning(feed: &Arc<Feed>, after: Option<Position>) -> Result<String, FeedError> {
    let from = after.map_or(From::Now, From::After);
    Ok(feed.follow(from, EventFilter::default()).await?.position().to_string())
}

fn filter(wanted: &WebhookFilter) -> Result<EventFilter, String> {
    let names = match &wanted.events[..] {
        [] => Vec::new(),
        names => EventFilter::names(&names.join(","))?,
    };
    let WebhookFilter { namespace, template, .. } = wanted.clone();
    Ok(EventFilter { task: None, namespace, template, names })
}

/// What a message is signed with: `v1,` and base64.
///
/// Fails with a sentence if the secret is none.
pub fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> Result<String, String> {
    Ok(signature(&key(secret)?, id, timestamp, body))
}

fn signature(key: &Hmac<Sha256>, id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = key.clone();
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Speaks for the webhooks of a store, as far as no other process does.
pub struct Webhooks {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its events.
    pub feed: Arc<Feed>,
    /// What sends.
    pub courier: Arc<dyn Courier>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub random: Random,
    /// Who this is: new at each start of the process.
    pub holder: String,
    /// Somebody may have made, changed or removed a webhook.
    pub changed: Arc<Notify>,
}

/// The webhooks that this process speaks for.
#[derive(Default)]
struct Speaking {
    by_name: BTreeMap<String, (HeldWebhook, CancellationToken)>,
    /// What there was when they were last held: the name, since when, and whether it is told of anything.
    seen: Vec<(String, Timestamp, bool)>,
    /// When that was.
    held_at: Timestamp,
}

impl Webhooks {
    /// Runs until `stop`. Requests under way are given up then, and are made again by whoever speaks next.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let (mut speaking, mut tasks) = (Speaking::default(), JoinSet::new());
        loop {
            let now = this.clock.now();
            let wanted = match this.look(now, &mut speaking, &mut tasks).await {
                Ok(wanted) => wanted,
                Err(error) => {
                    tracing::warn!(%error, "failed to look at the webhooks; those that are known go on while they are ours");
                    if now.after(RENEW) >= speaking.held_at.after(HOLD) {
                        // Others may speak for them from then on.
                        std::mem::take(&mut speaking)
                            .by_name
                            .into_values()
                            .for_each(|(_, stop)| stop.cancel());
                    }
                    true
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = this.changed.notified() => {}
                Some(_) = tasks.join_next() => {}
                // Where there are none, whoever makes one says so.
                () = tokio::time::sleep(if wanted { RENEW } else { HOLD }) => {}
            }
        }
        tasks.shutdown().await;
        if !speaking.by_name.is_empty()
            && let Err(error) = this.store.release_webhooks(&this.holder).await
        {
            tracing::debug!(%error, "failed to let others speak for the webhooks; they do so in a moment");
        }
    }

    /// Speaks for those that are free, and no longer for those that are not ours any more. Returns whether there are any at all.
    async fn look(
        self: &Arc<Self>,
        now: Timestamp,
        speaking: &mut Speaking,
        tasks: &mut JoinSet<()>,
    ) -> Result<bool, StoreError> {
        let webhooks = self.store.webhooks().await?;
        let wanted = webhooks.iter().any(|webhook| webhook.enabled);
        let seen =
            webhooks.into_iter().map(|webhook| (webhook.name, webhook.created_at, webhook.enabled)).collect();
        // Whatever woke us is hardly ever about webhooks, and to hold them is a write.
        let is_fresh = now < speaking.held_at.after(RENEW / 2)
            && seen == speaking.seen
            && speaking.by_name.values().all(|(_, stop)| !stop.is_cancelled());
        if is_fresh {
            return Ok(wanted);
        }
        let held = if wanted {
            self.store.hold_webhooks(&self.holder, now.after(HOLD), now).await?
        } else {
            Vec::new()
        };
        (speaking.seen, speaking.held_at) = (seen, now);
        let same = |a: &HeldWebhook, b: &HeldWebhook| {
            (&a.record.url, &a.record.filter, &a.secret, a.record.created_at)
                == (&b.record.url, &b.record.filter, &b.secret, b.record.created_at)
        };
        speaking.by_name.retain(|name, (known, stop)| {
            let goes_on = !stop.is_cancelled()
                && held.iter().any(|held| held.record.name == *name && same(held, known));
            if !goes_on {
                stop.cancel();
            }
            goes_on
        });
        for webhook in held {
            if speaking.by_name.contains_key(&webhook.record.name) {
                continue;
            }
            let stop = CancellationToken::new();
            speaking.by_name.insert(webhook.record.name.clone(), (webhook.clone(), stop.clone()));
            let this = Arc::clone(self);
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = this.speak(&webhook) => stop.cancel(),
                }
            });
        }
        Ok(wanted)
    }

    /// Tells a webhook of everything, until it is not ours any more.
    async fn speak(&self, webhook: &HeldWebhook) {
        let name = &webhook.record.name;
        let (key, filter) = match (key(&webhook.secret.0), filter(&webhook.record.filter)) {
            (Ok(key), Ok(filter)) => (key, filter),
            (Err(why), _) | (_, Err(why)) => {
                tracing::error!(webhook = name, why, "a stored webhook cannot be used");
                return self.pause().await;
            }
        };
        let mouth = Mouth::new(self, webhook, key);
        loop {
            match mouth.follow(&filter).await {
                Ok(()) => return,
                Err(FeedError::Expired { oldest, .. }) => {
                    tracing::warn!(webhook = name, "events were removed before this webhook had taken them");
                    mouth.stand(oldest);
                }
                Err(error) => {
                    tracing::warn!(webhook = name, %error, "failed to tell a webhook of events");
                    mouth.complain(error.to_string()).await;
                    self.pause().await;
                }
            }
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(RENEW).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own reference libraries.
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = "{\"test\": 2432232314}";
        let signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_enough_and_says_what_it_is() {
        assert!(key(&secret(&[7; 32])).is_ok());
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_???"] {
            assert!(key(bad).unwrap_err().contains("24 to 64 bytes"), "{bad}");
        }
    }
}
