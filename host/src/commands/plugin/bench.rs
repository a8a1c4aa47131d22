//! `plugin bench`: what one handler costs, cold and warm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use stepwright_executor::{CompiledFolder, Outcome, StepReport};
use tokio::task::JoinSet;

use super::attempt::{Bench, Subject, Told, ended};
use super::run::{Given, subject};
use crate::compose;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::Paint;
use crate::output::table::Columns;
use crate::output::when;

pub(super) const EXAMPLES: &str = "\
Every call has a fresh instance, as every step has. The component is compiled into a folder of its own and loaded from there once \
more, so that both starts are seen whatever was compiled before.

Examples:
  stepwright plugin bench shop.wasm validate_order --input order.json --calls 10000 --concurrency 4";

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArguments {
    /// A component file, a plugin's directory, or a registered plugin: namespace/name; with @version, or else the one
    /// registered last.
    #[arg(value_name = "FILE|DIR|REF")]
    plugin: String,
    /// The handler to call.
    handler: String,
    #[command(flatten)]
    given: Given,
    /// How many calls.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    calls: u32,
    /// How many at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    concurrency: u32,
}

pub(crate) async fn run(arguments: &BenchArguments, context: &Context) -> Result<Exit, CliError> {
    let BenchArguments { plugin, handler, given, calls, concurrency } = arguments;
    let told = given.told(handler, context)?;
    let Subject { component, registered } = subject(plugin, context).await?;
    let bytes = component.len() as u64;
    let folder = tempfile::tempdir()?;
    let (compiled, _) = start(&component, 1, (context, &folder)).await?;
    let (loaded, bench) = start(&component, *concurrency, (context, &folder)).await?;
    let bench = Arc::new(bench.named(registered, given.namespace()).await?);
    // The first call shows at once what would fail a thousand times.
    let first = bench.call(&told).await?;
    if let failed @ Outcome::Failed { .. } = &first.outcome {
        return Err(CliError::new(format!(
            "'{handler}' fails, so there is nothing to measure: {}",
            ended(failed)
        )));
    }
    let begun = Instant::now();
    let reports = call(&bench, &told, (*calls, *concurrency)).await?;
    let took = begun.elapsed();
    let figures = Figures {
        component_bytes: bytes,
        compile_us: micros(compiled),
        load_us: micros(loaded),
        first_call_us: micros(first.wall),
        calls: *calls,
        concurrency: *concurrency,
        failed: reports.iter().filter(|report| matches!(report.outcome, Outcome::Failed { .. })).count(),
        calls_per_second: u64::from(*calls) * 1_000_000 / micros(took).max(1),
        wall_us: Spread::of(reports.iter().map(|report| micros(report.wall))),
        cpu_us: Spread::of(reports.iter().map(|report| report.receipt.cpu_us)),
        memory_bytes_peak: reports.iter().map(|report| report.receipt.memory_bytes_peak).max().unwrap_or(0),
    };
    if context.json {
        output::json(&figures)?;
    } else {
        output::line(figures.table(Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// Starts a sandbox with the component in it, and says how long the component took.
async fn start(
    component: &[u8],
    slots: u32,
    (context, folder): (&Context, &tempfile::TempDir),
) -> Result<(Duration, Bench), CliError> {
    let compiled = CompiledFolder::open(folder.path(), context.config.compiled_bytes_max)?;
    let executor = compose::wasm_executor_with(context, slots, compiled)?;
    let component = component.to_vec();
    let begun = Instant::now();
    let bench = Bench::of(executor, component).await?;
    Ok((begun.elapsed(), bench))
}

/// So many calls, so many at once.
async fn call(
    bench: &Arc<Bench>,
    told: &Told,
    (calls, concurrency): (u32, u32),
) -> Result<Vec<StepReport>, CliError> {
    let left = Arc::new(AtomicU32::new(calls));
    let mut callers = JoinSet::new();
    for _ in 0..concurrency.min(calls) {
        let (bench, told, left) = (Arc::clone(bench), told.clone(), Arc::clone(&left));
        callers.spawn(async move {
            let mut reports = Vec::new();
            let take = |left: u32| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let report = bench.call(&told).await?;
                // Outputs and logs of a million calls are nobody's business.
                reports.push(StepReport { log: Vec::new(), ..report });
            }
            Ok::<_, CliError>(reports)
        });
    }
    let mut all = Vec::new();
    while let Some(reports) = callers.join_next().await {
        all.extend(reports??);
    }
    Ok(all)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Figures {
    component_bytes: u64,
    compile_us: u64,
    load_us: u64,
    first_call_us: u64,
    calls: u32,
    concurrency: u32,
    failed: usize,
    calls_per_second: u64,
    wall_us: Spread,
    cpu_us: Spread,
    memory_bytes_peak: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Spread {
    p50: u64,
    p99: u64,
    max: u64,
}

impl Spread {
    /// Of the values in order, the one that half of them, or 99 of 100, do not exceed (the nearest-rank method).
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self { p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

impl Figures {
    fn table(&self, paint: Paint) -> String {
        let Self { component_bytes, compile_us, load_us, first_call_us, calls, concurrency, failed, .. } =
            self;
        let mut columns = Columns::new(&["FIGURE", "VALUE"]).right(&[1]);
        let spread = |spread: &Spread| {
            let Spread { p50, p99, max } = spread;
            format!("{} · {} · {}", when::micros(*p50), when::micros(*p99), when::micros(*max))
        };
        for (figure, value) in [
            ("component", when::bytes(*component_bytes)),
            ("compile", when::micros(*compile_us)),
            ("load compiled code", when::micros(*load_us)),
            ("first call", when::micros(*first_call_us)),
            ("calls, at once, failed", format!("{calls}, {concurrency}, {failed}")),
            ("calls a second", self.calls_per_second.to_string()),
            ("wall p50 · p99 · max", spread(&self.wall_us)),
            ("CPU p50 · p99 · max", spread(&self.cpu_us)),
            ("memory peak", when::bytes(self.memory_bytes_peak)),
        ] {
            columns.row([figure.into(), value.into()]);
        }
        columns.render(paint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        assert_eq!(Spread::of((1..=100).rev()), Spread { p50: 50, p99: 99, max: 100 });
        assert_eq!(Spread::of([7].into_iter()), Spread { p50: 7, p99: 7, max: 7 });
        assert_eq!(Spread::of(std::iter::empty()), Spread { p50: 0, p99: 0, max: 0 });
    }
}
