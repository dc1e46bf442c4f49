//! Looks at the operator's nodes: whether each answers, how fast, and whether it is at the head of its chain.
//!
//! `eth_syncing` that says no is also what a stalled node answers, so the age of the head decides. Each node has a meter, as others' nodes will:
//! whoever counts does not care who asked.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    consensus::{SlotClock, WallClock},
    ethereum::{BeaconNode, Block, BlockId, ExecutionNode, NodeError, SyncStatus},
    events::{AnswerGrade, AnswerMeter},
    types::UnixMillis,
};

/// Longest wait for a node.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer that takes longer is late, whatever it says.
const BUDGET: Duration = Duration::from_secs(1);
/// A head older than this lags, and than this is no head any more; the slot's length counts where it is longer. Slots are missed now and then.
const LAGS_MS: i64 = 60_000;
const LAGS_SLOTS: i64 = 5;
const STANDS_MS: i64 = 300_000;
const STANDS_SLOTS: i64 = 25;

/// The operator's nodes as they are configured today.
#[derive(Clone, Debug, Default)]
pub struct SlaNodes {
    /// `[beacon]`
    pub beacon: Option<BeaconNode>,
    /// `[execution]`
    pub execution: Option<ExecutionNode>,
}

/// Asks the execution node for its head and counts the answer; the head, where it says one.
pub(super) async fn probe_execution(
    node: &ExecutionNode,
    slots: SlotClock,
    clock: &WallClock,
    meter: &AnswerMeter,
) -> Option<Block> {
    let asked = Instant::now();
    let answer = timeout(TIMEOUT, node.block(BlockId::Latest, false)).await;
    let elapsed = asked.elapsed();
    let head = answer.ok().and_then(Result::ok).flatten();
    let age = head.as_ref().map(|head| {
        let at = i64::try_from(head.timestamp.to::<u64>()).unwrap_or(i64::MAX).saturating_mul(1000);
        clock.now().saturating_sub(at)
    });
    meter.note(grade_of_age(age, slots.slot_ms(), elapsed), elapsed);
    head
}

/// Asks the beacon node how far it is and counts the answer.
pub(super) async fn probe_beacon(
    node: &BeaconNode,
    slots: SlotClock,
    clock: &WallClock,
    meter: &AnswerMeter,
) {
    let asked = Instant::now();
    let answer = timeout(TIMEOUT, node.sync_status()).await;
    let elapsed = asked.elapsed();
    let answer = answer.ok().and_then(|answer: Result<SyncStatus, NodeError>| answer.ok());
    let age = answer
        .filter(|status| !status.is_syncing && !status.is_execution_offline)
        .map(|status| age_of(&status, slots, clock.now()));
    meter.note(grade_of_age(age, slots.slot_ms(), elapsed), elapsed);
}

/// How long ago the head's slot began.
fn age_of(status: &SyncStatus, slots: SlotClock, now: UnixMillis) -> i64 {
    now.saturating_sub(slots.start_of(status.head))
}

/// What an answer says: none is a failure, and so is a head that stands.
fn grade_of_age(age_ms: Option<i64>, slot_ms: u64, elapsed: Duration) -> AnswerGrade {
    let slot_ms = i64::try_from(slot_ms).unwrap_or(i64::MAX);
    let lags = LAGS_MS.max(slot_ms.saturating_mul(LAGS_SLOTS));
    let stands = STANDS_MS.max(slot_ms.saturating_mul(STANDS_SLOTS));
    match age_ms {
        None => AnswerGrade::Bad,
        Some(age) if age > stands => AnswerGrade::Bad,
        Some(age) if age > lags || elapsed > BUDGET => AnswerGrade::Slow,
        Some(_) => AnswerGrade::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Slot;

    #[test]
    fn a_node_is_as_its_heads_age_says() {
        let quick = Duration::from_millis(3);
        for (age, slot_ms, elapsed, want) in [
            (None, 12_000, quick, AnswerGrade::Bad),
            (Some(11_000), 12_000, quick, AnswerGrade::Good),
            (Some(-500), 12_000, quick, AnswerGrade::Good),
            (Some(60_001), 12_000, quick, AnswerGrade::Slow),
            (Some(300_001), 12_000, quick, AnswerGrade::Bad),
            (Some(11_000), 12_000, Duration::from_millis(1001), AnswerGrade::Slow),
            // Slots of a minute: five of them may be missed.
            (Some(299_000), 60_000, quick, AnswerGrade::Good),
        ] {
            assert_eq!(grade_of_age(age, slot_ms, elapsed), want, "{age:?} {slot_ms}");
        }
    }

    #[test]
    fn a_beacon_nodes_head_is_as_old_as_its_slot() {
        let slots = SlotClock::new(1000, 12_000);
        let status = SyncStatus {
            head: Slot::new(3),
            distance: None,
            is_syncing: false,
            is_optimistic: false,
            is_execution_offline: false,
        };
        assert_eq!(age_of(&status, slots, 1_040_000), 4000);
    }
}
