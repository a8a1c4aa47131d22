//! The committed descriptions of the checked queries: made anew from the migrations, or compared with them.

use std::path::Path;
use std::{fs, io};

use crate::run::{Outcome, cargo, root, run};
use crate::tidy::files;

const PACKAGE: &str = "stepwright-store-sqlite";
const MIGRATIONS: &str = "migrations/sqlite";
const DESCRIPTIONS: &str = ".sqlx";

pub(crate) fn sqlx(arguments: &[String]) -> Outcome {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("unknown arguments {other:?}; known is --check")),
    };
    let work = root().join("target/sqlx");
    let fresh = work.join("descriptions");
    prepare_folder(&fresh).map_err(|error| format!("failed to make {}: {error}", fresh.display()))?;
    let database = work.join("schema.db");
    make_database(&database)?;
    describe(&database, &fresh)?;
    let committed = root().join(DESCRIPTIONS);
    if check { compare(&fresh, &committed) } else { replace(&fresh, &committed) }
}

fn prepare_folder(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

/// A database with the schema of the migrations and nothing in it.
fn make_database(path: &Path) -> Outcome {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let _ = fs::remove_file(file);
    }
    run(cargo(["run", "--quiet", "--package", "xtask-schema", "--", MIGRATIONS]).arg(path))
}

#[allow(clippy::disallowed_methods, reason = "a file's own time is what must change")]
/// The query macros write what they learn of each query, when they are expanded with a database at hand.
fn describe(database: &Path, folder: &Path) -> Outcome {
    // The crate must be expanded again even if nothing in it changed; its own target folder keeps the others' builds.
    let source = root().join("host/crates/store-sqlite/src/lib.rs");
    let touched = fs::File::options()
        .append(true)
        .open(&source)
        .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    touched.map_err(|error| format!("failed to touch {}: {error}", source.display()))?;
    run(cargo(["check", "--quiet", "--locked", "--package", PACKAGE])
        .env("DATABASE_URL", format!("sqlite://{}", database.display()))
        .env("SQLX_OFFLINE_DIR", folder)
        .env_remove("SQLX_OFFLINE"))
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
            "{DESCRIPTIONS}/{} is stale; run 'cargo xtask sqlx' and commit what changed",
            file.display()
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
