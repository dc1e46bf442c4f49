//! What an upstream has said of its past that it does not have: a node that keeps the last 128 states is not asked for an older one a second time, so
//! that such a call goes to an archive at once.
//!
//! It is learned from refusals alone, and believed for a while: a node may be given its history back. Only of old blocks: that the state of a new one is
//! missing is a fault that passes.

use std::time::Duration;

use tokio::time::Instant;

/// Blocks below its head from which a refusal teaches something: the states that every node has.
const RECENT: u64 = 128;
/// How long a refusal is believed. An arbitrary number.
const BELIEVED: Duration = Duration::from_secs(600);

/// What of the past a call is about: nodes drop the one without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Balances, code and storage, or what is worked out from them.
    State,
    /// Blocks, transactions, receipts and logs.
    History,
}

impl Past {
    /// What a method needs.
    pub(super) fn of(method: &str) -> Self {
        let is_traced =
            ["debug_trace", "trace_", "arbtrace_", "ots_"].iter().any(|space| method.starts_with(space));
        let of_state = [
            "eth_getBalance",
            "eth_getCode",
            "eth_getStorageAt",
            "eth_getStorageValues",
            "eth_getTransactionCount",
            "eth_getProof",
            "eth_getAccount",
            "eth_call",
            "eth_callMany",
            "eth_estimateGas",
            "eth_createAccessList",
            "eth_simulateV1",
        ];
        if is_traced || of_state.contains(&method) { Self::State } else { Self::History }
    }
}

/// What one upstream lacks.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    state: Option<Lesson>,
    history: Option<Lesson>,
}

#[derive(Clone, Copy, Debug)]
struct Lesson {
    /// It has nothing of this block and those below.
    up_to: u64,
    until: Instant,
}

impl Pruned {
    /// It said that it does not have a block's; its own head is `latest`.
    pub(super) fn note_lacks(&mut self, past: Past, number: u64, latest: u64, now: Instant) {
        if number.saturating_add(RECENT) > latest {
            return;
        }
        let up_to = self.up_to(past, now).map_or(number, |known| known.max(number));
        *self.of(past) = Some(Lesson { up_to, until: now + BELIEVED });
    }

    /// It has a block's.
    pub(super) fn note_has(&mut self, past: Past, number: u64) {
        let lesson = self.of(past);
        if let Some(Lesson { up_to, .. }) = lesson
            && number <= *up_to
        {
            match number.checked_sub(1) {
                Some(below) => *up_to = below,
                None => *lesson = None,
            }
        }
    }

    /// The last block of which it is known to have nothing.
    pub(super) fn up_to(&self, past: Past, now: Instant) -> Option<u64> {
        let lesson = match past {
            Past::State => self.state,
            Past::History => self.history,
        };
        lesson.filter(|lesson| now < lesson.until).map(|lesson| lesson.up_to)
    }

    const fn of(&mut self, past: Past) -> &mut Option<Lesson> {
        match past {
            Past::State => &mut self.state,
            Past::History => &mut self.history,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_teach_what_is_missing_and_answers_what_is_not() {
        let (mut pruned, now) = (Pruned::default(), Instant::now());
        let state = |pruned: &Pruned| pruned.up_to(Past::State, now);
        pruned.note_lacks(Past::State, 873, 1_000, now);
        assert_eq!(state(&pruned), None, "the state of a new block is missing by mistake");
        pruned.note_lacks(Past::State, 500, 1_000, now);
        pruned.note_lacks(Past::State, 300, 1_000, now);
        assert_eq!((state(&pruned), pruned.up_to(Past::History, now)), (Some(500), None));
        pruned.note_has(Past::State, 501);
        pruned.note_has(Past::History, 3);
        assert_eq!(state(&pruned), Some(500));
        pruned.note_has(Past::State, 400);
        assert_eq!(state(&pruned), Some(399));
        assert_eq!(pruned.up_to(Past::State, now + BELIEVED), None, "it is not believed for ever");
        pruned.note_lacks(Past::State, 10, 1_000, now + BELIEVED);
        assert_eq!(pruned.up_to(Past::State, now + BELIEVED), Some(10), "nor is what was before");
        pruned.note_has(Past::State, 0);
        assert_eq!(pruned.up_to(Past::State, now + BELIEVED), None);
    }

    #[test]
    fn what_methods_need_is_told_apart() {
        for method in ["eth_call", "eth_getBalance", "debug_traceCall", "trace_block"] {
            assert_eq!(Past::of(method), Past::State, "{method}");
        }
        for method in ["eth_getBlockByNumber", "eth_getLogs", "eth_getBlockReceipts", "debug_getRawBlock"] {
            assert_eq!(Past::of(method), Past::History, "{method}");
        }
    }
}
