//! How this process is, from `/proc` (proc(5)): what an attack must not change.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    pub(crate) slots_free: usize,
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    pub(crate) sockets: usize,
    pub(crate) children: usize,
    /// Files and folders of the attack's home, the folders of components and of compiled code aside.
    pub(crate) files: usize,
    /// Resident memory in bytes.
    pub(crate) memory_bytes: u64,
}

/// What resident memory may have grown by: what the allocator keeps of the largest payloads and logs, and the pages that the pool
/// keeps of each place, which are 1 MiB for a memory.
const MEMORY_MARGIN_BYTES: u64 = 48 << 20;

impl Health {
    /// How it is now. `home` is the attack's own folder.
    pub(crate) fn now(slots_free: usize, home: &Path) -> io::Result<Self> {
        let (descriptors, sockets) = descriptors()?;
        Ok(Self {
            slots_free,
            threads: fs::read_dir("/proc/self/task")?.count(),
            descriptors,
            sockets,
            children: children()?,
            files: files(home)?,
            memory_bytes: memory()?,
        })
    }

    /// What there is more of than before, in words; slots there are fewer of.
    pub(crate) fn worse_than(&self, before: &Self) -> Vec<String> {
        let mut worse = Vec::new();
        if self.slots_free < before.slots_free {
            worse.push(format!("{} slots are free, before it {}", self.slots_free, before.slots_free));
        }
        for (what, now, then) in [
            ("threads", self.threads, before.threads),
            ("file descriptors", self.descriptors, before.descriptors),
            ("sockets", self.sockets, before.sockets),
            ("child processes", self.children, before.children),
            ("files", self.files, before.files),
        ] {
            if now > then {
                worse.push(format!("{now} {what}, before it {then}"));
            }
        }
        if self.memory_bytes > before.memory_bytes + MEMORY_MARGIN_BYTES {
            let mib = |bytes: u64| bytes >> 20;
            worse.push(format!(
                "{} MiB of memory, before it {} MiB",
                mib(self.memory_bytes),
                mib(before.memory_bytes)
            ));
        }
        worse
    }
}

/// Open descriptors, the one that counts them aside, and how many of them are sockets.
fn descriptors() -> io::Result<(usize, usize)> {
    let (mut all, mut sockets) = (0, 0);
    for entry in fs::read_dir("/proc/self/fd")? {
        // One that is gone already was not held.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        // A loaded plugin keeps an image of each of its memories from its first step on.
        if target.to_string_lossy().starts_with("/memfd:wasm-memory-image") {
            continue;
        }
        all += 1;
        if target.to_string_lossy().starts_with("socket:") {
            sockets += 1;
        }
    }
    Ok((all - 1, sockets))
}

/// Processes that some thread of this one has started and that are still there, dead ones that nobody asked for included.
fn children() -> io::Result<usize> {
    let mut children = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile; its children are then another thread's.
        let text = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children += text.split_whitespace().count();
    }
    Ok(children)
}

/// The folders of a home that grow by design.
const KEPT: [&str; 2] = ["plugins", "compiled"];

fn files(home: &Path) -> io::Result<usize> {
    let mut count = 0;
    let mut folders = vec![home.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            count += 1;
            let is_kept = folder == home && KEPT.iter().any(|kept| entry.file_name() == *kept);
            if entry.file_type()?.is_dir() && !is_kept {
                folders.push(entry.path());
            }
        }
    }
    Ok(count)
}

fn memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("/proc/self/status has no line VmRSS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_seen_and_what_was_given_back_is_not() {
        let home = tempfile::tempdir().unwrap();
        let before = Health::now(2, home.path()).unwrap();
        let file = fs::File::create(home.path().join("left-over")).unwrap();
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let worse = Health::now(1, home.path()).unwrap().worse_than(&before);
        for what in ["1 slots are free", "file descriptors", "1 sockets", "1 child processes", "1 files"] {
            assert!(worse.iter().any(|line| line.contains(what)), "{what}: {worse:?}");
        }
        drop((file, listening, child.stdin.take()));
        child.wait().unwrap();
        fs::remove_file(home.path().join("left-over")).unwrap();
        let after = Health::now(2, home.path()).unwrap();
        assert_eq!(after.worse_than(&before), Vec::<String>::new());
    }
}
