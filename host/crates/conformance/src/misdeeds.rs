//! Misdeeds for a whole deployment: templates with one hostile step each, to be run among honest ones.

use stepwright_workflow::FailureClass;

/// A template whose one step attacks whoever runs it.
#[derive(Debug, Clone, Copy)]
pub struct Misdeed {
    /// The template's name, in the namespace `hostile`.
    pub name: &'static str,
    /// The handler of `fixtures/hostile`.
    pub handler: &'static str,
    /// What the task is started with.
    pub context: &'static str,
    /// The class in which its step must end.
    pub class: FailureClass,
    /// The code of that end.
    pub code: &'static str,
}

const fn misdeed(
    name: &'static str,
    handler: &'static str,
    context: &'static str,
    (class, code): (FailureClass, &'static str),
) -> Misdeed {
    Misdeed { name, handler, context, class, code }
}

/// One for each way in which a step can be ended by the host.
pub const MISDEEDS: &[Misdeed] = &[
    misdeed("spin", "spin", "{}", (FailureClass::Timeout, "cpu")),
    misdeed("print", "print_for_ever", "{}", (FailureClass::Timeout, "cpu")),
    misdeed("sleep", "wait", "{\"kind\":\"sleep\"}", (FailureClass::Timeout, "wall_clock")),
    misdeed("hoard", "hoard", "{}", (FailureClass::Memory, "memory_bytes")),
    misdeed("recurse", "recurse", "{}", (FailureClass::Trap, "stack_overflow")),
    misdeed("panic", "die", "{\"kind\":\"panic\"}", (FailureClass::Trap, "unreachable_code_reached")),
    misdeed("handles", "wait", "{\"kind\":\"handles\"}", (FailureClass::Trap, "handles")),
    misdeed("ramble", "ramble", "{\"n\":100000}", (FailureClass::OutputTooLarge, "output_bytes")),
    misdeed("blurt", "blurt", "{\"kind\":\"cut\"}", (FailureClass::InvalidOutput, "output_json")),
];

impl Misdeed {
    /// Its template, without a second try. Of its limits of time only the one that must end it comes soon: a machine that is busy
    /// runs into any other as well.
    pub fn template(&self) -> String {
        let Self { name, handler, code, .. } = self;
        let within = |limit, soon| if *code == limit { soon } else { "10m" };
        let (timeout, cpu) = (within("wall_clock", "500ms"), within("cpu", "50ms"));
        format!(
            "template: {name}\nnamespace: hostile\nversion: 1.0.0\nplugin: fixtures/hostile@^1\nsteps:\n  \
             - {{ name: deed, handler: {handler}, timeout: {timeout}, retry: {{ limit: 1 }}, \
             limits: {{ memory: 16MiB, cpu: {cpu}, output: 64KiB }} }}\n"
        )
    }
}
