//! The guide for users of the earlier Ruby system, done as it stands: an old template is converted, its handlers are run by a worker
//! in Ruby, and a task comes to its end. And what the guide names, there is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stepwright_tests::processes::{Deployment, Process, root};

use crate::tutorial::words;

fn guide() -> String {
    std::fs::read_to_string(root().join("docs/guides/migration.md")).expect("the guide")
}

/// The gem's command of this checkout, in the deployment's folder.
fn ruby(deployment: &Deployment, words: &[String]) -> Command {
    let socket = deployment.run_dir().join("orchestrator.sock").to_string_lossy().into_owned();
    let mut command = Command::new("ruby");
    command.current_dir(deployment.data()).arg("-I").arg(root().join("ruby/lib"));
    command.arg(root().join("ruby/exe/stepwright-ruby"));
    command.args(words.iter().map(|word| if word.ends_with("/orchestrator.sock") { &socket } else { word }));
    command
}

/// Does what a reader does, and hands out what ran on.
struct Reader {
    deployment: Deployment,
    running: Vec<Process>,
    converted: Option<Value>,
}

impl Reader {
    /// A file that is there must have this content already: a command wrote it.
    fn file(&self, name: &str, content: &str) {
        let path = self.deployment.data().join(name);
        if path.exists() {
            assert_eq!(std::fs::read_to_string(&path).expect("text"), content, "{name}");
            return;
        }
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    fn command(&mut self, line: &str) {
        if let Some(line) = line.strip_prefix("$ stepwright-ruby ") {
            let mut command = ruby(&self.deployment, &words(line));
            if line.starts_with("work") {
                self.running.push(Process::start(command));
                return;
            }
            let output = command.output().expect("Ruby starts");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "charge_card_handler\nvalidate_cart_handler\n"
            );
            return;
        }
        let words = words(line.strip_prefix("$ stepwright ").expect("a command"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["dev"] => self.running.push(self.deployment.start(&words)),
            ["template", "convert", ..] => {
                let text = self.deployment.output(&words);
                let stderr = String::from_utf8_lossy(&text.stderr).into_owned();
                assert!(
                    text.status.success()
                        && stderr.contains(
                            "warning: config/tasker/tasks/process_order.yaml:4:21: task_handler_class: "
                        ),
                    "{stderr}"
                );
                self.converted = Some(self.deployment.json(&[&words[..], &["--force"][..]].concat()));
            }
            _ => drop(self.deployment.succeed(&words)),
        }
    }
}

#[test]
fn a_move_works_as_it_stands() {
    let guide = guide();
    let section = guide.split("\n## ").find(|part| part.starts_with("A move")).expect("the section");
    let mut reader = Reader { deployment: Deployment::new(), running: Vec::new(), converted: None };
    let mut rest = section;
    while let Some((before, fenced)) = rest.split_once("```") {
        let (block, after) = fenced.split_once("```").expect("the block ends");
        let (language, content) = block.split_once('\n').expect("a line with the language");
        match language {
            "yaml" | "ruby" => {
                let name = before.rsplit('`').nth(1).expect("the file's name stands before it");
                reader.file(name, content);
            }
            "console" => content.lines().for_each(|line| reader.command(line)),
            _ => {}
        }
        rest = after;
    }

    let shown = reader.deployment.json(&["task", "show", "1"]);
    assert_eq!(shown["state"], "complete", "{shown}");
    assert_eq!(shown["steps_detail"][0]["output"], json!({ "total_cents": 1250 }));
    let (charge, key) = (&shown["steps_detail"][1]["output"], "key");
    // The environment of `dev` is 'development', as that of Rails was.
    assert_eq!((&charge["payment"], &charge["at"]), (&json!("visa/1250"), &json!("http://localhost:4000")));
    assert!(charge[key].as_str().is_some_and(|key| !key.is_empty()), "{charge}");
    let converted = reader.converted.expect("it was converted");
    let report = &converted["templates"][0];
    assert_eq!(
        (&report["template"], &report["output"]),
        (&json!("shop/process_order@1.2.0"), &json!("config/templates/process_order.yaml"))
    );
    assert_eq!(report["warnings"][0]["field"], "task_handler_class");
    for process in reader.running.into_iter().rev() {
        assert_eq!(process.terminate(), Some(0));
    }
}

#[test]
fn nothing_is_written_over_and_nothing_of_what_is_wrong() {
    let deployment = Deployment::new();
    let put = |name: &str, text: &str| std::fs::write(deployment.data().join(name), text).expect("a file");
    let is_there = |name: &str| deployment.data().join(name).exists();
    put("good.yaml", "name: good\nstep_templates:\n  - { name: a, handler_class: A }\n");
    put("bad.yaml", "name: bad\nstep_templates:\n  - { name: a, handler_class: A, depends_on_step: b }\n");
    let refused = |arguments: &[&str], expected: &[&str]| {
        let output = deployment.output(&[&["template", "convert"][..], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
        assert!(expected.iter().all(|text| stderr.contains(text)), "{stderr}");
        stderr
    };
    let place = "bad.yaml:3:51: step_templates[0].depends_on_step: there is no step 'b'; known are a";
    refused(
        &["good.yaml", "bad.yaml", "--output", "new"],
        &["1 problem in 2 templates; nothing was written", place],
    );
    assert!(!is_there("new"));
    let problems: Value =
        serde_json::from_str(&refused(&["bad.yaml", "--json"], &[])).expect("errors are JSON on stderr");
    assert_eq!(
        (&problems["problems"][0]["line"], &problems["problems"][0]["value"]),
        (&json!(3), &json!("b"))
    );
    refused(&["good.yaml", "bad.yaml"], &["name a folder with --output DIR"]);
    refused(&["good.yaml", "--output", "."], &["./good.yaml is a file that is converted; write elsewhere"]);

    let written = deployment.succeed(&["template", "convert", "good.yaml", "--output", "new/one.yaml"]);
    assert_eq!(written, "good.yaml: default/good@0.1.0 is now new/one.yaml\n");
    let again = ["good.yaml", "--output", "new/one.yaml"];
    refused(&again, &["nothing was written", "new/one.yaml exists already; --force replaces it"]);
    put("new/one.yaml", "mine");
    deployment.succeed(&["template", "convert", "good.yaml", "--output", "new/one.yaml", "--force"]);
    let printed = deployment.succeed(&["template", "convert", "good.yaml"]);
    assert_eq!(std::fs::read_to_string(deployment.data().join("new/one.yaml")).expect("text"), printed);
    // It needs no database, and makes none.
    assert!(!is_there("stepwright.db"));
}

/// Names after `before`, up to whatever is not part of one.
fn names<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let name = |rest: &'a str| {
        rest.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).next().unwrap_or_default()
    };
    text.split(before).skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

fn read_all(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let texts = entries.map(|path| match path.is_dir() {
        true => read_all(&path),
        false => std::fs::read_to_string(&path).unwrap_or_default(),
    });
    texts.collect()
}

#[test]
fn every_call_and_every_route_of_the_guide_exists() {
    let (guide, gem) = (guide(), read_all(&root().join("ruby/lib")));
    let calls = names(&guide, "Stepwright.");
    assert!(calls.len() > 15, "{calls:?}");
    for call in calls {
        assert!(gem.contains(&format!("def {call}")), "the gem has no Stepwright.{call}");
    }
    let document = std::fs::read_to_string(root().join("docs/reference/openapi.json")).expect("the document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let mut routes = 0;
    for quoted in guide.split('`') {
        let Some((method, path)) = quoted.split_once(" /v1/") else { continue };
        let operation = &document["paths"][format!("/v1/{path}")][method.to_lowercase()];
        assert!(operation.is_object(), "there is no route {quoted}");
        routes += 1;
    }
    assert!(routes > 20, "{routes}");
}
