//! The repository checks itself: formatting, what crates must not know, copies that must be equal.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Outcome, cargo, read, root, run};

/// For each crate, the packages that must not appear anywhere below it. The reasons are in ARCHITECTURE.md.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    (
        "stepwright-workflow",
        &[
            "tokio",
            "sqlx",
            "sqlx-core",
            "zeromq",
            "wasmtime",
            "tracing",
            "stepwright-store",
            "stepwright-transport",
        ],
    ),
    ("stepwright-store", &["sqlx", "sqlx-core", "tokio", "zeromq", "wasmtime"]),
    (
        "stepwright-store-sqlite",
        &["sqlx-postgres", "zeromq", "wasmtime", "stepwright-orchestrator", "stepwright-transport"],
    ),
    (
        "stepwright-store-postgres",
        &["sqlx-sqlite", "zeromq", "wasmtime", "stepwright-orchestrator", "stepwright-transport"],
    ),
    ("stepwright-transport", &["sqlx", "sqlx-core", "wasmtime", "stepwright-store", "stepwright-executor"]),
    (
        "stepwright-orchestrator",
        &[
            "sqlx",
            "sqlx-core",
            "wasmtime",
            "clap",
            "stepwright-store-sqlite",
            "stepwright-store-postgres",
            "stepwright-executor",
            "stepwright-worker",
        ],
    ),
    ("stepwright-executor", &["sqlx", "sqlx-core", "zeromq", "stepwright-store", "stepwright-transport"]),
    ("stepwright-worker", &["sqlx", "sqlx-core", "stepwright-store", "stepwright-orchestrator", "clap"]),
    (
        "stepwright-registry",
        &["sqlx", "sqlx-core", "zeromq", "wasmtime", "stepwright-transport", "stepwright-store"],
    ),
    (
        "stepwright-api",
        &[
            "sqlx",
            "sqlx-core",
            "wasmtime",
            "clap",
            "stepwright-store-sqlite",
            "stepwright-store-postgres",
            "stepwright-executor",
            "stepwright-worker",
        ],
    ),
    (
        "stepwright-conformance",
        &[
            "sqlx",
            "sqlx-core",
            "zeromq",
            "stepwright-store",
            "stepwright-transport",
            "stepwright-orchestrator",
        ],
    ),
    ("stepwright-sdk", &["tokio", "sqlx-core", "zeromq", "wasmtime", "stepwright-workflow"]),
];

/// A guest author's copy of the interface, and the interface.
const COPIES: &[(&str, &str)] = &[("wit/step-0.1.0", "plugin-sdk/wit/step-0.1.0")];

/// What stands between handlers and the interface: as new projects get it, and as the examples have it.
const COPIED_FILES: &[(&str, &str)] = &[
    ("host/templates/python/stepwright.py", "plugins/polyglot/python/stepwright.py"),
    ("host/templates/python/requirements.txt", "plugins/polyglot/python/requirements.txt"),
    ("host/templates/js/stepwright.js", "plugins/polyglot/js/stepwright.js"),
];

pub(crate) fn tidy() -> Outcome {
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    run(&mut cargo(["fmt", "--all", "--check", "--manifest-path", "plugins/Cargo.toml"]))?;
    for (package, forbidden) in MUST_NOT_KNOW {
        must_not_know(package, forbidden)?;
    }
    for (original, copy) in COPIES {
        equal_folders(&root().join(original), &root().join(copy))?;
    }
    for (original, copy) in COPIED_FILES {
        if fs::read(root().join(original)).ok() != fs::read(root().join(copy)).ok() {
            return Err(format!("{copy} differs from {original}; copy the one that is right over the other"));
        }
    }
    short_files()
}

fn must_not_know(package: &str, forbidden: &[&str]) -> Outcome {
    let tree = read(&mut cargo([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        package,
    ]))?;
    let known: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    if !known.contains(&package) {
        return Err(format!("'cargo tree' did not list {package} itself, so nothing is proved about it"));
    }
    match forbidden.iter().find(|name| known.contains(name)) {
        Some(name) => Err(format!(
            "{package} must not know {name}; 'cargo tree --package {package} --invert {name}' shows how it got there"
        )),
        None => Ok(()),
    }
}

fn equal_folders(original: &Path, copy: &Path) -> Outcome {
    let (wanted, found) = (files(original)?, files(copy)?);
    let differs =
        wanted.iter().find(|file| fs::read(original.join(file)).ok() != fs::read(copy.join(file)).ok());
    if let Some(file) = differs.or_else(|| found.iter().find(|file| !wanted.contains(file))) {
        return Err(format!(
            "{} differs between {} and {}",
            file.display(),
            original.display(),
            copy.display()
        ));
    }
    Ok(())
}

/// Every file below a folder, relative to it, in order.
pub(crate) fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error: std::io::Error| format!("failed to list {}: {error}", folder.display());
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = below.join(entry.file_name());
            if entry.file_type().map_err(failed)?.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// No source file longer than 500 lines without its tests: a longer one holds two things.
fn short_files() -> Outcome {
    for folder in ["host", "plugin-sdk", "xtask", "tests", "benches"] {
        for file in files(&root().join(folder))? {
            if file.extension().is_none_or(|extension| extension != "rs")
                || file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "fuzz")
            {
                continue;
            }
            let path = root().join(folder).join(&file);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            if lines > 500 {
                return Err(format!("{folder}/{} has {lines} lines; split it in two", file.display()));
            }
        }
    }
    Ok(())
}
