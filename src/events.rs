//! The event spine: every fact worth knowing is one [`Event`], published once, never awaited by its publisher.
//!
//! The hot path publishes; watchers (ledger, dashboard, metrics) subscribe. A watcher that falls behind loses its own oldest
//! events and is told how many, and nobody else notices. Events are plain data of floor 0: names, numbers and words, ready to be
//! stored or shown, so that no watcher needs the room a fact came from.

mod alert_rule;
mod alert_signal;
mod answer_meter;
mod backup;
mod conditions;
mod disk;
mod evidence;
mod latency;
mod metrics;
mod missed_request;
mod node;
mod outcome;
mod record;
mod settlement;
mod spine;
mod task_run;
mod upstream;
mod verdict;

pub(crate) use alert_rule::alert_rules;
#[cfg(test)]
pub(crate) use alert_rule::for_tests;
pub use alert_rule::{AlertRule, Component, Persistence, Severity};
pub use alert_signal::{AlertSignal, SignalKeeper, count_signal};
pub use answer_meter::{AnswerGrade, AnswerMeter, AnswersSeen};
pub use backup::{BackupAction, BackupFinished, BackupResult};
pub use conditions::{Condition, Conditions, Effect};
pub use disk::{DiskActed, DiskCleaned, DiskRung};
pub use evidence::{Confidence, Evidence, Method};
pub use latency::LatencyCounts;
pub use metrics::{describe_metrics, set_degraded};
pub use missed_request::{MissedRequest, NoRequestReason};
pub use node::{ActedBy, NodeActed, NodeAction, NodeChanged, NodeHold, NodeState, NodeStates, NodeWanted};
pub use outcome::{BidFlaw, BidOutcome, CallFault, RegistrationOutcome, RevealOutcome};
pub use record::{
    AuctionRecord, BlockReceived, ConflictingBlock, Event, Fate, ModeReason, PollRecord, ProbeResult,
    RaceShare, RegistrationAnswer, RegistrationFacts, RegistrationRound, RelayAnswer, RelayMode,
    RelayModeChanged, ReputationSaved, SubmissionAnswer, SubmissionClosed, Winner,
};
pub use settlement::{
    DataApiVerdict, PaymentOutcome, PaymentVerdict, Settlement, SlotOutcome, SlotSettled, SlotStatus,
};
pub use spine::{Spine, Subscription};
pub use task_run::{TaskCause, TaskKind, TaskOutcome, TaskRun};
pub use upstream::{UpstreamChanged, UpstreamState};
pub use verdict::{
    BlockRecordSaved, BlockSignature, BlockSignatureChecked, Conduct, RelayJudged, Ruling, Stage,
};
