//! `health`: how many tasks and steps stand where, what has failed, and who is there.

use stepwright_store::{Connections, FailureCounts, Health, QueueCounts};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone, step_tone, task_tone};
use crate::output::table::{Columns, Entry};

pub(super) async fn run(context: &Context) -> Result<Exit, CliError> {
    let health = context.store().await?.health(context.now()).await?;
    if context.json {
        output::json(&health)?;
    } else {
        output::line(render(&health, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn render(health: &Health, paint: Paint) -> String {
    let mut parts = Vec::new();
    if !health.tasks.is_empty() {
        let mut columns = Columns::new(&["TASKS", "STATE"]).right(&[0]);
        for (state, count) in &health.tasks {
            columns.row([count.into(), Entry::toned(task_tone(*state), state)]);
        }
        parts.push(columns.render(paint));
    }
    if !health.steps.is_empty() {
        let mut columns = Columns::new(&["STEPS", "STATE"]).right(&[0]);
        for (state, count) in &health.steps {
            columns.row([count.into(), Entry::toned(step_tone(*state), state)]);
        }
        parts.push(columns.render(paint));
    }
    parts.push(waiting(health, paint));
    parts.push(there(health));
    parts.join("\n\n")
}

fn waiting(health: &Health, paint: Paint) -> String {
    let QueueCounts { claimable, in_backoff, delayed, parked } = health.queue;
    let FailureCounts { retryable, exhausted, permanent } = health.failures;
    let mut columns = Columns::new(&["STEPS", "THAT"]).right(&[0]);
    for (count, what, tone) in [
        (claimable, "could be claimed now", None),
        (in_backoff, "wait for their next attempt", None),
        (delayed, "wait for the start of their task", None),
        (parked, "are set aside by a pause", Some(Tone::Calm)),
        (retryable, "failed and are tried again", None),
        (exhausted, "failed as often as they may", Some(Tone::Bad)),
        (permanent, "failed for good before that", Some(Tone::Bad)),
    ] {
        let count: Entry = match tone.filter(|_| count > 0) {
            Some(tone) => Entry::toned(tone, count),
            None => count.into(),
        };
        columns.row([count, what.into()]);
    }
    columns.render(paint)
}

fn there(health: &Health) -> String {
    let Connections { open, idle, max, server_open, server_max } = health.connections;
    let server = match (server_open, server_max) {
        (Some(open), Some(max)) => format!("; at the server {open} of {max}"),
        _ => String::new(),
    };
    format!(
        "workers: {} with {} slots; orchestrators: {}\nconnections to the database: {open} of {max}, {idle} idle{server}",
        health.workers, health.slots, health.orchestrators
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use stepwright_workflow::Timestamp;
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::task::TaskState;

    #[test]
    fn what_stands_where_is_told_in_tables() {
        let health = Health {
            at: Timestamp(0),
            tasks: BTreeMap::from([(TaskState::Complete, 12)]),
            steps: BTreeMap::from([(StepState::Ready, 3)]),
            failures: FailureCounts { retryable: 1, exhausted: 0, permanent: 2 },
            queue: QueueCounts { claimable: 1, in_backoff: 1, delayed: 0, parked: 1 },
            workers: 2,
            slots: 16,
            orchestrators: 1,
            connections: Connections {
                open: 3,
                idle: 2,
                max: 8,
                server_open: Some(7),
                server_max: Some(100),
            },
        };
        let shown = render(&health, Paint::PLAIN);
        let lines: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expect in
            ["12 complete", "3 ready", "1 wait for their next attempt", "2 failed for good before that"]
        {
            assert!(lines.iter().any(|line| line == expect), "{shown}");
        }
        assert!(shown.ends_with("of 8, 2 idle; at the server 7 of 100"), "{shown}");
        let empty = Health { tasks: BTreeMap::new(), steps: BTreeMap::new(), ..health };
        assert!(render(&empty, Paint::PLAIN).starts_with("STEPS  THAT"));
    }
}
