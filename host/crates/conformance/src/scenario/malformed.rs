//! Guest 20: files that are no component, or hardly one.

use std::sync::Arc;

use stepwright_executor::{Control, Executor as _};
use stepwright_workflow::Digest;

use crate::attack::{Attack, Expected, Seen};
use crate::corpus::{Component, assembled};
use crate::ground::{Ground, call, honest};

/// The first eight bytes of a component.
const HEADER: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
/// Components within components.
const DEPTH: usize = 10_000;

pub(super) fn attacks() -> Vec<Attack> {
    let attack = |name, make, expected| Attack::inspect(name, Component::Made(make), expected);
    let other = Attack::other;
    vec![
        attack("nothing", || Ok(Vec::new()), Expected::refused("not_wasm", "")),
        attack(
            "another kind of program",
            || Ok(b"\x7fELF\x02\x01\x01".to_vec()),
            Expected::refused("not_wasm", ""),
        ),
        attack("a core module", || Ok(b"\0asm\x01\0\0\0".to_vec()), Expected::refused("core_module", "")),
        attack(
            "an unknown version",
            || Ok(b"\0asm\xff\xff\xff\xff".to_vec()),
            Expected::refused("invalid", "version"),
        ),
        attack(
            "a header and noise",
            || Ok([&HEADER[..], &[0xff; 64]].concat()),
            Expected::refused("invalid", ""),
        ),
        attack(
            "a section that claims 4 GiB",
            || Ok([&HEADER[..], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()),
            Expected::refused("invalid", ""),
        ),
        attack(
            "ten thousand components in each other",
            || Ok(nested(DEPTH)),
            Expected::refused("invalid", "nested more than"),
        ),
        attack("a type that doubles forty times", doubling, Expected::refused("invalid", "")),
        attack(
            "a larger file than is compiled",
            || Ok(padded(5 << 20)),
            Expected::refused("invalid", "the limit is 4194304"),
        ),
        attack("a gigabyte", || Ok(padded(1 << 30)), Expected::refused("invalid", "the limit is 4194304")),
        other(
            "a gigabyte where plugins lie",
            |ground| Box::pin(sparse(ground)),
            Expected { class: "plugin_unavailable", code: "plugin_unreadable", text: "" },
        ),
        other(
            "cut off at each byte",
            |ground| Box::pin(cut_off(ground)),
            Expected::completed("no cut was taken"),
        ),
        other(
            "one bit after the other flipped",
            |ground| Box::pin(flipped(ground)),
            Expected::completed("each was refused or ended"),
        ),
    ]
}

/// A component that holds a component that holds a component.
fn nested(depth: usize) -> Vec<u8> {
    let mut component = HEADER.to_vec();
    for _ in 0..depth {
        let mut outer = HEADER.to_vec();
        outer.push(4);
        leb128(component.len(), &mut outer);
        outer.append(&mut component);
        component = outer;
    }
    component
}

fn leb128(mut value: usize, into: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        into.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

fn doubling() -> Result<Vec<u8>, String> {
    let types: String = (1..40).map(|n| format!("(type $t{n} (tuple $t{} $t{}))\n", n - 1, n - 1)).collect();
    assembled(&format!(
        "(component (type $t0 (tuple string string))\n{types}(import \"f\" (func (param \"x\" $t39))))"
    ))
}

/// A component that is mostly one custom section. The pages behind it are never written, and so are none.
fn padded(bytes: usize) -> Vec<u8> {
    let mut component = vec![0; bytes];
    component[..HEADER.len()].copy_from_slice(&HEADER);
    component
}

/// A file without contents takes no room on the disk.
async fn sparse(ground: Arc<Ground>) -> Result<Seen, String> {
    let digest = Digest::of(b"a gigabyte");
    let path = ground.home.path().join("plugins").join(format!("{}.wasm", digest.hex()));
    let made = std::fs::File::create(&path).and_then(|file| file.set_len(1 << 30));
    made.map_err(|error| error.to_string())?;
    let report = ground.executor.execute(call(&honest(), digest)?, Control::default()).await;
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    report.map(|report| Seen::step(&report)).map_err(|broken| broken.to_string())
}

async fn cut_off(ground: Arc<Ground>) -> Result<Seen, String> {
    let whole = ground.corpus.bytes(&Component::Text("honest"))?;
    for length in (0..whole.len()).step_by(7) {
        if let Ok(found) = ground.inspect(whole[..length].to_vec()).await {
            return Ok(Seen::completed(format!("the first {length} bytes were taken as {found:?}")));
        }
    }
    Ok(Seen::completed("no cut was taken"))
}

/// A flipped bit may leave a component that is as good as before: that it ends in some way is all that is asked.
async fn flipped(ground: Arc<Ground>) -> Result<Seen, String> {
    let whole = ground.corpus.bytes(&Component::Text("honest"))?;
    for at in (0..whole.len()).step_by(5) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        if let Err(refusal) = ground.inspect(bytes).await
            && Seen::refusal(&refusal).code == "host"
        {
            return Ok(Seen::refusal(&refusal));
        }
    }
    Ok(Seen::completed("each was refused or ended"))
}
