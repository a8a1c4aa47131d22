//! Guests 21 and 23: what is found out when a component is compiled and linked.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{Compiler, CompilerProcess, EngineOptions, Sandbox, inspect};

use crate::attack::{Attack, Expected, Seen};
use crate::corpus::{Component, assembled, guest_of, wrapped};
use crate::ground::Ground;

/// What the compiler may take here, in CPU time. By default it is a minute.
const COMPILE_MAX: Duration = Duration::from_secs(1);

pub(super) fn compile_bomb() -> Vec<Attack> {
    let ended = Expected::refused("limit", "compil");
    vec![
        Attack::other("100 KB that take minutes", |ground| Box::pin(compiled(ground, loops)), ended)
            .within(COMPILE_MAX),
        Attack::other("fifty thousand functions", |ground| Box::pin(compiled(ground, functions)), ended)
            .within(COMPILE_MAX),
    ]
}

/// Looks at a file with a compiler that has little time.
async fn compiled(ground: Arc<Ground>, make: fn() -> Result<Vec<u8>, String>) -> Result<Seen, String> {
    let Compiler::Process(process) = &ground.sandbox.options().compiler else {
        return Err("components are compiled in this process, where nothing ends the compiler".to_owned());
    };
    let compiler = Compiler::Process(CompilerProcess { cpu_max: COMPILE_MAX, ..process.clone() });
    let options = EngineOptions { slots: 1, compiler, ..ground.sandbox.options().clone() };
    let sandbox = Sandbox::start(options).map_err(|error| error.to_string())?;
    Ok(match inspect(&sandbox, make()?).await {
        Ok(found) => Seen::completed(found.description.name),
        Err(refusal) => limited(Seen::refusal(&refusal)),
    })
}

/// Where others keep it from the CPU, the compiler is ended by the clock: either of its limits will do.
fn limited(seen: Seen) -> Seen {
    let by_a_limit = ["within 1 s of CPU", "ms of wall clock"].iter().any(|limit| seen.text.contains(limit));
    if by_a_limit { Seen { code: "limit".to_owned(), ..seen } } else { seen }
}

/// Four thousand loops in each other, each of which changes its own variable.
fn loops() -> Result<Vec<u8>, String> {
    const DEPTH: usize = 4_000;
    let mut code = "(local i32)".repeat(DEPTH);
    for variable in 0..DEPTH {
        let _ = write!(code, " loop local.get {variable} i32.const 1 i32.add local.set {variable}");
    }
    for variable in 0..DEPTH {
        let _ = write!(code, " local.get {variable} br_if 0 end");
    }
    bomb(&format!("(func (export \"bomb\") {code})"))
}

fn functions() -> Result<Vec<u8>, String> {
    const FUNCTIONS: usize = 50_000;
    bomb(
        &"(func (param i32 i32) (result i32) local.get 0 local.get 1 i32.mul local.get 0 i32.div_u)"
            .repeat(FUNCTIONS),
    )
}

fn bomb(functions: &str) -> Result<Vec<u8>, String> {
    wrapped(&format!("(core module $m {functions})\n(core instance (instantiate $m))\n{}", guest_of(&[])))
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
        attack("an export with other types", other_types, Expected::refused("types", "'describe'")),
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
