//! Availability: how each part did, minute by minute, and what is left of the error budget.
//!
//! An indicator (the builder API as the consensus client saw it, each node, each relay, all relays together) has a bucket for each minute:
//! good, bad, slow, maintenance or unknown. `sampler` fills it from what rooms publish and count, `tally` sums minutes up, `availability` says
//! what a window's sums mean over 30 days or a calendar month, and `burn` says when a budget goes so fast that somebody must know. `report`
//! and `readiness` hold all that against the operator's targets, and `digest` tells a week of it. All but the sampler and the ledger's reader are
//! pure, with `now` as an argument.
//!
//! It promises: a minute that nobody watched is unknown and never good, and bad where the part was bad before and after it; what was written
//! down survives a `kill -9`; a clock that jumps counts no minute twice. Every figure has its denominator beside it, and where there is none,
//! the reason.
//!
//! It never pages anybody: burning budgets are signals for `alerts`.

mod availability;
mod bucket;
mod burn;
mod digest;
mod facts;
mod gas_view;
mod host_minute;
mod indicator;
mod keeper;
mod minutes;
mod node_probe;
mod probes;
mod reader;
mod readiness;
mod relay_watch;
mod report;
pub(crate) mod rules;
mod sampler;
mod tally;
mod window;
mod words;

pub use availability::{Availability, Budget, MinuteCounts, Objective};
pub use burn::{BurnAlert, BurnRate, Lately};
pub use digest::{Cadence, Digest, DigestInputs, RestartFacts, Section, make as make_digest};
pub use facts::{AlertFacts, ExpiryFacts, MevFacts, ProfitFacts, RelayFacts};
pub use gas_view::GasView;
pub use indicator::Indicator;
pub use node_probe::SlaNodes;
pub use reader::SlaReader;
pub use readiness::{Criterion, CriterionName, Phase, Readiness, ReadinessFacts, ReadinessInputs};
pub use report::{Estimators, SlaReport, Target, TargetName, TargetStatus};
pub use sampler::{SlaParts, start};
pub use tally::Tally;
pub use window::{Period, Window};
