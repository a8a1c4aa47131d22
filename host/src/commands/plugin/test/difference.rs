//! Where two JSON values differ, by JSON pointer (RFC 6901).

use serde_json::Value;

/// The most differences that are listed; beyond them a value is simply another one.
const DIFFERENCES_MAX: usize = 20;
/// The most characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// One line for each place where they differ; none if they are equal. Numbers of the same value are equal.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    let more = lines.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        lines.truncate(DIFFERENCES_MAX);
        lines.push(format!("… {more} more"));
    }
    lines
}

fn compare(at: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                let at = below(at, key);
                match found.get(key) {
                    Some(other) => compare(&at, value, other, lines),
                    None => lines.push(format!("{at}: expected {}, and it is not there", shown(value))),
                }
            }
            for (key, value) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                lines.push(format!("{}: not expected, found {}", below(at, key), shown(value)));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            for (index, (value, other)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{at}/{index}"), value, other, lines);
            }
            if expected.len() != found.len() {
                let at = place(at);
                lines.push(format!("{at}: expected {} elements, found {}", expected.len(), found.len()));
            }
        }
        (Value::Number(a), Value::Number(b))
            if a.as_f64() == b.as_f64() && !(a.is_u64() && b.is_u64() && a != b) => {}
        (expected, found) if expected == found => {}
        (expected, found) => {
            lines.push(format!("{}: expected {}, found {}", place(at), shown(expected), shown(found)));
        }
    }
}

/// RFC 6901 writes `~` and `/` within a key as `~0` and `~1`.
fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn place(at: &str) -> &str {
    if at.is_empty() { "the whole" } else { at }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_has_its_place() {
        let expected = json!({ "a": [1, { "b/c": "x" }, 3], "gone": true, "same": 2 });
        let found = json!({ "a": [1, { "b/c": "y" }], "new": null, "same": 2.0 });
        assert_eq!(
            differences(&expected, &found),
            [
                "/a/1/b~1c: expected \"x\", found \"y\"",
                "/a: expected 3 elements, found 2",
                "/gone: expected true, and it is not there",
                "/new: not expected, found null",
            ]
        );
        assert_eq!(differences(&json!(1), &json!("1")), ["the whole: expected 1, found \"1\""]);
        assert_eq!(differences(&json!(u64::MAX), &json!(u64::MAX - 1)).len(), 1);
        assert!(differences(&expected, &expected).is_empty());
    }

    #[test]
    fn many_differences_are_counted_and_long_values_cut() {
        let (expected, found) = (json!(vec![1; 50]), json!(vec![2; 50]));
        let lines = differences(&expected, &found);
        assert_eq!((lines.len(), lines[20].as_str()), (21, "… 30 more"));
        let long = differences(&json!("ä".repeat(1_000)), &json!(1));
        assert!(long[0].len() < 500, "{}", long[0]);
    }
}
