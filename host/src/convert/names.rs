//! Names of templates, namespaces, steps and environments: any text there; here up to 64 of a-z, 0-9 and `_` after a letter.

use super::fields::Named;
use super::notes::Notes;

/// The longest name, in characters.
const NAME_MAX: usize = 64;

/// The nearest name that is one here, or an error. `kind` is what it is the name of; a warning says how it changed.
pub(super) fn own(named: &Named, kind: &str, notes: &mut Notes) -> Option<String> {
    let Some(name) = nearest(&named.name, kind) else {
        let what = format!("no name of a {kind} can be made of '{}'", named.name);
        notes.error(
            &named.spot,
            what,
            format!("write some of a-z, 0-9 and _, at most {NAME_MAX} characters"),
        );
        return None;
    };
    if name != named.name {
        let what = format!("the {kind} '{}' is called '{name}' here", named.name);
        notes.warn(&named.spot, what, format!("say '{name}' wherever the {kind} is named"));
    }
    Some(name)
}

/// The nearest name that is one here, if there is one.
pub(super) fn nearest(text: &str, kind: &str) -> Option<String> {
    if !text.contains(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut name: String = text.chars().map(plain).collect();
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name = format!("{kind}_{}", name.trim_start_matches('_'));
    }
    Some(name).filter(|name| name.len() <= NAME_MAX)
}

/// A semantic version, where the earlier system took any text; or an error.
pub(super) fn version(named: &Named, notes: &mut Notes) -> Option<String> {
    let text = named.name.as_str();
    if semver::Version::parse(text).is_ok() {
        return Some(text.to_owned());
    }
    let missing = 3_usize.saturating_sub(text.split('.').count());
    let padded = format!("{text}{}", ".0".repeat(missing));
    if semver::Version::parse(&padded).is_ok() {
        let what = format!("the version '{text}' is '{padded}' here");
        notes.warn(&named.spot, what, format!("say '{padded}' where a task asks for this version"));
        return Some(padded);
    }
    notes.error(
        &named.spot,
        format!("'{text}' is not a semantic version"),
        "write three numbers, such as 1.0.0",
    );
    None
}
