//! How long an upstream asks us to wait.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName,
    header::{DATE, RETRY_AFTER},
};

/// Longest wait that is believed: a day, the longest time that a budget is for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// `Retry-After`: seconds, also broken ones as some send, or a date, which is compared with the answer's own so that no clock of ours matters.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(RETRY_AFTER)?;
    if let Ok(seconds) = value.parse::<f64>() {
        let wait = || Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        return (seconds >= 0.0).then(wait);
    }
    let date = |text: &str| -> Option<SystemTime> { httpdate::parse_http_date(text).ok() };
    let (until, sent) = (date(value)?, date(text(DATE)?)?);
    Some(until.duration_since(sent).unwrap_or_default().min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_form_is_understood() {
        for (value, want) in [
            ("30", Some(30_000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1500)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30_000)),
            ("Wed, 21 Oct 2015 07:27:30 GMT", Some(0)),
            ("99999999", Some(86_400_000)),
            ("1e300", Some(86_400_000)),
            ("-5", None),
            ("NaN", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            headers.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"));
            assert_eq!(retry_after(&headers), want.map(Duration::from_millis), "{value}");
            headers.remove(DATE);
            assert_eq!(retry_after(&headers).is_some(), want.is_some() && !value.ends_with("GMT"), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
