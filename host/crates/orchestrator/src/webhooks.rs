//! Webhooks: events as requests, signed, tried again until they are taken, and in order for each task.
//!
//! ```text
//!   hold ─▶ for each: follow ─▶ some events ─▶ lanes, one for each task ─▶ request ─▶ taken ─▶ note the position
//!                                                  └── not taken: wait, again ◀──┘
//! ```
//!
//! One process at a time speaks for a webhook; the position is noted once everything up to it was taken. So each event comes at
//! least once, and after a crash some come again, under the same id. Ids, timestamps and signatures are those of the Standard
//! Webhooks specification (<https://www.standardwebhooks.com>).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use stepwright_store::{
    HeldWebhook, NewWebhook, Store, StoreError, WebhookFilter, WebhookProgress, webhook_name_is_good,
};
use stepwright_workflow::{Clock, TaskId, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::feed::{Event, EventFilter, Feed, FeedError, From, Position};
use crate::options::Random;

/// How long a process speaks for a webhook before others may.
const HOLD: Duration = Duration::from_secs(15);
/// How often it says that it still does, and looks for webhooks that are free.
const RENEW: Duration = Duration::from_secs(5);
/// Events on their way at once, of one webhook; each of another task.
const LANES_MAX: usize = 16;
/// Events between two notes of the position: as many may come again after a crash.
const SLICE: usize = 128;
/// How long nothing may be wanted until it is noted that it was not.
const STILL: Duration = Duration::from_secs(60);
/// The first wait after a request that was not taken; it doubles up to the longest.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// What a secret begins with.
const SECRET: &str = "whsec_";
/// Bytes of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of an address.
const URL_BYTES_MAX: usize = 2_000;
/// The receiver wants no more of it.
const GONE: u16 = 410;

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

type Speaking = BTreeMap<String, (HeldWebhook, CancellationToken)>;

impl Webhooks {
    /// Runs until `stop`. Requests under way are given up then, and are made again by whoever speaks next.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let (mut speaking, mut tasks) = (Speaking::new(), JoinSet::new());
        let mut held_until = Timestamp(0);
        loop {
            let now = this.clock.now();
            let wanted = match this.look(now, &mut speaking, &mut tasks).await {
                Ok(wanted) => {
                    held_until = now.after(HOLD);
                    wanted
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to look at the webhooks; those that are known go on while they are ours");
                    if now.after(RENEW) >= held_until {
                        // Others may speak for them from then on.
                        std::mem::take(&mut speaking).into_values().for_each(|(_, stop)| stop.cancel());
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
        if !speaking.is_empty()
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
        let wanted = self.store.webhooks().await?.iter().any(|webhook| webhook.enabled);
        let held = if wanted {
            self.store.hold_webhooks(&self.holder, now.after(HOLD), now).await?
        } else {
            Vec::new()
        };
        let same = |a: &HeldWebhook, b: &HeldWebhook| {
            (&a.record.url, &a.record.filter, &a.secret, a.record.created_at)
                == (&b.record.url, &b.record.filter, &b.secret, b.record.created_at)
        };
        speaking.retain(|name, (known, stop)| {
            let goes_on = !stop.is_cancelled()
                && held.iter().any(|held| held.record.name == *name && same(held, known));
            if !goes_on {
                stop.cancel();
            }
            goes_on
        });
        for webhook in held {
            if speaking.contains_key(&webhook.record.name) {
                continue;
            }
            let stop = CancellationToken::new();
            speaking.insert(webhook.record.name.clone(), (webhook.clone(), stop.clone()));
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
        let position = webhook.record.position.parse().unwrap_or(Position::START);
        let mut mouth = Mouth { webhooks: self, webhook, key, position, failures: AtomicU32::new(0) };
        loop {
            match mouth.follow(&filter).await {
                Ok(()) => return,
                Err(FeedError::Expired { oldest, .. }) => {
                    tracing::warn!(webhook = name, "events were removed before this webhook had taken them");
                    mouth.position = oldest;
                }
                Err(error) => {
                    tracing::warn!(webhook = name, %error, "failed to tell a webhook of events");
                    self.pause().await;
                }
            }
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(RENEW).await;
    }
}

/// Speaks for one webhook.
struct Mouth<'a> {
    webhooks: &'a Webhooks,
    webhook: &'a HeldWebhook,
    key: Hmac<Sha256>,
    /// Everything up to here was taken, or was not wanted.
    position: Position,
    /// Requests that failed since the last success.
    failures: AtomicU32,
}

/// What became of an event.
enum End {
    Taken,
    /// The receiver wants none any more.
    Unwanted,
    /// Somebody else speaks for the webhook by now.
    TakenOver,
}

impl Mouth<'_> {
    /// Returns once the webhook is somebody else's, or is told of nothing any more.
    async fn follow(&mut self, filter: &EventFilter) -> Result<(), FeedError> {
        let from = From::After(self.position);
        let mut follower = self.webhooks.feed.follow(from, filter.clone()).await?;
        loop {
            let Ok(events) = tokio::time::timeout(STILL, follower.next()).await else {
                // Nothing of it was wanted for a while; that need not be looked at again.
                if follower.position() > self.position {
                    self.position = follower.position();
                    if !self.advance(&self.progress()).await? {
                        return Ok(());
                    }
                }
                continue;
            };
            let events = events?;
            for slice in events.chunks(SLICE) {
                let Some(last) = slice.last() else { continue };
                match self.tell(slice).await {
                    End::Taken => {}
                    End::Unwanted => return self.disable().await,
                    End::TakenOver => return Ok(()),
                }
                self.position = last.position;
                self.failures.store(0, Relaxed);
                let progress = WebhookProgress {
                    delivered: slice.len() as u64,
                    delivered_at: Some(self.webhooks.clock.now()),
                    ..self.progress()
                };
                if !self.advance(&progress).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Tells of some events: those of one task one after the other, others side by side. All are taken once it returns.
    async fn tell(&self, events: &[Event]) -> End {
        let mut lanes: BTreeMap<Option<TaskId>, Vec<&Event>> = BTreeMap::new();
        events.iter().for_each(|event| lanes.entry(event.task).or_default().push(event));
        let mut lanes = lanes.into_values();
        let mut running: FuturesUnordered<BoxFuture<'_, End>> = FuturesUnordered::new();
        loop {
            while running.len() < LANES_MAX
                && let Some(events) = lanes.next()
            {
                running.push(Box::pin(self.lane(events)));
            }
            match running.next().await {
                Some(End::Taken) => {}
                Some(end) => return end,
                None => return End::Taken,
            }
        }
    }

    async fn lane(&self, events: Vec<&Event>) -> End {
        for event in events {
            match self.send_until_taken(event).await {
                End::Taken => {}
                end => return end,
            }
        }
        End::Taken
    }

    async fn send_until_taken(&self, event: &Event) -> End {
        let id = event.position.to_string();
        let body = serde_json::to_string(event).unwrap_or_default();
        let mut wait = WAIT_MIN;
        loop {
            let now = self.webhooks.clock.now();
            let timestamp = (now.0 / 1_000).to_string();
            let headers = [
                ("webhook-id", id.clone()),
                ("webhook-signature", signature(&self.key, &id, &timestamp, &body)),
                ("webhook-timestamp", timestamp),
                ("content-type", "application/json".to_owned()),
            ];
            let url = &self.webhook.record.url;
            let why = match self.webhooks.courier.post(url, &headers, body.clone()).await {
                Ok(200..=299) => return End::Taken,
                Ok(GONE) => return End::Unwanted,
                Ok(status) => format!("the answer was {status}; 200 to 299 takes an event"),
                Err(why) => why,
            };
            if !self.failed(&id, now, why).await {
                return End::TakenOver;
            }
            if self.is_gone(event).await {
                tracing::warn!(
                    webhook = self.webhook.record.name,
                    event = id,
                    "an event was never taken, and is not kept any more"
                );
                return End::Taken;
            }
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let jitter = Duration::from_millis((self.webhooks.random)() % (ms / 2).max(1));
            tokio::time::sleep(wait / 2 + jitter).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Whether an event is older than what is kept.
    async fn is_gone(&self, event: &Event) -> bool {
        let bounds = self.webhooks.store.event_bounds().await;
        bounds.is_ok_and(|bounds| event.position.row < bounds.oldest)
    }

    /// Notes for people that an event was not taken. Returns whether the webhook is still ours, as far as that can be asked.
    async fn failed(&self, id: &str, at: Timestamp, why: String) -> bool {
        let name = &self.webhook.record.name;
        tracing::debug!(webhook = name, event = id, why, "an event was not taken");
        self.failures.fetch_add(1, Relaxed);
        let failed = WebhookProgress { failed: Some((at, why)), ..self.progress() };
        self.advance(&failed).await.unwrap_or_else(|error| {
            tracing::debug!(webhook = name, %error, "failed to note why an event was not taken");
            true
        })
    }

    async fn disable(&self) -> Result<(), FeedError> {
        let name = &self.webhook.record.name;
        tracing::warn!(webhook = name, "a webhook answered {GONE}: it is disabled until somebody enables it");
        let why = format!("the answer was {GONE}: it wants no more events");
        let failed = Some((self.webhooks.clock.now(), why));
        self.advance(&WebhookProgress { failed, enabled: false, ..self.progress() }).await.map(|_| ())
    }

    /// Where it stands, and nothing new.
    fn progress(&self) -> WebhookProgress {
        WebhookProgress {
            position: self.position.to_string(),
            delivered: 0,
            delivered_at: None,
            failures: self.failures.load(Relaxed),
            failed: None,
            enabled: true,
        }
    }

    async fn advance(&self, progress: &WebhookProgress) -> Result<bool, FeedError> {
        let name = &self.webhook.record.name;
        Ok(self.webhooks.store.advance_webhook(name, &self.webhooks.holder, progress).await?)
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
