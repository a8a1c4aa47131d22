//! What people hand in: files, or stdin as `-`, never more than is wanted.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::CliError;
use crate::output::when;

/// The name of stdin on the command line.
const STDIN: &str = "-";

/// A whole file of at most so many bytes. Fails with a sentence that names the file.
pub(crate) fn bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliError> {
    let name = name(path);
    let mut read = Vec::new();
    let mut limited = open(path)?.take(bytes_max.saturating_add(1));
    limited
        .read_to_end(&mut read)
        .map_err(|error| CliError::new(format!("failed to read {name}: {error}")))?;
    if read.len() as u64 > bytes_max {
        return Err(CliError::new(format!("{name} is larger than {}", when::bytes(bytes_max))));
    }
    Ok(read)
}

/// A whole file of at most so many bytes, as text.
pub(crate) fn text(path: &Path, bytes_max: u64) -> Result<String, CliError> {
    let not_text = |error| CliError::new(format!("{} is not UTF-8: {error}", name(path)));
    String::from_utf8(bytes(path, bytes_max)?).map_err(not_text)
}

/// A file to read from.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, CliError> {
    if path == Path::new(STDIN) {
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(CliError::new(format!("failed to open {}: {error}", path.display()))),
    }
}

/// The file's name in messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order.json");
        let refused = |bytes: &[u8], expect: &str| {
            std::fs::write(&path, bytes).unwrap();
            let error = format!("{:?}", text(&path, 4).unwrap_err());
            assert!(error.contains("order.json") && error.contains(expect), "{error}");
        };
        refused(b"12345", "larger than 4 B");
        refused(&[0xff], "not UTF-8");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(text(&path, 4).unwrap(), "1234");
        let missing = format!("{:?}", text(&folder.path().join("none"), 4).unwrap_err());
        assert!(missing.contains("failed to open") && missing.contains("none"), "{missing}");
    }
}
