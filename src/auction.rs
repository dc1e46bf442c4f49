//! The race over relays: who is asked, how long is waited, which bid is returned, and the reveal of the block it won.
//!
//! In: a request of the consensus client and the relays of the moment. Out: the best bid that holds, or none; a payload or a
//! word that there is none. An answer leaves within its budget whatever any relay does. A bid climbs a ladder of types:
//! `SignedBuilderBid` (decoded) → [`CheckedBid`] (says what it should) → [`VerifiedBid`] (signed by its relay); only the last can
//! be returned. The rules themselves ([`Budget`], [`check_bid`], [`Candidates`], [`Policy`], [`Timing`], [`SoftDeadline`]) are pure: they take `now` as a number, and the
//! same bids give the same winner whatever their order of arrival.
//!
//! This room never prefers a doubtful bid to none, and never waits for a disk, save for the journal before a signed block leaves.

mod adaptive;
mod admission;
mod answers;
mod awaited;
mod bid_memory;
mod block_signature;
mod candidates;
mod check;
mod check_schedule;
mod client_activity;
mod clock_note;
mod closing;
mod deadline;
mod drought;
mod early;
mod gas_limits;
mod gather;
mod genesis_root;
mod get_header;
mod hang_up;
mod held;
mod load;
mod metrics;
mod node_attributes;
mod pace;
mod payload_comparison;
mod policy;
mod polls;
mod race;
mod randao;
mod register;
mod registration_check;
pub mod rules;
mod settings;
mod shared;
mod signals;
mod state;
mod stopping;
mod submit;
mod timing;
mod validators;
mod verified_cache;
mod verify;

pub use adaptive::{SeenPoll, SeenRaces, TimingReport, report_timing};
pub use candidates::{Candidates, Claim, Verdict};
pub use check::{
    BidFault, CheckedBid, Expectations, GasLimitTarget, VerifiedBid, check_bid, gas_limit_is_reachable,
};
pub use check_schedule::{Chance, CheckSchedule, Outlook, Proof, checks_at_once, leader_stays_after};
pub use client_activity::{ClientActivity, Refusal};
pub use deadline::{Budget, BudgetInputs, Reserve, budget};
pub use early::{Missing, SoftDeadline, may_answer_early};
pub use get_header::HeaderRequest;
pub use held::Held;
pub use metrics::describe_metrics;
pub use node_attributes::NodeConflict;
pub use policy::{BuilderRule, Policy, PolicyTable, RelayTerms, Weight};
pub use register::{RegisterError, RegisterRequest};
pub use settings::{AuctionSettings, GasLimitCheck};
pub use state::{Auction, AuctionParts};
pub use submit::{Revealed, SubmitError, SubmitRequest};
pub use timing::{Keep, Timing};
pub use validators::Validators;
