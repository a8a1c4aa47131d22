//! The links of a worker process: opens and closes them as orchestrators come and go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepwright_executor::Executor;
use stepwright_transport::zmq::Routes;
use stepwright_worker::{Fetches, Heard, News, Pool, WorkerEnd, WorkerError};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::places::{Change, Outlook, Places, Said};
use crate::compose::{self, Way};
use crate::config::{Endpoint, hostname};
use crate::context::Context;
use crate::error::CliError;
use crate::lifecycle::Stopping;

/// How often to look for places that have been missing for too long.
const LOOK: Duration = Duration::from_secs(5);

/// What each link was told last, by place. A link whose connection is gone has nothing here.
type Roster = BTreeMap<u64, Heard>;

/// A place with the way to it.
struct Open {
    path: PathBuf,
    /// Ends the tunnel, where one leads there.
    tunnel: Option<CancellationToken>,
    link: Option<Link>,
}

struct Link {
    routes: Routes,
    /// Lets this link alone drain.
    drain: CancellationToken,
}

/// See the module.
pub(crate) struct Links<'a> {
    context: &'a Context,
    pool: Pool,
    executor: Arc<dyn Executor>,
    /// Components that the executor lacks, for whichever link is free.
    fetches: Fetches,
    places: Places,
    open: BTreeMap<u64, Open>,
    roster: Arc<watch::Sender<Roster>>,
    running: JoinSet<(u64, Result<WorkerEnd, WorkerError>)>,
    tunnels: JoinSet<()>,
    drain: CancellationToken,
    abort: CancellationToken,
}

impl<'a> Links<'a> {
    /// Links to what the settings name. They work from now on.
    pub(crate) fn open(context: &'a Context, salt: String, stopping: &Stopping) -> Result<Self, CliError> {
        let options = context.config.worker("");
        let pool = Pool::new(&options);
        let outlook = Outlook {
            host: hostname(),
            discover: context.config.worker_discover,
            links_max: pool.links_max(),
            salt,
        };
        let (places, changes) = Places::new(outlook, &context.config.worker_orchestrators);
        let (executor, fetches) = compose::fetching_executor(context, options.slots)?;
        let mut links = Self {
            context,
            executor,
            fetches,
            pool,
            places,
            open: BTreeMap::new(),
            roster: Arc::new(watch::Sender::new(Roster::new())),
            running: JoinSet::new(),
            tunnels: JoinSet::new(),
            drain: stopping.drain.clone(),
            abort: stopping.abort.clone(),
        };
        for change in changes {
            links.apply(change)?;
        }
        links.show_ways();
        Ok(links)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open.values().filter(|open| open.link.is_some()).count()
    }

    /// Works until every link has ended: since they were told to, or since one of them cannot go on. Returns their ends.
    pub(crate) async fn run(mut self) -> Result<Vec<Result<WorkerEnd, WorkerError>>, CliError> {
        let mut roster = self.roster.subscribe();
        let mut look = tokio::time::interval(LOOK);
        let mut ends = Vec::new();
        while !self.running.is_empty() {
            let draining = self.drain.is_cancelled();
            tokio::select! {
                Some(end) = self.running.join_next() => ends.extend(self.ended(end)?),
                Ok(()) = roster.changed(), if !draining => self.adjust(),
                _ = look.tick(), if !draining => self.adjust(),
            }
        }
        self.tunnels.shutdown().await;
        Ok(ends)
    }

