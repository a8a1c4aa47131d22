//! The states of a step, and every legal move between them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::retry::RetryPolicy;
use crate::{Failure, FailureClass};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The state's one spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $crate::step::UnknownState;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|state| state.as_str() == text)
                    .ok_or_else(|| $crate::step::UnknownState(text.to_owned()))
            }
        }
    };
}
pub(crate) use states;

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a state")]
pub struct UnknownState(pub String);

states! {
    /// Where a step stands.
    StepState {
        /// A parent has not finished well yet.
        Pending = "pending",
        /// Every parent finished well; claimable, from its `ready_at` if it has one.
        Ready = "ready",
        /// In a batch that was sent to a worker.
        Leased = "leased",
        /// The worker says that it runs, and has for longer than a heartbeat.
        InProgress = "in_progress",
        /// The handler returned an output.
        Complete = "complete",
        /// No attempt is left, or none would help; an operator can retry, resolve or skip it.
        Error = "error",
        /// An operator gave it an output.
        ResolvedManually = "resolved_manually",
        /// An operator let the task go on without it.
        Skipped = "skipped",
        /// Its task was cancelled first.
        Cancelled = "cancelled",
    }
}

impl StepState {
    /// The step let its dependants go on.
    pub fn finished_well(self) -> bool {
        matches!(self, Self::Complete | Self::ResolvedManually | Self::Skipped)
    }

    /// The step can still move without an operator.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Ready | Self::Leased | Self::InProgress)
    }

    /// A worker holds it.
    pub fn is_leased(self) -> bool {
        matches!(self, Self::Leased | Self::InProgress)
    }
}

/// How often a worker may vanish with a step before the step is held responsible.
pub const LOSS_LIMIT: u32 = 3;

/// What can happen to a step.
#[derive(Debug, Clone)]
pub enum StepEvent<'a> {
    /// The last parent finished well.
    Released,
    /// A batch took it.
    Claimed,
    /// It runs, and outlived a heartbeat.
    Started,
    /// The handler returned an output.
    Completed,
    /// The attempt failed; `random` spreads the delay.
    Failed {
        /// Why.
        failure: &'a Failure,
        /// Uniform in `0..=u32::MAX`.
        random: u32,
    },
    /// Its worker vanished, or no longer holds the batch.
    Lost,
    /// An operator wants another attempt.
    RetryWanted,
    /// An operator gave an output.
    Resolved,
    /// An operator let the task go on without it.
    Skipped,
    /// The task was cancelled.
    TaskCancelled,
}

/// What a step has been through: what a decision about it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepStanding {
    /// Where it stands.
    pub state: StepState,
    /// Failed attempts so far.
    pub failures: u32,
    /// Lost attempts so far.
    pub losses: u32,
}

/// What the event does to the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMove {
    /// The step's new standing.
    pub to: StepStanding,
    /// How long the step must wait before it is claimable; only where it became `ready` by a retry.
    pub delay: Option<Duration>,
    /// The failure to show with the step; only where it went to `error`.
    pub failure: Option<Failure>,
}

/// An event that the step's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a step that is {from} cannot be {event}")]
pub struct IllegalStepMove {
    /// Where the step stands.
    pub from: StepState,
    /// What was wanted.
    pub event: &'static str,
}

/// The one place that knows every legal move of a step.
pub fn next(
    standing: StepStanding,
    retry: &RetryPolicy,
    event: &StepEvent<'_>,
) -> Result<StepMove, IllegalStepMove> {
    use StepState as S;
    let to = |state| StepMove { to: StepStanding { state, ..standing }, delay: None, failure: None };
    match (standing.state, event) {
        (S::Pending, StepEvent::Released) => Ok(to(S::Ready)),
        (S::Ready, StepEvent::Claimed) => Ok(to(S::Leased)),
        (S::Leased, StepEvent::Started) => Ok(to(S::InProgress)),
        (S::Leased | S::InProgress, StepEvent::Completed) => Ok(to(S::Complete)),
        (S::Leased | S::InProgress, StepEvent::Failed { failure, random }) => {
            Ok(after_failure(standing, retry, failure, *random))
        }
        (S::Leased | S::InProgress, StepEvent::Lost) => Ok(after_loss(standing)),
        // An operator's retry starts the counts anew: the limit was for the machine, not for the person.
        (S::Error, StepEvent::RetryWanted) => Ok(StepMove {
            to: StepStanding { state: S::Ready, failures: 0, losses: 0 },
            delay: None,
            failure: None,
        }),
        (S::Error | S::Ready | S::Pending, StepEvent::Resolved) => Ok(to(S::ResolvedManually)),
        (S::Error | S::Ready | S::Pending, StepEvent::Skipped) => Ok(to(S::Skipped)),
        (S::Pending | S::Ready | S::Leased | S::InProgress | S::Error, StepEvent::TaskCancelled) => {
            Ok(to(S::Cancelled))
        }
        (from, event) => Err(IllegalStepMove { from, event: event.as_str() }),
    }
}

