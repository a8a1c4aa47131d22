//! The routes, a file for each kind of thing.

mod deeds;
mod events;
mod fleet;
mod ledger;
mod pauses;
mod performance;
mod plugins;
mod service;
mod start;
mod tasks;
mod templates;
mod tokens;
mod webhooks;

use serde::Deserialize;
use stepwright_orchestrator::operator::Deed;
use stepwright_orchestrator::request::delay;
use stepwright_workflow::Timestamp;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::extract::plain;
use crate::problem::Problem;
use crate::route::Route;

/// Bytes of a reason: a sentence or two.
const REASON_BYTES_MAX: usize = 1_000;
/// Bytes of a person's name.
const WHO_BYTES_MAX: usize = 200;
/// Bytes of any other name: a template, a plugin, a worker.
const NAME_BYTES_MAX: usize = 400;

/// Lines of one page of a list.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 1_000;

/// All of them, in the order of the document.
pub(crate) fn all() -> Vec<Route> {
    let mut all = service::routes();
    all.extend(templates::routes());
    all.extend(plugins::routes());
    all.extend(start::routes());
    all.extend(tasks::routes());
    all.extend(deeds::routes());
    all.extend(performance::routes());
    all.extend(events::routes());
    all.extend(ledger::routes());
    all.extend(fleet::routes());
    all.extend(pauses::routes());
    all.extend(tokens::routes());
    all.extend(webhooks::routes());
    all
}

/// Who does something, and why. Kept in the ledger.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Who; the token's name is kept beside it. Without this it is the token's name alone.
    #[schema(min_length = 1, max_length = 200)]
    by: Option<String>,
}

impl Why {
    fn deed(&self, caller: &Caller) -> Result<Deed, Problem> {
        deed(&self.reason, self.by.as_deref(), caller)
    }
}

fn deed(reason: &str, by: Option<&str>, caller: &Caller) -> Result<Deed, Problem> {
    if reason.trim().is_empty() {
        return Err(Problem::field("reason", "say why; it is kept in the ledger"));
    }
    plain("reason", reason, REASON_BYTES_MAX)?;
    Ok(Deed { who: who(by, caller)?, why: reason.to_owned() })
}

/// Whom the ledger names: whoever is said to do it, and whose token was shown.
fn who(by: Option<&str>, caller: &Caller) -> Result<String, Problem> {
    let Some(by) = by else { return Ok(caller.name.to_string()) };
    if by.trim().is_empty() {
        return Err(Problem::field("by", "name somebody, or leave it out"));
    }
    plain("by", by, WHO_BYTES_MAX)?;
    let by: String = by.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Ok(if caller.token.is_some() { format!("{by} (token {})", caller.name) } else { by })
}

/// How many lines were asked for.
fn page(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        other => Err(Problem::field("limit", format!("{other} is not a number from 1 to {PAGE_MAX}"))),
    }
}

/// The moment that lies as long before now as the parameter `since` says.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    delay(text).map(|span| now.before(span)).map_err(|why| Problem::field("since", why))
}

/// The cursor of the page before.
fn before(cursor: Option<i64>) -> Result<Option<i64>, Problem> {
    match cursor {
        Some(..1) => Err(Problem::field("before", "ids count from 1; send 'next' of the page before")),
        cursor => Ok(cursor),
    }
}

/// What to ask for to get the next page, if this one is full.
fn next<T>(rows: &[T], limit: u32, id: impl Fn(&T) -> i64) -> Option<i64> {
    rows.last().filter(|_| rows.len() as u64 == u64::from(limit)).map(id)
}
