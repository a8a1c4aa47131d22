//! What is run: W1 to W4.

use anyhow::{Context as _, bail};

use crate::database::Engine;

/// One workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// Its name in the figures.
    pub(crate) name: &'static str,
    /// The template below `config/templates`, in the namespace `shapes`.
    pub(crate) template: &'static str,
    /// How many tasks.
    pub(crate) tasks: usize,
    /// Steps of one task.
    pub(crate) steps: usize,
    /// Tasks that are under way at once.
    pub(crate) in_flight: usize,
}

/// Steps in a row.
pub(crate) const CHAIN: Workload =
    Workload { name: "W1", template: "noop_chain_5", tasks: 2_000, steps: 5, in_flight: 256 };

const WORKLOADS: &[Workload] = &[
    CHAIN,
    Workload { name: "W2", template: "noop_diamond", tasks: 2_000, steps: 4, in_flight: 256 },
    Workload { name: "W3", template: "noop_fan_out_200", tasks: 20, steps: 202, in_flight: 20 },
    Workload { name: "W4", template: "noop_1", tasks: 300, steps: 1, in_flight: 1 },
];

/// The honest steps of a mixed run: as many under way at once as hostile ones leave room for.
pub(crate) const HONEST: Workload =
    Workload { name: "honest", template: "noop_1", tasks: 0, steps: 1, in_flight: 64 };

/// What was asked for.
pub(crate) struct Choice {
    /// What is run.
    pub(crate) workloads: Vec<Workload>,
    /// On which engine.
    pub(crate) engine: Engine,
    /// Each workload once for each number of tasks that have finished in the database before.
    pub(crate) finished: Vec<usize>,
    /// How often each is run in the same database.
    pub(crate) repeat: usize,
}

/// The workloads named, all of them when none is named, with `--store sqlite|postgres`, `--in-flight N`, `--tasks N`,
/// `--finished N,N` and `--repeat N` applied. `--growth` stands for W1 with no history, a hundred thousand and a million
/// finished tasks, three runs each.
pub(crate) fn choose(arguments: &[String]) -> anyhow::Result<Choice> {
    let mut chosen = Vec::new();
    let (mut in_flight, mut tasks) = (None, None);
    let (mut engine, mut finished, mut repeat) = (Engine::Sqlite, vec![0], 1);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--store" {
            engine = Engine::named(rest.next().map(String::as_str))?;
            continue;
        }
        if argument == "--growth" {
            chosen.extend(WORKLOADS.first());
            (finished, repeat) = (vec![0, 100_000, 1_000_000], 3);
            continue;
        }
        if argument == "--finished" {
            let value = rest.next().context("--finished needs numbers, separated by commas")?;
            let numbers = value.split(',').map(|number| number.parse::<usize>());
            finished = numbers.collect::<Result<_, _>>().with_context(|| format!("--finished: '{value}'"))?;
            continue;
        }
        if let "--in-flight" | "--tasks" | "--repeat" = argument.as_str() {
            let value = rest.next().with_context(|| format!("{argument} needs a number"))?;
            let number = value.parse::<usize>().ok().filter(|number| *number > 0);
            let number =
                number.with_context(|| format!("{argument}: '{value}' is not a number above zero"))?;
            match argument.as_str() {
                "--in-flight" => in_flight = Some(number),
                "--tasks" => tasks = Some(number),
                _ => repeat = number,
            }
            continue;
        }
        let Some(workload) = WORKLOADS.iter().find(|workload| workload.name.eq_ignore_ascii_case(argument))
        else {
            bail!("'{argument}' is no workload; there are W1, W2, W3 and W4");
        };
        chosen.push(*workload);
    }
    if chosen.is_empty() {
        chosen = WORKLOADS.to_vec();
    }
    for workload in &mut chosen {
        workload.tasks = tasks.unwrap_or(workload.tasks);
        workload.in_flight = in_flight.unwrap_or(workload.in_flight).min(workload.tasks);
    }
    Ok(Choice { workloads: chosen, engine, finished, repeat })
}
