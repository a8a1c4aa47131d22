//! The log of one step while it runs: its own lines, what it prints, and the end of its stderr. All of it is bounded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::LogLine;
use crate::engine::EngineOptions;
use crate::redact::Redactor;

/// The longest message of one line, in bytes: a line is for a person.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// The longest key or value of a field, in bytes.
const FIELD_BYTES_MAX: usize = 1 << 10;
/// The most fields of one line.
const FIELDS_MAX: usize = 32;
/// How much of the end of stderr is kept for the failure, in bytes: a panic's message and a few lines before it.
const TAIL_BYTES_MAX: usize = 2 << 10;
/// The most lines of the host itself, such as what was denied. They do not count as the guest's.
const NOTICES_MAX: usize = 32;
/// What a line costs beside its text.
const LINE_BYTES: usize = 16;

/// The two streams that a guest prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Shared by the store and the guest's streams. Cloning gives another hold on the same log.
#[derive(Debug, Clone)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<LogLine>,
    notices: Vec<String>,
    redactor: Option<Redactor>,
    lines_max: usize,
    line_bytes_left: usize,
    lines_dropped: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    printed_bytes_left: usize,
    stdout_dropped: u64,
    stderr_dropped: u64,
    tail: Vec<u8>,
}

/// The log of a step that has ended.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Every line that is kept, and a mark wherever something is missing.
    pub(crate) lines: Vec<LogLine>,
    /// Lines and printed bytes that are missing.
    pub(crate) dropped: u64,
    /// The end of stderr: where a panic leaves its message.
    pub(crate) stderr_tail: String,
}

impl Journal {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            lines_max: options.log_lines_max,
            line_bytes_left: options.log_bytes_max,
            printed_bytes_left: options.log_bytes_max,
            ..Pages::default()
        })))
    }

    /// The same log, which hides what the redactor hides.
    pub(crate) fn hiding(self, redactor: Option<Redactor>) -> Self {
        self.pages().redactor = redactor;
        self
    }

    /// Keeps a line of the host's own, once, whatever the guest's log holds.
    pub(crate) fn notice(&self, message: String) {
        let pages = &mut *self.pages();
        let message = cut(pages.redact(message), MESSAGE_BYTES_MAX);
        if pages.notices.contains(&message) {
            return;
        }
        if pages.notices.len() >= NOTICES_MAX {
            pages.lines_dropped += 1;
            return;
        }
        pages.notices.push(message.clone());
        pages.lines.push(mark("warn", message));
    }

    /// Keeps a line of the guest's own log if there is room.
    pub(crate) fn write(&self, level: &'static str, message: String, fields: Vec<(String, String)>) {
        let pages = &mut *self.pages();
        let message = cut(pages.redact(message), MESSAGE_BYTES_MAX);
        let shorten = |(key, value)| {
            (cut(pages.redact(key), FIELD_BYTES_MAX), cut(pages.redact(value), FIELD_BYTES_MAX))
        };
        let fields: Vec<_> = fields.into_iter().take(FIELDS_MAX).map(shorten).collect();
        let cost = LINE_BYTES
            + message.len()
            + fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if pages.lines.len() - pages.notices.len() >= pages.lines_max || cost > pages.line_bytes_left {
            pages.lines_dropped += 1;
        } else {
            pages.line_bytes_left -= cost;
            pages.lines.push(LogLine { level, message, fields });
        }
    }

    /// Keeps the first of what is printed, counts the rest, and never fails: a guest must not notice.
    pub(crate) fn print(&self, stream: Stream, bytes: &[u8]) {
        let pages = &mut *self.pages();
        let kept = bytes.len().min(pages.printed_bytes_left);
        let dropped = (bytes.len() - kept) as u64;
        pages.printed_bytes_left -= kept;
        match stream {
            Stream::Stdout => {
                pages.stdout.extend_from_slice(&bytes[..kept]);
                pages.stdout_dropped += dropped;
            }
            Stream::Stderr => {
                pages.stderr.extend_from_slice(&bytes[..kept]);
                pages.stderr_dropped += dropped;
                pages.keep_tail(bytes);
            }
        }
    }

    /// Ends the log and hands it out.
    pub(crate) fn take(&self) -> Log {
        let mut pages = std::mem::take(&mut *self.pages());
        pages.redact_prints();
        let dropped = pages.lines_dropped + pages.stdout_dropped + pages.stderr_dropped;
        let stderr_tail = String::from_utf8_lossy(&pages.tail).trim().to_owned();
        let mut lines = pages.lines;
        if pages.lines_dropped > 0 {
            lines.push(mark("warn", format!("… {} more log lines were dropped", pages.lines_dropped)));
        }
        printed(&mut lines, "stdout", &pages.stdout, pages.stdout_dropped);
        printed(&mut lines, "stderr", &pages.stderr, pages.stderr_dropped);
        Log { lines, dropped, stderr_tail }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn redact(&self, text: String) -> String {
        match &self.redactor {
            Some(redactor) => redactor.text(text),
            None => text,
        }
    }

    fn redact_prints(&mut self) {
        let Some(redactor) = &self.redactor else { return };
        let whole = self.tail.len() < TAIL_BYTES_MAX;
        self.stdout = redactor.printed(std::mem::take(&mut self.stdout), (true, self.stdout_dropped == 0));
        self.stderr = redactor.printed(std::mem::take(&mut self.stderr), (true, self.stderr_dropped == 0));
        self.tail = redactor.printed(std::mem::take(&mut self.tail), (whole, true));
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let news = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let surplus = (self.tail.len() + news.len()).saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(news);
    }
}

