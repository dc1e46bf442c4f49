//! What is known of a relay says about it: is it there, is it honest, may it be asked.
//!
//! In: an [`Observation`] for every answer in an auction, a [`BlockRecord`] for every block that was promised, and the operator's word. Out: a
//! [`Reputation`], and from all reputations together the places: active, standby, quarantined, disabled, each with its reason in
//! words. Pure: `now` is an argument, in Unix milliseconds, because a reputation outlives the process.
//!
//! Two questions are kept apart, as they cost different things. **Is it there?** A [`Breaker`](crate::breaker::Breaker) answers fast: a few failures in a row
//! open it, probes off the hot path close it again. Being away costs a bid. **Is it honest?** A [`Trust`] answers slowly: a Beta
//! posterior per class of fault, old observations fading, each weighing what was at stake. Winning and withholding costs a slot, so it also
//! quarantines at once, for a time that doubles. Who did what with a block is decided by [`judge`] alone; an [`Accusation`] that does
//! not hold is taken back, and leaves nothing behind.
//!
//! This room never ends a slot to punish somebody: without another relay that lately bid, a single offence keeps nobody out. But a relay
//! that offended twice is not asked even if nobody else is left: the consensus client builds locally.

mod accusation;
mod case;
mod judge;
mod observation;
mod placement;
mod quarantine;
mod race_stats;
mod reputation;
mod trust;
mod trust_policy;

pub use accusation::{Accusation, SUSPICION_MS};
pub use case::{AnswerKind, BlockRecord, ChainSight, PaymentSight, Promise, Received, RevealAnswer};
pub use judge::{Verdict, judge};
pub use observation::{Observation, pulse_of};
pub use placement::{Contender, Eligibility, Placement, Ranking, chosen, place_all};
pub use quarantine::Quarantine;
pub use race_stats::RaceStats;
pub use reputation::{Change, OperatorSetting, Reputation};
pub use trust::{FaultClass, Trust, stake};
pub use trust_policy::TrustPolicy;
