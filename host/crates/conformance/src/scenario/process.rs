//! Guests 27 and 28: those that are a burden to others, and to the process itself.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use stepwright_executor::{Control, StepReport};
use tokio::task::JoinSet;

use crate::attack::{Attack, Expected, Seen, Step};
use crate::ground::{Ground, executor};

/// Honest steps that share the sandbox with the hogs.
const HONEST: usize = 24;
/// Processes that die; as many losses as put a plugin into quarantine by default.
const DEATHS: usize = 3;

pub(super) fn hog() -> Vec<Attack> {
    vec![
        Attack::other(
            "on all slots but one, until told to stop",
            |ground| Box::pin(beside(ground)),
            Expected::completed("24 honest steps completed meanwhile, 3 hogs were stopped"),
        ),
        Attack::other(
            "twice as many as slots, with honest steps queued behind",
            |ground| Box::pin(behind(ground)),
            Expected::completed("8 hogs ended by cpu, 24 honest steps completed"),
        ),
    ]
}

type Running = JoinSet<Result<StepReport, String>>;

fn start(running: &mut Running, ground: &Arc<Ground>, cpu_ms: u64) -> Control {
    let control = Control::default();
    let mut step = Step::hostile("spin");
    step.limits.cpu_ms_max = Some(cpu_ms);
    let (ground, given) = (Arc::clone(ground), control.clone());
    running.spawn(async move { ground.execute(&step, given).await });
    control
}

/// How many of them ended in this way.
async fn ended(running: Running, class: &str, code: &str) -> Result<usize, String> {
    let mut count = 0;
    for joined in running.join_all().await {
        let seen = Seen::step(&joined?);
        count += usize::from(seen.class == class && seen.code == code);
    }
    Ok(count)
}

async fn beside(ground: Arc<Ground>) -> Result<Seen, String> {
    let hogs = ground.sandbox.slots_free() - 1;
    let mut running = Running::new();
    let controls: Vec<Control> = (0..hogs).map(|_| start(&mut running, &ground, 30_000)).collect();
    while ground.sandbox.slots_free() > 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..HONEST {
        ground.honest().await?;
    }
    let ended_early = running.try_join_next().is_some();
    controls.iter().for_each(Control::cancel);
    let stopped = ended(running, "cancelled", "").await?;
    if ended_early {
        return Ok(Seen::completed("a hog had ended before the honest steps had"));
    }
    Ok(Seen::completed(format!("{HONEST} honest steps completed meanwhile, {stopped} hogs were stopped")))
}

async fn behind(ground: Arc<Ground>) -> Result<Seen, String> {
    let hogs = 2 * ground.sandbox.slots_free();
    let mut running = Running::new();
    for _ in 0..hogs {
        start(&mut running, &ground, 50);
    }
    for _ in 0..HONEST {
        ground.honest().await?;
    }
    let ended = ended(running, "timeout", "cpu").await?;
    Ok(Seen::completed(format!("{ended} hogs ended by cpu, {HONEST} honest steps completed")))
}

pub(super) fn killer() -> Vec<Attack> {
    vec![Attack::other(
        "a process that dies of it, three times in a row",
        |ground| Box::pin(deaths(ground)),
        Expected::completed("3 of 3 processes died, and their folders serve the next"),
    )]
}

/// Each victim works in the same folders, as a worker that its supervisor starts again.
async fn deaths(ground: Arc<Ground>) -> Result<Seen, String> {
    let home = ground.home.path().join("victim");
    let failed = |error: std::io::Error| format!("failed to run the victim: {error}");
    std::fs::create_dir(&home).map_err(failed)?;
    let mut died = 0;
    for _ in 0..DEATHS {
        let (victim, its_home) = (ground.victim.clone(), home.clone());
        let status = tokio::task::spawn_blocking(move || victim.run(&its_home)).await;
        let status = status.map_err(|error| error.to_string())?.map_err(failed)?;
        let abort = rustix::process::Signal::ABORT.as_raw();
        died += usize::from(status.signal() == Some(abort));
        ground.honest().await?;
    }
    let next = executor(&home, &ground.sandbox).map_err(failed)?;
    let plugins = stepwright_registry::PluginFolder::open(&home.join("plugins")).map_err(failed)?;
    let left = plugins.list().map_err(|error| error.to_string())?;
    for digest in &left {
        next.warm(*digest).await.map_err(|failure| failure.to_string())?;
    }
    let serve = left.len() == 1 && next.cache_counts().rejected == 0;
    std::fs::remove_dir_all(&home).map_err(failed)?;
    let serve = if serve { "serve" } else { "do not serve" };
    Ok(Seen::completed(format!("{died} of {DEATHS} processes died, and their folders {serve} the next")))
}
