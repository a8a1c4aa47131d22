//! One test for each hostile guest: it ends as it should, and the host is afterwards as it was before.

#![allow(clippy::expect_used, clippy::panic, reason = "a host that does not hold is a failed test")]

use std::path::PathBuf;

use stepwright_conformance::{Conformance, Corpus, Guest, Victim};
use stepwright_executor::{Compiler, CompilerProcess, EngineOptions};

/// What compiles in a process of its own, and what dies in one.
const CHILD: &str = env!("CARGO_BIN_EXE_stepwright-conformance-child");

fn check(guest: Guest) {
    let corpus = Corpus::embedded().expect("the guests are built: 'cargo xtask plugins'");
    let program = PathBuf::from(CHILD);
    let victim = Victim { program: program.clone(), arguments: vec!["victim".into()] };
    let compiler = Compiler::Process(CompilerProcess {
        program,
        arguments: vec!["compile".into()],
        cpu_max: CompilerProcess::CPU_MAX,
        wall_max: CompilerProcess::wall_for(CompilerProcess::CPU_MAX),
        memory_bytes_max: CompilerProcess::MEMORY_BYTES_MAX,
    });
    let options = EngineOptions { compiler, ..EngineOptions::default() };
    let conformance = Conformance::start(corpus, victim, &options).expect("it starts");
    let report = conformance.run(guest);
    assert!(!report.attacks.is_empty(), "{} attacks nothing", report.name);
    for attack in &report.attacks {
        let limit = attack.times_limit.map_or_else(String::new, |times| format!(", {times:.2} × its limit"));
        eprintln!("{}: {} ({}) after {:.0} ms{limit}", attack.name, attack.class, attack.code, attack.ms);
    }
    let bad: Vec<_> = report.attacks.iter().filter(|attack| !attack.held()).collect();
    assert!(report.held && bad.is_empty(), "{bad:#?}");
}

macro_rules! tests {
    ($($test:ident: $guest:ident,)*) => {
        $(
            #[test]
            fn $test() {
                check(Guest::$guest);
            }
        )*

        /// A guest without a test does not compile.
        const _: fn(Guest) = |guest| match guest { $(Guest::$guest => {})* };
    };
}

tests! {
    guest_01_loop: Loop,
    guest_02_start_loop: StartLoop,
    guest_03_glue_loop: GlueLoop,
    guest_04_memory: Memory,
    guest_05_tables: Tables,
    guest_06_recursion: Recursion,
    guest_07_output_flood: OutputFlood,
    guest_08_output_drip: OutputDrip,
    guest_09_huge_values: HugeValues,
    guest_10_bad_output: BadOutput,
    guest_11_death: Death,
    guest_12_handles: Handles,
    guest_13_escape: Escape,
    guest_14_disk_fill: DiskFill,
    guest_15_network: Network,
    guest_16_endless_response: EndlessResponse,
    guest_17_many_requests: ManyRequests,
    guest_18_waiting: Waiting,
    guest_19_spam: Spam,
    guest_20_malformed: Malformed,
    guest_21_compile_bomb: CompileBomb,
    guest_22_poisoned_cache: PoisonedCache,
    guest_23_wrong_interface: WrongInterface,
    guest_24_lies: Lies,
    guest_25_residue: Residue,
    guest_26_progress_flood: ProgressFlood,
    guest_27_hog: Hog,
    guest_28_killer: Killer,
}
