//! A cluster of its own folder, socket and end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Whether commits wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// They do, as in production.
    Full,
    /// They do not: quicker, and nothing is lost unless the machine itself goes down.
    None,
}

/// A running server. Stopped, and its folder removed, when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
}

impl Cluster {
    /// Makes and starts a cluster, on a Unix socket only.
    ///
    /// Fails with a sentence that says what to install where PostgreSQL's programs are not to be found.
    pub fn start(durability: Durability) -> Result<Self, String> {
        let programs = programs()?;
        let user = unprivileged()?;
        let folder = tempfile::Builder::new().prefix("sw-pg-").tempdir();
        let folder = folder.map_err(|error| format!("failed to make a temporary folder: {error}"))?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))
                .map_err(|error| format!("failed to give {} away: {error}", folder.path().display()))?;
        }
        let cluster = Self { folder, programs, user };
        let data = cluster.data();
        cluster.run(
            "initdb",
            [
                OsStr::new("--pgdata"),
                data.as_os_str(),
                OsStr::new("--username=postgres"),
                OsStr::new("--auth=trust"),
                OsStr::new("--encoding=UTF8"),
                OsStr::new("--no-locale"),
                OsStr::new("--no-sync"),
            ],
        )?;
        let mut settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 200\nshared_buffers = 256MB\n\
             max_wal_size = 4GB\ncheckpoint_timeout = 15min\nlog_min_messages = warning\n",
            cluster.folder.path().display()
        );
        if durability == Durability::None {
            settings.push_str("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n");
        }
        let path = data.join("postgresql.auto.conf");
        fs::write(&path, settings).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        cluster.control(&["start"])?;
        Ok(cluster)
    }

    /// The address of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.path().display())
    }

    /// Stops the server without a checkpoint, as a crash would, and starts it again.
    pub fn crash_and_restart(&self) -> Result<(), String> {
        self.control(&["restart", "-m", "immediate"])
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self, command: &[&str]) -> Result<(), String> {
        let (data, log) = (self.data(), self.folder.path().join("log"));
        let mut arguments: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        arguments.extend([OsStr::new("--wait"), OsStr::new("--pgdata"), data.as_os_str()]);
        arguments.extend([OsStr::new("--log"), log.as_os_str(), OsStr::new("--silent")]);
        self.run("pg_ctl", arguments).map_err(|error| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("{error}\n{said}")
        })
    }

    fn run(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<(), String> {
        let mut command = Command::new(self.programs.join(program));
        // The server must not hold on to the pipes of whoever waits for this program's end.
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status = command.status().map_err(|error| format!("failed to start {program}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.run(
            "pg_ctl",
            [
                OsStr::new("stop"),
                OsStr::new("-m"),
                OsStr::new("immediate"),
                OsStr::new("--pgdata"),
                data.as_os_str(),
            ],
        );
    }
}

/// The folder of `initdb` and `pg_ctl`: on the path, or where the distributions put the newest.
///
/// Fails with a sentence that says what to install.
pub fn programs() -> Result<PathBuf, String> {
    #[allow(clippy::disallowed_methods, reason = "the tests' own search for a program")]
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let mut installed: Vec<(u32, PathBuf)> = Vec::new();
    for parent in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version: String = name.chars().filter(char::is_ascii_digit).collect();
            installed.push((version.parse().unwrap_or(0), entry.path().join("bin")));
        }
    }
    installed.sort();
    let found = on_path
        .chain(installed.into_iter().rev().map(|(_, path)| path))
        .find(|folder| is_program(&folder.join("initdb")) && is_program(&folder.join("pg_ctl")));
    found.ok_or_else(|| {
        "these tests need PostgreSQL 13 or later, and neither DATABASE_URL is set nor were 'initdb' and 'pg_ctl' found; \
         install it (Debian: apt-get install postgresql), or set DATABASE_URL to a server where databases may be created"
            .to_owned()
    })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Whom the server must run as, if we are root: PostgreSQL refuses to be.
fn unprivileged() -> Result<Option<(u32, u32)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users =
        fs::read_to_string("/etc/passwd").map_err(|error| format!("failed to read /etc/passwd: {error}"))?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    found.map(Some).ok_or_else(|| {
        "PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'".to_owned()
    })
}
