//! Lengths of time as Prometheus has them: `30s`, `5m`, `1h30m`, `7d`.

use std::{ops::RangeInclusive, time::Duration};

use super::{checker::Checker, raw_text::Span};

/// Longest text that is looked at.
const MAX_BYTES: usize = 40;

const HINT: &str = "write a number and s, m, h, d, w or y, such as \"30s\", \"5m\", \"1h30m\" or \"7d\"";

/// Reads a length of time; each unit once, the longer ones first. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text.is_empty() || text.len() > MAX_BYTES {
        return None;
    }
    let (mut rest, mut longest, mut secs) = (text, u64::MAX, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.get(digits..)?.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            'y' => 31_536_000,
            _ => return None,
        };
        if unit >= longest {
            return None;
        }
        longest = unit;
        secs = secs.checked_add(number.checked_mul(unit)?)?;
        // The unit is one byte.
        rest = rest.get(digits + 1..)?;
    }
    Some(Duration::from_secs(secs))
}

/// A length of time as people write it.
pub(super) fn shown(duration: Duration) -> String {
    let mut secs = duration.as_secs();
    let mut out = String::new();
    for (unit, name) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        let count = secs / unit;
        secs %= unit;
        if count > 0 {
            out.push_str(&format!("{count}{name}"));
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A length of time within bounds, or the default.
pub(super) fn duration(
    key: &str,
    value: Option<&Span>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
    checker: &mut Checker,
) -> Duration {
    let Some(Span(text)) = value else { return default };
    match parse(text) {
        None => {
            let text: String = text.chars().take(MAX_BYTES).collect();
            checker.wrong(key, format!("`{text}` is no length of time"), HINT);
            default
        }
        Some(duration) if !bounds.contains(&duration) => {
            let (least, most) = (shown(*bounds.start()), shown(*bounds.end()));
            checker.wrong(
                key,
                format!(
                    "{} is too {}",
                    shown(duration),
                    if duration < *bounds.start() { "short" } else { "long" }
                ),
                format!("write {least} to {most}; without the key it is {}", shown(default)),
            );
            default
        }
        Some(duration) => duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_prometheus_does() {
        for (text, secs) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("7d", Some(604_800)),
            ("1w2d", Some(777_600)),
            ("2y", Some(63_072_000)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5 m", None),
            ("5min", None),
            ("-5m", None),
            ("5m1h", None),
            ("5m5m", None),
            ("1.5h", None),
            ("5ö", None),
            ("99999999999999999999s", None),
            ("18446744073709551615w", None),
        ] {
            assert_eq!(parse(text), secs.map(Duration::from_secs), "{text}");
        }
        for text in ["0s", "30s", "1h30m", "7d", "1d1s"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_a_mistake_and_the_default_goes_on() {
        let minute = Duration::from_secs(60);
        for (text, said) in [
            ("5m", None),
            ("59s", Some("59s is too short")),
            ("2d", Some("2d is too long")),
            ("x", Some("`x` is no length")),
        ] {
            let mut checker = Checker::default();
            let got =
                duration("k", Some(&Span(text.to_owned())), minute, minute..=minute * 1440, &mut checker);
            let found = checker.mistakes.first().map(|mistake| mistake.message.as_str());
            assert_eq!(got, if said.is_none() { minute * 5 } else { minute }, "{text}");
            assert_eq!(found.is_some(), said.is_some(), "{text}");
            assert!(found.unwrap_or_default().starts_with(said.unwrap_or_default()), "{found:?}");
        }
    }
}
