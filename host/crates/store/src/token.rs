//! Tokens: who may come in from outside.

use std::str::FromStr;

use serde::Serialize;
use stepwright_workflow::{Digest, Timestamp, TokenId};

use crate::record::UnknownWord;

/// What a token opens: the gate, or a part of the HTTP API. Of the latter each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// The gate, for workers; nothing of the API.
    Worker,
    /// Everything that changes nothing.
    Read,
    /// Starting tasks.
    Run,
    /// Templates, pauses, and what a person may do to a task.
    Operate,
    /// Plugins, tokens and webhooks.
    Admin,
}

impl TokenScope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Worker, Self::Read, Self::Run, Self::Operate, Self::Admin];

    /// The scope's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Read => "read",
            Self::Run => "run",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Whether a token of this scope opens what another one is needed for.
    pub fn includes(self, wanted: Self) -> bool {
        let rank = |scope: Self| match scope {
            Self::Worker => 0,
            Self::Read => 1,
            Self::Run => 2,
            Self::Operate => 3,
            Self::Admin => 4,
        };
        match wanted {
            Self::Worker => self == Self::Worker,
            wanted => rank(self) >= rank(wanted),
        }
    }
}

impl FromStr for TokenScope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownWord::new(text))
    }
}

/// Whether a token may have this name: one that nobody takes for an id, and that needs no quotes.
pub fn token_name_is_good(name: &str) -> Result<(), String> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !fits || !(1..=100).contains(&name.len()) || name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            "a name has 1 to 100 letters, digits, '.', '_', '-' and '/', and not only digits".to_owned()
        );
    }
    Ok(())
}

/// A token to keep. The secret itself never comes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Who has it: a worker, a pool of them, or a program.
    pub name: String,
    /// What it opens.
    pub scope: TokenScope,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// Who made it.
    pub created_by: String,
    /// From when it is not valid any more.
    pub expires_at: Option<Timestamp>,
}

/// A token as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Who has it: a worker, a pool of them, or a program.
    pub name: String,
    /// What it opens.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it last let somebody in.
    pub used_at: Option<Timestamp>,
    /// From when it is not valid any more.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether it opens anything at this moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// A token that is valid, as whoever lets people in needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidToken {
    /// Its id.
    pub id: TokenId,
    /// Who has it: a worker, a pool of them, or a program.
    pub name: String,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// From when it is not valid any more.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_includes_those_below_it_and_the_gate_is_apart() {
        use TokenScope::{Admin, Operate, Read, Run, Worker};
        for (scope, includes) in [
            (Worker, &[Worker][..]),
            (Read, &[Read]),
            (Run, &[Read, Run]),
            (Operate, &[Read, Run, Operate]),
            (Admin, &[Read, Run, Operate, Admin]),
        ] {
            let found: Vec<TokenScope> =
                TokenScope::ALL.into_iter().filter(|wanted| scope.includes(*wanted)).collect();
            assert_eq!(found, includes, "{scope:?}");
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
    }

    #[test]
    fn a_name_is_no_number() {
        for good in ["pool", "w-1", "eu/pool.2", "1st"] {
            assert_eq!(token_name_is_good(good), Ok(()));
        }
        for bad in ["", "12", "two words", "ü", &"x".repeat(101)] {
            assert!(token_name_is_good(bad).is_err(), "{bad}");
        }
    }
}
