//! `[sla]`: what must be held.

use super::{checker::Checker, raw_alerts::RawSla};
use crate::sla::Objective;

/// Checks the section.
pub(super) fn sla(raw: &RawSla, checker: &mut Checker) -> Objective {
    let Some(percent) = raw.target_percent else { return Objective::THREE_NINES };
    Objective::of_percent(percent).unwrap_or_else(|| {
        checker.wrong(
            "sla.target_percent",
            format!("{percent} cannot be held, or says nothing"),
            "write 50 to 99.999; without the key it is 99.9",
        );
        Objective::THREE_NINES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_leaves_something_to_fail() {
        for (percent, allowed) in [
            (99.9, Some(1000)),
            (99.0, Some(10_000)),
            (99.999, Some(10)),
            (50.0, Some(500_000)),
            (99.95, Some(500)),
        ] {
            let mut checker = Checker::default();
            let found = sla(&RawSla { target_percent: Some(percent) }, &mut checker);
            assert_eq!(allowed, Some(found.budget_secs(1_000_000)), "{percent}");
            assert_eq!(checker.mistakes, []);
        }
        for percent in [100.0, 0.999, 49.9, -1.0, 1000.0, f64::NAN, f64::INFINITY, 99.99999] {
            let mut checker = Checker::default();
            sla(&RawSla { target_percent: Some(percent) }, &mut checker);
            assert_eq!(checker.mistakes.len(), 1, "{percent}");
        }
        assert_eq!(sla(&RawSla::default(), &mut Checker::default()), Objective::THREE_NINES);
    }
}
