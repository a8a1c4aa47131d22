//! `analytics`: figures of tasks and steps since a moment, and one number for how well it goes.

use std::time::Duration;

use stepwright_store::performance::SAMPLE;
use stepwright_store::{Analytics, AnalyticsQuery, StepFigures, TaskFigures};
use stepwright_workflow::distribution::Distribution;
use stepwright_workflow::health::HealthScore;
use stepwright_workflow::template::values::duration_ms;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

pub(crate) const EXAMPLES: &str = "\
HEALTH is half the share of tasks that completed, three tenths the share of unfinished tasks that are not in error, and two tenths \
whether anybody is there to take what waits.

Examples:\n  stepwright analytics\n  stepwright analytics --since 10m --namespace shop --json";

/// What to sum up.
#[derive(Debug, clap::Args)]
pub(crate) struct AnalyticsArguments {
    /// What ended in this time
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration_ms)]
    since: u64,
    /// Only tasks of this namespace
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
}

pub(super) async fn run(arguments: &AnalyticsArguments, context: &Context) -> Result<Exit, CliError> {
    let now = context.now();
    let query = AnalyticsQuery {
        since: now.before(Duration::from_millis(arguments.since)),
        namespace: arguments.namespace.clone(),
        sample: SAMPLE,
    };
    let found = context.store().await?.analytics(&query, now).await?;
    if context.json {
        output::json(&found)?;
    } else {
        output::line(render(&found, Paint::stdout()))?;
        if found.steps.sampled {
            output::hint(
                "tasks in progress have more attempts than are read: the figures of steps are of some of them",
            );
        }
    }
    Ok(Exit::Good)
}

fn render(found: &Analytics, paint: Paint) -> String {
    [health(found.health, paint), tasks(&found.tasks, found, paint), durations(found, paint)].join("\n\n")
}

fn health(health: HealthScore, paint: Paint) -> String {
    let HealthScore { score, success, flow, staffing } = health;
    let tone = match score {
        90.. => Tone::Good,
        60.. => Tone::Calm,
        _ => Tone::Bad,
    };
    let score = paint.of(tone, &format!("health {score}"));
    format!("{score}  (success {success}, flow {flow}, staffing {staffing})")
}

fn tasks(tasks: &TaskFigures, found: &Analytics, paint: Paint) -> String {
    let mut columns = Columns::new(&["TASKS", "", "SHARE", "PER SECOND"]).right(&[0, 2, 3]);
    let share = |rate: Option<f64>| rate.map(|rate| format!("{:.1} %", rate * 100.0)).unwrap_or_default();
    let nothing = String::new;
    let since = when::duration(found.until.since(found.since));
    let rate = format!("{:.2}", tasks.completed_per_s);
    for (count, what, share, rate) in [
        (tasks.active, "active now".to_owned(), nothing(), nothing()),
        (tasks.in_error, "in error now".to_owned(), nothing(), nothing()),
        (tasks.created, format!("created in {since}"), nothing(), nothing()),
        (tasks.completed, "completed".to_owned(), share(tasks.completion_rate), rate),
        (tasks.failed, "ended in error".to_owned(), share(tasks.error_rate), nothing()),
        (tasks.cancelled, "cancelled".to_owned(), nothing(), nothing()),
        (tasks.resolved_manually, "resolved manually".to_owned(), nothing(), nothing()),
    ] {
        columns.row([count.into(), what.into(), share.into(), rate.into()]);
    }
    columns.render(paint)
}

fn durations(found: &Analytics, paint: Paint) -> String {
    let names = ["DURATION", "COUNT", "MEAN", "P50", "P95", "P99", "MAX", "OF"];
    let mut columns = Columns::new(&names).right(&[1, 2, 3, 4, 5, 6]);
    let since = |since| format!("the last {}", when::duration(found.until.since(since)));
    let (tasks, StepFigures { since: steps_since, completed_per_s, execution_us, .. }) =
        (&found.tasks, &found.steps);
    let of_tasks = since(tasks.durations_since);
    for (name, of, unit_us, since) in [
        ("tasks from creation", &tasks.total_ms, 1_000, of_tasks.clone()),
        ("tasks from their start", &tasks.running_ms, 1_000, of_tasks),
        ("attempts of steps", execution_us, 1, since(*steps_since)),
    ] {
        let Distribution { count, mean, p50, p95, p99, max } = *of;
        let time = |value: u64| -> Entry { when::micros(value.saturating_mul(unit_us)).into() };
        let times = [mean, p50, p95, p99, max].map(time);
        let [mean, p50, p95, p99, max] = times;
        columns.row([name.into(), count.into(), mean, p50, p95, p99, max, since.into()]);
    }
    let steps = &found.steps;
    let ended = format!(
        "steps: {} completed ({completed_per_s:.1} per second), {} attempts failed, {} lost",
        steps.completed, steps.failed, steps.lost
    );
    format!("{}\n\n{ended}", columns.render(paint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::AttemptStatus;
    use stepwright_store::performance::{AnalyticsReadings, SampledAttempt, TaskCounts};
    use stepwright_workflow::Timestamp;

    #[test]
    fn figures_are_told_with_the_time_that_they_are_about() {
        let counts = TaskCounts {
            active: 2,
            completed: 99,
            failed: 1,
            workers: 1,
            created: 101,
            ..TaskCounts::default()
        };
        let line = Some((Timestamp(59_000), 1_200, AttemptStatus::Completed));
        let readings = AnalyticsReadings {
            counts,
            durations: vec![(Timestamp(59_000), 1_500, Some(900))],
            running: vec![SampledAttempt { settled_at: None, line }],
            settled: Vec::new(),
        };
        let query = AnalyticsQuery { since: Timestamp(0), namespace: None, sample: SAMPLE };
        let found = Analytics::of(&query, Timestamp(60_000), readings);
        let shown = render(&found, Paint::PLAIN);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0].join(" "), "health 99 (success 99, flow 100, staffing 100)");
        assert_eq!(lines[5].join(" "), "101 created in 1 min 0 s - -");
        assert_eq!(lines[6].join(" "), "99 completed 99.0 % 1.65");
        assert_eq!(lines[7].join(" "), "1 ended in error 1.0 % -");
        assert_eq!(
            lines[12].join(" "),
            "tasks from creation 1 1.5 s 1.5 s 1.5 s 1.5 s 1.5 s the last 1 min 0 s"
        );
        assert_eq!(
            lines[14].join(" "),
            "attempts of steps 1 1.2 ms 1.2 ms 1.2 ms 1.2 ms 1.2 ms the last 1 min 0 s"
        );
        assert!(shown.ends_with("steps: 1 completed (0.0 per second), 0 attempts failed, 0 lost"), "{shown}");
    }
}
