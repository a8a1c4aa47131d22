//! The wake-up call: an empty datagram to a socket in the run directory. Only an accelerator; the orchestrator looks at the
//! database by itself, a moment later.

use std::io;
use std::os::unix::net::UnixDatagram as PokeSocket;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

const SOCKET: &str = "wake.sock";

/// Wakes whoever listens in this run directory.
pub(crate) fn poke(run_dir: &Path) {
    if let Ok(socket) = PokeSocket::unbound() {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(&[], run_dir.join(SOCKET));
    }
}

/// The listening end. Its file goes with it.
#[derive(Debug)]
pub(crate) struct WakeSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl WakeSocket {
    /// Listens in a run directory. What an earlier process left is replaced: whoever holds the orchestrator's lock owns it.
    pub(crate) fn bind(run_dir: &Path) -> io::Result<Self> {
        let path = run_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { socket: UnixDatagram::bind(&path)?, path })
    }

    /// Waits for a call. Cancel safe.
    pub(crate) async fn woken(&self) {
        let mut nothing = [0; 1];
        if self.socket.recv(&mut nothing).await.is_err() {
            std::future::pending::<()>().await;
        }
        // Calls that piled up are one.
        while self.socket.try_recv(&mut nothing).is_ok() {}
    }
}

impl Drop for WakeSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_poke_wakes_and_nobody_listening_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        poke(folder.path());
        let socket = WakeSocket::bind(folder.path()).unwrap();
        poke(folder.path());
        poke(folder.path());
        socket.woken().await;
        drop(socket);
        poke(folder.path());
        assert!(!folder.path().join(SOCKET).exists());
    }
}