fn printed(lines: &mut Vec<LogLine>, level: &'static str, bytes: &[u8], dropped: u64) {
    let text = String::from_utf8_lossy(bytes);
    lines.extend(text.lines().map(|line| mark(level, line.to_owned())));
    if dropped > 0 {
        lines.push(mark(level, format!("… {dropped} more bytes were dropped")));
    }
}

fn mark(level: &'static str, message: String) -> LogLine {
    LogLine { level, message, fields: Vec::new() }
}

/// A text of at most `bytes_max` bytes, with a mark if something was cut off.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8())));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(log_bytes_max: usize) -> Journal {
        Journal::new(&EngineOptions { log_bytes_max, log_lines_max: 3, ..EngineOptions::default() })
    }

    #[test]
    fn lines_come_first_and_print_is_split_into_lines() {
        let journal = journal(1_000);
        journal.print(Stream::Stderr, b"bad");
        journal.print(Stream::Stdout, b"one\ntw");
        journal.print(Stream::Stdout, b"o\n");
        journal.write("info", "hello".to_owned(), vec![("k".to_owned(), "v".to_owned())]);
        let log = journal.take();
        let seen: Vec<_> = log.lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        assert_eq!(seen, [("info", "hello"), ("stdout", "one"), ("stdout", "two"), ("stderr", "bad")]);
        assert_eq!((log.dropped, log.stderr_tail.as_str()), (0, "bad"));
    }

    #[test]
    fn a_flood_is_counted_and_marked_and_the_end_of_stderr_stays() {
        let journal = journal(10);
        journal.print(Stream::Stdout, &[b'x'; 5_000]);
        journal.print(Stream::Stderr, &[b'e'; 5_000]);
        journal.print(Stream::Stderr, b"\npanicked at 1:1\n");
        let log = journal.take();
        assert_eq!(log.dropped, 4_990 + 5_000 + 17);
        assert!(log.stderr_tail.ends_with("panicked at 1:1"));
        assert_eq!(log.stderr_tail.len(), TAIL_BYTES_MAX - 1);
        let seen: Vec<_> = log.lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(seen, ["xxxxxxxxxx", "… 4990 more bytes were dropped", "… 5017 more bytes were dropped"]);
    }

    #[test]
    fn notices_of_the_host_come_once_each_and_are_not_the_guests() {
        let journal = journal(100);
        for n in 0..3 * NOTICES_MAX {
            journal.notice("no".to_owned());
            journal.notice(format!("no {n}"));
        }
        journal.write("info", "a".to_owned(), Vec::new());
        let log = journal.take();
        // One mark says that some are missing.
        assert_eq!(log.lines.iter().filter(|line| line.level == "warn").count(), NOTICES_MAX + 1);
        assert_eq!(log.lines.iter().filter(|line| line.level == "info").count(), 1);
        assert_eq!(log.lines[0].message, "no");
    }

    #[test]
    fn lines_are_bounded_in_number_and_bytes() {
        let many = journal(1_000);
        for _ in 0..5 {
            many.write("info", "a".to_owned(), Vec::new());
        }
        assert_eq!((many.take().dropped), 2);
        let large = journal(100);
        large.write("info", "ä".repeat(50_000), Vec::new());
        large.write("info", "a".to_owned(), Vec::new());
        assert_eq!(large.take().dropped, 1);
        assert_eq!(cut("ää".to_owned(), 4), "ää");
        assert_eq!(cut("äää".to_owned(), 5), "ä…");
    }
}
