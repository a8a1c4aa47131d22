//! A template as a picture, for documents and for eyes.

use std::fmt::Write as _;

use super::Template;
use super::merge::MergedStep;

/// A Mermaid flowchart.
pub fn mermaid(template: &Template) -> String {
    let mut text = String::from("flowchart TD\n");
    draw(template, |step, parents| {
        let _ = writeln!(text, "    {}[\"{}\"]", step.name, label(step, "<br/>"));
        for parent in parents {
            let _ = writeln!(text, "    {parent} --> {}", step.name);
        }
    });
    text
}

/// A Graphviz digraph.
pub fn dot(template: &Template) -> String {
    let mut text = format!("digraph \"{}\" {{\n    node [shape=box];\n", template.reference());
    draw(template, |step, parents| {
        let _ = writeln!(text, "    {} [label=\"{}\"];", step.name, label(step, "\\n"));
        for parent in parents {
            let _ = writeln!(text, "    {parent} -> {};", step.name);
        }
    });
    text.push_str("}\n");
    text
}

fn draw(template: &Template, mut each: impl FnMut(&MergedStep, Vec<&str>)) {
    for step in &template.merged(None).steps {
        each(step, step.depends_on.iter().map(|(name, _)| name.as_str()).collect());
    }
}

/// A repeated step is one box; its name and its handler differ more often than not.
fn label(step: &MergedStep, newline: &str) -> String {
    let times = step.repeat.map(|count| format!(" ×{count}")).unwrap_or_default();
    match &step.handler {
        Some((handler, _)) if *handler != step.name => format!("{}{times}{newline}{handler}", step.name),
        _ => format!("{}{times}", step.name),
    }
}