    /// Takes in what was heard, and does what follows.
    fn adjust(&mut self) {
        let roster = self.roster.borrow().clone();
        let said = roster.into_iter().filter_map(|(number, heard)| {
            let routes = &self.open.get(&number)?.link.as_ref()?.routes;
            Some((number, Said { at_home: routes.at_home(), heard }))
        });
        let said: BTreeMap<u64, Said> = said.collect();
        #[allow(clippy::disallowed_methods, reason = "the binary owns the clock")]
        let now = Instant::now();
        let changes = self.places.hear(&said, now, is_there);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let (Change::Open(number, _) | Change::Link(number) | Change::Close(number)) = change;
            if let Err(error) = self.apply(change) {
                tracing::warn!(error = error.message(), "failed to reach an orchestrator that was heard of");
                if self.places.shun(number) {
                    self.forget(number);
                }
            }
        }
        self.show_ways();
    }

    fn apply(&mut self, change: Change) -> Result<(), CliError> {
        match change {
            Change::Open(number, endpoint) => {
                tracing::info!(%endpoint, "an orchestrator to work for");
                let Way { path, tunnel } = compose::way(self.context, number, &endpoint)?;
                let tunnel = tunnel.map(|tunnel| {
                    let stop = CancellationToken::new();
                    self.tunnels.spawn(tunnel.run(stop.clone()));
                    stop
                });
                self.open.insert(number, Open { path, tunnel, link: None });
            }
            Change::Link(number) => self.link(number)?,
            Change::Close(number) => {
                let link = self.open.get(&number).and_then(|open| open.link.as_ref());
                match link {
                    // It is forgotten once it has drained; meanwhile it may need the way.
                    Some(link) => link.drain.cancel(),
                    None => self.forget(number),
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, number: u64) -> Result<(), CliError> {
        // A place that could not be opened is not linked to.
        let Some(open) = self.open.get_mut(&number) else { return Ok(()) };
        let routes = Routes::new(vec![open.path.clone()]);
        let drain = self.drain.child_token();
        let worker = compose::link(self.context, &routes, &self.executor)?;
        let worker = worker.sharing(self.pool.link()).fetching(self.fetches.clone());
        let worker = worker.telling(news(&self.roster, number));
        open.link = Some(Link { routes, drain: drain.clone() });
        let abort = self.abort.clone();
        self.running.spawn(async move { (number, worker.run(drain, abort).await) });
        Ok(())
    }

    /// Tells every link where to turn while its own place is away: to the others, each beginning with another one.
    fn show_ways(&self) {
        let paths: Vec<(u64, &PathBuf)> =
            self.open.iter().map(|(number, open)| (*number, &open.path)).collect();
        for (at, (number, _)) in paths.iter().enumerate() {
            let Some(link) = self.open.get(number).and_then(|open| open.link.as_ref()) else { continue };
            let ways = paths.iter().cycle().skip(at).take(paths.len());
            link.routes.set(ways.map(|(_, path)| (*path).clone()).collect());
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(Open { tunnel: Some(stop), .. }) = self.open.remove(&number) {
            stop.cancel();
        }
        self.roster.send_modify(|roster| drop(roster.remove(&number)));
        self.show_ways();
    }

    /// One link has ended. Returns its end, if it is one that counts.
    fn ended(
        &mut self,
        end: Result<(u64, Result<WorkerEnd, WorkerError>), JoinError>,
    ) -> Result<Option<Result<WorkerEnd, WorkerError>>, CliError> {
        let (number, end) =
            end.map_err(|error| CliError::new(format!("a part of the worker stopped: {error}")))?;
        let unwanted = matches!(end, Err(WorkerError::Refused { .. } | WorkerError::Version { .. }));
        let dropped = !self.places.has(number) || (unwanted && self.places.shun(number));
        self.forget(number);
        if dropped && !self.drain.is_cancelled() && !matches!(end, Err(WorkerError::HostBroken { .. })) {
            match end {
                Ok(end) => tracing::info!(steps = end.steps_ended, "left an orchestrator that is gone"),
                Err(error) => tracing::warn!(%error, "left an orchestrator that was heard of"),
            }
            return Ok(None);
        }
        // One that cannot go on takes the others along: a worker that is half broken is hard to notice.
        self.drain.cancel();
        Ok(Some(end))
    }
}

/// Keeps what a link hears where all of it is looked at together.
fn news(roster: &Arc<watch::Sender<Roster>>, number: u64) -> News {
    let roster = Arc::clone(roster);
    Arc::new(move |heard: Option<Heard>| {
        roster.send_modify(|roster| match heard {
            Some(heard) => drop(roster.insert(number, heard)),
            None => drop(roster.remove(&number)),
        });
    })
}

/// A socket is there if this user can see it; whether a gate is shows itself.
fn is_there(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Socket(path) => path.exists(),
        Endpoint::Gate { .. } => true,
    }
}
