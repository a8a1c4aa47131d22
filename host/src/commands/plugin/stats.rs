//! `plugin stats`: what a plugin's attempts used, as distributions, and the limits that follow from them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use stepwright_registry::PluginName;
use stepwright_store::{AttemptReceipt, AttemptStatus, Store};
use stepwright_workflow::{Plan, PlanId};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::Columns;
use crate::output::when;

/// Receipts that are read at once.
const PAGE: u32 = 5_000;
/// Receipts that are looked through at most: some seconds' worth.
const EXAMINED_MAX: usize = 500_000;
/// Fewer attempts than this say too little for a limit.
const ATTEMPTS_FOR_LIMITS: usize = 20;

/// Whose attempts.
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArguments {
    /// A plugin as namespace/name, or with @version for that version alone.
    #[arg(value_name = "REF")]
    plugin: String,
    /// Look at so many of its newest attempts.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    attempts: usize,
}

/// What one handler's attempts used.
#[derive(Debug, Default)]
struct Samples {
    failed: usize,
    by_measure: [Vec<u64>; MEASURES.len()],
}

/// A measure's name in JSON, its unit, and where it stands in a receipt.
struct Measure {
    name: &'static str,
    unit: Unit,
    of: fn(&AttemptReceipt) -> u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros,
    Bytes,
    Count,
}

const fn measure(name: &'static str, unit: Unit, of: fn(&AttemptReceipt) -> u64) -> Measure {
    Measure { name, unit, of }
}

const CPU: usize = 1;
const MEMORY: usize = 2;
const BYTES_OUT: usize = 4;

const MEASURES: [Measure; 10] = [
    measure("wall_us", Unit::Micros, |it| it.execution_us),
    measure("cpu_us", Unit::Micros, |it| it.cpu_us),
    measure("memory_bytes_peak", Unit::Bytes, |it| it.memory_bytes_peak),
    measure("bytes_in", Unit::Bytes, |it| it.usage.bytes_in),
    measure("bytes_out", Unit::Bytes, |it| it.usage.bytes_out),
    measure("host_calls", Unit::Count, |it| it.usage.host_calls),
    measure("http_calls", Unit::Count, |it| it.usage.http_calls),
    measure("http_bytes_out", Unit::Bytes, |it| it.usage.http_bytes_out),
    measure("http_bytes_in", Unit::Bytes, |it| it.usage.http_bytes_in),
    measure("file_bytes_written", Unit::Bytes, |it| it.usage.file_bytes_written),
];

/// A measure's distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Distribution {
    p50: u64,
    p95: u64,
    p99: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct HandlerStats {
    handler: String,
    attempts: usize,
    failed: usize,
    measures: BTreeMap<&'static str, Distribution>,
}

/// What follows for the plugin's limits, in the configuration file's units.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Suggestion {
    memory: String,
    cpu: String,
    output: String,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    plugin: &'a str,
    handlers: Vec<HandlerStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Suggestion>,
}

