//! What is told of a run.

use serde::Serialize;

/// Every guest that was run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The guests, in the order of their numbers.
    pub guests: Vec<GuestReport>,
    /// How many of them the host held against.
    pub held: usize,
    /// How many there were.
    pub of: usize,
}

/// What came of one guest.
#[derive(Debug, Clone, Serialize)]
pub struct GuestReport {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Each of its attacks.
    pub attacks: Vec<AttackReport>,
    /// Whether the host held against all of them.
    pub held: bool,
}

/// What came of one attack.
#[derive(Debug, Clone, Serialize)]
pub struct AttackReport {
    /// Its name.
    pub name: String,
    /// What was expected.
    pub expected: String,
    /// `completed`, `refused`, or the failure's class.
    pub class: String,
    /// The failure's code, or the kind of refusal.
    pub code: String,
    /// The output or the message, its beginning.
    pub text: String,
    /// How long it took until it had ended, in milliseconds.
    pub ms: f64,
    /// The limit of time that ended it, in milliseconds, if one did.
    pub limit_ms: Option<u64>,
    /// The time as a multiple of that limit.
    pub times_limit: Option<f64>,
    /// What was wrong with it, or with the host afterwards; empty if the host held.
    pub problems: Vec<String>,
}

impl AttackReport {
    /// Whether the host held against it.
    pub fn held(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Report {
    /// A report of these guests.
    pub fn new(guests: Vec<GuestReport>) -> Self {
        let (held, of) = (guests.iter().filter(|guest| guest.held).count(), guests.len());
        Self { guests, held, of }
    }
}
