//! What a relay is accused of, block by block, so that each accusation can be taken back alone.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{FaultClass, Verdict};
use crate::{
    events::{Conduct, Evidence, Ruling, Stage},
    types::{Slot, UnixMillis, Wei},
};

/// How long a suspicion lets a relay rest, where the chain does not clear it or prove it before: beyond two epochs, which finality takes.
pub const SUSPICION_MS: i64 = 30 * 60 * 1000;
/// Accusations kept of one relay. Arbitrary: beyond that many the oldest are counted, and can no longer be taken back.
pub(super) const MAX_ACCUSATIONS: usize = 32;

/// One offence that a relay is accused of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accusation {
    /// The block's slot.
    pub slot: Slot,
    /// Hash of the execution block that it is about.
    pub block_hash: B256,
    /// The offence, such as withholding the block.
    pub conduct: Conduct,
    /// Whether the chain may still say otherwise.
    pub stage: Stage,
    /// How it was found out, and how sure that is.
    pub evidence: Evidence,
    /// Wei that the relay promised for the block.
    pub value: Wei,
    /// Why, for people.
    pub reason: String,
    /// Since when it is suspected, or guilty, of it.
    pub at: UnixMillis,
}

impl Accusation {
    pub(super) fn new(slot: Slot, block_hash: B256, verdict: &Verdict, at: UnixMillis) -> Self {
        let Verdict { conduct, stage, evidence, value, ref reason, .. } = *verdict;
        Self { slot, block_hash, conduct, stage, evidence, value, reason: reason.clone(), at }
    }

    /// Whether it counts as an offence; else the relay only rests for it.
    pub fn is_counted(&self) -> bool {
        self.evidence.confidence.convicts()
    }

    /// Guilty by evidence that convicts, else suspected.
    pub fn ruling(&self) -> Ruling {
        if self.is_counted() { Ruling::Guilty } else { Ruling::Suspected }
    }

    /// Whether the relay rests for a suspicion at `now`.
    pub fn is_suspected(&self, now: UnixMillis) -> bool {
        !self.is_counted() && now < self.at.saturating_add(SUSPICION_MS)
    }
}

/// The class of trust that something a relay did belongs to.
pub(super) fn class_of_conduct(conduct: Conduct) -> FaultClass {
    match conduct {
        Conduct::Withheld | Conduct::Mismatched | Conduct::NotOnChain | Conduct::Revealed => {
            FaultClass::Reveals
        }
        Conduct::PaidLess | Conduct::PaidAsPromised => FaultClass::Payments,
    }
}
