//! `plugin inspect`: what a component is, before or after it is registered.

use std::path::Path;

use serde::Serialize;
use stepwright_registry::{Description, Wishes};
use stepwright_workflow::Digest;

use super::{Inspector, Shown, find, list};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::when;

/// What to inspect.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArguments {
    /// A component file, or a registered plugin: namespace/name; with @version, or else the one registered last.
    #[arg(value_name = "FILE|REF")]
    plugin: String,
    /// Also print the JSON Schemas of the handlers; --json always has them.
    #[arg(long)]
    schemas: bool,
}

#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    plugin: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imports: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exports: Option<&'a [String]>,
}

pub(crate) async fn run(arguments: &InspectArguments, context: &Context) -> Result<Exit, CliError> {
    let path = Path::new(&arguments.plugin);
    if is_file(path) {
        let inspection = Inspector::start(context)?.look(path).await?.inspection;
        let (digest, bytes) = (inspection.digest, inspection.bytes);
        show(
            &Inspected {
                plugin: Shown { digest, bytes, description: &inspection.description },
                imports: Some(&inspection.imports),
                exports: Some(&inspection.exports),
            },
            (arguments.schemas, context),
        )?;
    } else {
        let record = find(context.store().await?.as_ref(), &arguments.plugin).await?;
        let description = list::description(&record)?;
        let plugin = Shown { digest: record.digest, bytes: record.bytes, description: &description };
        let imports = record.imports.as_deref();
        show(&Inspected { plugin, imports, exports: None }, (arguments.schemas, context))?;
    }
    Ok(Exit::Good)
}

fn show(inspected: &Inspected<'_>, (schemas, context): (bool, &Context)) -> Result<(), CliError> {
    if context.json {
        output::json(inspected)
    } else {
        output::line(render(inspected, schemas, Paint::stdout()))
    }
}

/// Whether a component's file is meant, and no registered plugin.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file() || path.extension().is_some_and(|extension| extension == "wasm")
}

fn render(inspected: &Inspected<'_>, with_schemas: bool, paint: Paint) -> String {
    let Shown { digest, bytes, description } = &inspected.plugin;
    let mut lines = heading(description, *digest, *bytes, paint);
    lines.push("\nHandlers".to_owned());
    for handler in &description.handlers {
        lines.push(format!("  {}  {}", paint.of(Tone::Strong, &handler.name), handler.summary));
        let schemas = [
            ("input", &handler.input_schema),
            ("config", &handler.config_schema),
            ("output", &handler.output_schema),
        ];
        for (what, schema) in schemas.iter().filter(|_| with_schemas) {
            if let Some(schema) = schema {
                lines.push(format!("    {what}: {}", paint.of(Tone::Faint, schema)));
            }
        }
        for parent in handler.parents.iter().filter(|_| with_schemas) {
            let schema = parent.schema.as_deref().unwrap_or("any JSON");
            let maybe = if parent.optional { ", if it is there" } else { "" };
            lines.push(format!("    parent {}{maybe}: {}", parent.step, paint.of(Tone::Faint, schema)));
        }
    }
    let Wishes { hosts, directories, environment, secrets } = &description.wishes;
    let wishes =
        [("hosts", hosts), ("directories", directories), ("environment", environment), ("secrets", secrets)];
    for (what, wishes) in wishes.into_iter().filter(|(_, wishes)| !wishes.is_empty()) {
        lines.push(format!("\nAsks for {what}: {}", wishes.join(", ")));
    }
    if let Some(imports) = inspected.imports {
        lines.push(format!("\nImports: {}", imports.join(", ")));
    }
    if let Some(exports) = inspected.exports {
        lines.push(format!("Exports: {}", exports.join(", ")));
    }
    lines.join("\n")
}

fn heading(description: &Description, digest: Digest, bytes: u64, paint: Paint) -> Vec<String> {
    let name = format!("{}@{}", description.name, description.version);
    let mut lines = vec![format!("{}  {}", paint.of(Tone::Strong, &name), description.summary)];
    lines.push(format!("{digest}, {}", when::bytes(bytes)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_registry::{HandlerDescription, ParentDescription};

    #[test]
    fn handlers_schemas_and_wishes_are_shown() {
        let handler = HandlerDescription {
            name: "pay".to_owned(),
            summary: "Charges a card.".to_owned(),
            config_schema: Some("{\"type\":\"object\"}".to_owned()),
            parents: vec![ParentDescription { step: "check".to_owned(), optional: true, schema: None }],
            ..HandlerDescription::default()
        };
        let description = Description {
            name: "shop/shop".to_owned(),
            version: "1.0.0".to_owned(),
            summary: "Sells.".to_owned(),
            handlers: vec![handler],
            wishes: Wishes { hosts: vec!["https://pay.example:443".to_owned()], ..Wishes::default() },
        };
        let digest = Digest::of(b"component");
        let imports = ["stepwright:step/log@0.1.0".to_owned()];
        let plugin = Shown { digest, bytes: 2_048, description: &description };
        let shown = render(&Inspected { plugin, imports: Some(&imports), exports: None }, true, Paint::PLAIN);
        let expect = format!(
            "shop/shop@1.0.0  Sells.\n{digest}, 2.0 KiB\n\nHandlers\n  pay  Charges a card.\n    config: {{\"type\":\"object\"}}\n    parent check, if it is there: any JSON\n\n\
             Asks for hosts: https://pay.example:443\n\nImports: stepwright:step/log@0.1.0"
        );
        assert_eq!(shown, expect);
    }
}
