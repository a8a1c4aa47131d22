//! The committed descriptions of the checked queries: made anew from the migrations, or compared with them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use stepwright_postgres_harness::{Cluster, Durability};

use crate::run::{Outcome, cargo, root, run};
use crate::tidy::files;

/// A store whose queries are checked against its migrations.
struct Engine {
    name: &'static str,
    package: &'static str,
}

const ENGINES: [Engine; 2] = [
    Engine { name: "sqlite", package: "stepwright-store-sqlite" },
    Engine { name: "postgres", package: "stepwright-store-postgres" },
];

impl Engine {
    fn folder(&self) -> PathBuf {
        root().join(format!("host/crates/store-{}", self.name))
    }
}

pub(crate) fn sqlx(arguments: &[String]) -> Outcome {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("unknown arguments {other:?}; known is --check")),
    };
    let work = root().join("target/sqlx");
    // It lives for as long as its queries are described.
    let cluster = Cluster::start(Durability::None)?;
    for engine in &ENGINES {
        let fresh = work.join(engine.name);
        prepare_folder(&fresh).map_err(|error| format!("failed to make {}: {error}", fresh.display()))?;
        let url = match engine.name {
            "sqlite" => empty_file(&work.join("schema.db")),
            _ => cluster.url("postgres"),
        };
        let migrations = format!("migrations/{}", engine.name);
        run(&mut cargo(["run", "--quiet", "--package", "xtask-schema", "--", &migrations, &url]))?;
        describe(engine, &url, &fresh)?;
        let committed = engine.folder().join(".sqlx");
        if check { compare(&fresh, &committed)? } else { replace(&fresh, &committed)? }
    }
    Ok(())
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

/// The query macros write what they learn of each query, when they are expanded with a database at hand.
#[allow(clippy::disallowed_methods, reason = "a file's own time is what must change")]
fn describe(engine: &Engine, url: &str, folder: &Path) -> Outcome {
    // The crate must be expanded again even if nothing in it changed.
    let source = engine.folder().join("src/lib.rs");
    let touched = fs::File::options()
        .append(true)
        .open(&source)
        .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    touched.map_err(|error| format!("failed to touch {}: {error}", source.display()))?;
    run(cargo(["check", "--quiet", "--locked", "--package", engine.package])
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE_DIR", folder)
        .env("SQLX_OFFLINE", "false"))
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
