//! Whether a proposal of our own is near. Pure.

use std::time::Duration;

use crate::types::UnixMillis;

/// Until when nothing may begin: a proposal is near, before or after. `None`: nothing keeps anybody.
pub(super) fn held_until<const N: usize>(
    proposals: [Option<UnixMillis>; N],
    now: UnixMillis,
    keep_clear: Duration,
) -> Option<UnixMillis> {
    let clear = i64::try_from(keep_clear.as_millis()).unwrap_or(i64::MAX);
    let near =
        proposals.into_iter().flatten().filter(|at| clear > 0 && at.abs_diff(now) <= clear.unsigned_abs());
    near.map(|at| at.saturating_add(clear)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_near_before_and_after_it() {
        let minute = Duration::from_secs(60);
        for (name, proposals, keep_clear, want) in [
            ("none is known", [None, None], minute, None),
            ("far ahead", [Some(160_001), None], minute, None),
            ("ahead", [Some(160_000), None], minute, Some(220_000)),
            ("now", [Some(100_000), None], minute, Some(160_000)),
            ("just before", [None, Some(40_000)], minute, Some(100_000)),
            ("long before", [None, Some(39_999)], minute, None),
            ("both", [Some(150_000), Some(50_000)], minute, Some(210_000)),
            ("nobody minds", [Some(100_000), None], Duration::ZERO, None),
        ] {
            assert_eq!(held_until(proposals, 100_000, keep_clear), want, "{name}");
        }
    }
}
