//! Property-based tests of the HTTP API from its own document, with schemathesis: no 5xx, no status and no answer that the document
//! does not describe.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::run::{Outcome, cargo, read, root, run, works};
use crate::tools;

/// The release that the figures of the guide are from.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
     negative_data_rejection,unsupported_method,ignored_auth";

/// Cases of each operation.
const EXAMPLES: &str = "15";

/// A `dev` in a folder of its own.
struct Dev {
    folder: PathBuf,
    process: Child,
    url: String,
}

/// Builds, starts `dev`, and plays against it.
pub(crate) fn schemathesis(arguments: &[String]) -> Outcome {
    let (seed, examples) = match arguments {
        [] => ("7", EXAMPLES),
        [flag, seed] if flag == "--seed" => (seed.as_str(), EXAMPLES),
        [flag, examples] if flag == "--examples" => ("7", examples.as_str()),
        other => return Err(format!("unknown arguments {other:?}; known are --seed S and --examples N")),
    };
    let program = installed()?;
    tools::wasm_target()?;
    tools::build_plugins()?;
    run(&mut cargo(["build", "--quiet", "--locked", "--workspace", "--bins"]))?;
    let dev = Dev::start()?;
    let token = dev.stepwright(&["token", "create", "--name", "tests", "--scope", "admin"])?;
    let play = |chosen: &[&str]| {
        let mut command = Command::new(&program);
        command
            .current_dir(&dev.folder)
            .args(["run", &format!("{}/v1/openapi.json", dev.url), "--checks", CHECKS])
            .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", examples, "--seed", seed])
            .args([
                "--continue-on-failure",
                "--warnings",
                "off",
                "--suppress-health-check",
                "filter_too_much",
            ])
            .args(chosen);
        run(&mut command)
    };
    // While there is no task, none of them is waited for.
    play(&["--include-operation-id", "wait_for_task"])?;
    dev.stepwright(&["plugin", "add", &tools::plugin("shapes").to_string_lossy()])?;
    dev.stepwright(&["template", "add", &root().join("config/templates/linear_4.yaml").to_string_lossy()])?;
    // Components are not made of random bytes by any serializer that it has, and a stream of events has no end: tests of the host upload
    // real ones, and read streams.
    let apart = ["wait_for_task", "revoke_token", "add_plugin", "stream_events"];
    play(&apart.map(|id| ["--exclude-operation-id", id]).concat())?;
    // Last, since it may revoke the token that is shown.
    play(&["--include-operation-id", "revoke_token"])
}

impl Dev {
    fn start() -> Outcome<Self> {
        let folder = root().join("target/schemathesis/data");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .map_err(|error| format!("failed to remove {}: {error}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("failed to make {}: {error}", folder.display()))?;
        let mut command = stepwright(&folder);
        command.args([
            "--json",
            "dev",
            "--api-listen",
            "127.0.0.1:0",
            "--set",
            "api.requests_per_second=100000",
        ]);
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = started.map_err(|error| format!("failed to start dev: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            let read = BufReader::new(stdout).read_line(&mut line);
            read.map_err(|error| format!("failed to read what dev says: {error}"))?;
        }
        let url = line.split("\"api\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let url = url.ok_or_else(|| format!("dev did not say where its API is: {line}"))?.to_owned();
        Ok(Self { folder, process, url })
    }

    fn stepwright(&self, arguments: &[&str]) -> Outcome<String> {
        read(stepwright(&self.folder).args(arguments))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stepwright(folder: &Path) -> Command {
    let mut command = Command::new(root().join("target/debug/stepwright"));
    command.current_dir(folder).arg("--data-dir").arg(folder).args(["--log-level", "error"]);
    command
}

/// Schemathesis in an environment of its own.
fn installed() -> Outcome<PathBuf> {
    let place = root().join("target/schemathesis/python");
    let (program, pip) = (place.join("bin/st"), place.join("bin/pip"));
    let wanted = SCHEMATHESIS.rsplit('=').next().unwrap_or_default();
    if read(Command::new(&program).arg("--version")).is_ok_and(|found| found.contains(wanted)) {
        return Ok(program);
    }
    if !works(Command::new("python3").args(["-c", "import venv"])) {
        return Err("there is no Python 3 with 'venv', which schemathesis needs".to_owned());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]))?;
    Ok(program)
}
