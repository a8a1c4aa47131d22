//! Tasks into the store, and what to say of it.

use stepwright_store::{Created, NewTask, Store};

use crate::context::Context;
use crate::error::CliError;

/// Tasks created in one transaction: few commits, and no other writer waits long.
const CREATED_AT_ONCE: usize = 1_000;

/// Creates the tasks, a thousand at a time, and tells a running orchestrator after each transaction.
pub(super) async fn create(
    store: &dyn Store,
    tasks: &[NewTask],
    context: &Context,
) -> Result<Vec<Created>, CliError> {
    let mut created = Vec::with_capacity(tasks.len());
    for some in tasks.chunks(CREATED_AT_ONCE) {
        match store.create(some, context.now()).await {
            Ok(new) => created.extend(new),
            Err(error) if created.is_empty() => return Err(error.into()),
            Err(error) => {
                let what = format!(
                    "{} of {} tasks were created ({}) before this happened; lines with an idempotency_key can be sent again",
                    created.len(),
                    tasks.len(),
                    range(&created)
                );
                return Err(CliError::caused(what, &error));
            }
        }
        context.wake(store).await;
    }
    Ok(created)
}

/// What was created, for people.
pub(super) fn sentence(created: &[Created]) -> String {
    let before = created.iter().filter(|created| created.existing).count();
    match (created, before) {
        ([Created { task, .. }], 0) => format!("task {task}"),
        ([Created { task, .. }], _) => format!("task {task} (started before with the same idempotency key)"),
        (many, 0) => format!("{} tasks: {}", many.len(), range(many)),
        (many, before) => {
            format!(
                "{} tasks: {} ({before} started before with the same idempotency key)",
                many.len(),
                range(many)
            )
        }
    }
}

fn range(created: &[Created]) -> String {
    let ids = || created.iter().map(|created| created.task);
    match (ids().min(), ids().max()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(only), _) => only.to_string(),
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::TaskId;

    fn created(task: i64, existing: bool) -> Created {
        Created { task: TaskId(task), existing }
    }

    #[test]
    fn what_was_created_is_one_sentence() {
        assert_eq!(sentence(&[created(7, false)]), "task 7");
        assert_eq!(sentence(&[created(7, true)]), "task 7 (started before with the same idempotency key)");
        assert_eq!(sentence(&[created(7, false), created(8, false)]), "2 tasks: 7 to 8");
        assert_eq!(
            sentence(&[created(7, true), created(8, false), created(9, false)]),
            "3 tasks: 7 to 9 (1 started before with the same idempotency key)"
        );
    }
}
