//! `plugin gc`: removes what nobody needs any more, and says what stays and why.

use std::time::Duration;

use serde::Serialize;
use stepwright_orchestrator::sweep::{Sweep, SweepOptions, sweep};
use stepwright_workflow::template::values::duration_ms;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::when;

/// What to remove.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArguments {
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Versions that were yanked or disabled longer ago than this.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration_ms)]
    older_than: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    #[serde(flatten)]
    sweep: &'a Sweep,
    /// Bytes of the components that are removed.
    bytes_removed: u64,
}

pub(crate) async fn run(arguments: &GcArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let options = SweepOptions {
        older_than: Duration::from_millis(arguments.older_than),
        environment: context.config.environment.clone(),
        dry_run: arguments.dry_run,
    };
    let sweep = sweep(store.as_ref(), &context.blobs()?, &options, context.now()).await?;
    let removed = sweep.blobs.iter().filter(|blob| blob.kept.is_none());
    let report = Report {
        dry_run: arguments.dry_run,
        sweep: &sweep,
        bytes_removed: removed.map(|blob| blob.bytes).sum(),
    };
    if context.json {
        output::json(&report)?;
    } else {
        tell(&report)?;
    }
    Ok(Exit::Good)
}

fn tell(report: &Report<'_>) -> Result<(), CliError> {
    let removed = if report.dry_run { "would remove" } else { "removed" };
    let said = |what: String, kept: &Option<String>| match kept {
        Some(why) => output::line(format_args!("kept {what}: {why}")),
        None => output::line(format_args!("{removed} {what}")),
    };
    for version in &report.sweep.versions {
        said(format!("{}, which is {}", version.plugin, version.state.as_str()), &version.kept)?;
    }
    for blob in &report.sweep.blobs {
        let size = when::bytes(blob.bytes);
        said(format!("component {}, {size}, which no plugin has", blob.digest.short()), &blob.kept)?;
    }
    if report.sweep.versions.is_empty() && report.sweep.blobs.is_empty() {
        output::hint("there is nothing to remove: every version is enabled, and every component has one");
    }
    Ok(())
}
