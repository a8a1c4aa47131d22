//! What a file is, before it is registered: a component for this host, or a refusal that says what was wanted and what is
//! there. Its `describe` runs in the same sandbox as every step, with a short deadline and nothing granted.

use std::sync::Arc;

use stepwright_registry::{Description, HandlerDescription, ParentDescription, Problem, Wishes};
use stepwright_workflow::{Digest, Failure, StepLimits};
use wasmtime::component::Component;

use crate::admission::admit;
use crate::bindings::{self, HANDLER, PluginPre};
use crate::cache::{self, LoadError};
use crate::call::Control;
use crate::compiled::CompiledFolder;
use crate::limits::Limits;
use crate::meter::{Ended, bounded};
use crate::sandbox::Sandbox;
use crate::state::StepState;
use crate::verdict::{self, Circumstances};

/// What guests may import. Of WASI, clocks, random numbers and the standard streams do something for everybody, and the rest
/// what grants allow.
const OFFERED: &[&str] = &[
    "stepwright:step/types@0.1.0",
    "stepwright:step/log@0.1.0",
    "stepwright:step/host@0.1.0",
    "wasi:cli/*@0.2",
    "wasi:clocks/*@0.2",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:filesystem/*@0.2",
    "wasi:http/outgoing-handler@0.2",
    "wasi:http/types@0.2",
    "wasi:io/*@0.2",
    "wasi:random/*@0.2",
    "wasi:sockets/*@0.2",
];

/// What a file turned out to be.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The component's digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What it says of itself, checked.
    pub description: Description,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not WebAssembly.
    #[error("it is not WebAssembly: a component begins with the bytes 00 61 73 6d")]
    NotWasm,
    /// A module without component.
    #[error(
        "it is a core module, and a component is wanted: build it for the target wasm32-wasip2, \
         or wrap it with 'wasm-tools component new'"
    )]
    CoreModule,
    /// Too large, invalid, or nothing that this host can compile.
    #[error("{0}")]
    Invalid(String),
    /// It imports what is not offered.
    #[error("it imports {}, which this host does not offer; offered are {}", .unknown.join(", "), OFFERED.join(", "))]
    Imports {
        /// What it imports and nobody offers.
        unknown: Vec<String>,
    },
    /// It does not export the handler interface.
    #[error("it does not export {HANDLER}; it exports {}", list(.found))]
    Exports {
        /// What it exports.
        found: Vec<String>,
    },
    /// Names fit, types do not.
    #[error("its interface has the right names and other types: {0}")]
    Types(String),
    /// `describe` did not return.
    #[error("its 'describe' failed: {0}")]
    Describe(Failure),
    /// What `describe` returned cannot be registered.
    #[error("what its 'describe' returned cannot be registered: {}", lines(.0))]
    Description(Vec<Problem>),
    /// The host cannot look.
    #[error("the host cannot inspect it: {0}")]
    Host(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// Looks at a file's bytes.
pub async fn inspect(sandbox: &Arc<Sandbox>, bytes: Vec<u8>) -> Result<Inspection, Refusal> {
    look(sandbox, bytes, None).await
}

/// Looks at a file's bytes, and keeps the code that was made for it: whoever runs it with the same folder begins at once.
pub async fn inspect_and_keep(
    sandbox: &Arc<Sandbox>,
    bytes: Vec<u8>,
    kept: &Arc<CompiledFolder>,
) -> Result<Inspection, Refusal> {
    look(sandbox, bytes, Some(Arc::clone(kept))).await
}

async fn look(
    sandbox: &Arc<Sandbox>,
    bytes: Vec<u8>,
    kept: Option<Arc<CompiledFolder>>,
) -> Result<Inspection, Refusal> {
    kind(&bytes)?;
    // Before anything reads all of it.
    admit(sandbox.options(), &bytes).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let compiling = Arc::clone(sandbox);
    let compiled =
        tokio::task::spawn_blocking(move || cache::component(&compiling, kept.as_deref(), (&digest, &bytes)))
            .await;
    let component = compiled.map_err(|error| Refusal::Host(error.to_string()))?;
    let (component, _) = component.map_err(|error| refusal(&error))?;
    let (imports, exports) = names(sandbox, &component);
    let unknown: Vec<String> = imports.iter().filter(|name| !is_offered(name)).cloned().collect();
    if !unknown.is_empty() {
        return Err(Refusal::Imports { unknown });
    }
    if !exports.iter().any(|name| name == HANDLER) {
        return Err(Refusal::Exports { found: exports });
    }
    let plugin = sandbox.link(&component).map_err(|error| Refusal::Types(format!("{error:#}")))?;
    let description = describe(sandbox, &plugin).await?;
    let problems = description.check();
    if !problems.is_empty() {
        return Err(Refusal::Description(problems));
    }
    Ok(Inspection { digest, bytes: size, imports, exports, description })
}

/// Why a component that does not load is no plugin.
pub(crate) fn refusal(error: &LoadError) -> Refusal {
    match error {
        // The file may be as it should be.
        LoadError::BrokeOff(_) => Refusal::Host(error.to_string()),
        LoadError::Link(why) => Refusal::Types(why.clone()),
        _ => Refusal::Invalid(error.to_string()),
    }
}

/// The first eight bytes say what a file is (WebAssembly core specification 5.5.16; component model, binary format).
fn kind(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(Refusal::CoreModule),
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', ..] => {
            Err(Refusal::Invalid("it is WebAssembly of an unknown version".to_owned()))
        }
        _ => Err(Refusal::NotWasm),
    }
}

fn names(sandbox: &Sandbox, component: &Component) -> (Vec<String>, Vec<String>) {
    let shape = component.component_type();
    let imports = shape.imports(&sandbox.engine).map(|(name, _)| name.to_owned()).collect();
    let exports = shape.exports(&sandbox.engine).map(|(name, _)| name.to_owned()).collect();
    (imports, exports)
}

fn is_offered(import: &str) -> bool {
    // A version of two numbers stands for all its patches.
    let patch_of =
        |import: &str, version: &str| import.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'));
    OFFERED.iter().any(|offer| match offer.split_once('*') {
        Some((package, version)) => import.starts_with(package) && import.contains(&format!("{version}.")),
        None => import == *offer || (offer.ends_with("@0.2") && patch_of(import, offer)),
    })
}

/// Calls `describe` in a fresh instance, to which nothing is granted.
pub(crate) async fn describe(
    sandbox: &Sandbox,
    plugin: &PluginPre<StepState>,
) -> Result<Description, Refusal> {
    let most = sandbox.options().describe_max;
    // By the clock it may take longer: on a busy machine an honest one waits for its turn, and an endless one is told what it used up.
    let limits =
        Limits { cpu: most, wall: most * 4, ..Limits::of(sandbox.options(), &StepLimits::default(), most) };
    let control = Control::default();
    let (mut store, meter) = sandbox.store(&limits, control.clone());
    let run = async {
        let instance = plugin.instantiate_async(&mut store).await?;
        instance.stepwright_step_handler().call_describe(&mut store).await
    };
    let ended = bounded(&meter, limits.wall, (&control, most), run).await;
    let log = store.data().journal.take();
    let circumstances = Circumstances {
        limits: &limits,
        cpu: meter.cpu(),
        wall: meter.wall(),
        cancelled: false,
        stopped: store.data().stopped,
        hit: store.data().limiter.hit(),
        stderr_tail: &log.stderr_tail,
    };
    match ended {
        Ended::Returned(description) => Ok(plain(description)),
        Ended::Failed(error) => match verdict::failure(&error, &circumstances) {
            Ok(failure) => Err(Refusal::Describe(failure)),
            Err(broken) => Err(Refusal::Host(broken.to_string())),
        },
        Ended::WallClock | Ended::Cancelled => Err(Refusal::Describe(verdict::wall_clock(&circumstances))),
    }
}

fn plain(description: bindings::Description) -> Description {
    let parent = |parent: bindings::ParentDescription| ParentDescription {
        step: parent.step,
        optional: parent.optional,
        schema: parent.schema,
    };
    let handler = |handler: bindings::HandlerDescription| HandlerDescription {
        name: handler.name,
        summary: handler.summary,
        input_schema: handler.input_schema,
        config_schema: handler.config_schema,
        output_schema: handler.output_schema,
        parents: handler.parents.into_iter().map(parent).collect(),
    };
    let bindings::Wishes { hosts, directories, environment, secrets } = description.wishes;
    Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        handlers: description.handlers.into_iter().map(handler).collect(),
        wishes: Wishes { hosts, directories, environment, secrets },
    }
}
