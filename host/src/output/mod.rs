//! What commands print: data to stdout, everything else to stderr.

pub(crate) mod ledger;
pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod when;

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

use crate::error::CliError;

/// Prints one or more lines of data.
pub(crate) fn line(text: impl Display) -> Result<(), CliError> {
    printed(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints one JSON object in one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    line(serde_json::to_string(value)?)
}

/// Says something that is no data, such as what to do next.
pub(crate) fn hint(text: impl Display) {
    // Nothing sensible is left to do if not even stderr takes it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn printed(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        // Whoever read has read enough, such as 'head'. What was asked for is done all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::new(format!("failed to print: {error}"))),
        Ok(()) => Ok(()),
    }
}
