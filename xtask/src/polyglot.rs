//! The guests in other languages than Rust: their toolchains, fetched below `plugins/target`, and builds that are skipped where
//! nothing has changed.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, root, run, works};
use crate::tidy::files;

/// Folders that hold no sources; there when somebody built by hand.
const NO_SOURCES: &[&str] = &[".venv", "node_modules", "build", "__pycache__"];

/// Builds what stands in `plugins/polyglot` in other languages than Rust, and fetches what new projects in C and Go are built with.
pub(crate) fn build() -> Outcome {
    let (python, js) = (source("python"), source("js"));
    built("packing_python", &python, |component| {
        let tool = python_tool(&python)?;
        run(Command::new(tool)
            .current_dir(&python)
            .args(["--quiet", "--wit-path"])
            .arg(wit())
            .args(["--world", "plugin", "componentize", "app", "--output"])
            .arg(component))
    })?;
    built("packing_js", &js, |component| {
        let tool = js_tool(&js)?;
        run(Command::new(tool)
            .current_dir(&js)
            .args(["--sync", "--opt-size", "--wit"])
            .arg(wit())
            .args(["--js", "plugin.js", "--module-root", ".", "--output"])
            .arg(component))
    })?;
    module_tools()
}

/// Runs the Python guest's own tests natively. Those of the JavaScript one are cases, which a test of the host runs.
pub(crate) fn test() -> Outcome {
    let mut tests = Command::new("python3");
    run(tests.current_dir(source("python")).args(["-B", "-m", "unittest", "--quiet"]))
}

fn source(language: &str) -> PathBuf {
    root().join("plugins/polyglot").join(language)
}

fn wit() -> PathBuf {
    root().join("wit/step-0.1.0")
}

fn place() -> PathBuf {
    root().join("plugins/target/polyglot")
}

/// Builds a component unless it was built from the very same files. Python's takes a quarter of a minute.
fn built(name: &str, sources: &Path, build: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let (component, stamp) = (place().join(format!("{name}.wasm")), place().join(format!("{name}.stamp")));
    let wanted = fingerprint(&[sources, &wit()])?;
    if component.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    fs::create_dir_all(place()).map_err(|error| format!("failed to make {}: {error}", place().display()))?;
    build(&component)?;
    fs::write(&stamp, wanted).map_err(|error| format!("failed to write {}: {error}", stamp.display()))
}

fn fingerprint(folders: &[&Path]) -> Outcome<String> {
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        let is_source = |file: &PathBuf| {
            !file.components().any(|part| NO_SOURCES.iter().any(|folder| part.as_os_str() == *folder))
        };
        for file in files(folder)?.into_iter().filter(is_source) {
            let path = folder.join(&file);
            let content =
                fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
            (file, content).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn python_tool(sources: &Path) -> Outcome<PathBuf> {
    let home = place().join("python");
    let tool = home.join("bin/componentize-py");
    if !tool.exists() {
        install(&home, &[sources.join("requirements.txt")])?;
    }
    Ok(tool)
}

/// Compilers for C and Go, and what makes components out of their modules: one home for both, where tests link to it.
fn module_tools() -> Outcome {
    let home = place().join("modules");
    if ["wasm-tools", "python-zig", "go"].iter().all(|tool| home.join("bin").join(tool).exists()) {
        return Ok(());
    }
    install(
        &home,
        &["c", "go"].map(|language| root().join("host/templates").join(language).join("requirements.txt")),
    )
}

/// Installs Python packages into a home of their own.
fn install(home: &Path, requirements: &[PathBuf]) -> Outcome {
    if !works(Command::new("python3").args(["-m", "venv"]).arg(home)) {
        return Err("'python3 -m venv' does not work; install Python 3.10 or later with its venv module, \
                    which the guests in Python, C and Go are built with"
            .to_owned());
    }
    let mut install = Command::new(home.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]);
    for file in requirements {
        install.arg("--requirement").arg(file);
    }
    run(&mut install)
}

fn js_tool(sources: &Path) -> Outcome<PathBuf> {
    let home = place().join("js");
    let tool = home.join("node_modules/.bin/componentize-qjs");
    if !tool.exists() {
        if !works(Command::new("npm").arg("--version")) {
            return Err(
                "'npm' does not work; install Node.js 18 or later, which the guest in JavaScript is built with"
                    .to_owned(),
            );
        }
        fs::create_dir_all(&home).map_err(|error| format!("failed to make {}: {error}", home.display()))?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(file), home.join(file))
                .map_err(|error| format!("failed to copy {file}: {error}"))?;
        }
        run(Command::new("npm").args(["ci", "--silent", "--no-fund", "--no-audit", "--prefix"]).arg(&home))?;
    }
    Ok(tool)
}
