//! The components: one in Rust, those in text, and those that are made by code.

use std::path::Path;
use std::sync::Arc;

/// Built from `plugins/fixtures/hostile`; empty if this program was built without it.
const EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../../../../plugins/fixtures/hostile/wat/", $name, ".wat"))
    };
}

macro_rules! texts {
    ($($name:literal)*) => { &[$(($name, text!($name)),)*] };
}

/// Bodies of components; [`wrapped`] makes components of them.
const BODIES: &[(&str, &str)] = texts! {
    "honest" "start_loop" "realloc_loop" "post_loop" "destructor_loop" "describe_loop" "bulk_loop" "memory_4gib" "memory_minimum"
    "memory_parts" "table_growth" "table_minimum" "start_recursion" "giant_result" "not_utf8" "bad_variant" "progress_after_end"
    "residue"
};

/// What runs the attacks that Rust can make.
#[derive(Debug, Clone)]
pub struct Corpus {
    hostile: Arc<[u8]>,
}

/// Why there is no corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// This program was built without its guests.
    #[error(
        "this program was built without the hostile component; build it with 'cargo xtask plugins' in the repository, and give \
         plugins/target/wasm32-wasip2/release/hostile.wasm as the corpus"
    )]
    NotEmbedded,
    /// The file cannot be read.
    #[error("failed to read the corpus {file}: {source}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// One component of the corpus.
#[derive(Debug, Clone)]
pub(crate) enum Component {
    /// The one in Rust.
    Hostile,
    /// One in text, by the name of its file.
    Text(&'static str),
    /// One that code makes.
    Made(fn() -> Result<Vec<u8>, String>),
}

impl Corpus {
    /// The corpus that this program was built with.
    pub fn embedded() -> Result<Self, CorpusError> {
        if EMBEDDED.is_empty() {
            Err(CorpusError::NotEmbedded)
        } else {
            Ok(Self { hostile: EMBEDDED.into() })
        }
    }

    /// A corpus with the hostile component from a file.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let unreadable = |source| CorpusError::Unreadable { file: path.display().to_string(), source };
        std::fs::read(path).map(|bytes| Self { hostile: bytes.into() }).map_err(unreadable)
    }

    /// The bytes of a component.
    pub(crate) fn bytes(&self, component: &Component) -> Result<Vec<u8>, String> {
        match component {
            Component::Hostile => Ok(self.hostile.to_vec()),
            Component::Text(name) => {
                let body = BODIES.iter().find(|(known, _)| known == name);
                let (_, body) = body.ok_or_else(|| format!("there is no guest '{name}'"))?;
                wrapped(body)
            }
            Component::Made(make) => make(),
        }
    }
}

/// A component with this body: a well-behaved core instance `$std` stands before it, the interface after it.
pub(crate) fn wrapped(body: &str) -> Result<Vec<u8>, String> {
    assembled(&format!("(component\n{}\n{body}\n{}\n)", text!("head"), text!("tail")))
}

/// Text as bytes.
pub(crate) fn assembled(text: &str) -> Result<Vec<u8>, String> {
    wat::parse_str(text).map_err(|error| error.to_string())
}

/// The part of a body that makes a guest of instances: everything from `$std`, with some of it replaced.
pub(crate) fn guest_of(replaced: &[(&str, &str)]) -> String {
    let export = |name: &str| {
        let from = replaced.iter().find(|(export, _)| *export == name).map_or("$std", |(_, from)| from);
        let kind = if name == "memory" { "memory" } else { "func" };
        format!("(export \"{name}\" ({kind} {from} \"{name}\"))\n")
    };
    let exports: String = ["memory", "realloc", "describe", "handle", "post"].map(export).concat();
    format!("(core instance $guest\n{exports})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_assembles() {
        for (name, body) in BODIES {
            wrapped(body).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        wrapped(&guest_of(&[])).unwrap();
    }
}
