//! The files of a new project, by language, as they stand in `host/templates`.

use super::Language;

type Files = &'static [(&'static str, &'static str)];

/// A file of the templates under the name that it gets.
macro_rules! files {
    ($($name:literal: $path:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../templates/", $path)))),*]
    };
}

pub(super) fn files(language: Language) -> Files {
    match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Js => JS,
    }
}

const RUST: Files = files! {
    "Cargo.toml": "rust/Cargo.toml.in",
    "src/lib.rs": "rust/src/lib.rs",
    "cases/a_guest_is_greeted.json": "shared/a_guest_is_greeted.json",
    "cases/nobody_is_refused.json": "shared/nobody_is_refused.json",
    "README.md": "rust/README.md",
    ".gitignore": "rust/gitignore",
};

const PYTHON: Files = files! {
    "app.py": "python/app.py",
    "stepwright.py": "python/stepwright.py",
    "test_app.py": "python/test_app.py",
    "requirements.txt": "python/requirements.txt",
    "stepwright.plugin.toml": "python/stepwright.plugin.toml",
    "wit/step.wit": "../../wit/step-0.1.0/step.wit",
    "cases/a_guest_is_greeted.json": "shared/a_guest_is_greeted.json",
    "cases/nobody_is_refused.json": "shared/nobody_is_refused.json",
    "README.md": "python/README.md",
    ".gitignore": "python/gitignore",
};

const JS: Files = files! {
    "plugin.js": "js/plugin.js",
    "stepwright.js": "js/stepwright.js",
    "package.json": "js/package.json",
    "stepwright.plugin.toml": "js/stepwright.plugin.toml",
    "wit/step.wit": "../../wit/step-0.1.0/step.wit",
    "cases/a_guest_is_greeted.json": "shared/a_guest_is_greeted.json",
    "cases/nobody_is_refused.json": "shared/nobody_is_refused.json",
    "README.md": "js/README.md",
    ".gitignore": "js/gitignore",
};
