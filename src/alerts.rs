//! Alerts: what is wrong, who is told of it, and whether that arrived.
//!
//! Troubles come in by three ways, and are one thing from then on: rooms raise and resolve signals by the rules that they declare
//! (`events::AlertRule`), rules over metrics are evaluated here, and others' alerts arrive at the hook. `engine` makes alerts of them (fail-for,
//! clear-for, flapping), `inhibit` and `silence` say which of them nobody is told, `group` puts into one message what belongs together,
//! `escalate` says who is told next, until somebody acknowledges, and `outbox` delivers. All of these decide from plain data with `now` as
//! an argument.
//!
//! It promises: what was raised is never forgotten, over a `kill -9` either: an alert and the messages that follow from it are written down
//! in one transaction, before anything is sent. A message is sent again until the service took it, its time is over, or the service says
//! that it never will; then it is a dead letter, and another channel says so. A channel that hangs delays no other.
//!
//! It never repairs anything, never opens an address that the configuration does not name, and never shows a secret.

pub mod ack_link;
mod alert;
pub mod alertmanagers;
mod backoff;
mod board;
mod by_hand;
mod call;
pub mod channels;
pub mod deadman;
mod delivery;
mod desk;
mod digest;
mod digest_message;
mod drill;
mod engine;
mod escalate;
mod flap;
mod foreign;
mod grading;
mod group;
pub mod hook;
mod inhibit;
mod limits;
mod live_signals;
mod maintenance;
mod matcher;
mod message;
mod metric_rule;
mod metrics;
mod moment;
mod notify;
pub mod outbox;
mod prometheus_text;
mod proof;
mod room;
mod rota;
mod run;
mod settings_escalation;
mod signal_source;
mod silence;
mod silence_rows;
mod source;
mod surplus;
mod text;
mod trouble;

pub use alert::{Acknowledgement, Alert, Phase, Told};
pub use board::{Board, Look};
pub use delivery::{DeliveryEvent, DeliveryOutcome};
pub use desk::{AckTarget, AlertView, Desk, DeskError, Snapshot};
pub use digest::{DigestCadence, DigestSource, DigestText, DueDigest};
pub use drill::{DRILL_WAIT, DrillAnswer, DrillState, DrillStep, DrillView, alert_drill};
pub use engine::{Absence, Change, ChangeKind, Engine, Unsaved};
pub use foreign::{ForeignSettings, ForeignSource, Taken};
pub use grading::Grading;
pub use group::GroupKey;
pub use inhibit::stands_on;
pub use live_signals::LiveSignals;
pub use maintenance::{
    LONGEST_ONCE_MS, LONGEST_RECURRING, MAX_WINDOWS, Maintenance, MaintenanceSpan, MaintenanceTime,
};
pub use matcher::{MatchOperator, Matcher, MatcherError};
pub use message::{AlertText, Message, MessageKind};
pub use metric_rule::{Aggregation, Comparison, MetricRule, MetricRules};
pub use metrics::describe_delivery_metrics;
pub use moment::Moment;
pub use notify::{Groups, Hidden, MAX_ALERTS_TOLD, Outgoing, Plan, hidden, plan};
pub use prometheus_text::{Sample, parse as parse_metrics};
pub use proof::prove;
pub use room::{RoomParts, start_room};
pub use rota::{Override, Rota, UnknownZone, who_is_on_call, zone};
pub use run::{AlertParts, Observer, start};
pub use settings_escalation::{AckLinks, AlertSettings, DailyDigest, EscalationSettings, Matrix};
pub use signal_source::SignalSource;
pub use silence::{MAX_MATCHERS, MAX_SILENCES, Silence, SilenceError, SilenceKind, silence_of};
pub use source::{Collected, MetricSource, TroubleSource};
pub use surplus::{alert_source_away, alertmanager_unreachable, alerts_dropped, alerts_unreadable};
pub use trouble::{Trouble, fingerprint};
