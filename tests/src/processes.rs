//! Real processes of the binary, in a folder of their own.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A deployment in a temporary folder.
pub struct Deployment {
    data: tempfile::TempDir,
    /// Socket names are limited to some hundred bytes, so they get a short path.
    run: tempfile::TempDir,
    /// What `--db` says, unless the database is the file in the data folder.
    database: Option<String>,
}

impl Deployment {
    /// Empty folders.
    pub fn new() -> Self {
        let prefixed =
            |prefix: &str| tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder");
        Self { data: prefixed("stepwright-data-"), run: prefixed("sw-"), database: None }
    }

    /// Empty folders beside a database at a server.
    pub fn at(database: String) -> Self {
        Self { database: Some(database), ..Self::new() }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The run folder.
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir_of(0)
    }

    /// The run folder of one of several orchestrators, counted from zero.
    pub fn run_dir_of(&self, orchestrator: usize) -> PathBuf {
        // Made by the host, with the mode that it wants.
        self.run.path().join(format!("run-{orchestrator}"))
    }

    /// The socket of one of several orchestrators.
    pub fn socket_of(&self, orchestrator: usize) -> String {
        self.run_dir_of(orchestrator).join("orchestrator.sock").to_string_lossy().into_owned()
    }

    /// Starts one of several orchestrators.
    pub fn orchestrate(&self, number: usize) -> Process {
        let run_dir = self.run_dir_of(number).to_string_lossy().into_owned();
        self.start(&["orchestrate", "--run-dir", &run_dir])
    }

    /// Starts a worker for several orchestrators. It has a run folder of its own, as on a machine of its own.
    pub fn work(&self, name: &str, orchestrators: usize) -> Process {
        let sockets: Vec<String> = (0..orchestrators).map(|number| self.socket_of(number)).collect();
        self.start(&["work", "--name", name, "--slots", "2", "--orchestrator", &sockets.join(",")])
    }

    /// The binary with its folders, ready for arguments. It sees no environment of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.data()).env_clear().stdin(Stdio::null());
        command.arg("--data-dir").arg(self.data()).args(arguments);
        if !arguments.contains(&"--run-dir") {
            command.arg("--run-dir").arg(self.run_dir());
        }
        if let Some(database) = &self.database {
            command.arg("--db").arg(database);
        }
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs a command that must succeed, and returns its stdout.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}:\n{stderr}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs a command with `--json` that must succeed, and returns what it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&self.succeed(&all)).expect("JSON")
    }

    /// Starts a process whose lines can be read.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        let started = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = started.expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        Process { child, lines: BufReader::new(stdout).lines() }
    }

    /// Starts a process and waits until it says that it is ready.
    pub fn start(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(arguments);
        let first = process.line().unwrap_or_else(|| panic!("{arguments:?} ended before it was ready"));
        assert!(first.contains("ready"), "{arguments:?} said '{first}'");
        process
    }
}

impl Default for Deployment {
    fn default() -> Self {
        Self::new()
    }
}

/// A running process; killed when it is dropped.
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// The next line of its stdout; `None` once it has ended.
    pub fn line(&mut self) -> Option<String> {
        self.lines.next()?.ok()
    }

    /// Waits for its end, and returns its exit code.
    pub fn wait(mut self) -> Option<i32> {
        while self.line().is_some() {}
        self.child.wait().expect("it is our child").code()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// SIGSTOP: it is there and does nothing, as on a machine that was suspended.
    pub fn suspend(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("it is our child");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("it is our child");
    }

    /// SIGTERM, waits for its end, and returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it is our child");
        self.child.wait().expect("it is our child").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test, beside the folder of the test programs; built now if a single test is run by hand.
pub fn binary() -> PathBuf {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let test = std::env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("target/debug/deps/test");
    let binary = folder.join("stepwright");
    let mut built = BUILT.lock().expect("no test panicked here");
    if !*built && !binary.exists() {
        let mut cargo = Command::new("cargo");
        let status = cargo
            .args(["build", "--package", "stepwright"])
            .current_dir(root())
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the binary does not build");
    }
    *built = true;
    binary
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_path_buf()
}

/// A built guest.
pub fn plugin(name: &str) -> String {
    let path = root().join(format!("plugins/target/wasm32-wasip2/release/{name}.wasm"));
    assert!(path.exists(), "{} is missing; build it with 'cargo xtask plugins'", path.display());
    path.to_string_lossy().into_owned()
}

/// An example template.
pub fn template(name: &str) -> String {
    root().join(format!("config/templates/{name}.yaml")).to_string_lossy().into_owned()
}
