//! Words that a field may have, each with the spelling of the domain.

use serde::Serialize;
use stepwright_store as store;
use stepwright_workflow::finalize::{ExecutionStatus as Execution, RecommendedAction as Action};
use stepwright_workflow::pause::PauseScope;
use stepwright_workflow::{FailureClass as Class, insight, step, task};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::performance::BOTTLENECK_KINDS;

macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident($of:ty) = $all:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub $of);

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let all = $all;
                let spelled = all.iter().filter_map(|word| serde_json::to_value(word).ok());
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(spelled))
                    .description(Some(concat!($($doc),*).trim()))
                    .into()
            }
        }

        impl ToSchema for $name {}

        impl From<$of> for $name {
            fn from(word: $of) -> Self {
                Self(word)
            }
        }
    )*};
}

words! {
    /// Where a task stands.
    TaskState(task::TaskState) = task::TaskState::ALL;
    /// Where a step stands.
    StepState(step::StepState) = step::StepState::ALL;
    /// What a task does at this moment.
    ExecutionStatus(Execution) = [
        Execution::HasReadySteps, Execution::Processing, Execution::WaitingForDependencies,
        Execution::WaitingForRetry, Execution::Paused, Execution::BlockedByFailures, Execution::AllComplete,
    ];
    /// What to do about a task.
    RecommendedAction(Action) = [
        Action::ExecuteReadySteps, Action::WaitForCompletion, Action::WaitForDependencies,
        Action::HandleFailures, Action::Resume, Action::FinalizeTask,
    ];
    /// What kind of failure it is.
    FailureClass(Class) = Class::ALL;
    /// How an attempt ended.
    AttemptStatus(store::AttemptStatus) =
        [store::AttemptStatus::Completed, store::AttemptStatus::Failed, store::AttemptStatus::Lost];
    /// How a batch ended.
    BatchEnd(store::BatchEnd) =
        [store::BatchEnd::Reconciled, store::BatchEnd::Discrepancy, store::BatchEnd::Lost];
    /// What a note of the ledger is about.
    NoteKind(store::NoteKind) = [
        store::NoteKind::Late, store::NoteKind::Duplicate, store::NoteKind::Discrepancy,
        store::NoteKind::LeaseLost, store::NoteKind::Operator, store::NoteKind::Repaired,
    ];
    /// What became of a worker's incarnation.
    WorkerState(store::WorkerState) =
        [store::WorkerState::Joined, store::WorkerState::Left, store::WorkerState::Lost];
    /// What may be done with a plugin's version.
    PluginState(store::PluginState) = [
        store::PluginState::Enabled, store::PluginState::Disabled, store::PluginState::Yanked,
        store::PluginState::Quarantined,
    ];
    /// What a token opens: admin includes operate, which includes run, which includes read; worker opens only the gate.
    TokenScope(store::TokenScope) = store::TokenScope::ALL;
    /// How a step holds its task up.
    BottleneckKind(insight::BottleneckKind) = BOTTLENECK_KINDS;
    /// What kind of thing is paused.
    PauseKind(PauseScope) = PauseScope::ALL;
}
