//! `plugin run`: one call, and what it came to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use stepwright_executor::{EngineOptions, LogLine, Outcome, ParentOutput, StepReport};
use stepwright_workflow::template::values::duration_ms;
use stepwright_workflow::{Digest, Payload};

use super::attempt::{self, Bench, Subject, Told};
use super::project::Project;
use super::{find, inspect};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::{input, output};

pub(super) const EXAMPLES: &str = "\
Stdout gets the output and nothing else; the log, and what was used of each limit, go to stderr. With --json everything is one \
object on stdout. The exit code is 1 if the step failed. The plugin has the grants that a worker with this configuration would give \
it; the log says which entry would allow what was refused.

Examples:
  stepwright plugin run greeter greet --json-input '{\"name\": \"Ada\"}'
  stepwright plugin run shop.wasm validate_order --input order.json
  stepwright plugin run shop/shop ship_order --input order.json --parent process_payment=paid.json --json";

/// What to call, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// A component file, a plugin's directory, or a registered plugin: namespace/name; with @version, or else the one
    /// registered last.
    #[arg(value_name = "FILE|DIR|REF")]
    plugin: String,
    /// The handler to call.
    handler: String,
    #[command(flatten)]
    given: Given,
    /// Which try this is, counted from 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// The longest that it may take, such as 500ms or 2m [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

/// What a handler is given.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// What the task would be started with, as a JSON file; '-' for stdin [default: {}]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The same, as JSON.
    #[arg(long, value_name = "JSON", conflicts_with = "input")]
    json_input: Option<String>,
    /// The step's configuration, as a JSON file [default: none]
    #[arg(long, value_name = "FILE")]
    step_config: Option<PathBuf>,
    /// The output of a direct parent, as a JSON file; may be given several times.
    #[arg(long = "parent", value_name = "STEP=FILE", value_parser = parent)]
    parents: Vec<(String, PathBuf)>,
    /// With the grants of tasks whose template is in this namespace [default: the plugin's own]
    #[arg(long)]
    namespace: Option<String>,
}

impl Given {
    /// In whose tasks the call would be, if it is said.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What the handler is told, with the defaults for what is not said.
    pub(super) fn told(&self, handler: &str, context: &Context) -> Result<Told, CliError> {
        let most = context.config.orchestrator("").payload_bytes_max;
        let payload = |path: &PathBuf| payload(path, most);
        let input = match (&self.json_input, &self.input) {
            (Some(text), _) => Payload::parse(text.trim())
                .map_err(|error| CliError::new(format!("--json-input is not JSON: {error}")))?,
            (None, Some(path)) => payload(path)?,
            (None, None) => Payload::parse("{}")?,
        };
        let parent = |(step, path): &(String, PathBuf)| {
            Ok(ParentOutput { step: step.clone(), output: payload(path)? })
        };
        Ok(Told {
            handler: handler.to_owned(),
            input,
            config: self.step_config.as_ref().map(payload).transpose()?.unwrap_or_default(),
            parents: self.parents.iter().map(parent).collect::<Result<_, CliError>>()?,
            tags: Vec::new(),
            attempt: 1,
            retry_limit: attempt::RETRY_LIMIT,
            timeout: attempt::TIMEOUT,
        })
    }
}

fn payload(path: &Path, bytes_max: u64) -> Result<Payload, CliError> {
    Payload::parse(input::text(path, bytes_max)?.trim())
        .map_err(|error| CliError::new(format!("{} is not JSON: {error}", input::name(path))))
}

fn parent(text: &str) -> Result<(String, PathBuf), String> {
    let (step, file) = text.split_once('=').ok_or_else(|| {
        format!("'{text}' is no parent; write STEP=FILE, such as validate_order=validated.json")
    })?;
    Ok((step.to_owned(), PathBuf::from(file)))
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_ms(text).map(Duration::from_millis)
}

pub(crate) async fn run(arguments: &RunArguments, context: &Context) -> Result<Exit, CliError> {
    let told = Told {
        attempt: arguments.attempt,
        timeout: arguments.timeout.unwrap_or(attempt::TIMEOUT),
        ..arguments.given.told(&arguments.handler, context)?
    };
    let Subject { component, registered } = subject(&arguments.plugin, context).await?;
    let bench = Bench::start(component, 1, context).await?;
    let bench = bench.named(registered, arguments.given.namespace()).await?;
    let report = bench.call(&told).await?;
    let uses = uses(&report, &context.config.engine, told.timeout);
    if context.json {
        output::json(&Report::of(bench.digest(), &told.handler, (&report, &uses)))?;
    } else {
        tell(&report, &uses)?;
    }
    Ok(match report.outcome {
        Outcome::Completed { .. } => Exit::Good,
        Outcome::Failed { .. } => Exit::Failed,
    })
}

