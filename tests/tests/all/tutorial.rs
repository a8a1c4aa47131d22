//! The tutorial, done as it stands: its commands are run, its files written, and what it says comes out does come out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use stepwright_tests::processes::{Deployment, Process, root};

/// What a reader does, in order.
enum Deed {
    /// A command that ends with this code.
    Run(Vec<String>, i32),
    /// A file of this name.
    Write(String, String),
    /// A piece of the handler's source.
    Insert(String),
}

fn deeds(text: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let (mut before, mut rest) = ("", text);
    while let Some((words, fenced)) = rest.split_once("```") {
        let (block, after) = fenced.split_once("```").expect("the block ends");
        let (language, block) = block.split_once('\n').expect("a line with the language");
        let named = words.trim_end().rsplit('\n').next().unwrap_or(before);
        match language {
            "console" => deeds.extend(block.lines().map(command)),
            "rust" => deeds.push(Deed::Insert(block.to_owned())),
            _ => {
                let name = named.rsplit('`').nth(1).expect("the file's name stands before its content");
                deeds.push(Deed::Write(name.to_owned(), block.to_owned()));
            }
        }
        (before, rest) = (named, after);
    }
    deeds
}

fn command(line: &str) -> Deed {
    let line = line.strip_prefix("$ stepwright ").expect("a command");
    let (line, note) = line.split_once("   #").unwrap_or((line, ""));
    let code = note.trim().strip_prefix("exit code ").map_or(0, |code| code.parse().expect("a number"));
    Deed::Run(words(line), code)
}

/// A command's words, as a shell would split them.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for letter in line.trim().chars() {
        let word = words.last_mut().expect("there is a word");
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(String::new()),
            (letter, _) => word.push(letter),
        }
    }
    words
}

/// A reader with a checkout: the deployment's folder, the tools of this machine, and what the examples have compiled already.
struct Reader {
    deployment: Deployment,
}

impl Reader {
    fn command(&self, words: &[String]) -> Command {
        // The SDK of this checkout, which the reader would stand in.
        let sdk = root().join("plugin-sdk").to_string_lossy().into_owned();
        let words = words.iter().map(|word| if word == "plugin-sdk" { sdk.as_str() } else { word.as_str() });
        let mut command = self.deployment.command(&words.collect::<Vec<_>>());
        command.env("CARGO_TARGET_DIR", root().join("plugins/target"));
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.deployment.data().join(name)
    }
}

/// The handler goes above the plugin, into the plugin's list, and what it reads can be read.
fn insert(source: &Path, piece: &str) {
    let text = std::fs::read_to_string(source).expect("the project is there");
    let text = text
        .replace("plugin! {", &format!("{piece}\nplugin! {{"))
        .replace("handlers: [greet]", "handlers: [greet, shout]")
        .replace("PartialEq, Serialize, JsonSchema", "PartialEq, Serialize, Deserialize, JsonSchema");
    std::fs::write(source, text).expect("it can be written");
}

#[test]
fn the_tutorial_works_as_it_stands() {
    let reader = Reader { deployment: Deployment::new() };
    let text = std::fs::read_to_string(root().join("docs/tutorial.md")).expect("the tutorial");
    let source = reader.path("greeter/src/lib.rs");
    let (mut dev, mut outputs): (Option<Process>, Vec<Output>) = (None, Vec::new());
    for deed in deeds(&text) {
        match deed {
            Deed::Write(name, content) => std::fs::write(reader.path(&name), content).expect("a file"),
            Deed::Insert(piece) => insert(&source, &piece),
            Deed::Run(words, _) if words[0] == "dev" => {
                let process = dev.insert(Process::start(reader.command(&words)));
                registered(process);
            }
            Deed::Run(words, code) => {
                let output = reader.command(&words).output().expect("the binary starts");
                let (stdout, stderr) =
                    (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                assert_eq!(output.status.code(), Some(code), "{words:?}:\n{stdout}\n{stderr}");
                if words[1] == "new" {
                    // What the examples were compiled with is not compiled again.
                    std::fs::copy(root().join("plugins/Cargo.lock"), reader.path("greeter/Cargo.lock"))
                        .expect("a copy");
                }
                outputs.push(output);
            }
        }
    }
    let (called, used) = (&outputs[1].stdout, String::from_utf8_lossy(&outputs[1].stderr));
    assert_eq!(called, b"{\"text\":\"Hello, Ada!\"}\n");
    assert!(used.contains("greeting Ada") && used.contains("LIMIT"), "{used}");
    let shown = reader.deployment.json(&["task", "show", "1"]);
    assert_eq!(shown["steps_detail"][1]["output"], json!({ "text": "HELLO, ADA!" }));

    // Saved, and the next task says it the new way.
    let mut dev = dev.expect("it was started");
    let text = std::fs::read_to_string(&source).expect("the source");
    std::fs::write(&source, text.replace("\"Hello, {}!\"", "\"Good evening, {}.\""))
        .expect("it can be written");
    let line = registered(&mut dev);
    assert!(line.contains("used next by tutorial/greeting"), "{line}");
    let run = ["task", "run", "tutorial/greeting", "--json-input", "{\"name\": \"Ada\"}", "--wait"];
    let task = reader.deployment.json(&run)["tasks"][0]["task"].to_string();
    let shown = reader.deployment.json(&["task", "show", &task]);
    assert_eq!(shown["steps_detail"][1]["output"], json!({ "text": "GOOD EVENING, ADA." }));
    assert_eq!(dev.terminate(), Some(0));
}

/// Waits until the plugin was registered, and returns the line that says so.
fn registered(dev: &mut Process) -> String {
    loop {
        let line = dev.line().expect("it runs on");
        if line.contains("tutorial/greeter@0.1.0+dev.") {
            return line;
        }
    }
}
