//! What the documents say is so: templates are valid, commands and their flags exist, settings have the defaults that are
//! printed, links lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stepwright_tests::processes::{Deployment, root};

/// Every document for users, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths =
        vec![root().join("README.md"), root().join("ARCHITECTURE.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).expect("text"))).collect()
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_template_in_the_documents_is_valid() {
    let deployment = Deployment::new();
    let mut checked = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "yaml").into_iter().filter(|block| block.starts_with("template:")) {
            let file = deployment.data().join("block.yaml");
            std::fs::write(&file, block).expect("a file");
            let output = deployment.output(&["template", "check", "--syntax-only", &file.to_string_lossy()]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}:\n{block}\n{stderr}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked} templates were found");
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let deployment = Deployment::new();
    let mut checked = 0;
    for (path, text) in documents() {
        let lines = blocks(&text, "console").into_iter().flat_map(str::lines);
        for line in lines.filter_map(|line| line.strip_prefix("$ stepwright ")) {
            let command = line.split(" #").next().unwrap_or(line);
            let words: Vec<&str> = command.split_whitespace().collect();
            let is_verb = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase());
            let verbs: Vec<&str> = words.iter().take_while(is_verb).take(2).copied().collect();
            let help = help(&deployment, &verbs);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(
                    help.contains(*flag),
                    "{}: 'stepwright {command}': there is no {flag}",
                    path.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} commands were found");
}

/// The help of a verb; of the first word alone where the second is an argument.
fn help(deployment: &Deployment, verbs: &[&str]) -> String {
    let mut arguments = verbs.to_vec();
    arguments.push("--help");
    let output = deployment.output(&arguments);
    assert!(output.status.success(), "there is no 'stepwright {}'", verbs.join(" "));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_reference_of_settings_is_complete_and_right() {
    let deployment = Deployment::new();
    let shown = deployment.json(&["config", "show"]);
    let text = std::fs::read_to_string(root().join("docs/reference/config.md")).expect("text");
    let documented: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let settings = shown.as_object().expect("settings");
    let known: BTreeSet<&str> = settings.keys().map(String::as_str).collect();
    assert_eq!(documented, known);
    for (key, setting) in settings.iter().filter(|(_, setting)| setting["origin"]["layer"] == "default") {
        let default = setting["value"].as_str().expect("a text");
        let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).expect("a row");
        assert!(
            default.is_empty() || row.contains(&format!("| `{default}` |")),
            "{row} should say {default}"
        );
        assert!(row.contains(setting["help"].as_str().expect("a text")), "{row}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in documents() {
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let found = path.parent().unwrap_or(Path::new(".")).join(target);
            assert!(found.exists(), "{}: {target} does not exist", path.display());
        }
    }
}
