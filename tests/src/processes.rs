//! Real processes of the binary, in a folder of their own.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What several orchestrators are told: a machine that is busy with other tests, and stands still for some seconds, is no fault of
/// the ones that are counted here.
const PATIENCE: [&str; 6] = [
    "--set",
    "orchestrator.heartbeat=2s",
    "--set",
    "orchestrator.lease=10s",
    "--set",
    "orchestrator.reconnect_grace=5s",
];

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
        let mut arguments = vec!["orchestrate", "--run-dir", &run_dir];
        arguments.extend(PATIENCE);
        self.start(&arguments)
    }

    /// Starts a worker for several orchestrators.
    pub fn work(&self, name: &str, orchestrators: usize) -> Process {
        Process::start(self.work_command(name, orchestrators))
    }

    /// What starts a worker for several orchestrators.
    pub fn work_command(&self, name: &str, orchestrators: usize) -> Command {
        let sockets: Vec<String> = (0..orchestrators).map(|number| self.socket_of(number)).collect();
        self.command(&["work", "--name", name, "--slots", "2", "--orchestrator", &sockets.join(",")])
    }

    /// Starts one of several orchestrators with a gate that listens there and encrypts nothing. Returns also the gate's address.
    pub fn orchestrate_with_gate(&self, number: usize, listen: &str) -> (Process, String) {
        self.make_token();
        let run_dir = self.run_dir_of(number).to_string_lossy().into_owned();
        let arguments = ["--json", "orchestrate", "--run-dir", &run_dir, "--gate-listen", listen];
        let plain = ["--set", "gate.allow_plaintext=true"];
        let process = self.start(&[&arguments[..], &PATIENCE[..], &plain[..]].concat());
        let ready: Value = serde_json::from_str(process.ready()).expect("JSON");
        let gate = ready["gate"].as_str().and_then(|gate| gate.strip_prefix("tcp://"));
        (process, gate.expect("it has a gate").to_owned())
    }

    /// A worker that comes in through these gates and looks for no others.
    pub fn work_through(&self, name: &str, gates: &[String]) -> Command {
        let arguments = ["work", "--name", name, "--slots", "2", "--set", "worker.discover=false"];
        self.command(&[&arguments[..], &["--orchestrator", &gates.join(",")]].concat())
    }

    /// A token where every worker that shares the data folder looks for it.
    fn make_token(&self) {
        let file = self.data().join("worker.token");
        if !file.exists() {
            self.succeed(&["token", "create", "--name", "fleet", "--out", &file.to_string_lossy()]);
        }
    }

    /// The binary with its folders, ready for arguments. It sees no environment of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.data()).env_clear().stdin(Stdio::null());
        // Large components take ten times as long as in a release.
        command.env("STEPWRIGHT_SANDBOX_COMPILE_TIME", "10m");
        command.arg("--data-dir").arg(self.data()).args(arguments);
        if !arguments.contains(&"--run-dir") {
            command.arg("--run-dir").arg(self.run_dir());
        }
        if let Some(database) = &self.database {
            command.arg("--db").arg(database);
        }
        if arguments.contains(&"dev") {
            // The usual port belongs to one of the tests that run at the same time.
            command.env("STEPWRIGHT_API_LISTEN", "127.0.0.1:0");
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
        Process::spawn(self.command(arguments))
    }

    /// Starts a process and waits until it says that it is ready.
    pub fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.command(arguments))
    }

    /// Asks until there is an answer: a server that has too much to do, or has just been killed, gives none.
    fn ask(&self, arguments: &[&str]) -> Value {
        loop {
            let output = self.output(arguments);
            if output.status.success() {
                return serde_json::from_slice(&output.stdout).expect("JSON");
            }
            eprintln!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Asks until at least one link of a worker of this name, or of every one, is as wanted.
    fn until_links(&self, name: &str, wanted: impl Fn(&[&Value]) -> bool) {
        loop {
            let listed = self.ask(&["--json", "worker", "list", "--all"]);
            let links = listed["workers"].as_array().expect("workers");
            let links: Vec<&Value> = links.iter().filter(|link| link["name"] == name).collect();
            if wanted(&links) {
                return;
            }
        }
    }

    /// Until every link of a worker of this name is lost.
    pub fn until_lost(&self, name: &str) {
        self.until_links(name, |links| links.iter().all(|link| link["state"] == "lost"));
    }

    /// Until a worker of this name holds at least so many steps.
    pub fn until_holding(&self, name: &str, steps: u64) {
        let held = |link: &&Value| link["steps_held"].as_u64().expect("a number");
        self.until_links(name, |links| links.iter().map(held).sum::<u64>() >= steps);
    }

    /// The orchestrators that are listed, with the links of workers that each speaks for: those that are there and those of which
    /// nobody knows yet that they are gone.
    pub fn orchestrators(&self) -> Vec<(String, u64)> {
        let listed = self.ask(&["--json", "orchestrator", "list"]);
        let row = |row: &Value| {
            let incarnation = row["incarnation"].as_str().expect("an incarnation").to_owned();
            (incarnation, row["workers"].as_u64().expect("a number"))
        };
        listed["orchestrators"].as_array().expect("orchestrators").iter().map(row).collect()
    }

    /// Asks until there are so many orchestrators, each of which speaks for so many links of workers.
    pub fn until_linked(&self, orchestrators: usize, workers: u64) -> Vec<String> {
        loop {
            let found = self.orchestrators();
            if found.len() == orchestrators && found.iter().all(|(_, links)| *links == workers) {
                return found.into_iter().map(|(incarnation, _)| incarnation).collect();
            }
        }
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
    ready: String,
    log: Option<Arc<Log>>,
}

/// What a process wrote to stderr so far.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Log {
    /// Reads to the end, and shows every line to whoever looks at the test.
    fn read(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            self.lines.lock().expect("no reader panics").0.push(line);
            self.more.notify_all();
        }
        self.lines.lock().expect("no reader panics").1 = true;
        self.more.notify_all();
    }
}

