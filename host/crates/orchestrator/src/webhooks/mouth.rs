//! One webhook is told of events: those of a task one after the other, those of others meanwhile.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hmac::Hmac;
use sha2::Sha256;
use stepwright_store::{HeldWebhook, WebhookProgress};
use stepwright_workflow::{TaskId, Timestamp};

use super::{Webhooks, signature};
use crate::feed::{Event, EventFilter, FeedError, From, Position};

/// Events on their way at once, of one webhook; each of another task.
const LANES_MAX: usize = 16;
/// Events that are read while one before them was not taken yet: as many may come again after a crash.
const OPEN_MAX: usize = 1_024;
/// Events between two notes of the position, while there are more.
const NOTED_EVERY: u64 = 128;
/// How long nothing may be wanted until it is noted that it was not.
const STILL: Duration = Duration::from_secs(60);
/// The first wait after a request that was not taken; it doubles up to the longest.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The receiver wants no more of it.
const GONE: u16 = 410;

/// Speaks for one webhook.
pub(super) struct Mouth<'a> {
    webhooks: &'a Webhooks,
    webhook: &'a HeldWebhook,
    key: Hmac<Sha256>,
    /// Everything up to here was taken, or was not wanted.
    position: Mutex<Position>,
    /// Events that were taken since that was last noted.
    taken: AtomicU64,
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

/// Events that were read since the first that was not taken, in order, and whether each was taken.
#[derive(Default)]
struct Open(VecDeque<(Position, bool)>);

impl Open {
    /// Notes that an event was taken. Returns the position up to which all are, if that has moved.
    fn take(&mut self, position: Position) -> Option<Position> {
        let at = self.0.partition_point(|(open, _)| *open < position);
        if let Some((_, taken)) = self.0.get_mut(at) {
            *taken = true;
        }
        let mut end = None;
        while let Some((position, true)) = self.0.front() {
            end = Some(*position);
            self.0.pop_front();
        }
        end
    }
}

/// Events that wait for their turn, by task; those about no task wait for each other as well.
#[derive(Default)]
struct Lanes {
    waiting: HashMap<Option<TaskId>, VecDeque<Event>>,
    /// Tasks that have some, and none on its way.
    free: VecDeque<Option<TaskId>>,
}

impl Lanes {
    fn push(&mut self, event: Event) {
        match self.waiting.entry(event.task) {
            Entry::Occupied(mut lane) => lane.get_mut().push_back(event),
            Entry::Vacant(lane) => {
                self.free.push_back(event.task);
                lane.insert(VecDeque::from([event]));
            }
        }
    }

    /// The next event to send. Its task has another turn once it has [`Lanes::ended`].
    fn next(&mut self) -> Option<Event> {
        let task = self.free.pop_front()?;
        self.waiting.get_mut(&task)?.pop_front()
    }

    fn ended(&mut self, task: Option<TaskId>) {
        match self.waiting.get(&task) {
            Some(lane) if !lane.is_empty() => self.free.push_back(task),
            _ => drop(self.waiting.remove(&task)),
        }
    }
}

impl<'a> Mouth<'a> {
    pub(super) fn new(webhooks: &'a Webhooks, webhook: &'a HeldWebhook, key: Hmac<Sha256>) -> Self {
        let position = Mutex::new(webhook.record.position.parse().unwrap_or(Position::START));
        let (taken, failures) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { webhooks, webhook, key, position, taken, failures }
    }

    /// Everything up to there was taken, or is not to be had.
    pub(super) fn stand(&self, position: Position) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }

    fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the webhook is somebody else's, or is told of nothing any more.
    pub(super) async fn follow(&self, filter: &EventFilter) -> Result<(), FeedError> {
        let from = From::After(self.position());
        let mut follower = self.webhooks.feed.follow(from, filter.clone()).await?;
        let (mut open, mut lanes, mut sending) = (Open::default(), Lanes::default(), FuturesUnordered::new());
        loop {
            while sending.len() < LANES_MAX
                && let Some(event) = lanes.next()
            {
                sending.push(self.send_until_taken(event));
            }
            let mut is_due = false;
            tokio::select! {
                Some((task, position, end)) = sending.next(), if !sending.is_empty() => {
                    match end {
                        End::Taken => self.failures.store(0, Relaxed),
                        End::Unwanted => return self.disable().await,
                        End::TakenOver => return Ok(()),
                    }
                    lanes.ended(task);
                    if let Some(position) = open.take(position) {
                        self.stand(position);
                    }
                    is_due = self.taken.fetch_add(1, Relaxed) + 1 >= NOTED_EVERY || open.0.is_empty();
                }
                events = follower.next(), if open.0.len() < OPEN_MAX => {
                    for event in events? {
                        open.0.push_back((event.position, false));
                        lanes.push(event);
                    }
                }
                () = tokio::time::sleep(STILL), if open.0.is_empty() => {
                    // Nothing of it was wanted for a while; that need not be looked at again.
                    is_due = follower.position() > self.position();
                    self.stand(self.position().max(follower.position()));
                }
            }
            if is_due && !self.note(None, true).await? {
                return Ok(());
            }
        }
    }

    async fn send_until_taken(&self, event: Event) -> (Option<TaskId>, Position, End) {
        let end = self.send(&event).await;
        (event.task, event.position, end)
    }

    async fn send(&self, event: &Event) -> End {
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
        self.note(Some((at, why)), true).await.unwrap_or_else(|error| {
            tracing::debug!(webhook = name, %error, "failed to note why an event was not taken");
            true
        })
    }

    /// Notes for people why nothing can be told.
    pub(super) async fn complain(&self, why: String) {
        if let Err(error) = self.note(Some((self.webhooks.clock.now(), why)), true).await {
            tracing::debug!(webhook = self.webhook.record.name, %error, "failed to note why a webhook is told of nothing");
        }
    }

    async fn disable(&self) -> Result<(), FeedError> {
        let name = &self.webhook.record.name;
        tracing::warn!(webhook = name, "a webhook answered {GONE}: it is disabled until somebody enables it");
        let why = format!("the answer was {GONE}: it wants no more events");
        self.note(Some((self.webhooks.clock.now(), why)), false).await.map(|_| ())
    }

    /// Notes how far it has come. Returns whether the webhook is still ours.
    async fn note(&self, failed: Option<(Timestamp, String)>, enabled: bool) -> Result<bool, FeedError> {
        let taken = self.taken.swap(0, Relaxed);
        let progress = WebhookProgress {
            position: self.position().to_string(),
            delivered: taken,
            delivered_at: (taken > 0).then(|| self.webhooks.clock.now()),
            failures: self.failures.load(Relaxed),
            failed,
            enabled,
        };
        let (name, holder) = (&self.webhook.record.name, &self.webhooks.holder);
        let noted = self.webhooks.store.advance_webhook(name, holder, &progress).await;
        if noted.is_err() {
            self.taken.fetch_add(taken, Relaxed);
        }
        Ok(noted?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(row: i64) -> Position {
        Position::after_row(row)
    }

    #[test]
    fn a_position_moves_on_only_over_what_was_taken() {
        let mut open = Open::default();
        (1..=4).for_each(|row| open.0.push_back((position(row), false)));
        assert_eq!(open.take(position(2)), None);
        assert_eq!(open.take(position(1)), Some(position(2)));
        assert_eq!(open.take(position(4)), None);
        assert_eq!(open.take(position(3)), Some(position(4)));
        assert!(open.0.is_empty());
    }
}
