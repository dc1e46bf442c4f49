//! What a relay's observations say about it: is it there, is it honest, may it be asked.
//!
//! In: one [`Observation`] after the other (how a call ended, what was at stake, when) and the operator's word. Out: a [`Reputation`], and
//! from all reputations together the places: active, standby, quarantined, disabled, each with its reason in words. Pure: `now` is an
//! argument, in Unix milliseconds, because a reputation outlives the process.
//!
//! Two questions are kept apart, as they cost different things. **Is it there?** A [`Breaker`] answers fast: a few failures in a row
//! open it, probes off the hot path close it again. Being away costs a bid. **Is it honest?** A [`Trust`] answers slowly: a Beta
//! posterior per class of fault, old observations fading, each observation weighing what was at stake. Winning and withholding costs a slot, so
//! it also quarantines at once, for a time that doubles.
//!
//! This room never ends a slot to punish somebody: without an alternative a single offence quarantines nobody. But a relay proven
//! to be a thief twice over is not asked even if nobody else is left: the consensus client builds locally.

mod breaker;
mod case;
mod judge;
mod observation;
mod placement;
mod reputation;
mod trust;

pub use breaker::{Breaker, BreakerPolicy, Pulse};
pub use case::{AnswerKind, BlockRecord, ChainSight, PaymentSight, Promise, Received, RevealAnswer};
pub use judge::{Verdict, judge};
pub use observation::{Observation, RevealCase, judge_reveal, pulse_of};
pub use placement::{Contender, Eligibility, Placement, chosen, place_all};
pub use reputation::{OperatorSetting, Quarantine, RaceStats, Reputation, TrustPolicy};
pub use trust::{FaultClass, Trust, stake};
