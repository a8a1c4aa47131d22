//! Guest 24: descriptions that cannot be, or are not so.

use std::sync::Arc;

use stepwright_workflow::FailureClass;

use crate::attack::{Attack, Expected, Seen, Step};
use crate::corpus::{Component, guest_of, wrapped};
use crate::ground::Ground;

/// Where the texts of a description stand, behind what the well-behaved instance has.
const TEXTS_AT: usize = 8_192;
/// A longer message would be a lever: one registration, many log lines.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What a guest says of itself.
struct Claim<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'a str,
    handler: &'a str,
    input_schema: Option<&'a str>,
    /// More handlers than one have no names.
    handlers: usize,
}

const HONEST: Claim<'static> = Claim {
    name: "fixtures/liar",
    version: "1.0.0",
    summary: "Lies.",
    handler: "lie",
    input_schema: None,
    handlers: 1,
};

pub(super) fn attacks() -> Vec<Attack> {
    let refused = |name, make, text| {
        Attack::inspect(name, Component::Made(make), Expected::refused("description", text))
    };
    vec![
        Attack::inspect(
            "nothing yet",
            Component::Made(|| component(&HONEST)),
            Expected::completed("fixtures/liar"),
        ),
        refused("a path as its name", || component(&Claim { name: "../../etc", ..HONEST }), "name: "),
        refused(
            "control characters in its name",
            || component(&Claim { name: "fixtures/\u{1b}[2J", ..HONEST }),
            "name: ",
        ),
        refused(
            "'latest' as its version",
            || component(&Claim { version: "latest", ..HONEST }),
            "version: 'latest'",
        ),
        refused("a summary of two lines", || component(&Claim { summary: "a\nb", ..HONEST }), "summary: "),
        refused(
            "a handler with a name that is none",
            || component(&Claim { handler: "a b", ..HONEST }),
            "handlers[0].name",
        ),
        refused(
            "a schema that is no JSON",
            || component(&Claim { input_schema: Some("{"), ..HONEST }),
            "input_schema",
        ),
        refused(
            "a schema nested without end",
            || component(&Claim { input_schema: Some(&"[".repeat(60_000)), ..HONEST }),
            "input_schema",
        ),
        refused("no handlers", || component(&Claim { handlers: 0, ..HONEST }), "handlers: there are none"),
        refused("two thousand handlers", || component(&Claim { handlers: 2_000, ..HONEST }), "at most 256"),
        Attack::other(
            "a name of 100 KB",
            |ground| Box::pin(long_name(ground)),
            Expected::completed("the refusal is short"),
        ),
        Attack::inspect(
            "a hundred thousand handlers",
            Component::Made(|| component(&Claim { handlers: 100_000, ..HONEST })),
            Expected::refused("describe", "transfer_bytes"),
        ),
        Step::hostile("no_such_handler").expect(
            "a handler that is not there",
            Expected::failed(FailureClass::PluginUnavailable, "unknown_handler"),
        ),
    ]
}

/// A refusal that repeats what it refuses would be as long.
async fn long_name(ground: Arc<Ground>) -> Result<Seen, String> {
    let bytes = component(&Claim { name: &"x".repeat(100_000), ..HONEST })?;
    let Err(refusal) = ground.inspect(bytes).await else { return Ok(Seen::completed("it was taken")) };
    let length = refusal.to_string().len();
    let short = if length < MESSAGE_BYTES_MAX { "short".to_owned() } else { format!("{length} bytes long") };
    Ok(Seen::completed(format!("the refusal is {short}")))
}

/// A component that claims this, in the layout of the canonical ABI: texts and lists as address and length.
fn component(claim: &Claim<'_>) -> Result<Vec<u8>, String> {
    let mut texts = Vec::new();
    let mut text = |text: &str| {
        let at = TEXTS_AT + texts.len();
        texts.extend_from_slice(text.as_bytes());
        [word(at), word(text.len())].concat()
    };
    let mut description = [text(claim.name), text(claim.version), text(claim.summary)].concat();
    let mut handler = [text(claim.handler), text("")].concat();
    handler
        .extend(claim.input_schema.map_or(vec![0; 12], |schema| [vec![1, 0, 0, 0], text(schema)].concat()));
    handler.resize(60, 0);
    let handlers_at = (TEXTS_AT + texts.len()).next_multiple_of(8);
    texts.resize(handlers_at - TEXTS_AT, 0);
    texts.extend(handler);
    description.extend([word(handlers_at), word(claim.handlers), vec![0; 32]].concat());
    let guest = guest_of(&[("describe", "$i")]);
    wrapped(&format!(
        "(core module $m
           (import \"std\" \"memory\" (memory 2))
           (data (i32.const 64) \"{}\")
           (func (export \"describe\") (result i32)
             (drop (memory.grow (i32.const 100)))
             (memory.init $texts (i32.const {TEXTS_AT}) (i32.const 0) (i32.const {}))
             (i32.const 64))
           (data $texts \"{}\"))
         (core instance $i (instantiate $m (with \"std\" (instance $std))))
         {guest}",
        escaped(&description),
        texts.len(),
        escaped(&texts),
    ))
}

fn word(value: usize) -> Vec<u8> {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes().to_vec()
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
