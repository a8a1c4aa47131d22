//! Guests 4, 5, 6, 12 and 25: memory, tables, the stack, handles, and what is left of them.

use std::fmt::Write as _;

use stepwright_executor::Control;
use stepwright_workflow::FailureClass;

use super::with_handle;
use crate::attack::{Attack, Expected, Seen, Step};
use crate::corpus::{Component, guest_of, wrapped};

/// Steps that look for what those before them left: several times as many as there are slots.
const VISITS: usize = 16;

pub(super) fn memory() -> Vec<Attack> {
    let out_of_memory = Expected::failed(FailureClass::Memory, "memory_bytes");
    let invalid = Expected::failed(FailureClass::PluginUnavailable, "plugin_invalid");
    vec![
        Step::hostile("hoard").expect("growth", out_of_memory),
        Step::text("memory_parts").expect("growth of three memories in turn", out_of_memory),
        Step::text("memory_minimum").expect("a minimum above the step's limit", out_of_memory),
        Step::text("memory_4gib").expect("a minimum of 4 GiB", invalid),
        Attack::inspect(
            "a minimum of 4 GiB, at registration",
            Component::Text("memory_4gib"),
            refused_by_the_pool(),
        ),
        Step::of(Component::Made(many_memories), "honest").expect("five hundred memories", invalid),
        Attack::inspect(
            "five hundred memories, at registration",
            Component::Made(many_memories),
            refused_by_the_pool(),
        ),
    ]
}

fn refused_by_the_pool() -> Expected {
    Expected::refused("invalid", "pooling allocator")
}

fn many_memories() -> Result<Vec<u8>, String> {
    let mut body = "(core module $m (memory 1))\n".to_owned();
    for _ in 0..500 {
        let _ = writeln!(body, "(core instance (instantiate $m))");
    }
    wrapped(&format!("{body}{}", guest_of(&[])))
}

pub(super) fn tables() -> Vec<Attack> {
    let invalid = Expected::failed(FailureClass::PluginUnavailable, "plugin_invalid");
    let too_many = Expected::failed(FailureClass::Memory, "table_elements");
    vec![
        Step::text("table_growth").expect("growth", too_many),
        Step::text("table_minimum").expect("ten million elements from the start", invalid),
        Attack::inspect("the same, at registration", Component::Text("table_minimum"), refused_by_the_pool()),
        Step::of(Component::Made(many_tables), "honest").expect("five hundred tables", invalid),
    ]
}

fn many_tables() -> Result<Vec<u8>, String> {
    let mut body = "(core module $m\n".to_owned();
    for _ in 0..500 {
        body.push_str("(table 1 funcref)\n");
    }
    wrapped(&format!("{body})\n(core instance (instantiate $m))\n{}", guest_of(&[])))
}

pub(super) fn recursion() -> Vec<Attack> {
    let overflow = Expected::failed(FailureClass::Trap, "stack_overflow");
    vec![
        Step::hostile("recurse").expect("in the handler", overflow),
        Step::text("start_recursion").expect("in a start function", overflow),
        Attack::inspect(
            "in a start function, at registration",
            Component::Text("start_recursion"),
            Expected::refused("describe", "stack_overflow"),
        ),
    ]
}

pub(super) fn handles() -> Vec<Attack> {
    let sockets = |kind: &str| Step::hostile("sockets").told(format!("{{\"kind\":\"{kind}\"}}"));
    let mut attacks = vec![
        Step::hostile("wait")
            .told("{\"kind\":\"handles\"}")
            .expect("pollables that it never gives back", Expected::failed(FailureClass::Trap, "handles")),
        sockets("tcp").expect("TCP sockets", Expected::completed("0")),
        sockets("udp").expect("UDP sockets", Expected::completed("0")),
    ];
    attacks.extend(super::world::open_files());
    attacks
}

pub(super) fn residue() -> Vec<Attack> {
    let clean = Expected::completed("16 of 16 found nothing");
    vec![
        Attack::other(
            "8 MiB and a table, in a row",
            |ground| Box::pin(async move { visits(&ground).await }),
            clean,
        ),
        Step::of(Component::Made(stack_residue), "honest")
            .expect("variables on the stack", Expected::completed("honest")),
    ]
}

/// Each step looks at all of its memory and its table, and then fills both.
async fn visits(ground: &crate::ground::Ground) -> Result<Seen, String> {
    let mut clean = 0;
    for _ in 0..VISITS {
        let seen = Seen::step(&ground.execute(&Step::text("residue"), Control::default()).await?);
        if seen.class == "completed" {
            clean += 1;
        }
    }
    Ok(Seen::completed(format!("{clean} of {VISITS} found nothing")))
}

/// Traps if a variable that it never set is not zero.
fn stack_residue() -> Result<Vec<u8>, String> {
    let locals = "(local i64)".repeat(500);
    let sum: String = (1..=500).map(|local| format!("(i64.or (local.get {local}))")).collect();
    with_handle(&format!(
        "{locals} (i64.const 0) {sum} (if (i64.ne (i64.const 0)) (then (unreachable))) (i32.const 256)"
    ))
}
