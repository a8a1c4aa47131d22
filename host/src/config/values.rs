//! Texts of settings as values.

/// A duration such as `250ms`, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let wanted = || {
        format!("'{text}' is not a duration; write a whole number and a unit, such as 250ms, 5s, 10m or 1h")
    };
    let (number, unit) = split(text).ok_or_else(wanted)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wanted()),
    };
    number
        .checked_mul(factor)
        .filter(|ms| (1..=30 * 86_400_000).contains(ms))
        .ok_or_else(|| format!("'{text}' is not between 1ms and 720h"))
}

/// A size such as `64MiB`, in bytes.
pub(crate) fn size_bytes(text: &str) -> Result<u64, String> {
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
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(wanted)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..unit_at].parse().ok()?, text[unit_at..].trim_start()))
}