impl Process {
    /// Starts a command whose lines can be read.
    pub fn spawn(mut command: Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        let log = child.stderr.take().map(|stderr| {
            let log = Arc::new(Log::default());
            let reader = log.clone();
            // It ends with the process.
            std::thread::spawn(move || reader.read(stderr));
            log
        });
        Self { child, lines: BufReader::new(stdout).lines(), ready: String::new(), log }
    }

    /// Starts a command and waits until it says that it is ready.
    pub fn start(command: Command) -> Self {
        let shown = format!("{command:?}");
        let mut process = Self::spawn(command);
        process.ready = process.line().unwrap_or_else(|| panic!("{shown} ended before it was ready"));
        assert!(process.ready.contains("ready"), "{shown} said '{}'", process.ready);
        process
    }

    /// The same, and keeps what it logs.
    pub fn start_logged(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::start(command)
    }

    /// The line with which it said that it is ready.
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it has logged so many lines with this text.
    pub fn until_logged(&self, text: &str, times: usize) {
        let log = self.log.as_ref().expect("its log is kept");
        let mut lines = log.lines.lock().expect("no reader panics");
        while lines.0.iter().filter(|line| line.contains(text)).count() < times {
            assert!(!lines.1, "it ended and had not said '{text}'");
            lines = log.more.wait(lines).expect("no reader panics");
        }
    }

    /// The next line of its stdout; `None` once it has ended.
    pub fn line(&mut self) -> Option<String> {
        self.lines.next()?.ok()
    }

    /// Reads what a watch says until at least so many of its tasks have settled, or it has ended, which is when all of them have.
    pub fn until_settled(&mut self, wanted: usize) {
        while let Some(line) = self.line() {
            let settled = line.split(" of ").next().and_then(|number| number.trim().parse::<usize>().ok());
            if settled.is_some_and(|settled| settled >= wanted) {
                return;
            }
        }
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

/// A built guest in another language than Rust.
pub fn polyglot(name: &str) -> String {
    let path = root().join(format!("plugins/target/polyglot/{name}.wasm"));
    assert!(path.exists(), "{} is missing; build it with 'cargo xtask plugins'", path.display());
    path.to_string_lossy().into_owned()
}

/// An example template.
pub fn template(name: &str) -> String {
    root().join(format!("config/templates/{name}.yaml")).to_string_lossy().into_owned()
}
