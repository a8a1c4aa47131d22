//! What only the whole graph shows: unknown parents, cycles, too many steps. For the template and for each environment.

use std::collections::HashMap;

use super::merge::Merged;
use super::problem::{Problems, suggest};
use super::read::join;
use super::{STEPS_MAX, Template};
use crate::graph::Graph;

pub(super) fn graph(template: &Template, problems: &mut Problems) {
    check(&template.merged(None), problems);
    for environment in &template.environments {
        for over in &environment.steps {
            if !template.steps.iter().any(|step| step.name == over.name) {
                let what = format!("there is no step '{}' to override", over.name);
                let help = suggest(&over.name, template.steps.iter().map(|step| step.name.as_str()));
                problems.add(over.at, &join(&over.field, "name"), Some(over.name.clone()), what, help);
            }
        }
        check(&template.merged(Some(&environment.name)), problems);
    }
}

fn check(merged: &Merged, problems: &mut Problems) {
    let positions: HashMap<&str, u16> =
        (0_u16..).zip(&merged.steps).map(|(at, step)| (step.name.as_str(), at)).collect();
    let mut parents = Vec::with_capacity(merged.steps.len());
    for step in &merged.steps {
        let mut known = Vec::new();
        for (at, (name, place)) in step.depends_on.iter().enumerate() {
            match positions.get(name.as_str()) {
                Some(position) => known.push(*position),
                None => {
                    let field = join(&step.field, &format!("depends_on[{at}]"));
                    let help = suggest(name, merged.steps.iter().map(|step| step.name.as_str()));
                    problems.add(
                        *place,
                        &field,
                        Some(name.clone()),
                        format!("there is no step '{name}'"),
                        help,
                    );
                }
            }
        }
        parents.push(known);
    }
    if let Some(mut cycle) = Graph::of(parents).cycle() {
        // Beginning with the step that stands first in the file.
        let first = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
        cycle.rotate_left(first);
        let names: Vec<&str> = cycle
            .iter()
            .filter_map(|at| merged.steps.get(usize::from(*at)))
            .map(|step| step.name.as_str())
            .collect();
        if let Some(first) = cycle.first().and_then(|at| merged.steps.get(usize::from(*at))) {
            let way = format!("{} → {}", names.join(" → "), first.name);
            let help = Some("remove one of these dependencies".to_owned());
            problems.add(
                first.at,
                &join(&first.field, "depends_on"),
                None,
                format!("the steps wait for each other: {way}"),
                help,
            );
        }
    }
    let count: usize = merged.steps.iter().map(|step| usize::from(step.repeat.unwrap_or(1))).sum();
    if let Some(last) = merged.steps.last().filter(|_| count > STEPS_MAX) {
        let what = format!("{count} steps with their repetitions; a template has at most {STEPS_MAX}");
        problems.add(last.at, "steps", None, what, None);
    }
    repeated_names(merged, problems);
}

/// A repetition must not make a name that another step has.
fn repeated_names(merged: &Merged, problems: &mut Problems) {
    for step in &merged.steps {
        let taken = merged.steps.iter().find(|other| {
            let number = other.name.strip_prefix(&step.name).and_then(|rest| rest.strip_prefix('_'));
            let number = number
                .filter(|digits| !digits.starts_with('0'))
                .and_then(|digits| digits.parse::<u16>().ok());
            number.is_some_and(|number| step.repeat.is_some_and(|repeat| (1..=repeat).contains(&number)))
        });
        if let Some(other) = taken {
            let what = format!("'{}' is also made by the repetition of '{}'", other.name, step.name);
            problems.add(
                other.at,
                &join(&other.field, "name"),
                Some(other.name.clone()),
                what,
                Some("rename it".to_owned()),
            );
        }
    }
}
