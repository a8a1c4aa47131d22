//! Colours and signs for states; colours only where a person looks.

use std::io::IsTerminal as _;

use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;

/// What a text is coloured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Moves at this moment.
    Busy,
    /// Waits, or was ended by somebody.
    Calm,
    /// Of little interest.
    Faint,
    /// A heading.
    Strong,
}

/// Whether to write colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { on: false };
    /// Colours, wherever they go.
    #[cfg(test)]
    pub(crate) const COLOURS: Self = Self { on: true };

    /// Colours if stdout is a terminal, and `NO_COLOR` (no-color.org) is not set.
    pub(crate) fn stdout() -> Self {
        Self::on(std::io::stdout().is_terminal())
    }

    /// The same for stderr.
    pub(crate) fn stderr() -> Self {
        Self::on(std::io::stderr().is_terminal())
    }

    fn on(terminal: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: !unwanted && terminal }
    }

    /// Whether colours are written.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// The text, coloured if colours are on.
    pub(crate) fn of(self, tone: Tone, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        // Select Graphic Rendition, ECMA-48 8.3.117.
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "36",
            Tone::Calm => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The colour of a step's state.
pub(crate) fn step_tone(state: StepState) -> Tone {
    match state {
        StepState::Pending => Tone::Faint,
        StepState::Ready | StepState::Skipped | StepState::Cancelled => Tone::Calm,
        StepState::Leased | StepState::InProgress => Tone::Busy,
        StepState::Complete | StepState::ResolvedManually => Tone::Good,
        StepState::Error => Tone::Bad,
    }
}

/// The sign of a step's state, one column wide.
pub(crate) fn step_sign(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "○",
        StepState::Ready => "◔",
        StepState::Leased => "◑",
        StepState::InProgress => "●",
        StepState::Complete => "✔",
        StepState::Error => "✖",
        StepState::ResolvedManually => "✎",
        StepState::Skipped => "»",
        StepState::Cancelled => "⊘",
    }
}

/// The colour of a task's state.
pub(crate) fn task_tone(state: TaskState) -> Tone {
    match state {
        TaskState::Pending => Tone::Faint,
        TaskState::InProgress => Tone::Busy,
        TaskState::Complete | TaskState::ResolvedManually => Tone::Good,
        TaskState::Error => Tone::Bad,
        TaskState::Cancelled => Tone::Calm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_written_only_where_they_are_on() {
        assert_eq!(Paint::PLAIN.of(Tone::Bad, "error"), "error");
        assert_eq!(Paint::COLOURS.of(Tone::Bad, "error"), "\x1b[31merror\x1b[0m");
        assert_eq!(Paint::COLOURS.of(Tone::Bad, ""), "");
    }

    #[test]
    fn every_state_has_a_sign_of_its_own() {
        let signs: std::collections::HashSet<&str> = StepState::ALL.iter().copied().map(step_sign).collect();
        assert_eq!(signs.len(), StepState::ALL.len());
    }
}
