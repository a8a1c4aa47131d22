//! The slots: so many attempts run at once, each slot taking the next queued step by itself as soon as it is free. The links of
//! a process have their own queues before the slots that they share; whoever has waited longest is next.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepwright_executor::{Control, Executor};
use stepwright_transport::wire::{StepOutcome, StepTask};
use stepwright_workflow::{AttemptKey, BatchId, Clock};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::attempt::{self, Identity};
use crate::pool::{Share, Slot};

/// Ended attempts that may wait for the worker's loop before a slot has to.
const ENDED_QUEUE_MAX: usize = 256;

/// A step that waits for a slot.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: BatchId,
    pub(crate) step: StepTask,
}

impl Job {
    pub(crate) fn key(&self) -> AttemptKey {
        AttemptKey { step: self.step.step, attempt: self.step.attempt, batch: self.batch }
    }
}

/// An attempt that a slot is done with; `Err` says why the host could not run it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) key: AttemptKey,
    pub(crate) result: Result<StepOutcome, String>,
}

/// A running attempt that outlived a heartbeat, with its newest progress mark.
#[derive(Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) key: AttemptKey,
    pub(crate) progress: Option<(f64, String)>,
}

struct Running {
    key: AttemptKey,
    control: Control,
    /// It was running at an earlier heartbeat.
    seen: bool,
    /// The orchestrator was told that it runs long.
    marked: bool,
}

struct Board {
    queue: VecDeque<Job>,
    running: Vec<Option<Running>>,
}

struct Shared {
    board: Mutex<Board>,
    queued: Notify,
    slots: Arc<Semaphore>,
    executor: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    payload_bytes_max: AtomicU64,
}

/// The slots and the queue before them.
pub(crate) struct Slots {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    ended: mpsc::Receiver<Ended>,
}

impl Slots {
    pub(crate) fn new(
        slots: usize,
        share: &Share,
        executor: Arc<dyn Executor>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let board = Board { queue: VecDeque::new(), running: (0..slots).map(|_| None).collect() };
        let shared = Arc::new(Shared {
            board: Mutex::new(board),
            queued: Notify::new(),
            slots: share.semaphore(),
            executor,
            clock,
            payload_bytes_max: AtomicU64::new(u64::MAX),
        });
        let (sender, ended) = mpsc::channel(ENDED_QUEUE_MAX);
        let mut tasks = JoinSet::new();
        for slot in 0..slots {
            tasks.spawn(serve(Arc::clone(&shared), slot, sender.clone()));
        }
        Self { shared, tasks, ended }
    }

    /// The largest payload that the orchestrator takes, in bytes.
    pub(crate) fn limit_payloads(&self, bytes_max: u64) {
        self.shared.payload_bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    pub(crate) fn queue(&self, jobs: impl ExactSizeIterator<Item = Job>) {
        let wanted = jobs.len();
        let mut board = self.shared.board();
        let free = board.free();
        board.queue.extend(jobs);
        drop(board);
        for _ in 0..wanted.min(free) {
            self.shared.queued.notify_one();
        }
    }

    /// Waits for ended attempts and takes all that there are: for ever after the shutdown, when none can end. Cancel safe.
    pub(crate) async fn ended(&mut self, into: &mut Vec<Ended>) {
        if self.ended.recv_many(into, ENDED_QUEUE_MAX).await == 0 {
            std::future::pending::<()>().await;
        }
    }

    /// Ended attempts that are there already.
    pub(crate) fn ended_now(&mut self, into: &mut Vec<Ended>) {
        while let Ok(ended) = self.ended.try_recv() {
            into.push(ended);
        }
    }

    /// Whether steps wait for a slot.
    pub(crate) fn is_full(&self) -> bool {
        !self.shared.is_idle()
    }

    /// Tells these attempts to stop. The queued ones are taken out and returned; the running ones end by themselves.
    pub(crate) fn cancel(&self, attempts: &HashSet<AttemptKey>) -> Vec<(AttemptKey, Identity)> {
        self.stop(|key| attempts.contains(key))
    }

    /// Stops all attempts of these batches; their outcomes are nobody's business any more.
    pub(crate) fn drop_batches(&self, batches: &HashSet<BatchId>) {
        let _ = self.stop(|key| batches.contains(&key.batch));
    }

    fn stop(&self, which: impl Fn(&AttemptKey) -> bool) -> Vec<(AttemptKey, Identity)> {
        let mut board = self.shared.board();
        for running in board.running.iter().flatten().filter(|running| which(&running.key)) {
            running.control.cancel();
        }
        let mut taken = Vec::new();
        board.queue.retain(|job| {
            let key = job.key();
            let stop = which(&key);
            if stop {
                taken.push((key, Identity::of(&job.step)));
            }
            !stop
        });
        taken
    }

    /// Running attempts to tell of at a heartbeat: those that were running at the one before, once, and again whenever they
    /// set a progress mark.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mut board = self.shared.board();
        let mut marks = Vec::new();
        for running in board.running.iter_mut().flatten() {
            if !std::mem::replace(&mut running.seen, true) {
                continue;
            }
            let progress = running.control.take_progress();
            if progress.is_some() || !std::mem::replace(&mut running.marked, true) {
                marks.push(Mark { key: running.key, progress });
            }
        }
        marks
    }

    /// Forgets what the orchestrator was told: another connection, perhaps another orchestrator.
    pub(crate) fn forget_marks(&self) {
        for running in self.shared.board().running.iter_mut().flatten() {
            running.marked = false;
        }
    }

    /// Empties the queue, so that only the running attempts go on. Returns how many steps were in it.
    pub(crate) fn clear_queue(&self) -> usize {
        let queue = std::mem::take(&mut self.shared.board().queue);
        queue.len()
    }

    /// Ends every attempt where it stands.
    pub(crate) async fn shutdown(&mut self) {
        self.clear_queue();
        self.tasks.shutdown().await;
    }
}

impl Board {
    fn free(&self) -> usize {
        self.running.iter().filter(|slot| slot.is_none()).count()
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.board().queue.is_empty()
    }

    fn take(&self, slot: usize) -> Option<(Job, Control)> {
        let mut board = self.board();
        let job = board.queue.pop_front()?;
        let control = Control::default();
        if let Some(place) = board.running.get_mut(slot) {
            *place = Some(Running { key: job.key(), control: control.clone(), seen: false, marked: false });
        }
        Some((job, control))
    }

    fn clear(&self, slot: usize) {
        if let Some(place) = self.board().running.get_mut(slot) {
            *place = None;
        }
    }

    /// Waits until a step is in the queue, or may be.
    async fn queued(&self) {
        if !self.is_idle() {
            return;
        }
        let mut queued = pin!(self.queued.notified());
        // Registered before the second look, so that no step is queued unheard between the two.
        queued.as_mut().enable();
        if self.is_idle() {
            queued.await;
        }
    }

    async fn next(&self, slot: usize) -> Option<(Job, Control, Slot)> {
        loop {
            self.queued().await;
            // The step stays in the queue until there is a slot for it: it may be cancelled, or taken by one that is free.
            let free = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            if let Some((job, control)) = self.take(slot) {
                return Some((job, control, free));
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, slot: usize, ended: mpsc::Sender<Ended>) {
    while let Some((job, control, free)) = shared.next(slot).await {
        let key = job.key();
        let limits = (shared.clock.now(), shared.payload_bytes_max.load(Ordering::Relaxed));
        let result = attempt::run(&*shared.executor, job.step, control, limits).await;
        shared.clear(slot);
        drop(free);
        if ended.send(Ended { key, result }).await.is_err() {
            return;
        }
    }
}
