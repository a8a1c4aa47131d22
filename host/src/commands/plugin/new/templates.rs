//! The files of a new project, by language, as they stand in `host/templates`.

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;

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
        Language::Go => GO,
        Language::C => C,
    }
}

/// What a project needs whose compiler makes modules for WASI 0.1: Wasmtime's adapter, which makes calls of components out of theirs.
pub(super) fn adapter(language: Language) -> Option<(&'static str, &'static [u8])> {
    let file = "wasi_snapshot_preview1.reactor.wasm";
    let needed = matches!(language, Language::Go | Language::C);
    needed.then_some((file, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
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

const GO: Files = files! {
    "main.go": "go/main.go",
    "main_test.go": "go/main_test.go",
    "stepwright.go": "go/stepwright.go",
    "stepwright_wasm.go": "go/stepwright_wasm.go",
    "go.mod": "go/go.mod.in",
    "requirements.txt": "go/requirements.txt",
    "stepwright.plugin.toml": "go/stepwright.plugin.toml",
    "wit/step.wit": "../../wit/step-0.1.0/step.wit",
    "cases/a_guest_is_greeted.json": "shared/a_guest_is_greeted.json",
    "cases/nobody_is_refused.json": "shared/nobody_is_refused.json",
    "README.md": "go/README.md",
    ".gitignore": "go/gitignore",
};

const C: Files = files! {
    "plugin.c": "c/plugin.c",
    "stepwright.c": "c/stepwright.c",
    "stepwright.h": "c/stepwright.h",
    "requirements.txt": "c/requirements.txt",
    "stepwright.plugin.toml": "c/stepwright.plugin.toml",
    "wit/step.wit": "../../wit/step-0.1.0/step.wit",
    "cases/a_guest_is_greeted.json": "shared/a_guest_is_greeted.json",
    "cases/nobody_is_refused.json": "shared/nobody_is_refused.json",
    "README.md": "c/README.md",
    ".gitignore": "c/gitignore",
};
