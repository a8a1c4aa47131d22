//! `plugin test`: a plugin's cases, each in a fresh sandbox.
//!
//! ```text
//! project ─▶ build ─▶ component ─┐
//! cases/*.json ─▶ read, all of them ─▶ one call each ─▶ verdict ─▶ what differs, by path
//! ```

mod case;
mod difference;
mod fakes;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use stepwright_executor::{Egress, StepReport};

use self::case::Case;
use super::FileProblem;
use super::attempt::{self, Bench};
use super::project::Project;
use super::run::{Line, component};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::paint::{Paint, Tone};
use crate::output::when;
use crate::{input, output};

pub(super) const EXAMPLES: &str = "\
A case is a JSON file: {\"handler\": …, \"input\": …, \"config\": …, \"parents\": {STEP: …}, \"attempt\": 1, \"expect\": \
{\"output\": …} or {\"error\": {\"class\": …, \"code\": …, \"message_contains\": …}}, \"http\": [{\"request\": {\"method\": …, \"url\": …}, \
\"response\": {\"status\": 200, \"json\": …}}], \"secrets\": {NAME: VALUE}}. The exit code is 1 if one fails.

Examples:
  stepwright plugin test plugins/shop
  stepwright plugin test shop.wasm --cases cases --json";

/// Where a project keeps its cases.
const CASES: &str = "cases";

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArguments {
    /// The plugin's directory, which is built first if something was changed, or a component file.
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Where the cases are [default: 'cases' in the plugin's directory, or beside the component]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only cases whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) async fn run(arguments: &TestArguments, context: &Context) -> Result<Exit, CliError> {
    let (file, beside) = subject(&arguments.path).await?;
    let folder = arguments.cases.clone().unwrap_or_else(|| beside.join(CASES));
    let cases = read(&folder, arguments.only.as_deref())?;
    let bench = Bench::start(component(&file, context)?, 1, context).await?;
    let mut tally = Tally { component: input::name(&file), cases: Vec::new(), passed: 0, failed: 0 };
    for (name, case) in cases {
        let (answers, grants) = case.fakes();
        let answers = Arc::new(answers);
        let egress = Egress::fake(context.config.egress, Arc::clone(&answers));
        let report = bench.within(egress, grants).call(&case.told()).await?;
        let mut problems = verdict::problems(&case.expect, &report.outcome);
        problems.extend(answers.unused().iter().map(|request| format!("http: nobody asked for {request}")));
        let tried = Tried { case: name, problems, report };
        if !context.json {
            tell(&tried)?;
        }
        *if tried.problems.is_empty() { &mut tally.passed } else { &mut tally.failed } += 1;
        tally.cases.push(tried);
    }
    finish(&tally, context)
}

/// The component, and where its cases would lie.
async fn subject(path: &Path) -> Result<(PathBuf, PathBuf), CliError> {
    if path.extension().is_some_and(|extension| extension == "wasm") {
        return Ok((path.to_owned(), path.parent().unwrap_or(Path::new(".")).to_owned()));
    }
    let project = Project::find(path)?;
    Ok((project.component().await?, project.folder().to_owned()))
}

/// Every case of a folder, in the order of their names; all that is wrong with any of them otherwise.
fn read(folder: &Path, only: Option<&str>) -> Result<Vec<(String, Case)>, CliError> {
    let listed = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let listed = listed.map_err(|error| {
        CliError::new(format!("failed to list the cases in {}: {error}", folder.display()))
    })?;
    let mut paths: Vec<PathBuf> = listed.iter().map(std::fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        match Case::read(&path) {
            Ok(case) => cases.push((name, case)),
            Err(problem) => problems.push(FileProblem { file: input::name(&path), problem }),
        }
    }
    match (cases.len(), problems.len()) {
        (0, 0) => Err(CliError::new(match only {
            Some(only) => format!("no case in {} is called anything with '{only}'", folder.display()),
            None => format!("there is no case in {}: a case is a file NAME.json", folder.display()),
        })),
        (_, 0) => Ok(cases),
        (_, bad) => Err(CliError::listed(format!("{bad} cases cannot be read; nothing was run"), &problems)),
    }
}

struct Tried {
    case: String,
    problems: Vec<String>,
    report: StepReport,
}

struct Tally {
    component: String,
    cases: Vec<Tried>,
    passed: usize,
    failed: usize,
}

#[derive(Serialize)]
struct Shown<'a> {
    component: &'a str,
    passed: usize,
    failed: usize,
    cases: Vec<ShownCase<'a>>,
}

#[derive(Serialize)]
struct ShownCase<'a> {
    case: &'a str,
    passed: bool,
    problems: &'a [String],
    log: Vec<Line<'a>>,
}

impl<'a> From<&'a Tried> for ShownCase<'a> {
    fn from(Tried { case, problems, report }: &'a Tried) -> Self {
        let log = report.log.iter().map(Line::from).collect();
        Self { case, passed: problems.is_empty(), problems, log }
    }
}

fn tell(Tried { case, problems, report }: &Tried) -> Result<(), CliError> {
    let paint = Paint::stdout();
    if problems.is_empty() {
        return output::line(format_args!(
            "{} {case} ({})",
            paint.of(Tone::Good, "passed"),
            when::duration(report.wall)
        ));
    }
    output::line(format_args!("{} {case}", paint.of(Tone::Bad, "FAILED")))?;
    for problem in problems {
        output::line(format_args!("    {problem}"))?;
    }
    for line in &report.log {
        output::line(format_args!("    log: {}", attempt::line(line)))?;
    }
    Ok(())
}

fn finish(tally: &Tally, context: &Context) -> Result<Exit, CliError> {
    let Tally { component, cases, passed, failed } = tally;
    if context.json {
        let cases = cases.iter().map(ShownCase::from).collect();
        output::json(&Shown { component, passed: *passed, failed: *failed, cases })?;
    } else {
        output::line(format_args!("{component}: {passed} passed, {failed} failed"))?;
    }
    Ok(if *failed == 0 { Exit::Good } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_case_is_named_and_no_case_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let refused = |only| format!("{:?}", read(folder.path(), only).map(|cases| cases.len()).unwrap_err());
        file("notes.txt", "");
        assert!(refused(None).contains("there is no case"));
        file("good.json", "{\"handler\": \"greet\", \"expect\": {\"output\": 1}}");
        file("also.json", "{\"handler\": \"greet\", \"expect\": {\"output\": 2}}");
        let names: Vec<String> =
            read(folder.path(), None).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["also", "good"]);
        assert_eq!(read(folder.path(), Some("oo")).unwrap().len(), 1);
        assert!(refused(Some("other")).contains("'other'"));
        file("bad.json", "{\"handler\": \"greet\"}");
        file("worse.json", "{");
        let both = refused(None);
        assert!(
            both.contains("bad.json: ") && both.contains("worse.json: ") && both.contains("expect"),
            "{both}"
        );
    }
}
