//! Texts that mean something: durations, sizes, names, plugin requirements.

use semver::VersionReq;

use crate::EXTERNAL;

/// The longest name of an external handler, in bytes.
const EXTERNAL_HANDLER_MAX: usize = 128;

/// A duration such as `250ms` or `5m`, in milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let wanted = || {
        format!(
            "'{text}' is not a duration; write a whole number and a unit, such as 250ms, 30s, 5m, 2h or 1d"
        )
    };
    let (number, unit) = split(text).ok_or_else(wanted)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted()),
    };
    number
        .checked_mul(factor)
        .filter(|ms| *ms <= 366 * 86_400_000)
        .ok_or_else(|| format!("'{text}' is longer than a year"))
}

/// A size such as `64MiB`, in bytes.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    let wanted = || {
        format!("'{text}' is not a size; write a whole number and a unit, such as 512B, 64KiB, 64MiB or 1GiB")
    };
    let (number, unit) = split(text).ok_or_else(wanted)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wanted()),
    };
    number.checked_mul(factor).ok_or_else(wanted)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..unit_at].parse().ok()?, text[unit_at..].trim_start()))
}

/// A name of lower-case letters, digits and underscores that begins with a letter.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let fits = text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if fits {
        return Ok(());
    }
    Err(format!("'{text}' is not a name; use a-z, 0-9 and _, begin with a letter, at most 64 characters"))
}

/// `namespace/name@requirement`.
pub(crate) fn plugin(text: &str) -> Result<(String, VersionReq), String> {
    if text == EXTERNAL {
        return Ok((EXTERNAL.to_owned(), VersionReq::STAR));
    }
    let wanted = || {
        format!(
            "'{text}' is not a plugin requirement; write namespace/name@requirement, such as shop/shop@^1, or '{EXTERNAL}' \
             for a handler that workers of your own run"
        )
    };
    let (path, requirement) = text.split_once('@').ok_or_else(wanted)?;
    let (namespace, plugin) = path.split_once('/').ok_or_else(wanted)?;
    let fits = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
    };
    if !fits(namespace) || !fits(plugin) {
        return Err(wanted());
    }
    let requirement = VersionReq::parse(requirement)
        .map_err(|error| format!("'{requirement}' is not a version requirement ({error}); write one as Cargo does, such as ^1.2 or =1.2.3"))?;
    Ok((path.to_owned(), requirement))
}

/// The name under which workers offer an external handler.
pub(crate) fn external_handler(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    if (1..=EXTERNAL_HANDLER_MAX).contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "'{text}' is no name of an external handler; write up to {EXTERNAL_HANDLER_MAX} of a-z, A-Z, 0-9, '_', '-', '.', ':' and '/'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit() {
        assert_eq!(duration_ms("250ms"), Ok(250));
        assert_eq!(duration_ms("2h"), Ok(7_200_000));
        assert_eq!(size_bytes("64MiB"), Ok(64 << 20));
        for bad in ["", "5", "10 parsecs", "-1s", "1.5s", "99999999999999999999s", "400d"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
        for bad in ["", "5", "64MB", "64mib", "99999999999999GiB"] {
            assert!(size_bytes(bad).is_err(), "{bad}");
        }
    }
}