fn after_failure(standing: StepStanding, retry: &RetryPolicy, failure: &Failure, random: u32) -> StepMove {
    let failures = standing.failures.saturating_add(1);
    let counted = StepStanding { failures, ..standing };
    if failure.retryable && failures < retry.limit {
        let delay = retry.delay(failures, failure.retry_after_ms, random);
        StepMove {
            to: StepStanding { state: StepState::Ready, ..counted },
            delay: Some(delay),
            failure: None,
        }
    } else {
        let to = StepStanding { state: StepState::Error, ..counted };
        StepMove { to, delay: None, failure: Some(failure.clone()) }
    }
}

fn after_loss(standing: StepStanding) -> StepMove {
    let losses = standing.losses.saturating_add(1);
    let counted = StepStanding { losses, ..standing };
    if losses < LOSS_LIMIT {
        return StepMove {
            to: StepStanding { state: StepState::Ready, ..counted },
            delay: None,
            failure: None,
        };
    }
    let message = format!("its worker vanished {losses} times while it held this step");
    StepMove {
        to: StepStanding { state: StepState::Error, ..counted },
        delay: None,
        failure: Some(Failure::new(FailureClass::Poisoned, message)),
    }
}

impl StepEvent<'_> {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Claimed => "claimed",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Lost => "lost",
            Self::RetryWanted => "retried",
            Self::Resolved => "resolved",
            Self::Skipped => "skipped",
            Self::TaskCancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "the cases read better without references")]
    fn check(from: StepState, event: StepEvent<'_>, expect: Option<StepState>) {
        let standing = StepStanding { state: from, failures: 0, losses: 0 };
        let got = next(standing, &RetryPolicy::default(), &event).ok().map(|moved| moved.to.state);
        assert_eq!(got, expect, "{from} {event:?}");
    }

    #[test]
    fn the_table_of_moves_is_the_one_in_the_documentation() {
        use StepState as S;
        let retryable = Failure::new(FailureClass::Retryable, "busy");
        let permanent = Failure::new(FailureClass::Permanent, "declined");
        for &from in S::ALL {
            let leased = from.is_leased();
            let open = matches!(from, S::Error | S::Ready | S::Pending);
            check(from, StepEvent::Released, (from == S::Pending).then_some(S::Ready));
            check(from, StepEvent::Claimed, (from == S::Ready).then_some(S::Leased));
            check(from, StepEvent::Started, (from == S::Leased).then_some(S::InProgress));
            check(from, StepEvent::Completed, leased.then_some(S::Complete));
            check(from, StepEvent::Failed { failure: &retryable, random: 0 }, leased.then_some(S::Ready));
            check(from, StepEvent::Failed { failure: &permanent, random: 0 }, leased.then_some(S::Error));
            check(from, StepEvent::Lost, leased.then_some(S::Ready));
            check(from, StepEvent::RetryWanted, (from == S::Error).then_some(S::Ready));
            check(from, StepEvent::Resolved, open.then_some(S::ResolvedManually));
            check(from, StepEvent::Skipped, open.then_some(S::Skipped));
            check(from, StepEvent::TaskCancelled, (open || leased).then_some(S::Cancelled));
        }
    }

    #[test]
    fn a_step_fails_for_good_when_its_attempts_are_used_up() {
        let failure = Failure::new(FailureClass::Timeout, "too slow");
        let mut standing = StepStanding { state: StepState::Leased, failures: 0, losses: 0 };
        let mut states = Vec::new();
        for _ in 0..3 {
            let event = StepEvent::Failed { failure: &failure, random: 0 };
            let moved = next(standing, &RetryPolicy::default(), &event).unwrap();
            states.push((moved.to.state, moved.delay.is_some()));
            standing = StepStanding { state: StepState::Leased, ..moved.to };
        }
        assert_eq!(states, [(StepState::Ready, true), (StepState::Ready, true), (StepState::Error, false)]);
    }

    #[test]
    fn losses_do_not_count_as_failures_and_end_as_poisoned() {
        let mut standing = StepStanding { state: StepState::Leased, failures: 0, losses: 0 };
        for _ in 1..LOSS_LIMIT {
            let moved = next(standing, &RetryPolicy::default(), &StepEvent::Lost).unwrap();
            assert_eq!((moved.to.state, moved.to.failures), (StepState::Ready, 0));
            standing = StepStanding { state: StepState::Leased, ..moved.to };
        }
        let moved = next(standing, &RetryPolicy::default(), &StepEvent::Lost).unwrap();
        assert_eq!(moved.to.state, StepState::Error);
        assert_eq!(moved.failure.unwrap().class, FailureClass::Poisoned);
    }
}
