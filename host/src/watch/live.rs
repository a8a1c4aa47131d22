//! Lines that stay in place on a terminal.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether there is a person to draw for: bars go to stderr, and stdout must not be read by a program.
pub(crate) fn is_possible() -> bool {
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// A bar, with lines above and below it.
pub(crate) struct Live {
    all: MultiProgress,
    bar: ProgressBar,
    heading: ProgressBar,
    rows: Vec<ProgressBar>,
}

impl Live {
    /// Nothing is drawn before the first [`Live::draw`].
    pub(crate) fn start() -> Self {
        let all = MultiProgress::new();
        let heading = all.add(line());
        let bar = all.add(ProgressBar::new(0));
        bar.set_style(style("{bar:40.green/dim} {percent:>3} %"));
        Self { all, bar, heading, rows: Vec::new() }
    }

    /// Draws the heading, the bar and the rows in place of what was drawn before.
    pub(crate) fn draw(&mut self, heading: &str, (done, all): (u64, u64), rows: &[String]) {
        self.heading.set_message(heading.to_owned());
        self.bar.set_length(all);
        self.bar.set_position(done);
        for surplus in self.rows.drain(rows.len().min(self.rows.len())..) {
            self.all.remove(&surplus);
        }
        while self.rows.len() < rows.len() {
            self.rows.push(self.all.add(line()));
        }
        for (row, text) in self.rows.iter().zip(rows) {
            row.set_message(text.clone());
        }
    }

    /// Takes the drawing away. What is to stay is printed, in full and not cut at the terminal's edge.
    pub(crate) fn finish(self) {
        // A drawing that stays is ugly, and no error.
        let _ = self.all.clear();
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn line() -> ProgressBar {
    let line = ProgressBar::new_spinner();
    line.set_style(style("{wide_msg}"));
    line
}

/// The templates are constants of this file; a bad one falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("█▌░"))
}
