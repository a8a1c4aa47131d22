//! `doctor`: proves that nothing is stuck and that every plugin can be run, or says what is wrong and puts right what it can.

use serde::Serialize;
use stepwright_orchestrator::audit::{self, Auditor, Contradiction};
use stepwright_registry::Blobs;
use stepwright_store::{Discrepancies, PluginState, StepRecord, Store};
use stepwright_workflow::audit::Finding;
use stepwright_workflow::{TaskId, chain};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// Tasks in one read.
const AT_ONCE: u32 = 500;

/// What to do about what is found.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArguments {
    /// Put right what is found. A running orchestrator does so by itself, a moment later.
    #[arg(long)]
    repair: bool,
}

/// A version that may run, and cannot.
#[derive(Serialize)]
struct Absent {
    /// `name@version`.
    plugin: String,
    /// What is wrong with its component, and what would help.
    problem: String,
}

#[derive(Default, Serialize)]
struct Report {
    /// Unfinished tasks that were looked at.
    tasks: u64,
    /// Their steps.
    steps: u64,
    /// What contradicts itself.
    contradictions: Vec<Contradiction>,
    /// Whether that was put right.
    repaired: bool,
    /// Enabled versions of plugins whose components are not in the registry.
    absent: Vec<Absent>,
    /// What workers reported differently from what had been recorded, ever since the ledger began.
    discrepancies: Discrepancies,
}

/// Looks at every unfinished task. The exit code says whether something is wrong still.
pub(crate) async fn run(arguments: &DoctorArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let mut report = Report { repaired: arguments.repair, ..Report::default() };
    report.discrepancies = store.discrepancies().await?;
    let mut auditor = Auditor::default();
    let mut from = Some(TaskId(0));
    while let Some(after) = from {
        let audited = auditor.look(&*store, after, AT_ONCE).await?;
        report.tasks += audited.tasks;
        report.steps += audited.steps;
        report.contradictions.extend(audited.contradictions);
        from = audited.next;
    }
    if arguments.repair {
        for contradiction in &mut report.contradictions {
            contradiction.findings = audit::repair(&*store, contradiction.task, context.now()).await?;
        }
        report.contradictions.retain(|contradiction| !contradiction.findings.is_empty());
        context.wake(&*store).await;
    }
    report.absent = absent(&*store, &context.blobs()?).await?;
    let bad = !report.absent.is_empty() || (!report.contradictions.is_empty() && !arguments.repair);
    if context.json {
        output::json(&report)?;
    } else {
        tell(&report, &*store).await?;
    }
    Ok(if bad { Exit::Failed } else { Exit::Good })
}

/// The enabled versions whose components are not in the registry, or have another size. They are not read: whoever runs one proves
/// its bytes.
async fn absent(store: &dyn Store, blobs: &Blobs) -> Result<Vec<Absent>, CliError> {
    let mut absent = Vec::new();
    let plugins = store.plugins().await?;
    for plugin in plugins.iter().filter(|plugin| plugin.state == PluginState::Enabled) {
        let problem = match blobs.len(&plugin.digest).await {
            Ok(bytes) if bytes == plugin.bytes => continue,
            Ok(bytes) => format!(
                "its component has {bytes} bytes instead of {}; 'stepwright plugin add' of the same file mends it",
                plugin.bytes
            ),
            Err(error) => chain(&error),
        };
        absent.push(Absent { plugin: plugin.reference(), problem });
    }
    Ok(absent)
}

async fn tell(report: &Report, store: &dyn Store) -> Result<(), CliError> {
    let Report { tasks, steps, contradictions, repaired, absent, discrepancies } = report;
    for Contradiction { task, findings } in contradictions {
        let steps = store.task(*task).await?.map(|record| record.steps_detail).unwrap_or_default();
        for finding in findings {
            let verb = if *repaired { "put right: " } else { "" };
            output::line(format_args!("task {task}: {verb}{}", sentence(*finding, &steps)))?;
        }
    }
    if contradictions.is_empty() {
        output::line(format_args!(
            "{tasks} unfinished tasks with {steps} steps: each step has exactly one thing that will move it on"
        ))?;
    } else if !repaired {
        output::hint(
            "'stepwright doctor --repair' puts this right; a running orchestrator does so by itself",
        );
    }
    for Absent { plugin, problem } in absent {
        output::line(format_args!("plugin {plugin}: {problem}"))?;
    }
    if let Discrepancies { count: 1.., last_at: Some(last) } = discrepancies {
        output::line(format_args!(
            "the ledger holds {} discrepancies, the last one of {last}: a worker reported something else than what was \
             recorded; 'stepwright batch list --state discrepancy' names the batches",
            discrepancies.count
        ))?;
    }
    Ok(())
}

/// A finding with the step's name, where the step is known.
fn sentence(finding: Finding, steps: &[StepRecord]) -> String {
    let name = |step: u16| {
        steps
            .get(usize::from(step))
            .map_or_else(|| format!("step {step}"), |step| format!("step '{}'", step.name))
    };
    let text = finding.to_string();
    match finding {
        Finding::ParentsMiscounted { step, .. }
        | Finding::NotQueued { step }
        | Finding::Queued { step, .. }
        | Finding::Parked { step }
        | Finding::NotHeld { step } => text.replacen(&format!("step {step}"), &name(step), 1),
        Finding::Unsettled { .. } => text,
    }
}
