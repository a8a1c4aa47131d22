//! Guests 13 and 14: out of the sandbox, into files.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepwright_executor::Grants;
use stepwright_executor::grants::DirectoryGrant;
use stepwright_workflow::FailureClass;

use crate::attack::{Attack, Expected, Seen, Step};
use crate::ground::Ground;

/// What the guest's own directory may hold.
const SCRATCH_BYTES: u64 = 1 << 20;
/// Where the guest sees a granted directory.
const GUEST: &str = "/work";

pub(super) fn escape() -> Vec<Attack> {
    let nothing = Expected::completed("got []");
    vec![
        Step::hostile("escape").expect("nothing granted", Expected::completed("[]")),
        Attack::other(
            "out of a directory to read",
            |ground| Box::pin(in_directory(ground, false, told("escape", ""))),
            nothing,
        ),
        Attack::other(
            "out of a directory to write",
            |ground| Box::pin(in_directory(ground, true, told("escape", ""))),
            nothing,
        ),
        Attack::other(
            "writes where it may only read",
            |ground| Box::pin(in_directory(ground, false, told("steal", ""))),
            nothing,
        ),
    ]
}

pub(super) fn disk() -> Vec<Attack> {
    let filled = |name, work: crate::attack::Other| Attack::other(name, work, Expected::completed("got []"));
    vec![
        Step::hostile("fill").told("{\"kind\":\"one\"}").expect("nothing granted", Expected::completed("[]")),
        filled("one file", |ground| Box::pin(in_scratch(ground, "one"))),
        filled("many files", |ground| Box::pin(in_scratch(ground, "many"))),
        filled("files without contents, and a byte far away", |ground| {
            Box::pin(in_scratch(ground, "sparse"))
        }),
        filled("a hundred thousand names", |ground| Box::pin(in_scratch(ground, "empty"))),
    ]
}

/// Guest 12's part: each open file is a descriptor of the host.
pub(super) fn open_files() -> Vec<Attack> {
    let handles = Expected::failed(FailureClass::Trap, "handles");
    vec![
        Attack::other(
            "the same file over and over",
            |ground| Box::pin(in_directory(ground, false, told("open_for_ever", ""))),
            handles,
        ),
        Attack::other(
            "new files over and over",
            |ground| Box::pin(in_directory(ground, true, told("open_for_ever", "new"))),
            handles,
        ),
    ]
}

fn told(handler: &'static str, kind: &str) -> Step {
    Step::hostile(handler).told(format!("{{\"kind\":\"{kind}\",\"directory\":\"{GUEST}\"}}"))
}

/// A directory with traps in it, beside a secret.
fn lay_out(outer: &Path) -> std::io::Result<PathBuf> {
    let home = outer.join("granted");
    std::fs::create_dir_all(home.join("inside"))?;
    std::fs::create_dir(outer.join("elsewhere"))?;
    for secret in [outer.join("secret.txt"), outer.join("elsewhere/secret.txt")] {
        std::fs::write(secret, "secret")?;
    }
    std::fs::write(home.join("inside.txt"), "inside")?;
    symlink(outer.join("secret.txt"), home.join("link_absolute"))?;
    symlink("../secret.txt", home.join("link_relative"))?;
    symlink("/proc/self/environ", home.join("link_proc"))?;
    symlink("../elsewhere", home.join("link_folder"))?;
    symlink("link_loop", home.join("link_loop"))?;
    Ok(home)
}

/// Everything outside of the granted directory, by path and contents.
fn outside(outer: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![outer.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.ends_with("granted") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs a step that was granted a directory, and looks at what lies around it afterwards.
async fn in_directory(ground: Arc<Ground>, writable: bool, step: Step) -> Result<Seen, String> {
    let failed = |error: std::io::Error| format!("failed to lay out the directory: {error}");
    let outer = ground.home.path().join("outer");
    let home = lay_out(&outer).map_err(failed)?;
    let before = outside(&outer).map_err(failed)?;
    let directory = DirectoryGrant { host: home.clone(), guest: GUEST.to_owned(), writable };
    let grants = Grants { directories: vec![directory], ..Grants::default() };
    let report = ground.execute_granted(&step, grants).await;
    let after = outside(&outer).map_err(failed)?;
    let inside = std::fs::read_to_string(home.join("inside.txt")).unwrap_or_default();
    std::fs::remove_dir_all(&outer).map_err(failed)?;
    let seen = Seen::step(&report?);
    if before != after || (!writable && inside != "inside") {
        return Ok(Seen::completed(format!("it changed {before:?} into {after:?}")));
    }
    Ok(got(seen))
}

async fn in_scratch(ground: Arc<Ground>, kind: &str) -> Result<Seen, String> {
    let grants = Grants { scratch_bytes: Some(SCRATCH_BYTES), ..Grants::default() };
    let context = format!("{{\"kind\":\"{kind}\",\"n\":{SCRATCH_BYTES},\"directory\":\"/scratch\"}}");
    let report = ground.execute_granted(&Step::hostile("fill").told(context), grants).await?;
    Ok(got(Seen::step(&report)))
}

/// Tells what a guest got from a guest that got nothing else to say.
fn got(seen: Seen) -> Seen {
    if seen.class == "completed" { Seen::completed(format!("got {}", seen.text)) } else { seen }
}
