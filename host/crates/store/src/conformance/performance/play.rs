//! A small orchestrator and its operator that play at random: what they do is legal, and nothing of it is likely. They check
//! nothing; they keep what the cases cannot read from the store under test.

use std::collections::BTreeMap;

use stepwright_workflow::graph::Graph;
use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::step::{self, LOSS_LIMIT, StepEvent, StepStanding, StepState};
use stepwright_workflow::task::{TaskState, settle};
use stepwright_workflow::{AttemptKey, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId};

use super::super::{
    DIAMOND, Dice, NOW, SINGLE, at, committed, completed, failed, payload, plan, standing, worker,
};
use crate::{
    AttemptStatus, EndedAttempt, NewBatch, NewTask, Round, RunningAttempt, StepChange, StepRow, Store,
};

/// Places of plans: a diamond, one step, and three in a row of another namespace whose first failure is their last.
const DIAMONDS: usize = 0;
pub(super) const SINGLES: usize = 1;
const BILLS: usize = 2;

/// The orchestrator, its one worker and its operator.
pub(super) struct Player<'a> {
    store: &'a dyn Store,
    pub(super) dice: Dice,
    plans: Vec<(PlanId, Plan)>,
    worker: WorkerId,
    held: Vec<(AttemptKey, PlanId)>,
    tasks: Vec<TaskId>,
    /// Tasks that were declared done, and when.
    pub(super) declared_done: BTreeMap<TaskId, Timestamp>,
}

impl<'a> Player<'a> {
    pub(super) async fn new(store: &'a dyn Store) -> Self {
        let mut plans = vec![plan("order", DIAMOND), plan("order", SINGLE), plan("bill", &[&[], &[0], &[1]])];
        plans[SINGLES].version = "2.0.0".to_owned();
        plans[BILLS].namespace = "other".to_owned();
        plans[BILLS].steps.iter_mut().for_each(|step| step.retry.limit = 1);
        let mut stored = Vec::new();
        for plan in plans {
            stored.push((store.add_plan(&plan).await.unwrap(), plan));
        }
        let worker = committed!(store, join(&worker("w", "w-1"), at(1_000_000), NOW));
        Self {
            store,
            dice: Dice(2_026),
            plans: stored,
            worker,
            held: Vec::new(),
            tasks: Vec::new(),
            declared_done: BTreeMap::new(),
        }
    }

    fn plan(&self, plan: PlanId) -> &Plan {
        &self.plans.iter().find(|(id, _)| *id == plan).unwrap().1
    }

    /// The steps that wait for this one.
    fn children(&self, plan: PlanId, step: StepId) -> Vec<StepId> {
        let graph = Graph::of_plan(self.plan(plan));
        graph.children(step.position()).iter().map(|child| StepId::new(step.task(), *child)).collect()
    }

