//! `task summary`: counts by state, and what the ledger says of each step.

use std::time::Duration;

use serde::Serialize;
use stepwright_store::StepStatistics;
use stepwright_workflow::Timestamp;
use stepwright_workflow::task::TaskState;

use super::watch;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone, task_tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::Counts;

/// What to count.
#[derive(Debug, clap::Args)]
pub(crate) struct SummaryArguments {
    /// Count only attempts recorded in this time, such as 1h; tasks are counted all [default: all]
    #[arg(long, value_name = "DURATION", value_parser = watch::duration)]
    since: Option<Duration>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    /// How many tasks stand in each state; states without tasks are left out.
    tasks: Counts,
    /// Attempts by template and step, with execution times in microseconds.
    steps: Vec<StepStatistics>,
}

pub(crate) async fn run(arguments: &SummaryArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let since = arguments.since.map_or(Timestamp(0), |since| context.now().before(since));
    let counts = store.task_counts().await?;
    let tasks: Counts = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    let summary = Summary { tasks, steps: store.step_statistics(since).await? };
    if context.json {
        output::json(&summary)?;
    } else if summary.tasks.is_empty() {
        output::hint("there is no task; start one with 'stepwright task run TEMPLATE --input FILE'");
    } else {
        output::line(render(&summary, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn render(summary: &Summary, paint: Paint) -> String {
    let mut tasks = Columns::new(&["TASKS", "STATE"]).right(&[0]);
    for (state, count) in &summary.tasks {
        tasks.row([count.into(), Entry::toned(task_tone(TaskState::clone(state)), state)]);
    }
    let mut text = tasks.render(paint);
    if summary.steps.is_empty() {
        text.push_str("\n\nno attempt was recorded");
        return text;
    }
    let names = ["TEMPLATE", "STEP", "COMPLETED", "FAILED", "LOST", "P50", "P99"];
    let mut steps = Columns::new(&names).right(&[2, 3, 4, 5, 6]);
    for step in &summary.steps {
        let count = |count: u64| if count == 0 { count.into() } else { Entry::toned(Tone::Bad, count) };
        steps.row([
            format!("{}/{}", step.namespace, step.template).into(),
            (&step.step).into(),
            step.completed.into(),
            count(step.failed),
            count(step.lost),
            when::micros(step.p50_us).into(),
            when::micros(step.p99_us).into(),
        ]);
    }
    text.push_str("\n\n");
    text.push_str(&steps.render(paint));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let step = StepStatistics {
            namespace: "shop".to_owned(),
            template: "order".to_owned(),
            step: "pay".to_owned(),
            completed: 990,
            failed: 80,
            lost: 0,
            p50_us: 340,
            p99_us: 12_000,
        };
        Summary {
            tasks: Counts::from([(TaskState::Complete, 990), (TaskState::Error, 10)]),
            steps: vec![step],
        }
    }

    #[test]
    fn counts_and_steps_are_tables() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let shown = render(&summary(), Paint::PLAIN);
        let lines: Vec<Vec<String>> = shown.lines().map(words).collect();
        assert_eq!(lines[1], ["990", "complete"]);
        assert_eq!(lines[2], ["10", "error"]);
        assert_eq!(lines[5], ["shop/order", "pay", "990", "80", "0", "340", "µs", "12", "ms"]);
    }

    #[test]
    fn the_json_shape_is_fixed() {
        assert_eq!(
            serde_json::to_string(&summary()).unwrap(),
            r#"{"tasks":{"complete":990,"error":10},"steps":[{"namespace":"shop","template":"order","step":"pay","completed":990,"failed":80,"lost":0,"p50_us":340,"p99_us":12000}]}"#
        );
    }
}
