//! Tokens: who may come in from outside.

use std::str::FromStr;

use serde::Serialize;
use stepwright_workflow::{Digest, Timestamp, TokenId};

use crate::record::UnknownWord;

/// What a token opens. The schema has room for the scopes of an HTTP interface as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// The gate, for workers.
    Worker,
}

impl TokenScope {
    /// The scope's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
        }
    }
}

impl FromStr for TokenScope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "worker" => Ok(Self::Worker),
            other => Err(UnknownWord::new(other)),
        }
    }
}

/// A token to keep. The secret itself never comes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The worker or pool that has it.
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
    /// The worker or pool that has it.
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
    /// The worker or pool that has it.
    pub name: String,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// From when it is not valid any more.
    pub expires_at: Option<Timestamp>,
}