    /// One of so many.
    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.dice.roll(of as u64)).unwrap()
    }

    pub(super) fn task(&self, place: usize) -> NewTask {
        let (id, plan) = &self.plans[place];
        let parents = plan.steps.iter().map(|step| u32::try_from(step.parents.len()).unwrap());
        NewTask {
            plan: *id,
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            parents: parents.collect(),
            external: Default::default(),
            context: payload("{}"),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        }
    }

    /// Starts tasks of these plans.
    pub(super) async fn start(&mut self, places: &[usize], now: Timestamp) -> Vec<TaskId> {
        let tasks: Vec<NewTask> = places.iter().map(|place| self.task(*place)).collect();
        let created = self.store.create(&tasks, now).await.unwrap();
        let tasks: Vec<TaskId> = created.into_iter().map(|created| created.task).collect();
        self.tasks.extend(&tasks);
        tasks
    }

    /// Everything that happens at one moment.
    pub(super) async fn round(&mut self, now: Timestamp, starts: bool) {
        let mut round = self.store.round().await.unwrap();
        let touched = self.outcomes(&mut *round, now).await;
        settle_by_steps(&mut *round, touched, now).await;
        round.commit().await.unwrap();
        if starts {
            let places: Vec<usize> = (0..1 + self.dice.roll(3)).map(|_| self.pick(3)).collect();
            let tasks = self.start(&places, now).await;
            if self.dice.roll(5) == 0 {
                self.end(tasks[0], TaskState::Cancelled, now).await;
            }
            self.deed(now).await;
        }
        let mut round = self.store.round().await.unwrap();
        round.wake(now).await.unwrap();
        let mut ready = round.claimable(1_000).await.unwrap();
        ready.retain(|_| self.dice.roll(4) > 0);
        if !ready.is_empty() {
            let steps: Vec<(StepId, u32)> =
                ready.iter().map(|ready| (ready.step, ready.attempt + 1)).collect();
            let keys = self.lease(&mut *round, steps, now).await;
            self.held.extend(keys.into_iter().zip(ready.iter().map(|ready| ready.plan)));
        }
        round.commit().await.unwrap();
    }

    async fn lease(
        &self,
        round: &mut dyn Round,
        steps: Vec<(StepId, u32)>,
        now: Timestamp,
    ) -> Vec<AttemptKey> {
        let batch = NewBatch { worker: self.worker, steps: steps.clone() };
        let ids = round.lease(&[batch], "o", now).await.unwrap();
        let key = |(step, attempt)| AttemptKey { step, attempt, batch: ids[0] };
        steps.into_iter().map(key).collect()
    }

    /// Ends about two thirds of the attempts that are held; the others tell that they run. Returns the tasks of those that ended.
    async fn outcomes(&mut self, round: &mut dyn Round, now: Timestamp) -> Vec<TaskId> {
        let keys: Vec<AttemptKey> = self.held.iter().map(|(key, _)| *key).collect();
        let leased = round.leased(&keys).await.unwrap();
        let standings: BTreeMap<StepId, StepStanding> =
            leased.into_iter().map(|leased| (leased.key.step, leased.standing)).collect();
        let (mut done, mut ended, mut released, mut kept) =
            (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        for (key, plan) in std::mem::take(&mut self.held) {
            let Some(before) = standings.get(&key.step).copied() else { continue };
            match self.dice.roll(20) {
                0..6 => kept.push((key, plan)),
                6..10 => ended.push(self.failure(key, plan, before, now)),
                _ => {
                    let mut attempt = completed(key, "1");
                    attempt.line.execution_us = self.execution_us();
                    for child in self.children(plan, key.step) {
                        *released.entry(child).or_insert(0) += 1;
                    }
                    done.push(attempt);
                }
            }
        }
        let running = |key: &AttemptKey| RunningAttempt { key: *key, fraction: None, note: None };
        round.started(&kept.iter().map(|(key, _)| running(key)).collect::<Vec<_>>()).await.unwrap();
        self.held = kept;
        round.complete(&done, now).await.unwrap();
        round.end(&ended, now).await.unwrap();
        round.release(&released.into_iter().collect::<Vec<(StepId, u32)>>()).await.unwrap();
        let keys = done.iter().map(|done| done.key).chain(ended.iter().map(|end| end.key));
        keys.map(|key| key.step.task()).collect()
    }

    /// From microseconds to seconds, many of them equal.
    fn execution_us(&mut self) -> u64 {
        10 * (1 + self.dice.roll(9)) * 10_u64.pow(u32::try_from(self.dice.roll(6)).unwrap())
    }

    /// An attempt that fails, mostly not for good, or is lost.
    fn failure(
        &mut self,
        key: AttemptKey,
        plan: PlanId,
        before: StepStanding,
        now: Timestamp,
    ) -> EndedAttempt {
        let (failures, losses) = (before.failures + 1, before.losses + 1);
        let state = |again: bool| if again { StepState::Ready } else { StepState::Error };
        if self.dice.roll(4) == 0 {
            let to = standing(state(losses < LOSS_LIMIT), before.failures, losses);
            return EndedAttempt { status: AttemptStatus::Lost, ..failed(key, to, None) };
        }
        let limit = self.plan(plan).step(key.step.position()).unwrap().retry.limit;
        let again = failures < limit && self.dice.roll(3) > 0;
        let ready_at = Timestamp(now.0 + i64::try_from(self.dice.roll(200)).unwrap());
        let ready_at = Some(ready_at).filter(|at| again && *at > now);
        let mut attempt = failed(key, standing(state(again), failures, before.losses), ready_at);
        attempt.line.execution_us = self.execution_us();
        attempt
    }

    /// What an operator does to some task, if it may be done.
    async fn deed(&mut self, now: Timestamp) {
        let place = self.pick(self.tasks.len());
        let task = self.tasks[place];
        let step = u16::try_from(self.dice.roll(3)).unwrap();
        match self.dice.roll(6) {
            0 => self.end(task, TaskState::ResolvedManually, now).await,
            1..3 => self.by_hand(StepId::new(task, step), &StepEvent::RetryWanted, now).await,
            3..5 => self.by_hand(StepId::new(task, step), &StepEvent::Resolved, now).await,
            _ => self.by_hand(StepId::new(task, step), &StepEvent::Skipped, now).await,
        }
    }

    /// Cancels a task, or declares it done, unless its state is final.
    async fn end(&mut self, task: TaskId, to: TaskState, now: Timestamp) {
        let mut round = self.store.round().await.unwrap();
        let (_, state) = round.task(task).await.unwrap().unwrap();
        if state.is_final() {
            return;
        }
        let steps = round.steps(task).await.unwrap();
        change(&mut *round, &steps, &StepEvent::TaskCancelled).await;
        round.settle(&[(task, state, to)], now).await.unwrap();
        round.commit().await.unwrap();
        if to == TaskState::ResolvedManually {
            self.declared_done.insert(task, now);
        }
    }

    /// Does something to a step, if there is one and its state allows it.
    async fn by_hand(&self, step: StepId, event: &StepEvent<'_>, now: Timestamp) {
        let mut round = self.store.round().await.unwrap();
        let (plan, state) = round.task(step.task()).await.unwrap().unwrap();
        if state.is_final() {
            return;
        }
        let mut rows = round.steps(step.task()).await.unwrap();
        rows.retain(|row| row.step == step);
        let moved = change(&mut *round, &rows, event).await;
        if !moved.is_empty() && !matches!(event, StepEvent::RetryWanted) {
            let children: Vec<(StepId, u32)> =
                self.children(plan, step).into_iter().map(|child| (child, 1)).collect();
            round.release(&children).await.unwrap();
        }
        settle_by_steps(&mut *round, vec![step.task()], now).await;
        round.commit().await.unwrap();
    }

    /// A task for each way in which tasks and steps can stand, so that no count is one of nothing.
    pub(super) async fn one_of_each(&mut self, now: Timestamp) {
        let places = [SINGLES, BILLS, SINGLES, DIAMONDS, SINGLES, SINGLES];
        let tasks = self.start(&places, now).await;
        let steps: Vec<(StepId, u32)> = tasks.iter().map(|task| (StepId::new(*task, 0), 1)).collect();
        let mut round = self.store.round().await.unwrap();
        let keys = self.lease(&mut *round, steps, now).await;
        let waits = failed(keys[0], standing(StepState::Ready, 1, 0), Some(Timestamp(now.0 + 50)));
        let exhausted = failed(keys[1], standing(StepState::Error, 1, 0), None);
        let permanent = failed(keys[2], standing(StepState::Error, 1, 0), None);
        round.end(&[waits, exhausted, permanent], now).await.unwrap();
        round.complete(&[completed(keys[3], "1")], now).await.unwrap();
        let children = self.children(self.plans[DIAMONDS].0, keys[3].step);
        let children: Vec<(StepId, u32)> = children.into_iter().map(|child| (child, 1)).collect();
        round.release(&children).await.unwrap();
        let running = RunningAttempt { key: keys[4], fraction: Some(0.5), note: None };
        round.started(&[running]).await.unwrap();
        settle_by_steps(&mut *round, tasks[..4].to_vec(), now).await;
        round.commit().await.unwrap();
        self.held.extend(keys[4..].iter().map(|key| (*key, self.plans[SINGLES].0)));
        let tasks = self.start(&[SINGLES, DIAMONDS, SINGLES, SINGLES, SINGLES, SINGLES], now).await;
        // The first completes although nobody has claimed it.
        self.by_hand(StepId::new(tasks[0], 0), &StepEvent::Resolved, now).await;
        self.by_hand(StepId::new(tasks[1], 0), &StepEvent::Resolved, now).await;
        self.by_hand(StepId::new(tasks[1], 1), &StepEvent::Skipped, now).await;
        self.end(tasks[2], TaskState::ResolvedManually, now).await;
        self.end(tasks[3], TaskState::Cancelled, now).await;
    }
}

/// Moves those of these steps that may be moved so. Returns them.
async fn change(round: &mut dyn Round, steps: &[StepRow], event: &StepEvent<'_>) -> Vec<StepId> {
    let output = matches!(event, StepEvent::Resolved).then(|| payload("2"));
    let change = |row: &StepRow| {
        let moved = step::next(row.standing, &RetryPolicy::default(), event).ok()?;
        let (step, from) = (row.step, row.standing.state);
        Some(StepChange { step, from, to: moved.to, output: output.clone() })
    };
    round.change(&steps.iter().filter_map(change).collect::<Vec<_>>()).await.unwrap()
}

/// Gives tasks the states that their steps give them.
async fn settle_by_steps(round: &mut dyn Round, mut tasks: Vec<TaskId>, now: Timestamp) {
    tasks.sort();
    tasks.dedup();
    let counted = round.count_steps(&tasks).await.unwrap().into_iter();
    let moves = counted.map(|(task, from, counts)| (task, from, settle(from, counts)));
    let moves: Vec<(TaskId, TaskState, TaskState)> = moves.filter(|(_, from, to)| from != to).collect();
    round.settle(&moves, now).await.unwrap();
}
