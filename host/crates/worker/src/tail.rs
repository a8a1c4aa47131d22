//! The last lines of a failed attempt's log: few enough to ride with every failure, enough to see what happened.

use stepwright_executor::LogLine;
use stepwright_transport::wire;

/// Lines that ride with a failure.
const LINES_MAX: usize = 50;
/// Bytes of text that ride with a failure: a full batch of failures still fits in a message.
const BYTES_MAX: usize = 8 << 10;

/// The last lines within the limits, in their order. A last line that is too long alone is cut.
pub(crate) fn tail(lines: Vec<LogLine>) -> Vec<wire::LogLine> {
    let mut left = BYTES_MAX;
    let mut kept = Vec::new();
    for line in lines.into_iter().rev().take(LINES_MAX) {
        let weight = weight(&line);
        if weight > left {
            if kept.is_empty() {
                kept.push(wire::LogLine {
                    level: line.level.to_owned(),
                    message: cut(line.message, left),
                    fields: Vec::new(),
                });
            }
            break;
        }
        left -= weight;
        kept.push(wire::LogLine { level: line.level.to_owned(), message: line.message, fields: line.fields });
    }
    kept.reverse();
    kept
}

fn weight(line: &LogLine) -> usize {
    let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    line.message.len() + fields
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: impl Into<String>) -> LogLine {
        LogLine { level: "info", message: message.into(), fields: Vec::new() }
    }

    #[test]
    fn the_last_lines_are_kept_in_their_order() {
        let kept = tail((0..200).map(|n| line(n.to_string())).collect());
        let messages: Vec<_> = kept.iter().map(|line| line.message.clone()).collect();
        assert_eq!(messages, (150..200).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn long_lines_are_dropped_from_the_front_and_a_single_one_is_cut_between_characters() {
        let kept = tail(vec![line("x".repeat(5_000)), line("y".repeat(5_000))]);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].message.starts_with('y'));
        let kept = tail(vec![line("é".repeat(BYTES_MAX))]);
        assert_eq!(kept[0].message.len(), BYTES_MAX);
        let kept = tail(vec![line(format!("x{}", "é".repeat(BYTES_MAX)))]);
        assert_eq!(kept[0].message.len(), BYTES_MAX - 1);
    }
}
