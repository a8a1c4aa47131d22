//! `template convert`: templates of the earlier Ruby system as ours. All of them, or none if one is wrong.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stepwright_workflow::template::Problem;

use super::TemplateFile;
use crate::context::Context;
use crate::convert::{self, Converted, OldFile};
use crate::error::{CliError, Exit};
use crate::output;

/// What to convert, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArguments {
    /// Templates of the earlier system; '-' is stdin.
    #[arg(required = true, value_name = "OLD.yaml")]
    files: Vec<PathBuf>,
    /// Write there: to a file that ends in .yaml or .yml, or into a folder, which is made if it is missing [default: stdout]
    #[arg(long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    templates: Vec<ConvertedFile<'a>>,
}

#[derive(Serialize)]
struct ConvertedFile<'a> {
    file: &'a str,
    template: &'a str,
    /// Where it was written; `null` if it was not.
    output: Option<String>,
    text: &'a str,
    warnings: &'a [Problem],
}

pub(crate) fn run(arguments: &ConvertArguments, context: &Context) -> Result<Exit, CliError> {
    if arguments.output.is_none() && arguments.files.len() > 1 && !context.json {
        return Err(CliError::new("several templates do not fit into one; name a folder with --output DIR"));
    }
    let files = TemplateFile::read_all(&arguments.files)?;
    let old: Vec<OldFile<'_>> =
        files.iter().map(|file| OldFile { name: &file.name, text: &file.text }).collect();
    let converted = convert::convert(&old).map_err(|problems| refusal(&problems, files.len()))?;
    let targets = match &arguments.output {
        Some(output) => targets(output, &arguments.files)?.into_iter().map(Some).collect(),
        None => vec![None; files.len()],
    };
    write_all(&converted, &targets, arguments)?;
    report(&files, &converted, &targets, context.json)?;
    Ok(Exit::Good)
}

fn refusal(problems: &[Problem], files: usize) -> CliError {
    let (count, what) = (problems.len(), if problems.len() == 1 { "problem" } else { "problems" });
    let among = if files == 1 { "the template".to_owned() } else { format!("{files} templates") };
    CliError::listed(format!("{count} {what} in {among}; nothing was written"), problems)
}

/// Where each file's template goes.
fn targets(output: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let is_file = output.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_file && !output.is_dir() {
        return match files {
            [_] => Ok(vec![output.to_owned()]),
            _ => Err(CliError::new(format!(
                "{} is one file, and {} templates are converted; name a folder",
                output.display(),
                files.len()
            ))),
        };
    }
    let mut targets: Vec<PathBuf> = Vec::new();
    for file in files {
        let name = match file.file_stem() {
            Some(stem) if file.as_path() != Path::new("-") => Path::new(stem).with_added_extension("yaml"),
            _ => return Err(CliError::new("stdin has no name; name a file with --output FILE")),
        };
        let target = output.join(name);
        if let Some(at) = targets.iter().position(|known| *known == target) {
            let (first, second, target) = (files[at].display(), file.display(), target.display());
            return Err(CliError::new(format!(
                "{first} and {second} would both become {target}; convert one of them with --output FILE"
            )));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Writes all, or none if one may not be written.
fn write_all(
    converted: &[Converted],
    targets: &[Option<PathBuf>],
    arguments: &ConvertArguments,
) -> Result<(), CliError> {
    let mut refused = Vec::new();
    for target in targets.iter().flatten() {
        let is_old = |file: &PathBuf| file.canonicalize().ok() == target.canonicalize().ok();
        if target.exists() && arguments.files.iter().any(is_old) {
            refused.push(format!("{} is a file that is converted; write elsewhere", target.display()));
        } else if target.exists() && !arguments.force {
            refused.push(format!("{} exists already; --force replaces it", target.display()));
        }
    }
    if !refused.is_empty() {
        return Err(CliError::listed("nothing was written", &refused));
    }
    for (converted, target) in converted.iter().zip(targets) {
        let Some(target) = target else { continue };
        write(target, &converted.text, arguments.force)
            .map_err(|error| CliError::new(format!("failed to write {}: {error}", target.display())))?;
    }
    Ok(())
}

/// A whole file or none: it is written beside its place, and put there once it is complete.
fn write(target: &Path, text: &str, replace: bool) -> io::Result<()> {
    let folder = target.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // What the umask leaves of it.
    let permissions = Permissions::from_mode(0o666);
    let mut beside = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    let kept = if replace { beside.persist(target) } else { beside.persist_noclobber(target) };
    kept.map(drop).map_err(|error| error.error)
}

fn report(
    files: &[TemplateFile],
    converted: &[Converted],
    targets: &[Option<PathBuf>],
    json: bool,
) -> Result<(), CliError> {
    let shown = |target: &Option<PathBuf>| target.as_ref().map(|target| target.display().to_string());
    if json {
        let all = files.iter().zip(converted).zip(targets);
        let templates = all.map(|((file, converted), target)| ConvertedFile {
            file: &file.name,
            template: &converted.template,
            output: shown(target),
            text: &converted.text,
            warnings: &converted.warnings,
        });
        return output::json(&Report { templates: templates.collect() });
    }
    for ((file, converted), target) in files.iter().zip(converted).zip(targets) {
        for warning in &converted.warnings {
            output::hint(format_args!("warning: {warning}"));
        }
        output::line(match shown(target) {
            Some(target) => format!("{}: {} is now {target}", file.name, converted.template),
            None => converted.text.trim_end().to_owned(),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_goes_to_a_place_of_its_own() {
        let at = |output: &str, files: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            targets(Path::new(output), &files).map_err(|error| error.message().to_owned())
        };
        assert_eq!(at("new.yaml", &["old/order.yml"]), Ok(vec![PathBuf::from("new.yaml")]));
        let both = vec![PathBuf::from("new/order.yaml"), PathBuf::from("new/1.0.0.yaml")];
        assert_eq!(at("new", &["old/order.yml", "old/pay/1.0.0.yaml"]), Ok(both));
        for (output, files, expected) in [
            ("new.yaml", ["a.yaml", "b.yaml"], "new.yaml is one file, and 2 templates are converted"),
            (
                "new",
                ["pay/1.0.0.yaml", "ship/1.0.0.yaml"],
                "pay/1.0.0.yaml and ship/1.0.0.yaml would both become new/1.0.0.yaml",
            ),
            ("new", ["-", "a.yaml"], "stdin has no name"),
        ] {
            let error = at(output, &files).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
