//! The committed descriptions of the checked queries: made anew from the migrations, or compared with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use stepwright_postgres_harness::{Cluster, Durability};

use crate::run::{Outcome, cargo, root, run};
use crate::tidy::files;

/// A store whose queries are checked against its migrations.
struct Engine {
    name: &'static str,
    package: &'static str,
    /// The variables of the crate's `.env`: a database with the schema of today, and where descriptions go.
    schema: &'static str,
    described: &'static str,
}

const ENGINES: [Engine; 2] = [
    Engine {
        name: "sqlite",
        package: "stepwright-store-sqlite",
        schema: "STEPWRIGHT_SQLITE_SCHEMA",
        described: "STEPWRIGHT_SQLITE_DESCRIBED",
    },
    Engine {
        name: "postgres",
        package: "stepwright-store-postgres",
        schema: "STEPWRIGHT_POSTGRES_SCHEMA",
        described: "STEPWRIGHT_POSTGRES_DESCRIBED",
    },
];

impl Engine {
    fn folder(&self) -> PathBuf {
        root().join(format!("host/crates/store-{}", self.name))
    }

    fn committed(&self) -> PathBuf {
        self.folder().join(".sqlx")
    }

    fn fresh(&self) -> PathBuf {
        root().join("target/sqlx").join(self.name)
    }

    /// The crate must be expanded again even if nothing in it changed.
    #[allow(clippy::disallowed_methods, reason = "a file's own time is what must change")]
    fn expand_again(&self) -> Outcome {
        let source = self.folder().join("src/lib.rs");
        let touched = fs::File::options()
            .append(true)
            .open(&source)
            .and_then(|file| file.set_modified(std::time::SystemTime::now()));
        touched.map_err(|error| format!("failed to touch {}: {error}", source.display()))
    }
}

pub(crate) fn sqlx(arguments: &[String]) -> Outcome {
    match arguments {
        [] => {
            let [sqlite, postgres] = ENGINES.each_ref().map(|engine| engine.package);
            describe(&["check", "--quiet", "--locked", "--package", sqlite, "--package", postgres])?;
            ENGINES.iter().try_for_each(|engine| replace(&engine.fresh(), &engine.committed()))
        }
        [flag] if flag == "--check" => lint(),
        other => Err(format!("unknown arguments {other:?}; known is --check")),
    }
}

/// Runs clippy over everything with the query macros before real databases, and compares what they learn with what is committed.
/// One run does both, since each expands all macros, and a run for two crates alone would build their dependencies anew.
pub(crate) fn lint() -> Outcome {
    describe(&["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    ENGINES.iter().try_for_each(|engine| compare(&engine.fresh(), &engine.committed()))
}

/// Runs a command of cargo that expands the query macros, which write what they learn of each query from a database.
fn describe(command: &[&str]) -> Outcome {
    let mut command = cargo(command.iter().copied());
    // What a person set would win over the crates' own.
    command.env_remove("DATABASE_URL").env_remove("SQLX_OFFLINE_DIR").env("SQLX_OFFLINE", "false");
    // It lives for as long as queries are described.
    let cluster = Cluster::start(Durability::None)?;
    // With the features of the whole workspace, whose parts are needed anyway.
    run(&mut cargo(["build", "--quiet", "--locked", "--workspace", "--bin", "xtask-schema"]))?;
    let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    for engine in &ENGINES {
        let fresh = engine.fresh();
        prepare_folder(&fresh).map_err(|error| format!("failed to make {}: {error}", fresh.display()))?;
        let url = match engine.name {
            "sqlite" => empty_file(&fresh.with_file_name("schema.db")),
            _ => cluster.url("postgres"),
        };
        let migrations = root().join(format!("migrations/{}", engine.name));
        run(Command::new(this.with_file_name("xtask-schema")).arg(migrations).arg(&url))?;
        command.env(engine.schema, url).env(engine.described, fresh);
        engine.expand_again()?;
    }
    run(&mut command)
}

fn prepare_folder(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

/// The address of a database file that is not there yet.
fn empty_file(path: &Path) -> String {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let _ = fs::remove_file(file);
    }
    format!("sqlite://{}", path.display())
}

fn compare(fresh: &Path, committed: &Path) -> Outcome {
    let (wanted, found) = (files(fresh)?, files(committed)?);
    if wanted.is_empty() {
        return Err("no query was described, so nothing is proved".to_owned());
    }
    let stale = wanted
        .iter()
        .chain(&found)
        .find(|file| fs::read(fresh.join(file)).ok() != fs::read(committed.join(file)).ok());
    match stale {
        Some(file) => Err(format!(
            "{} is stale; run 'cargo xtask sqlx' and commit what changed",
            committed.join(file).display()
        )),
        None => Ok(()),
    }
}

fn replace(fresh: &Path, committed: &Path) -> Outcome {
    let failed = |error: io::Error| format!("failed to write {}: {error}", committed.display());
    prepare_folder(committed).map_err(failed)?;
    for file in files(fresh)? {
        fs::copy(fresh.join(&file), committed.join(&file)).map_err(failed)?;
    }
    Ok(())
}
