//! Runs attacks one after the other, and looks at the host before and after each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepwright_executor::{Control, EngineOptions};
use tokio::runtime::Runtime;

use crate::attack::{Attack, Deed, Seen};
use crate::corpus::Corpus;
use crate::ground::{Ground, honest};
use crate::guest::Guest;
use crate::health::Health;
use crate::report::{AttackReport, GuestReport};
use crate::scenario::scenario;
use crate::victim::Victim;

/// How often it is looked whether the host has given back what an attack used, 25 ms apart: ten seconds, since idle threads end and
/// sockets close in their own time. A machine that stands still meanwhile takes none of these looks.
const LOOKS_MAX: u32 = 400;
/// Between two looks at the host, beside the time in which idle threads end.
const LOOK: Duration = Duration::from_millis(5);
/// What an attack may take beyond its limit: generous, for machines that do other things as well, and still less than `AMPLE`, which
/// would end it too.
const GRACE: Duration = Duration::from_secs(20);
/// And as a multiple of its limit.
const TIMES_LIMIT_MAX: f64 = 20.0;
/// How much of an output or a message is told, in bytes.
const TEXT_BYTES_MAX: usize = 300;
/// An idle thread of the runtime ends after this, so that one that does not end is seen.
const IDLE: Duration = Duration::from_millis(20);
/// Threads for what blocks; an attack that could hold more would hold them all.
const BLOCKING_THREADS_MAX: usize = 16;

/// Why no attack can be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder for the attacks cannot be made.
    #[error("failed to make a folder for the attacks: {0}")]
    Folder(#[source] std::io::Error),
    /// The sandbox does not start.
    #[error(transparent)]
    Sandbox(#[from] stepwright_executor::StartError),
    /// The runtime does not start.
    #[error("failed to start a runtime for the attacks: {0}")]
    Runtime(#[source] std::io::Error),
    /// The step that does what it should does not complete, without any attack.
    #[error("the sandbox does not run an honest step: {0}")]
    Honest(String),
}

/// The attacks' runtime and ground. It blocks, and so belongs on a thread of its own.
pub struct Conformance {
    ground: Arc<Ground>,
    // Dropped last: what runs on it must be gone before.
    runtime: Runtime,
}

impl Conformance {
    /// Starts a sandbox like the one of these options, with tight limits, and runs an honest step in it.
    pub fn start(corpus: Corpus, victim: Victim, options: &EngineOptions) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_keep_alive(IDLE)
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let ground = Arc::new(Ground::prepare(corpus, victim, options)?);
        runtime.block_on(ground.honest()).map_err(StartError::Honest)?;
        Ok(Self { ground, runtime })
    }

    /// Makes every attack of a guest.
    pub fn run(&self, guest: Guest) -> GuestReport {
        let attacks: Vec<AttackReport> =
            scenario(guest).attacks.iter().map(|attack| self.runtime.block_on(self.attack(attack))).collect();
        let held = attacks.iter().all(AttackReport::held);
        GuestReport { number: guest.number(), name: guest.name(), summary: guest.summary(), attacks, held }
    }

    async fn attack(&self, attack: &Attack) -> AttackReport {
        let mut problems = Vec::new();
        if let Deed::Step(step) = &attack.deed {
            // Loaded before the clock starts and before the host is looked at: compiled code stays.
            match self.ground.put(&step.component) {
                Ok(digest) => drop(self.ground.executor.warm(digest).await),
                Err(problem) => problems.push(problem),
            }
        }
        let before = self.settled(None).await;
        let begun = Instant::now();
        let seen = self.make(attack).await;
        let took = begun.elapsed();
        let seen = seen.unwrap_or_else(|problem| {
            problems.push(problem.clone());
            Seen { class: "broken".to_owned(), code: String::new(), text: problem }
        });
        if !attack.expected.fits(&seen) {
            problems.push(format!(
                "expected was {}, not {} ({}): {}",
                attack.expected, seen.class, seen.code, seen.text
            ));
        }
        let times_limit = attack.limit.map(|limit| took.as_secs_f64() / limit.as_secs_f64());
        if let (Some(limit), Some(times)) = (attack.limit, times_limit)
            && took > limit + GRACE
            && times > TIMES_LIMIT_MAX
        {
            problems.push(format!(
                "it took {} ms to end it, its limit was {} ms",
                took.as_millis(),
                limit.as_millis()
            ));
        }
        if let Err(problem) = self.ground.honest().await {
            problems.push(problem);
        }
        match before {
            Ok(before) => problems.extend(self.unsettled(&before).await),
            Err(error) => problems.push(format!("failed to look at the host: {error}")),
        }
        AttackReport {
            name: attack.name.clone(),
            expected: attack.expected.to_string(),
            class: seen.class,
            code: seen.code,
            text: beginning(&seen.text),
            ms: took.as_secs_f64() * 1_000.0,
            limit_ms: attack.limit.and_then(|limit| u64::try_from(limit.as_millis()).ok()),
            times_limit,
            problems: problems.into_iter().map(|problem| beginning(&problem)).collect(),
        }
    }

    async fn make(&self, attack: &Attack) -> Result<Seen, String> {
        match &attack.deed {
            Deed::Step(step) => Ok(Seen::step(&self.ground.execute(step, Control::default()).await?)),
            Deed::Inspect(component) => {
                Ok(match self.ground.inspect(self.ground.corpus.bytes(component)?).await {
                    Ok(inspection) => Seen::completed(inspection.description.name),
                    Err(refusal) => Seen::refusal(&refusal),
                })
            }
            Deed::Other(other) => other(Arc::clone(&self.ground)).await,
        }
    }

    /// How the host is once it has come to rest, or at the end of all patience. To rest means: no worse than before, or, without
    /// a before, the same twice.
    async fn settled(&self, before: Option<&Health>) -> std::io::Result<Health> {
        let mut last = self.health()?;
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK + IDLE).await;
            let now = self.health()?;
            let rests = match before {
                Some(before) => now.worse_than(before).is_empty(),
                None => now.worse_than(&last).is_empty() && last.worse_than(&now).is_empty(),
            };
            last = now;
            if rests {
                break;
            }
        }
        Ok(last)
    }

    async fn unsettled(&self, before: &Health) -> Vec<String> {
        match self.settled(Some(before)).await {
            Ok(now) => now.worse_than(before),
            Err(error) => vec![format!("failed to look at the host: {error}")],
        }
    }

    fn health(&self) -> std::io::Result<Health> {
        Health::now(self.ground.sandbox.slots_free(), self.ground.home.path())
    }
}

impl std::fmt::Debug for Conformance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformance")
            .field("sandbox", &self.ground.sandbox)
            .field("honest", &honest())
            .finish_non_exhaustive()
    }
}

/// The beginning of a text, as one line without control characters.
fn beginning(text: &str) -> String {
    let mut line: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.len() > TEXT_BYTES_MAX {
        line.truncate(line.floor_char_boundary(TEXT_BYTES_MAX));
        line.push('…');
    }
    line
}
