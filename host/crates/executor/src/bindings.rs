//! The Rust side of `stepwright:step@0.1.0`, generated from its WIT folder.
//!
//! The imports are plain functions: none of them waits. What goes into the guest is borrowed, so payloads are copied once,
//! into the guest's own memory.

use wasmtime::component::InstancePre;
use wasmtime::component::types::ComponentItem;
use wasmtime::error::Context as _;
use wasmtime::{Result, format_err};

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        unsafe_code,
        clippy::all,
        reason = "generated from the WIT, where the documentation is"
    )]

    wasmtime::component::bindgen!({
        path: "../../../wit/step-0.1.0",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
        exports: { default: async },
    });
}

/// Settings, as other hosts offer them. The interface is declared here because its ready-made host does not tell which settings
/// a guest asks for.
mod settings {
    #![allow(
        missing_docs,
        unreachable_pub,
        unsafe_code,
        clippy::all,
        reason = "generated from the WIT, where the documentation is"
    )]

    wasmtime::component::bindgen!({
        inline: "
            package wasi:config@0.2.0-rc.1;

            interface store {
                variant error {
                    upstream(string),
                    io(string),
                }
                get: func(key: string) -> result<option<string>, error>;
                get-all: func() -> result<list<tuple<string, string>>, error>;
            }

            world imports {
                import store;
            }
        ",
        world: "imports",
        imports: { default: trappable },
    });
}

pub(crate) use generated::PluginPre;
pub(crate) use generated::stepwright::step::types::{
    Description, HandlerDescription, ParentDescription, ParentOutput, StepContext, StepError, Tag, Wishes,
};
pub(crate) use generated::stepwright::step::{host, log, types};
pub(crate) use settings::wasi::config::store;

/// The export that makes a component a plugin.
pub(crate) const HANDLER: &str = "stepwright:step/handler@0.1.0";

/// Whether the handler's functions have the types of the interface. The generated code looks for their names alone, and would find
/// other types in an instance only; it checks functions outside of interfaces as this does.
pub(crate) fn check_types<T>(plugin: &InstancePre<T>) -> Result<()> {
    let (component, types) = (plugin.component(), plugin.instance_type());
    let interface = component.get_export_index(None, HANDLER);
    let function = |name| match component.get_export(interface.as_ref(), name) {
        Some((ComponentItem::ComponentFunc(function), _)) => Ok(function),
        Some(_) => Err(format_err!("{HANDLER}: '{name}' is no function")),
        None => Err(format_err!("{HANDLER} has no '{name}'")),
    };
    let wrong = |name| format!("{HANDLER}: '{name}'");
    let describe = function("describe")?.typecheck::<(), (Description,)>(&types);
    describe.with_context(|| wrong("describe"))?;
    type Handled = (std::result::Result<String, StepError>,);
    let handle = function("handle")?.typecheck::<(&str, StepContext<'_>), Handled>(&types);
    handle.with_context(|| wrong("handle"))
}
