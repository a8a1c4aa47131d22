//! `conformance`: runs the hostile guests on this machine, and says against which of them the host held.

use std::path::PathBuf;

use stepwright_conformance::{
    AttackReport, Conformance, Corpus, Guest, GuestReport, Report, Victim, die_of_a_guest,
};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};

/// What stands below the help.
pub(crate) const EXAMPLES: &str = "\
The guests run in this process, in a sandbox with the configured settings and tight limits, and in a folder of their own. \
The exit code says whether the host held against all of them.

Examples:
  stepwright conformance
  stepwright conformance --guest 15 --attacks
  stepwright conformance --json";

/// Which guests.
#[derive(Debug, clap::Args)]
pub(crate) struct ConformanceArguments {
    /// Only the guest with this number, or these
    #[arg(long = "guest", value_name = "N", value_delimiter = ',', value_parser = guest)]
    guests: Vec<Guest>,
    /// Show each attack of a guest in a line of its own
    #[arg(long)]
    attacks: bool,
    /// The hostile component, if this program was built without it
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Die of a guest, in the working directory: what guest 28 kills.
    #[arg(long, hide = true)]
    victim: bool,
}

fn guest(text: &str) -> Result<Guest, String> {
    let found = text.parse().ok().and_then(Guest::numbered);
    found.ok_or_else(|| format!("'{text}' is no guest: they have the numbers 1 to {}", Guest::ALL.len()))
}

/// Runs the guests.
pub(crate) async fn run(arguments: ConformanceArguments, context: &Context) -> Result<Exit, CliError> {
    let (options, json) = (context.config.engine.clone(), context.json);
    let victim = || -> Result<Victim, CliError> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| CliError::caused("failed to find this program", &error))?;
        let arguments = ["conformance", "--victim"].map(Into::into).into();
        Ok(Victim { program, arguments })
    };
    let victim = victim()?;
    // The attacks have a runtime of their own, whose threads can be counted.
    let work = tokio::task::spawn_blocking(move || {
        if arguments.victim {
            let home = std::env::current_dir();
            let home =
                home.map_err(|error| CliError::caused("failed to find the working directory", &error))?;
            return die_of_a_guest(&home, &options).map(|()| Exit::Failed).map_err(|error| broken(&error));
        }
        let corpus = match &arguments.corpus {
            Some(file) => Corpus::read(file),
            None => Corpus::embedded(),
        };
        let corpus = corpus.map_err(|error| CliError::new(error.to_string()))?;
        let conformance = Conformance::start(corpus, victim, &options).map_err(|error| broken(&error))?;
        let guests = if arguments.guests.is_empty() { Guest::ALL } else { &arguments.guests };
        let mut reports = Vec::new();
        for guest in guests {
            if !json {
                output::hint(format_args!("{:>2} {}: {}", guest.number(), guest.name(), guest.summary()));
            }
            reports.push(conformance.run(*guest));
        }
        tell(&Report::new(reports), json, arguments.attacks)
    });
    work.await.map_err(|error| CliError::caused("the attacks broke off", &error))?
}

fn broken(error: &stepwright_conformance::StartError) -> CliError {
    CliError::new(error.to_string())
}

fn tell(report: &Report, json: bool, attacks: bool) -> Result<Exit, CliError> {
    let exit = if report.held == report.of { Exit::Good } else { Exit::Failed };
    if json {
        output::json(report)?;
        return Ok(exit);
    }
    let mut columns =
        Columns::new(&["N", "GUEST", "ATTACKS", "ENDED AS", "MS", "x LIMIT", "HOST"]).right(&[0, 2, 4, 5]);
    for guest in &report.guests {
        columns.row(guest_row(guest));
        for attack in &guest.attacks {
            if attacks || !attack.held() {
                columns.row(attack_row(attack));
            }
        }
    }
    output::line(columns.render(Paint::stdout()))?;
    output::line(format_args!("{} of {} held", report.held, report.of))?;
    Ok(exit)
}

fn guest_row(guest: &GuestReport) -> [Entry; 7] {
    let mut ends: Vec<String> = guest.attacks.iter().map(ended).collect();
    ends.sort();
    ends.dedup();
    let slowest = guest.attacks.iter().map(|attack| attack.ms).fold(0.0, f64::max);
    let times = guest.attacks.iter().filter_map(|attack| attack.times_limit).reduce(f64::max);
    [
        guest.number.into(),
        guest.name.into(),
        guest.attacks.len().into(),
        ends.join(", ").into(),
        format!("{slowest:.1}").into(),
        times.map_or_else(String::new, |times| format!("{times:.2}")).into(),
        host(guest.held, if guest.held { "held" } else { "did not hold" }),
    ]
}

fn attack_row(attack: &AttackReport) -> [Entry; 7] {
    let problems = attack.problems.join("; ");
    [
        "".into(),
        format!("  {}", attack.name).into(),
        "".into(),
        ended(attack).into(),
        format!("{:.1}", attack.ms).into(),
        attack.times_limit.map_or_else(String::new, |times| format!("{times:.2}")).into(),
        host(attack.held(), if attack.held() { "held" } else { &problems }),
    ]
}

fn ended(attack: &AttackReport) -> String {
    if attack.code.is_empty() { attack.class.clone() } else { format!("{} ({})", attack.class, attack.code) }
}

fn host(held: bool, text: &str) -> Entry {
    Entry::toned(if held { Tone::Good } else { Tone::Bad }, text)
}
