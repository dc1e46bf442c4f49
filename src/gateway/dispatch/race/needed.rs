//! Which block an upstream must have for its answer to lack nothing.

use crate::gateway::{BlockNeed, Bound, Method, methods::Repeat};

/// The block that an upstream must have for an answer that lacks nothing: a node gives what it has of a range, and does not say what it lacks.
pub(super) fn needed(method: Method, block: BlockNeed, told_latest: u64) -> Option<u64> {
    // What is found by its block shows by itself that the block is there.
    if method.repeat == Repeat::Never || method.may_be_absent {
        return None;
    }
    match block {
        BlockNeed::Number(number) | BlockNeed::Range { to: Bound::Number(number), .. } => Some(number),
        BlockNeed::Range { from, to: Bound::Latest | Bound::Pending } => match from {
            Bound::Number(from) => Some(from.max(told_latest)),
            _ => Some(told_latest),
        },
        _ => None,
    }
}