/// A component file, what a project builds, or a registered plugin.
pub(super) async fn subject(plugin: &str, context: &Context) -> Result<Subject, CliError> {
    let path = Path::new(plugin);
    if inspect::is_file(path) {
        return Ok(Subject { component: component(path, context)?, registered: None });
    }
    if path.is_dir() {
        let built = Project::find(path)?.component().await?;
        return Ok(Subject { component: component(&built, context)?, registered: None });
    }
    let record = find(context.store().await?.as_ref(), plugin).await?;
    let component = context.blobs()?.get(&record.digest).await?.into();
    Ok(Subject { component, registered: Some((record.name, record.version)) })
}

/// The bytes of a component file.
pub(super) fn component(path: &Path, context: &Context) -> Result<Vec<u8>, CliError> {
    input::bytes(path, context.config.engine.component_bytes_max as u64)
}

/// What a call used of a limit.
#[derive(Debug, Clone, Serialize)]
struct Use {
    what: &'static str,
    unit: Unit,
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Unit {
    Us,
    Bytes,
    Count,
}

impl Unit {
    fn shown(self, value: u64) -> String {
        match self {
            Self::Us => when::micros(value),
            Self::Bytes => when::bytes(value),
            Self::Count => value.to_string(),
        }
    }
}

fn uses(report: &StepReport, engine: &EngineOptions, timeout: Duration) -> Vec<Use> {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let receipt = &report.receipt;
    let line = |what, unit, used, limit| Use { what, unit, used, limit };
    vec![
        line("cpu", Unit::Us, receipt.cpu_us, Some(micros(engine.cpu_max))),
        line("wall", Unit::Us, micros(report.wall), Some(micros(timeout))),
        line("memory", Unit::Bytes, receipt.memory_bytes_peak, Some(engine.memory_bytes_max)),
        line("input", Unit::Bytes, receipt.bytes_in, None),
        line("output", Unit::Bytes, receipt.bytes_out, Some(engine.output_bytes_max)),
        line("log lines", Unit::Count, report.log.len() as u64, Some(engine.log_lines_max as u64)),
        line("log dropped", Unit::Count, receipt.log_dropped, None),
        line("host calls", Unit::Count, receipt.host_calls, None),
        line("http calls", Unit::Count, receipt.http_calls, None),
        line("http out", Unit::Bytes, receipt.http_bytes_out, None),
        line("http in", Unit::Bytes, receipt.http_bytes_in, None),
        line("files written", Unit::Bytes, receipt.file_bytes_written, None),
    ]
}

#[derive(Serialize)]
struct Report<'a> {
    digest: Digest,
    handler: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
    log: Vec<Line<'a>>,
    uses: &'a [Use],
}

/// A line of the step's log as `--json` shows it.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    level: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> From<&'a LogLine> for Line<'a> {
    fn from(LogLine { level, message, fields }: &'a LogLine) -> Self {
        let fields = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Self { level, message, fields }
    }
}

impl<'a> Report<'a> {
    fn of(digest: Digest, handler: &'a str, (report, uses): (&'a StepReport, &'a [Use])) -> Self {
        let log = report.log.iter().map(Line::from).collect();
        Self { digest, handler, outcome: &report.outcome, log, uses }
    }
}

fn tell(report: &StepReport, uses: &[Use]) -> Result<(), CliError> {
    let paint = Paint::stderr();
    for line in &report.log {
        output::hint(attempt::line(line));
    }
    match &report.outcome {
        Outcome::Completed { output } => output::line(output.as_str())?,
        Outcome::Failed { error } => output::hint(format_args!(
            "{} {error}{}",
            paint.of(Tone::Bad, "failed:"),
            if error.retryable { "; another attempt would be made" } else { "" }
        )),
    }
    output::hint(table(uses, paint));
    Ok(())
}

fn table(uses: &[Use], paint: Paint) -> String {
    let mut columns = Columns::new(&["USE", "USED", "LIMIT", "SHARE"]).right(&[1, 2, 3]);
    for Use { what, unit, used, limit } in uses {
        let share =
            limit.filter(|limit| *limit > 0).map(|limit| u128::from(*used) * 1_000 / u128::from(limit));
        let tone = share.map(|share| if share >= 800 { Tone::Bad } else { Tone::Faint });
        let share = share.map(|share| format!("{}.{} %", share / 10, share % 10)).unwrap_or_default();
        columns.row([
            (*what).into(),
            unit.shown(*used).into(),
            limit.map(|limit| unit.shown(limit)).unwrap_or_default().into(),
            match tone {
                Some(tone) => Entry::toned(tone, share),
                None => share.into(),
            },
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_each_limit_is_shown_as_a_share() {
        let uses = [
            Use { what: "cpu", unit: Unit::Us, used: 9_000_000, limit: Some(10_000_000) },
            Use { what: "host calls", unit: Unit::Count, used: 3, limit: None },
        ];
        let shown = table(&uses, Paint::PLAIN);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["cpu", "9", "s", "10", "s", "90.0", "%"]);
        assert_eq!(lines[2], ["host", "calls", "3", "-", "-"]);
    }

    #[test]
    fn a_parent_needs_its_step() {
        assert_eq!(parent("a=b=c.json").unwrap(), ("a".to_owned(), PathBuf::from("b=c.json")));
        assert!(parent("paid.json").unwrap_err().contains("STEP=FILE"));
    }
}
