//! `plugin enable`, `disable`, `yank` and `quarantine`.

use serde::Serialize;
use stepwright_orchestrator::plugins::{self, Changed};
use stepwright_store::{PluginRecord, PluginState, Store};
use stepwright_workflow::pause::PauseTarget;

use crate::commands::task::DeedFlags;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

pub(super) const DISABLE_HELP: &str = "\
Tasks that have it already keep it; 'plugin quarantine' stops those as well.

Example:
  stepwright plugin disable shop/shop@1.2.0 --reason 'refunds are wrong'";

pub(super) const YANK_HELP: &str = "\
'=1.2.0' in a template still finds it; '^1.2' does not. Tasks that have it already keep it.

Example:
  stepwright plugin yank shop/shop@1.2.0 --reason 'use 1.2.1'";

pub(super) const QUARANTINE_HELP: &str = "\
Steps that run may finish; those that would begin wait, until 'plugin enable' ends it.

Example:
  stepwright plugin quarantine shop/shop@1.2.0 --reason 'it calls hosts that it should not'";

/// Which version.
#[derive(Debug, clap::Args)]
pub(crate) struct StateArguments {
    /// The version, as namespace/name@version; the name is enough if there is only one.
    #[arg(value_name = "PLUGIN@VERSION")]
    plugin: String,
    #[command(flatten)]
    flags: DeedFlags,
}

#[derive(Serialize)]
struct Done<'a> {
    plugin: String,
    state: PluginState,
    before: PluginState,
    /// Whether this changed anything.
    changed: bool,
    /// Whether the digest is paused now.
    paused: bool,
    digest: &'a stepwright_workflow::Digest,
}

pub(crate) async fn run(
    arguments: &StateArguments,
    to: PluginState,
    context: &Context,
) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let (name, version) = version_of(store.as_ref(), &arguments.plugin).await?;
    let deed = arguments.flags.deed();
    let changed = plugins::change(store.as_ref(), (&name, &version), to, &deed, context.now()).await?;
    if changed.resumed {
        context.wake(store.as_ref()).await;
    }
    let target = PauseTarget::Digest(changed.before.digest);
    let paused = store.pauses().await?.iter().any(|pause| pause.target == target);
    tell(&changed, paused, context)?;
    Ok(Exit::Good)
}

fn tell(changed: &Changed, paused: bool, context: &Context) -> Result<(), CliError> {
    let Changed { before, state, .. } = changed;
    if context.json {
        return output::json(&Done {
            plugin: before.reference(),
            state: *state,
            before: before.state,
            changed: changed.is_new(),
            paused,
            digest: &before.digest,
        });
    }
    let reference = before.reference();
    let was = if changed.is_new() { "is" } else { "was" };
    let more = match (changed.paused, changed.resumed) {
        (true, _) => ", and its steps wait",
        (_, true) => ", and its steps go on",
        _ => "",
    };
    let again = if changed.is_new() { "" } else { " before" };
    output::line(format_args!("{reference} {was} {}{again}{more}", state.as_str()))?;
    if *state == PluginState::Enabled && paused {
        let short = &before.digest.hex()[..12];
        output::hint(format_args!(
            "its digest is paused all the same; 'stepwright pause list' says why, 'stepwright resume digest {short}' ends that"
        ));
    }
    Ok(())
}

/// The name and the version that are meant.
async fn version_of(store: &dyn Store, reference: &str) -> Result<(String, String), CliError> {
    if let Some((name, version)) = reference.split_once('@') {
        return Ok((name.to_owned(), version.to_owned()));
    }
    let all = store.plugins().await?;
    let versions: Vec<&PluginRecord> = all.iter().filter(|record| record.name == reference).collect();
    match versions.as_slice() {
        [one] => Ok((one.name.clone(), one.version.clone())),
        [] => Err(CliError::new(format!(
            "no plugin '{reference}' is registered; 'stepwright plugin list' shows what is"
        ))),
        several => {
            let several: Vec<String> = several.iter().map(|record| record.reference()).collect();
            Err(CliError::new(format!(
                "'{reference}' has several versions; name one of {}",
                several.join(", ")
            )))
        }
    }
}
