//! `plugin list`.

use serde::Serialize;
use stepwright_registry::Description;
use stepwright_store::{PluginRecord, PluginState};
use stepwright_workflow::Timestamp;

use super::Shown;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

#[derive(Serialize)]
struct Listed<'a> {
    plugins: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    registered_at: Timestamp,
    state: PluginState,
    #[serde(flatten)]
    plugin: Shown<'a>,
}

pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let records = context.store().await?.plugins().await?;
    let plugins = records.iter().map(|record| Ok((record, description(record)?)));
    let plugins: Vec<(&PluginRecord, Description)> = plugins.collect::<Result<_, CliError>>()?;
    if context.json {
        let lines = plugins.iter().map(|(record, description)| Line {
            registered_at: record.registered_at,
            state: record.state,
            plugin: Shown { digest: record.digest, bytes: record.bytes, description },
        });
        output::json(&Listed { plugins: lines.collect() })?;
    } else if plugins.is_empty() {
        output::hint(
            "no plugin is registered; add one with 'stepwright plugin add FILE.wasm', or 'plugin build DIR --add'",
        );
    } else {
        output::line(table(&plugins, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

/// What a registered plugin said of itself.
pub(super) fn description(record: &PluginRecord) -> Result<Description, CliError> {
    let PluginRecord { name, version, description, .. } = record;
    description.read().map_err(|error| {
        CliError::new(format!("the description of {name}@{version} in the database is broken: {error}"))
    })
}

fn table(plugins: &[(&PluginRecord, Description)], now: Timestamp, paint: Paint) -> String {
    let mut columns =
        Columns::new(&["PLUGIN", "VERSION", "STATE", "DIGEST", "SIZE", "REGISTERED", "HANDLERS"]);
    for (record, description) in plugins {
        let handlers: Vec<&str> = description.handlers.iter().map(|handler| handler.name.as_str()).collect();
        columns.row([
            (&record.name).into(),
            (&record.version).into(),
            state(record.state),
            record.digest.short().into(),
            when::bytes(record.bytes).into(),
            when::ago(now, record.registered_at).into(),
            handlers.join(", ").into(),
        ]);
    }
    columns.render(paint)
}

/// A state as a cell: what is not enabled stands out.
fn state(state: PluginState) -> Entry {
    match state {
        PluginState::Enabled => state.as_str().into(),
        PluginState::Yanked | PluginState::Disabled => Entry::toned(Tone::Calm, state.as_str()),
        PluginState::Quarantined => Entry::toned(Tone::Bad, state.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_registry::HandlerDescription;
    use stepwright_workflow::{Digest, Payload};

    #[test]
    fn a_plugin_is_one_line_and_a_broken_record_is_named() {
        let handler = HandlerDescription { name: "pay".to_owned(), ..HandlerDescription::default() };
        let description = Description { handlers: vec![handler], ..Description::default() };
        let mut record = PluginRecord {
            digest: Digest::of(b"component"),
            name: "shop/shop".to_owned(),
            version: "1.0.0".to_owned(),
            bytes: 204_800,
            description: Payload::of(&description).unwrap(),
            registered_at: Timestamp(0),
            state: PluginState::Yanked,
            changed: None,
            source: "file".to_owned(),
            signatures: Payload::null(),
            imports: None,
        };
        let shown = table(&[(&record, super::description(&record).unwrap())], Timestamp(0), Paint::PLAIN);
        let digest = Digest::of(b"component").short();
        assert_eq!(
            shown.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(),
            ["shop/shop", "1.0.0", "yanked", &digest, "200.0", "KiB", "just", "now", "pay"]
        );
        record.description = Payload::parse("7").unwrap();
        assert!(format!("{:?}", super::description(&record).unwrap_err()).contains("shop/shop@1.0.0"));
    }
}
