//! How long a guest has run, and the clock-driven ends of a run.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::call::Control;

/// Counts the time in which the guest was being polled as its CPU time: what it waits for costs it nothing.
///
/// The measure is the monotonic clock around each poll, two readings of about 25 ns, where the thread's own CPU clock would
/// be a system call each. On a machine with more work than cores, a guest is also charged for the time in which the system
/// ran something else on its thread.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    spent_ns: AtomicU64,
    poll_began_ns: AtomicU64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), spent_ns: AtomicU64::new(0), poll_began_ns: AtomicU64::new(0) }
    }

    /// The time since the start.
    pub(crate) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// The CPU time of all polls that have ended.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.load(Ordering::Relaxed))
    }

    /// The CPU time up to now, within a poll.
    pub(crate) fn cpu_within_poll(&self) -> Duration {
        self.cpu()
            + Duration::from_nanos(self.wall_ns().saturating_sub(self.poll_began_ns.load(Ordering::Relaxed)))
    }

    fn measure<R>(&self, poll: impl FnOnce() -> R) -> R {
        // One poll at a time: the order of the loads and stores is that of the program.
        let began = self.wall_ns();
        self.poll_began_ns.store(began, Ordering::Relaxed);
        let result = poll();
        let spent = self.wall_ns().saturating_sub(began);
        self.spent_ns.store(self.spent_ns.load(Ordering::Relaxed) + spent, Ordering::Relaxed);
        result
    }

    fn wall_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended<R> {
    /// The guest returned.
    Returned(R),
    /// The guest, or what it called, failed.
    Failed(wasmtime::Error),
    /// The wall clock ran out while the guest waited.
    WallClock,
    /// The guest was told to stop and did not.
    Cancelled,
}

/// Polls the run until it ends or its time is up. A busy guest yields at every epoch tick, so this is asked often enough.
pub(crate) async fn bounded<R>(
    meter: &Meter,
    wall: Duration,
    (control, grace): (&Control, Duration),
    run: impl Future<Output = wasmtime::Result<R>>,
) -> Ended<R> {
    let mut run = pin!(run);
    let measured = poll_fn(|context| meter.measure(|| run.as_mut().poll(context)));
    let cancelled = async {
        control.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        result = measured => result.map_or_else(Ended::Failed, Ended::Returned),
        () = cancelled => Ended::Cancelled,
        () = tokio::time::sleep(wall) => Ended::WallClock,
    }
}
