//! `config show` and `config check`. Whoever comes here has settings that are right.

use serde_json::{Map, Value, json};

use crate::cli::ConfigCommand;
use crate::config::{Layers, SETTINGS, without_password};
use crate::error::{CliError, Exit};
use crate::output;

/// Runs one of them.
pub(super) fn run(command: &ConfigCommand, layers: &Layers, as_json: bool) -> Result<Exit, CliError> {
    match command {
        ConfigCommand::Check if as_json => output::json(&json!({ "ok": true }))?,
        ConfigCommand::Check => output::line("the settings are right")?,
        ConfigCommand::Show if as_json => output::json(&as_object(layers))?,
        ConfigCommand::Show => output::line(lines(layers).join("\n"))?,
    }
    Ok(Exit::Good)
}

/// `{"key": {"value": …, "origin": {"layer": …, "place": …}, "help": …}, …}`
fn as_object(layers: &Layers) -> Value {
    let settings = SETTINGS.iter().filter_map(|setting| {
        let (value, origin) = layers.values.get(setting.key)?;
        Some((
            setting.key.to_owned(),
            json!({ "value": without_password(setting.kind, value), "origin": origin, "help": setting.help }),
        ))
    });
    let mut shown = settings.collect::<Map<_, _>>();
    if !layers.trust.is_empty() {
        shown.insert("trust".to_owned(), json!(layers.trust));
    }
    Value::Object(shown)
}

fn lines(layers: &Layers) -> Vec<String> {
    let mut lines = Vec::new();
    let widest = SETTINGS.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for setting in SETTINGS {
        if let Some((value, origin)) = layers.values.get(setting.key) {
            let value = without_password(setting.kind, value);
            let shown = if value.is_empty() { "(none)" } else { &value };
            lines.push(format!("{:widest$}  {shown:<20}  {}", setting.key, origin.place));
        }
    }
    for rule in &layers.trust {
        let shown = format!("{} {}", rule.namespace, rule.policy);
        lines.push(format!("{:widest$}  {shown:<20}  {}", "[[trust]]", rule.place));
    }
    lines
}
