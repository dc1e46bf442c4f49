//! The operator's own accountant: what each slot was promised, what arrived on chain, by which proof.
//!
//! In: the ledger's auctions, submissions and registrations; an execution node; where there are any, a beacon node and the relays' Data
//! API. Out: a row for each slot (provisional at the head, final at finality, made anew after a reorganisation), reports, notices to the
//! operator, evidence to send to a relay, and events that lower or raise relays' trust. Every input may be missing: what cannot be known is
//! said to be unknown, never guessed. This room never touches the hot path: it reads the ledger and asks nodes in its own time.
//!
//! Judgements are pure: `payment` (what a block paid whom), `settle` (what came of a slot), `tally` (sums). `watcher` and `checks` are
//! the tasks around them, `report` and `evidence` what people get.

mod checks;
pub mod csv;
mod evidence;
mod fees;
mod metrics;
mod notify;
mod payment;
mod prices;
mod report;
pub mod rules;
mod settings;
mod settle;
mod start;
mod tally;
mod watcher;

pub use checks::{SettlementLag, settlement_lag};
pub use evidence::{SlotEvidence, evidence};
pub use metrics::describe_metrics;
pub use payment::{Confidence, Method, Payment, PaymentFacts, TransactionFacts, judge};
pub use prices::Prices;
pub use report::{By, ProfitReport, ReportLine, ReportQuery, Reporter, TargetVerdict};
pub use settings::ProfitSettings;
pub use settle::{SlotOutcome, SlotStatus};
pub use start::{ProfitParts, start};
pub use tally::project_sums;
pub use watcher::{WatchError, Watcher, WatcherParts, follow_chain};
