//! The command line, as clap reads it. What a verb does stands in `commands`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::analytics::{self, AnalyticsArguments};
use crate::commands::batch::BatchCommand;
use crate::commands::conformance::{self, ConformanceArguments};
use crate::commands::db::{PruneArguments, StatsArguments};
use crate::commands::doctor::DoctorArguments;
use crate::commands::grants::GrantsCommand;
use crate::commands::orchestrator::OrchestratorCommand;
use crate::commands::pause;
use crate::commands::plugin::PluginCommand;
use crate::commands::slowest::SlowestCommand;
use crate::commands::task::TaskCommand;
use crate::commands::template::TemplateCommand;
use crate::commands::token::TokenCommand;
use crate::commands::webhook::WebhookCommand;
use crate::commands::worker::WorkerCommand;
use crate::error::CliError;

/// Runs workflows whose steps are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "stepwright",
    version,
    max_term_width = 100,
    after_help = "\
To begin: 'stepwright dev' runs everything in one process; 'stepwright plugin build DIR --add' and 'stepwright template add FILE' \
register something to run; 'stepwright task run TEMPLATE --input FILE --watch' runs it.

Settings come from the configuration file, then STEPWRIGHT_* variables, then flags; 'stepwright config show' lists them."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Refuses what the parser would drop in silence: of a flag that may be repeated, only those on one side of the verb count.
    pub(crate) fn check(&self, words: impl Iterator<Item = OsString>) -> Result<(), CliError> {
        let is_set = |word: &OsString| word == "--set" || word.to_string_lossy().starts_with("--set=");
        if words.filter(is_set).count() == self.global.set.len() {
            return Ok(());
        }
        Err(CliError::new(
            "--set stands before the verb and after it, and only the latter would count; write all of them after it",
        ))
    }
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalFlags {
    /// The configuration file [default: stepwright.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Where the database and the plugins are
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The database: a SQLite file, or postgres://user:password@host:5432/database
    #[arg(long, global = true, value_name = "FILE|URL")]
    pub(crate) db: Option<String>,
    /// Where the sockets are
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// The environment whose template overrides apply
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as 'info,stepwright_worker=debug'
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Any other setting, as 'config show' lists them
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an orchestrator and a worker in this process, to try things; other workers may join
    #[command(
        after_help = "Examples:\n  stepwright dev\n  stepwright dev --watch greeter    # build it on every save; the next task uses it"
    )]
    Dev(DevArguments),
    /// Run an orchestrator
    Orchestrate(OrchestrateFlags),
    /// Run a worker
    Work(WorkFlags),
    /// Check, register and look at templates
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Build, register and look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at what plugins may reach
    #[command(subcommand)]
    Grants(GrantsCommand),
    /// Start, follow and repair tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// Let nothing new begin under a task, a template, a namespace or a plugin; or list what is paused
    #[command(after_help = pause::PAUSE_EXAMPLES)]
    Pause(pause::PauseArguments),
    /// Let what was paused go on
    #[command(after_help = pause::RESUME_EXAMPLES)]
    Resume(pause::ResumeArguments),
    /// Look at batches: which steps went where, and what came back
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Look at workers
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Make and revoke what lets workers of other machines in, and programs into the HTTP API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Tell addresses of events by signed requests
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Look at orchestrators
    #[command(subcommand)]
    Orchestrator(OrchestratorCommand),
    /// Sum up tasks and steps since a moment, with percentiles and one number for how well it goes
    #[command(after_help = analytics::EXAMPLES)]
    Analytics(AnalyticsArguments),
    /// Find the tasks and steps that took longest
    #[command(subcommand)]
    Slowest(SlowestCommand),
    /// Count what stands where: tasks, steps, failures, workers, connections
    #[command(after_help = "Examples:\n  stepwright health\n  stepwright health --json")]
    Health,
    /// Prove that no step is stuck, or say which is
    #[command(after_help = "Examples:\n  stepwright doctor\n  stepwright doctor --repair --json")]
    Doctor(DoctorArguments),
    /// Attack this machine's sandbox with every hostile guest, and say what held
    #[command(after_help = conformance::EXAMPLES)]
    Conformance(ConformanceArguments),
    /// Look after the database
    #[command(subcommand)]
    Db(DbCommand),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Compile one component for a process that asks on stdin
    #[command(hide = true)]
    CompileComponent,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Flags of `orchestrate`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OrchestrateFlags {
    /// Let workers of other machines in through this address
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) gate_listen: Option<String>,
    /// Tell workers of other machines that they reach the gate there
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Serve the HTTP API at this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) api_listen: Option<String>,
    /// Pumps in this process, each with a connection of its own to PostgreSQL
    #[arg(long, value_name = "N")]
    pub(crate) pumps: Option<u32>,
}

/// Flags of `dev`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DevArguments {
    #[command(flatten)]
    pub(crate) common: DevFlags,
    /// Serve the HTTP API at this address instead of 127.0.0.1:7780; port 0 takes a free one, 'off' is nowhere
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) api_listen: Option<String>,
    /// Let workers in through this address too, each with a token; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) gate_listen: Option<String>,
    /// Build and register what is there whenever it changes: plugins' directories, component files, or folders of them; may be
    /// given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) watch: Vec<PathBuf>,
}

/// Flags of every worker.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DevFlags {
    /// The worker's name, for people
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Steps that run at once
    #[arg(long)]
    pub(crate) slots: Option<u32>,
    /// Let plugins call every public host, and note what they ask for, for 'grants suggest'
    #[arg(long)]
    pub(crate) observe: bool,
}

/// Flags of `work`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WorkFlags {
    #[command(flatten)]
    pub(crate) common: DevFlags,
    /// Work for this orchestrator instead of the run directory's: a gate as tls://HOST:PORT or tcp://HOST:PORT, or a socket;
    /// may be given several times
    #[arg(long = "orchestrator", value_name = "URL|SOCKET", value_delimiter = ',')]
    pub(crate) orchestrators: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the schema up to date
    Migrate,
    /// Say where the schema stands
    Status,
    /// Remove finished tasks that are old enough, in small transactions
    #[command(after_help = "Examples:\n  stepwright db prune --older-than 30d --dry-run\n  \
        stepwright db prune --older-than 30d --state complete,cancelled --archive /var/backups/stepwright\n\n\
        Without --older-than the ages of the settings 'retention.*' apply.")]
    Prune(PruneArguments),
    /// Say how large the tables are, and how much a prune would remove
    #[command(after_help = "Examples:\n  stepwright db stats\n  stepwright db stats --older-than 30d --json")]
    Stats(StatsArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List every setting with its value and where it comes from
    Show,
    /// Check the configuration file, the environment and the flags
    Check,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines on a terminal, JSON elsewhere.
    Auto,
    /// Lines.
    Human,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_setting_is_dropped_in_silence() {
        let check = |words: &[&str], good: bool| {
            let words = ["stepwright"].iter().chain(words);
            let cli = Cli::try_parse_from(words.clone()).unwrap();
            assert_eq!(cli.check(words.map(Into::into)).is_ok(), good, "{:?}", cli.global.set);
        };
        check(&["--set", "a=1", "--set=b=2", "orchestrate"], true);
        check(&["orchestrate", "--set", "a=1", "--set=b=2"], true);
        check(&["--set", "a=1", "orchestrate", "--set", "b=2"], false);
    }
}
