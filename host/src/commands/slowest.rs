//! `slowest`: the tasks and the attempts of steps that took longest, with what is needed to look further.

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use stepwright_store::performance::{SAMPLE, SLOWEST_MAX};
use stepwright_store::{SlowSteps, SlowTask, SlowestQuery};
use stepwright_workflow::Timestamp;
use stepwright_workflow::template::values::duration_ms;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, step_tone, task_tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::one_line;

/// Of what to find the slowest.
#[derive(Debug, Subcommand)]
pub(crate) enum SlowestCommand {
    /// Tasks that ended, by the time from their creation to their end.
    #[command(
        after_help = "Examples:\n  stepwright slowest tasks\n  stepwright slowest tasks --since 7d --template shop/order@1.2.0 --limit 100"
    )]
    Tasks(SlowestArguments),
    /// Attempts of steps, by the time that they ran.
    #[command(
        after_help = "Attempts of a second or longer are all looked at; of shorter ones, the newest some thousands.\n\n\
        Examples:\n  stepwright slowest steps\n  stepwright slowest steps --namespace shop --json"
    )]
    Steps(SlowestArguments),
}

/// Among which.
#[derive(Debug, clap::Args)]
pub(crate) struct SlowestArguments {
    /// Only what ended in this time.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration_ms)]
    since: u64,
    /// Only of this namespace.
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// Only of this template, and of one version of it if it is named.
    #[arg(long, value_name = "[NS/]NAME[@VERSION]", value_parser = template)]
    template: Option<Template>,
    /// List at most so many.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(SLOWEST_MAX)))]
    limit: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    namespace: Option<String>,
    name: String,
    version: Option<String>,
}

/// What `slowest tasks --json` prints.
#[derive(Serialize)]
struct Tasks {
    tasks: Vec<SlowTask>,
}

pub(super) async fn run(command: SlowestCommand, context: &Context) -> Result<Exit, CliError> {
    let now = context.now();
    let store = context.store().await?;
    match command {
        SlowestCommand::Tasks(arguments) => {
            let tasks = store.slowest_tasks(&arguments.query(now)?).await?;
            if context.json {
                output::json(&Tasks { tasks })?;
            } else if tasks.is_empty() {
                output::hint("no task ended in this time; a longer one is named with --since");
            } else {
                output::line(tasks_table(&tasks, now, Paint::stdout()))?;
            }
        }
        SlowestCommand::Steps(arguments) => {
            let query = arguments.query(now)?;
            let found = store.slowest_steps(&query).await?;
            if context.json {
                output::json(&found)?;
            } else if found.steps.is_empty() {
                output::hint("no attempt was recorded in this time; a longer one is named with --since");
            } else {
                output::line(steps_table(&found, now, Paint::stdout()))?;
                if let Some(hint) = reach(&found, &query, now) {
                    output::hint(hint);
                }
            }
        }
    }
    Ok(Exit::Good)
}

impl SlowestArguments {
    fn query(&self, now: Timestamp) -> Result<SlowestQuery, CliError> {
        let of_template = self.template.as_ref().and_then(|template| template.namespace.as_ref());
        if let (Some(one), Some(other)) = (&self.namespace, of_template)
            && one != other
        {
            return Err(CliError::new(format!(
                "--namespace says '{one}' and --template '{other}'; nothing is in both, leave one of them out"
            )));
        }
        Ok(SlowestQuery {
            since: now.before(Duration::from_millis(self.since)),
            namespace: of_template.or(self.namespace.as_ref()).cloned(),
            template: self.template.as_ref().map(|template| template.name.clone()),
            version: self.template.as_ref().and_then(|template| template.version.clone()),
            limit: self.limit,
            sample: SAMPLE,
        })
    }
}

fn template(text: &str) -> Result<Template, String> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    if name.is_empty() || namespace == Some("") || version == Some("") {
        return Err(format!("'{text}' names no template; write it as order, shop/order or shop/order@1.2.0"));
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Template { namespace: owned(namespace), name: name.to_owned(), version: owned(version) })
}

fn tasks_table(tasks: &[SlowTask], now: Timestamp, paint: Paint) -> String {
    let names = ["ID", "TEMPLATE", "STATE", "TOOK", "RUNNING", "STEPS", "ATTEMPTS", "ENDED"];
    let mut columns = Columns::new(&names).right(&[0, 3, 4, 5, 6]);
    let took = |ms: u64| when::micros(ms.saturating_mul(1_000));
    for task in tasks {
        columns.row([
            task.task.into(),
            format!("{}/{}@{}", task.namespace, task.template, task.version).into(),
            Entry::toned(task_tone(task.state), task.state),
            took(task.total_ms).into(),
            task.running_ms.map(took).unwrap_or_default().into(),
            task.steps.into(),
            task.attempts.into(),
            when::ago(now, task.finished_at).into(),
        ]);
    }
    columns.render(paint)
}

