//! Guests 21 and 23: what is found out when a component is compiled and linked.

use crate::attack::{Attack, Expected};
use crate::corpus::{Component, assembled};

pub(super) fn compile_bomb() -> Vec<Attack> {
    Vec::new()
}

pub(super) fn interface() -> Vec<Attack> {
    let attack = |name, make, expected| Attack::inspect(name, Component::Made(make), expected);
    vec![
        attack(
            "an import that nobody offers",
            || {
                assembled(
                    "(component (import \"acme:gpu/render@1.0.0\" (instance (export \"draw\" (func)))))",
                )
            },
            Expected::refused("imports", "acme:gpu/render@1.0.0"),
        ),
        attack(
            "a version of WASI that is not offered",
            || assembled("(component (import \"wasi:io/poll@9.0.0\" (instance)))"),
            Expected::refused("imports", "wasi:io/poll@9.0.0"),
        ),
        attack("no export", || assembled("(component)"), Expected::refused("exports", "it exports nothing")),
        attack(
            "an export of another version",
            || {
                assembled(
                    "(component (instance $i) (export \"stepwright:step/handler@9.0.0\" (instance $i)))",
                )
            },
            Expected::refused("exports", "stepwright:step/handler@9.0.0"),
        ),
        attack(
            "an export without functions",
            || {
                assembled(
                    "(component (instance $i) (export \"stepwright:step/handler@0.1.0\" (instance $i)))",
                )
            },
            Expected::refused("types", "other types"),
        ),
        // Found once it is instantiated, before any of its functions is called.
        attack("an export with other types", other_types, Expected::refused("describe", "expected 1-tuple")),
        attack(
            "an import with other types",
            || {
                assembled(&format!(
                    "(component (import \"stepwright:step/log@0.1.0\" (instance (export \"write\" (func)))) {EMPTY})"
                ))
            },
            Expected::refused("types", "other types"),
        ),
    ]
}

const EMPTY: &str = "(instance $i) (export \"stepwright:step/handler@0.1.0\" (instance $i))";

fn other_types() -> Result<Vec<u8>, String> {
    assembled(
        "(component
           (core module $m (func (export \"f\")))
           (core instance $c (instantiate $m))
           (func $f (canon lift (core func $c \"f\")))
           (instance $i (export \"describe\" (func $f)) (export \"handle\" (func $f)))
           (export \"stepwright:step/handler@0.1.0\" (instance $i)))",
    )
}
