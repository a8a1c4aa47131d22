//! How much one token may ask for: requests a second, and waits at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepwright_workflow::TokenId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::code::Code;
use crate::options::ApiOptions;
use crate::problem::Problem;

/// Tokens of which something is kept; beyond that everybody starts anew.
const KEPT_MAX: usize = 4_096;

/// A bucket that fills at a steady rate, and out of which each request takes one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: f64, now: Instant) -> Self {
        Self { tokens: rate, at: now }
    }

    /// Takes one, or says how long it takes until there is one.
    fn take(&mut self, rate: f64, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens, self.at) = ((self.tokens + passed * rate).min(rate), now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// What is kept of each token. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    rate: f64,
    buckets: Arc<Mutex<HashMap<Option<TokenId>, Bucket>>>,
    waits: Arc<Semaphore>,
    waits_per_token_max: usize,
    waiting: Arc<Mutex<HashMap<Option<TokenId>, Arc<Semaphore>>>>,
}

/// A place among those who wait; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[allow(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

impl Limits {
    pub(crate) fn new(options: &ApiOptions) -> Self {
        Self {
            rate: f64::from(options.requests_per_second.max(1)),
            buckets: Arc::default(),
            waits: Arc::new(Semaphore::new(options.waits_max)),
            waits_per_token_max: options.waits_per_token_max,
            waiting: Arc::default(),
        }
    }

    /// Counts a request of a token.
    pub(crate) fn request(&self, token: Option<TokenId>, now: Instant) -> Result<(), Problem> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT_MAX && !buckets.contains_key(&token) {
            buckets.clear();
        }
        let bucket = buckets.entry(token).or_insert_with(|| Bucket::full(self.rate, now));
        bucket.take(self.rate, now).map_err(|wait| {
            let detail =
                format!("more than {} requests a second of one token (api.requests_per_second)", self.rate);
            Problem::new(Code::RateLimited, detail).again_in(wait.as_secs().saturating_add(1))
        })
    }

    /// A place to wait in.
    pub(crate) fn place(&self, token: Option<TokenId>) -> Result<Place, Problem> {
        let full = |setting: &str| {
            let detail = format!("no place to wait in is free ({setting}); end another wait, or ask again");
            Problem::new(Code::RateLimited, detail).again_in(1)
        };
        let own = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= KEPT_MAX {
                waiting.retain(|_, places| places.available_permits() < self.waits_per_token_max);
            }
            let places = || Arc::new(Semaphore::new(self.waits_per_token_max));
            waiting.entry(token).or_insert_with(places).clone()
        };
        let own = own.try_acquire_owned().map_err(|_| full("api.waits_per_token_max"))?;
        let all = self.waits.clone().try_acquire_owned().map_err(|_| full("api.waits_max"))?;
        Ok(Place([own, all]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_at_its_rate_and_never_beyond_it() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2.0, start);
        assert_eq!(bucket.take(2.0, start), Ok(()));
        assert_eq!(bucket.take(2.0, start), Ok(()));
        assert_eq!(bucket.take(2.0, start), Err(Duration::from_millis(500)));
        assert_eq!(bucket.take(2.0, start + Duration::from_millis(500)), Ok(()));
        let later = start + Duration::from_secs(3_600);
        let taken = (0..5).filter(|_| bucket.take(2.0, later).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[tokio::test]
    async fn tokens_have_limits_of_their_own() {
        let options = ApiOptions {
            requests_per_second: 1,
            waits_max: 3,
            waits_per_token_max: 2,
            ..ApiOptions::default()
        };
        let (limits, now) = (Limits::new(&options), Instant::now());
        let (a, b) = (Some(TokenId(1)), Some(TokenId(2)));
        assert!(limits.request(a, now).is_ok() && limits.request(b, now).is_ok());
        let refused = limits.request(a, now).unwrap_err();
        assert_eq!((refused.code, refused.status), (Code::RateLimited, 429));
        let places: Vec<Place> = [a, a, b].into_iter().map(|token| limits.place(token).unwrap()).collect();
        assert!(limits.place(a).unwrap_err().detail.contains("waits_per_token_max"));
        assert!(limits.place(b).unwrap_err().detail.contains("waits_max"));
        drop(places);
        assert!(limits.place(b).is_ok());
    }
}
