//! The Rust side of `stepwright:step@0.1.0`, generated from its WIT folder.
//!
//! The imports are plain functions: none of them waits. What goes into the guest is borrowed, so payloads are copied once,
//! into the guest's own memory.

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
