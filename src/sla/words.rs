//! Spans of time and shares in words.

/// A span of seconds as its two largest units: `43 m 12 s`, `9 h 5 m`, `3 d 4 h`.
pub(super) fn span(secs: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let first = UNITS.iter().position(|(length, _)| secs >= *length).unwrap_or(3);
    let mut rest = secs;
    let mut parts = Vec::new();
    for (length, unit) in UNITS.iter().skip(first).take(2) {
        let count = rest.checked_div(*length).unwrap_or(0);
        rest = rest.saturating_sub(count.saturating_mul(*length));
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

/// A span of milliseconds since something happened, for people: whole minutes where it is more than two.
pub(super) fn ago(ms: i64) -> String {
    let secs = ms.max(0).unsigned_abs() / 1000;
    if secs < 120 { span(secs) } else { span(secs - secs % 60) }
}

/// A share as a percentage with as many digits as it takes to tell it from 100: never rounded up to it.
pub(super) fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    let text = format!("{hundred:.3}");
    let text = if text == "100.000" && hundred < 100.0 { "99.999".to_owned() } else { text };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A count as a number for ratios.
#[expect(clippy::cast_precision_loss, reason = "ratios for people")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// A share of counts; none of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole))
}

/// How many of something, with the noun in its number.
pub(super) fn count(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (secs, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (2592, "43 m 12 s"),
            (3600, "1 h"),
            (32_700, "9 h 5 m"),
            (273_600, "3 d 4 h"),
            (86_461, "1 d"),
        ] {
            assert_eq!(span(secs), words);
        }
        assert_eq!(
            (ago(61_000), ago(3_661_000), ago(-5)),
            ("1 m 1 s".into(), "1 h 1 m".into(), "0 s".into())
        );
    }

    #[test]
    fn shares_are_not_rounded_up_to_all() {
        for (share, words) in
            [(1.0, "100 %"), (0.999_999_9, "99.999 %"), (0.999, "99.9 %"), (0.0, "0 %"), (0.25, "25 %")]
        {
            assert_eq!(percent(share), words);
        }
    }
}
