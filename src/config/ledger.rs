//! `[ledger]`: how long what happened is kept.

use std::time::Duration;

use super::{checker::Checker, durations::duration, raw_ledger::RawLedger, raw_text::Span};
use crate::ledger::Retention;

const DAY: Duration = Duration::from_secs(86_400);
/// Reports look back a month, and so does what relays are judged by: less is never kept.
const LEAST: Duration = Duration::from_secs(35 * 86_400);
/// Longest that is not for ever.
const MOST: Duration = Duration::from_secs(100 * 365 * 86_400);
const FOREVER: &str = "forever";

/// Checks the section.
pub(super) fn ledger(raw: &RawLedger, checker: &mut Checker) -> Retention {
    let mut keep = |key: &str, value: &Option<Span>| {
        let value = value.as_ref().filter(|span| span.0 != FOREVER)?;
        Some(duration(&format!("ledger.{key}"), Some(value), DAY.saturating_mul(730), LEAST..=MOST, checker))
    };
    let found = Retention {
        bids: keep("keep_bids", &raw.keep_bids),
        slots: keep("keep_slots", &raw.keep_slots),
        events: keep("keep_events", &raw.keep_events),
        money: keep("keep_money", &raw.keep_money),
    };
    // What is kept longer stands on what is kept shorter, and never the other way round.
    let is_shorter = |this: Option<Duration>, than: Option<Duration>| match (this, than) {
        (Some(this), Some(than)) => this < than,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if is_shorter(found.slots, found.bids) && raw.keep_bids.is_some() {
        checker.wrong(
            "ledger.keep_slots",
            "is shorter than keep_bids: there are no bids without their slots",
            "keep slots as long as bids, or longer",
        );
    }
    if is_shorter(found.money, found.slots) {
        checker.wrong(
            "ledger.keep_money",
            "is shorter than keep_slots: slots without what they paid would be looked at again",
            "keep money longer than slots; without the key it is kept for ever",
        );
    }
    // Bids go with their slots at the latest.
    let bids = match (found.bids, found.slots) {
        (Some(bids), Some(slots)) => Some(bids.min(slots)),
        (bids, slots) => bids.or(slots),
    };
    Retention { bids, ..found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(texts: [Option<&str>; 4]) -> (Retention, Vec<String>) {
        let [keep_bids, keep_slots, keep_events, keep_money] =
            texts.map(|text| text.map(|text| Span(text.to_owned())));
        let raw = RawLedger { keep_bids, keep_slots, keep_events, keep_money };
        let mut checker = Checker::default();
        let found = ledger(&raw, &mut checker);
        (found, checker.mistakes.into_iter().map(|mistake| mistake.key).collect())
    }

    #[test]
    fn everything_is_kept_unless_somebody_says_otherwise() {
        assert_eq!(checked([None; 4]), (Retention::default(), vec![]));
        assert_eq!(checked([Some("forever"); 4]), (Retention::default(), vec![]));
        let (found, mistakes) = checked([Some("180d"), Some("2y"), Some("1y"), Some("forever")]);
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert_eq!(
            (found.bids, found.slots, found.events, found.money),
            (days(180), days(730), days(365), None)
        );
        assert_eq!(mistakes, Vec::<String>::new());
        // Bids do not outlive their slots.
        assert_eq!(checked([None, Some("1y"), None, None]).0.bids, days(365));
    }

    #[test]
    fn what_would_contradict_itself_is_refused() {
        for (texts, want) in [
            ([Some("2d"), None, None, None], "ledger.keep_bids"),
            ([Some("2y"), Some("1y"), None, None], "ledger.keep_slots"),
            ([None, Some("2y"), None, Some("1y")], "ledger.keep_money"),
            ([None, None, None, Some("1y")], "ledger.keep_money"),
            ([None, Some("soon"), None, None], "ledger.keep_slots"),
        ] {
            assert_eq!(checked(texts).1, [want], "{texts:?}");
        }
    }
}