fn steps_table(found: &SlowSteps, now: Timestamp, paint: Paint) -> String {
    let names =
        ["TASK", "TEMPLATE", "STEP", "STATE", "ATTEMPT", "ENDED", "TOOK", "CPU", "WORKER", "PLUGIN", "WHEN"];
    let mut columns = Columns::new(&names).right(&[0, 4, 6, 7]);
    for step in &found.steps {
        columns.row([
            step.task.into(),
            format!("{}/{}@{}", step.namespace, step.template, step.version).into(),
            (&step.step_name).into(),
            Entry::toned(step_tone(step.state), step.state),
            format!("{} of {}", step.attempt, step.attempts).into(),
            step.status.as_str().into(),
            when::micros(step.execution_us).into(),
            when::micros(step.cpu_us).into(),
            one_line(&step.worker).into(),
            format!("{}@{}", step.plugin, step.plugin_version).into(),
            when::ago(now, step.recorded_at).into(),
        ]);
    }
    columns.render(paint)
}

/// What was not looked at.
fn reach(found: &SlowSteps, query: &SlowestQuery, now: Timestamp) -> Option<String> {
    if found.sampled {
        return Some("not every attempt was looked at: some shorter than a second may be missing".to_owned());
    }
    let looked_at = when::duration(now.since(found.since));
    (found.since > query.since)
        .then(|| format!("attempts shorter than a second are those of the last {looked_at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::{AttemptStatus, SlowStep};
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::task::TaskState;
    use stepwright_workflow::{BatchId, StepId, TaskId};

    fn cells(shown: &str) -> Vec<&str> {
        let last = shown.lines().last().unwrap().split("  ");
        last.map(str::trim).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn what_was_slow_is_one_line() {
        let task = SlowTask {
            task: TaskId(7),
            namespace: "shop".to_owned(),
            template: "order".to_owned(),
            version: "1.0.0".to_owned(),
            state: TaskState::Complete,
            created_at: Timestamp(0),
            started_at: None,
            finished_at: Timestamp(2_500),
            total_ms: 2_500,
            running_ms: None,
            steps: 4,
            attempts: 5,
        };
        let now = Timestamp(5_000);
        let shown = tasks_table(&[task], now, Paint::PLAIN);
        assert_eq!(cells(&shown), ["7", "shop/order@1.0.0", "complete", "2.5 s", "-", "4", "5", "2 s ago"]);
        let step = SlowStep {
            task: TaskId(7),
            namespace: "shop".to_owned(),
            template: "order".to_owned(),
            version: "1.0.0".to_owned(),
            step: StepId::new(TaskId(7), 1),
            step_name: "pay".to_owned(),
            state: StepState::Ready,
            attempt: 1,
            attempts: 2,
            status: AttemptStatus::Failed,
            execution_us: 1_300_000,
            cpu_us: 900,
            recorded_at: Timestamp(4_900),
            batch: BatchId(3),
            worker: "w".to_owned(),
            plugin: "shop/shop".to_owned(),
            plugin_version: "1.1.0".to_owned(),
        };
        let found = SlowSteps { since: Timestamp(2_000), sampled: false, steps: vec![step] };
        let shown = steps_table(&found, now, Paint::PLAIN);
        let expect = [
            "7",
            "shop/order@1.0.0",
            "pay",
            "ready",
            "1 of 2",
            "failed",
            "1.3 s",
            "900 µs",
            "w",
            "shop/shop@1.1.0",
            "just now",
        ];
        assert_eq!(cells(&shown), expect);
        let arguments = SlowestArguments { since: 1_000, namespace: None, template: None, limit: 1 };
        let query = arguments.query(now).unwrap();
        assert_eq!(reach(&SlowSteps { since: query.since, ..found.clone() }, &query, now), None);
        let query = SlowestQuery { since: Timestamp(0), ..query };
        assert_eq!(
            reach(&found, &query, now).unwrap(),
            "attempts shorter than a second are those of the last 3 s"
        );
        assert!(
            reach(&SlowSteps { sampled: true, ..found }, &query, now).unwrap().contains("not every attempt")
        );
    }

    #[test]
    fn a_template_is_named_with_or_without_its_namespace_and_version() {
        let parts = |text| template(text).map(|found| (found.namespace, found.name, found.version));
        let owned = |text: &str| Some(text.to_owned());
        assert_eq!(parts("order"), Ok((None, "order".to_owned(), None)));
        assert_eq!(parts("shop/order@1.2.0"), Ok((owned("shop"), "order".to_owned(), owned("1.2.0"))));
        for wrong in ["", "/order", "shop/", "order@"] {
            assert!(parts(wrong).unwrap_err().contains("shop/order@1.2.0"), "{wrong}");
        }
        let both = SlowestArguments {
            since: 0,
            namespace: owned("other"),
            template: template("shop/order").ok(),
            limit: 1,
        };
        let error = both.query(Timestamp(0)).unwrap_err().text();
        assert!(error.contains("'other'") && error.contains("'shop'"), "{error}");
    }
}
