//! The rules of `semantics` said a second time, as simply as possible: what must come of a graph whose attempts end as
//! scripted, whatever the order. Nothing here uses the code that it checks.

/// How one attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an output.
    Complete,
    /// With a failure that another attempt may mend.
    Retryable,
    /// With a failure for good.
    Permanent,
    /// Without a word: its worker no longer holds the batch.
    Vanish,
}

/// A graph, and how each attempt of each step ends. Attempts beyond a step's list complete.
#[derive(Debug, Clone)]
pub struct Script {
    /// Parents by position; only earlier positions, so there is no cycle.
    pub parents: Vec<Vec<u16>>,
    /// Endings by step, in the order of the attempts.
    pub endings: Vec<Vec<Ending>>,
    /// Failed attempts allowed.
    pub retry_limit: u32,
}

/// Where a step must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never becomes ready.
    Waits,
    /// It completes, by this attempt.
    Completes(u32),
    /// It ends in error, by this attempt.
    Errs(u32),
}

/// Lost attempts after which a step is held responsible.
const LOSSES: u32 = 3;

impl Script {
    /// How an attempt ends, counted from 1.
    pub fn ending(&self, step: u16, attempt: u32) -> Ending {
        let endings = &self.endings[usize::from(step)];
        endings.get(attempt as usize - 1).copied().unwrap_or(Ending::Complete)
    }

    /// Where every step must end.
    pub fn fates(&self) -> Vec<Fate> {
        let mut fates: Vec<Fate> = Vec::new();
        for (step, parents) in (0_u16..).zip(&self.parents) {
            let ready =
                parents.iter().all(|parent| matches!(fates[usize::from(*parent)], Fate::Completes(_)));
            fates.push(if ready { self.alone(step) } else { Fate::Waits });
        }
        fates
    }

    /// Whether the task must end in error; otherwise it completes.
    pub fn errs(&self) -> bool {
        self.fates().iter().any(|fate| matches!(fate, Fate::Errs(_)))
    }

    fn alone(&self, step: u16) -> Fate {
        let (mut failures, mut losses) = (0, 0);
        for attempt in 1.. {
            match self.ending(step, attempt) {
                Ending::Complete => return Fate::Completes(attempt),
                Ending::Permanent => return Fate::Errs(attempt),
                Ending::Retryable => failures += 1,
                Ending::Vanish => losses += 1,
            }
            if failures == self.retry_limit || losses == LOSSES {
                return Fate::Errs(attempt);
            }
        }
        Fate::Waits
    }
}
