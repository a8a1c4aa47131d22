//! `stepwright task`: starts tasks, looks at them, and repairs them.

mod batch;
pub(crate) mod books;
mod create;
mod deeds;
mod history;
mod ledger;
mod list;
mod request;
mod run;
mod show;
mod summary;
mod watch;

use clap::Subcommand;

pub(crate) use deeds::DeedFlags;

use crate::context::Context;
use crate::error::{CliError, Exit};

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Start a task, or one for each line of a file.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArguments),
    /// Watch tasks until they are settled.
    #[command(after_help = "Exit codes: 0 complete, 2 in error, 3 cancelled, 4 not settled in time.\n\n\
        Examples:\n  stepwright task watch 12\n  stepwright task watch 12 13 14 --timeout 5m")]
    Watch(watch::WatchArguments),
    /// List tasks, the newest first.
    #[command(
        after_help = "Examples:\n  stepwright task list\n  stepwright task list --state error --template shop/order\n  \
        stepwright task list --limit 100 --before 1200 --json"
    )]
    List(list::ListArguments),
    /// Show a task: its steps, why each of them waits or failed, and what to do about it.
    #[command(
        after_help = "Examples:\n  stepwright task show 12\n  stepwright task show 12 --attempts --logs\n  \
        stepwright task show 12 --history"
    )]
    Show(show::ShowArguments),
    /// Stop a task: nothing is begun any more, what runs is told to stop.
    #[command(after_help = "Example:\n  stepwright task cancel 12 --reason 'ordered twice'")]
    Cancel(deeds::CancelArguments),
    /// Give failed steps another chance, with their attempts counted anew.
    #[command(
        after_help = "Examples:\n  stepwright task retry 12\n  stepwright task retry 12 --step pay --reason 'gateway is back'"
    )]
    Retry(deeds::RetryArguments),
    /// Declare a step done and give it an output, or declare the whole task done.
    #[command(after_help = "Examples:\n  \
        stepwright task resolve 12 --step pay --output '{\"paid\": true}' --reason 'paid in cash'\n  \
        stepwright task resolve 12 --reason 'settled by phone'")]
    Resolve(deeds::ResolveArguments),
    /// Let a task go on without a step: those after it read null.
    #[command(after_help = "Example:\n  stepwright task skip 12 --step send_mail --reason 'no address'")]
    Skip(deeds::SkipArguments),
    /// Count tasks by state, and attempts by step with their durations.
    #[command(
        after_help = "Examples:\n  stepwright task summary\n  stepwright task summary --since 1h --json"
    )]
    Summary(summary::SummaryArguments),
}

/// Does what was asked.
pub(crate) async fn run(command: TaskCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        TaskCommand::Run(arguments) => run::run(&arguments, context).await,
        TaskCommand::Watch(arguments) => watch::run(&arguments, context).await,
        TaskCommand::List(arguments) => list::run(&arguments, context).await,
        TaskCommand::Show(arguments) => show::run(&arguments, context).await,
        TaskCommand::Cancel(arguments) => deeds::cancel(&arguments, context).await,
        TaskCommand::Retry(arguments) => deeds::retry(&arguments, context).await,
        TaskCommand::Resolve(arguments) => deeds::resolve(&arguments, context).await,
        TaskCommand::Skip(arguments) => deeds::skip(&arguments, context).await,
        TaskCommand::Summary(arguments) => summary::run(&arguments, context).await,
    }
}
