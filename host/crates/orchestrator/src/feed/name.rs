//! The names of events, each with what it means.

use serde::{Serialize, Serializer};

macro_rules! names {
    ($($(#[doc = $doc:literal])* $kind:ident = $text:literal;)*) => {
        /// What an event tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventName { $($(#[doc = $doc])* $kind,)* }

        impl EventName {
            /// Every name, with what it means.
            pub const ALL: &[(Self, &str)] = &[$((Self::$kind, concat!($($doc),*)),)*];

            /// The name's one spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }
        }
    };
}

names! {
    /// A task was created.
    TaskInitialized = "task.initialized";
    /// The first of a task's steps was leased to a worker.
    TaskStarted = "task.started";
    /// Every step of a task finished well.
    TaskCompleted = "task.completed";
    /// A task can go no further by itself: a step failed for good.
    TaskFailed = "task.failed";
    /// A task was cancelled.
    TaskCancelled = "task.cancelled";
    /// An operator declared a task done.
    TaskResolvedManually = "task.resolved_manually";
    /// A task that had failed goes on, since one of its steps was retried or finished by hand.
    TaskReopened = "task.reopened";
    /// A step can be claimed: its parents finished well, and its time has come.
    StepViable = "step.viable";
    /// An attempt began: the step was leased to a worker, in a batch.
    StepStarted = "step.started";
    /// A worker told how far an attempt is.
    StepProgress = "step.progress";
    /// An attempt completed, and its step with it.
    StepCompleted = "step.completed";
    /// An attempt failed, or its worker was lost.
    StepFailed = "step.failed";
    /// A step whose attempt failed will be tried again.
    StepRetryScheduled = "step.retry_scheduled";
    /// A step was cancelled with its task.
    StepCancelled = "step.cancelled";
    /// An operator wants a failed step tried again.
    StepRetried = "step.retried";
    /// An operator gave a step its output.
    StepResolvedManually = "step.resolved_manually";
    /// An operator let a task go on without a step.
    StepSkipped = "step.skipped";
    /// A batch was made for a worker; it is sent once this is durable.
    BatchPublished = "batch.published";
    /// A batch's completion was compared with the partial results, and its books are closed.
    BatchReconciled = "batch.reconciled";
    /// A batch's completion differed from a partial result, which stands.
    BatchDiscrepancy = "batch.discrepancy";
    /// A batch was lost with its worker.
    BatchLost = "batch.lost";
    /// A worker joined, or came back.
    WorkerJoined = "worker.joined";
    /// A worker said goodbye.
    WorkerLeft = "worker.left";
    /// A worker's lease ended.
    WorkerLost = "worker.lost";
    /// Something was paused.
    PauseBegun = "pause.begun";
    /// Something is paused no longer.
    PauseEnded = "pause.ended";
    /// A plugin version was registered.
    PluginRegistered = "plugin.registered";
    /// A plugin version may be used by new tasks.
    PluginEnabled = "plugin.enabled";
    /// Nothing new resolves to a plugin version.
    PluginDisabled = "plugin.disabled";
    /// Only who names exactly a plugin version gets it.
    PluginYanked = "plugin.yanked";
    /// A plugin version is disabled, and its steps are paused.
    PluginQuarantined = "plugin.quarantined";
    /// A template version was registered.
    TemplateRegistered = "template.registered";
}

impl EventName {
    /// What it is about: the part of its name before the dot.
    pub fn subject(self) -> &'static str {
        self.as_str().split_once('.').map_or("", |(subject, _)| subject)
    }
}

impl Serialize for EventName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
