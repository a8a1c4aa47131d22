//! What the tests start as a process of its own: `compile` is the compiler, `victim` dies of a guest in its working directory. The
//! product's own binary has verbs for both.

use std::io;
use std::process::ExitCode;

use stepwright_conformance::die_of_a_guest;
use stepwright_executor::{EngineOptions, compiler};

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("compile") => {
            compiler::serve(io::stdin().lock(), io::stdout().lock()).map_err(|error| error.to_string())
        }
        Some("victim") => std::env::current_dir().map_err(|error| error.to_string()).and_then(|home| {
            die_of_a_guest(&home, &EngineOptions::default()).map_err(|error| error.to_string())
        }),
        other => Err(format!("'{other:?}' is neither 'compile' nor 'victim'")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
