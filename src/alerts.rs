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

pub mod alertmanagers;
mod backoff;
mod call;
pub mod channels;
pub mod deadman;
mod delivery;
pub mod hook;
mod limits;
mod message;
mod metrics;
pub mod outbox;

pub use delivery::{DeliveryEvent, DeliveryOutcome};
pub use message::{AlertText, Message, MessageKind};
pub use metrics::describe_delivery_metrics;
