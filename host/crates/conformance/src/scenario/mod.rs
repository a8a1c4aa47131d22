//! What each guest does, and what must come of it.

mod cache;
mod flood;
mod intake;
mod lies;
mod malformed;
mod memory;
mod network;
mod process;
mod time;
mod values;
mod world;

use crate::attack::Scenario;
use crate::guest::Guest;

/// The attacks of a guest. A guest without any does not compile.
pub(crate) fn scenario(guest: Guest) -> Scenario {
    let attacks = match guest {
        Guest::Loop => time::handler(),
        Guest::StartLoop => time::start(),
        Guest::GlueLoop => time::glue(),
        Guest::Memory => memory::memory(),
        Guest::Tables => memory::tables(),
        Guest::Recursion => memory::recursion(),
        Guest::OutputFlood => flood::output(),
        Guest::OutputDrip => time::drip(),
        Guest::HugeValues => values::huge(),
        Guest::BadOutput => values::bad(),
        Guest::Death => values::death(),
        Guest::Handles => memory::handles(),
        Guest::Escape => world::escape(),
        Guest::DiskFill => world::disk(),
        Guest::Network => network::network(),
        Guest::EndlessResponse => network::responses(),
        Guest::ManyRequests => network::requests(),
        Guest::Waiting => time::waiting(),
        Guest::Spam => flood::spam(),
        Guest::Malformed => malformed::attacks(),
        Guest::CompileBomb => intake::compile_bomb(),
        Guest::PoisonedCache => cache::attacks(),
        Guest::WrongInterface => intake::interface(),
        Guest::Lies => lies::attacks(),
        Guest::Residue => memory::residue(),
        Guest::ProgressFlood => flood::progress(),
        Guest::Hog => process::hog(),
        Guest::Killer => process::killer(),
    };
    Scenario { attacks }
}

/// A component whose function `export` is this core code, and which behaves otherwise.
fn with_function(export: &str, signature: &str, code: &str) -> Result<Vec<u8>, String> {
    let guest = crate::corpus::guest_of(&[(export, "$i")]);
    crate::corpus::wrapped(&format!(
        "(core module $m (memory 1) (func (export \"{export}\") {signature} {code}))\n(core instance $i (instantiate $m))\n{guest}"
    ))
}

/// A component whose handler is this core code.
fn with_handle(code: &str) -> Result<Vec<u8>, String> {
    with_function("handle", "(param i32) (result i32)", code)
}