pub(crate) async fn run(arguments: &StatsArguments, context: &Context) -> Result<Exit, CliError> {
    let (name, version) = super::parts(&arguments.plugin);
    let name: PluginName = name.parse().map_err(|error| CliError::new(format!("{error}")))?;
    let samples =
        gather(context.store().await?.as_ref(), (name.as_str(), version), arguments.attempts).await?;
    let limits = suggestion(&samples);
    let handlers = samples.into_iter().map(|(handler, samples)| samples.into_stats(handler)).collect();
    let report = Report { plugin: &arguments.plugin, handlers, limits };
    if context.json {
        output::json(&report)?;
    } else if report.handlers.is_empty() {
        output::hint(format_args!("no attempt of {} is in the ledger", arguments.plugin));
    } else {
        output::line(render(&report, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// Goes back through the ledger until there are enough attempts of the plugin, or none are left.
async fn gather(
    store: &dyn Store,
    (name, version): (&str, Option<&str>),
    attempts: usize,
) -> Result<BTreeMap<String, Samples>, CliError> {
    let mut plans: HashMap<PlanId, Option<Plan>> = HashMap::new();
    let mut samples: BTreeMap<String, Samples> = BTreeMap::new();
    let (mut before, mut found, mut examined) = (None, 0, 0);
    while found < attempts && examined < EXAMINED_MAX {
        let page = store.receipts(before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some((last.step, last.attempt));
        examined += page.len();
        for receipt in &page {
            let plan = match plans.entry(receipt.plan) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(store.plan(receipt.plan).await?),
            };
            let step = plan.as_ref().and_then(|plan| plan.step(receipt.step.position()));
            let Some(step) = step else { continue };
            let is_meant =
                step.plugin == name && version.is_none_or(|version| step.plugin_version == version);
            if is_meant && receipt.status != AttemptStatus::Lost && found < attempts {
                found += 1;
                samples.entry(step.handler.clone()).or_default().add(receipt);
            }
        }
    }
    Ok(samples)
}

impl Samples {
    fn add(&mut self, receipt: &AttemptReceipt) {
        self.failed += usize::from(receipt.status == AttemptStatus::Failed);
        for (values, measure) in self.by_measure.iter_mut().zip(&MEASURES) {
            values.push((measure.of)(receipt));
        }
    }

    fn attempts(&self) -> usize {
        self.by_measure[0].len()
    }

    fn into_stats(self, handler: String) -> HandlerStats {
        let (attempts, failed) = (self.attempts(), self.failed);
        let measures = MEASURES.iter().zip(self.by_measure);
        let measures = measures.map(|(measure, values)| (measure.name, distribution(values)));
        HandlerStats { handler, attempts, failed, measures: measures.collect() }
    }
}

/// The nearest rank: the smallest value with at least so many per cent at or below it.
fn distribution(mut values: Vec<u64>) -> Distribution {
    values.sort_unstable();
    let rank = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100).max(1);
        values.get(rank - 1).copied().unwrap_or(0)
    };
    Distribution { p50: rank(50), p95: rank(95), p99: rank(99), max: rank(100) }
}

/// Twice the most memory and output that were seen, and ten times the CPU time: what an honest attempt will not reach, and a
/// runaway one soon does.
fn suggestion(samples: &BTreeMap<String, Samples>) -> Option<Suggestion> {
    if samples.values().map(Samples::attempts).sum::<usize>() < ATTEMPTS_FOR_LIMITS {
        return None;
    }
    let most =
        |at: usize| samples.values().flat_map(|samples| &samples.by_measure[at]).max().copied().unwrap_or(0);
    let units = |number: u64, unit: u64, least: u64| number.div_ceil(unit).max(least);
    Some(Suggestion {
        memory: format!("{}MiB", units(most(MEMORY) * 2, 1 << 20, 2)),
        cpu: format!("{}ms", units(most(CPU) * 10, 1_000, 100).next_multiple_of(10)),
        output: format!("{}KiB", units(most(BYTES_OUT) * 2, 1 << 10, 4)),
    })
}

fn render(report: &Report<'_>, paint: Paint) -> String {
    let mut parts = Vec::new();
    for HandlerStats { handler, attempts, failed, measures } in &report.handlers {
        let mut columns = Columns::new(&["MEASURE", "P50", "P95", "P99", "MAX"]).right(&[1, 2, 3, 4]);
        for Measure { name, unit, .. } in &MEASURES {
            let Some(Distribution { p50, p95, p99, max }) = measures.get(name).copied() else { continue };
            if max > 0 {
                let shown = |number: u64| match unit {
                    Unit::Micros => when::micros(number),
                    Unit::Bytes => when::bytes(number),
                    Unit::Count => number.to_string(),
                };
                let label = name.trim_end_matches("_us").trim_end_matches("_peak").replace('_', " ");
                columns.row([
                    label.into(),
                    shown(p50).into(),
                    shown(p95).into(),
                    shown(p99).into(),
                    shown(max).into(),
                ]);
            }
        }
        let heading = paint.of(Tone::Strong, handler);
        parts.push(format!("{heading}  {attempts} attempts, {failed} failed\n{}", columns.render(paint)));
    }
    parts.push(match &report.limits {
        Some(Suggestion { memory, cpu, output }) => format!(
            "Limits that leave room above what was seen, for the configuration of whoever runs the steps:\n\n[[grants]]\n\
             plugin = \"{}\"\nlimits = {{ memory = \"{memory}\", cpu = \"{cpu}\", output = \"{output}\" }}",
            report.plugin
        ),
        None => format!("Fewer than {ATTEMPTS_FOR_LIMITS} attempts: too few to suggest limits."),
    });
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_store::Usage;
    use stepwright_workflow::StepId;

    fn samples(count: u64) -> BTreeMap<String, Samples> {
        let mut samples = Samples::default();
        for number in 1..=count {
            samples.add(&AttemptReceipt {
                step: StepId(1),
                attempt: 1,
                plan: PlanId(1),
                status: if number % 10 == 0 { AttemptStatus::Failed } else { AttemptStatus::Completed },
                execution_us: number,
                cpu_us: number * 100,
                memory_bytes_peak: number << 20,
                usage: Usage { bytes_out: 10, ..Usage::default() },
            });
        }
        BTreeMap::from([("pay".to_owned(), samples)])
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let check = |values: &[u64], expect: [u64; 4]| {
            let Distribution { p50, p95, p99, max } = distribution(values.to_vec());
            assert_eq!([p50, p95, p99, max], expect, "{values:?}");
        };
        check(&(1..=100).rev().collect::<Vec<_>>(), [50, 95, 99, 100]);
        check(&[7], [7; 4]);
        check(&[3, 1, 2], [2, 3, 3, 3]);
        check(&[], [0; 4]);
    }

    #[test]
    fn limits_follow_from_what_was_seen_if_that_is_enough() {
        assert_eq!(suggestion(&samples(19)), None);
        let expect = Suggestion { memory: "60MiB".into(), cpu: "100ms".into(), output: "4KiB".into() };
        assert_eq!(suggestion(&samples(30)), Some(expect));
    }

    #[test]
    fn zeros_are_left_out_and_the_suggestion_can_be_pasted() {
        let samples = samples(30);
        let limits = suggestion(&samples);
        let handlers = samples.into_iter().map(|(handler, samples)| samples.into_stats(handler)).collect();
        let shown = render(&Report { plugin: "shop/pay@^1", handlers, limits }, Paint::PLAIN);
        assert!(shown.starts_with("pay  30 attempts, 3 failed\n"), "{shown}");
        assert!(!shown.contains("http"), "{shown}");
        let toml = shown.split("steps:\n\n").nth(1).unwrap();
        assert!(toml::from_str::<toml::Table>(toml).unwrap().contains_key("grants"), "{toml}");
    }
}
