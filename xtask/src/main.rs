//! The repository's own commands. Nothing here is part of the product.

mod bench;
mod demo;
mod gem;
mod polyglot;
mod run;
mod schemathesis;
mod simulate;
mod sqlx;
mod test;
mod tidy;
mod tools;

mod orders;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  demo [--orders N] [--seed N]            build everything and fulfil orders with two worker processes (default 1000)
  test [--fast]                           everything that must pass; --fast leaves out clippy and the documentation
  bench [W1…W4] [--in-flight N] [--micro] the figures of docs/benchmarks.md, in release mode; --store postgres, --growth
  bench --queries [--tasks N]             what the performance queries take with finished tasks in the database, on both engines
  bench --hostile [--seconds N]           honest steps per second without hostile ones beside them, and with one in five (60 s)
  simulate [--seed S] [--minutes M]       play seeded schedules of faults against the real parts; --story prints one
  gem                                     the gem, and one that carries the host for this platform, into ruby/pkg
  schemathesis [--seed S] [--examples N]  play requests made from the HTTP API's own document against `dev`
  tidy                                    only the checks of the repository itself
  sqlx [--check]                          describe the queries in .sqlx anew, or say which descriptions are stale
  plugins                                 build the example plugins in all their languages, and the hostile guests
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "demo" => demo::demo(rest),
        "test" => test::test(rest),
        "bench" => bench::bench(rest),
        "gem" => gem::gem(rest),
        "schemathesis" => schemathesis::schemathesis(rest),
        "simulate" => simulate::simulate(rest),
        "tidy" => tidy::tidy(),
        "sqlx" => sqlx::sqlx(rest),
        "plugins" => {
            tools::wasm_target().and_then(|()| tools::build_plugins()).and_then(|()| polyglot::build())
        }
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("unknown command '{other}'\n\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {command}: {message}");
            ExitCode::FAILURE
        }
    }
}
