//! What is run: W1 to W4.

use anyhow::{Context as _, bail};

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

const WORKLOADS: &[Workload] = &[
    Workload { name: "W1", template: "noop_chain_5", tasks: 2_000, steps: 5, in_flight: 256 },
    Workload { name: "W2", template: "noop_diamond", tasks: 2_000, steps: 4, in_flight: 256 },
    Workload { name: "W3", template: "noop_fan_out_200", tasks: 20, steps: 202, in_flight: 20 },
    Workload { name: "W4", template: "noop_1", tasks: 300, steps: 1, in_flight: 1 },
];

/// The workloads named, with `--in-flight N` applied; all of them when none is named.
pub(crate) fn choose(arguments: &[String]) -> anyhow::Result<Vec<Workload>> {
    let mut chosen = Vec::new();
    let mut in_flight = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--in-flight" {
            let value = rest.next().context("--in-flight needs a number")?;
            in_flight = Some(
                value.parse::<usize>().with_context(|| format!("--in-flight: '{value}' is not a number"))?,
            );
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
    if let Some(in_flight) = in_flight {
        chosen.iter_mut().for_each(|workload| workload.in_flight = in_flight.clamp(1, workload.tasks));
    }
    Ok(chosen)
}
