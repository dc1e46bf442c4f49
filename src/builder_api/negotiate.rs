//! Which encoding an answer has. Source: RFC 9110 section 12.5.1; builder-specs for the default (JSON).

use crate::consensus::Encoding;

/// Nothing that is accepted can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither application/json nor application/octet-stream is acceptable to the client")]
pub struct NotAcceptable;

/// How well an entry of `Accept` names a type: exactly, by `application/*`, by `*/*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Any,
    Application,
    Exact,
}

/// What `Accept` says of one encoding: the most precise entry counts, and of equally precise ones the first.
#[derive(Clone, Copy, Debug)]
struct Preference {
    precision: Precision,
    /// Thousandths.
    quality: u16,
    position: usize,
}

/// Picks the encoding of an answer from the values of all `Accept` headers. None, or an empty one, means JSON.
///
/// The higher quality wins; of equal qualities the type that is listed first; a wildcard alone means JSON.
///
/// # Errors
/// When neither encoding has a quality above 0.
pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Result<Encoding, NotAcceptable> {
    let mut said_anything = false;
    let (mut json, mut ssz): (Option<Preference>, Option<Preference>) = (None, None);
    let entries = accept.into_iter().flat_map(|value| value.split(','));
    for (position, entry) in entries.map(str::trim).enumerate() {
        if entry.is_empty() {
            continue;
        }
        said_anything = true;
        let Some((essence, quality)) = parse_entry(entry) else { continue };
        for (encoding, preference) in [(Encoding::Json, &mut json), (Encoding::Ssz, &mut ssz)] {
            let precision = match essence.as_str() {
                "*/*" => Precision::Any,
                "application/*" => Precision::Application,
                exact if exact == encoding.mime() => Precision::Exact,
                _ => continue,
            };
            if preference.is_none_or(|known| precision > known.precision) {
                *preference = Some(Preference { precision, quality, position });
            }
        }
    }
    if !said_anything {
        return Ok(Encoding::Json);
    }
    let usable = |preference: Option<Preference>| preference.filter(|p| p.quality > 0);
    match (usable(json), usable(ssz)) {
        (None, None) => Err(NotAcceptable),
        (Some(_), None) => Ok(Encoding::Json),
        (None, Some(_)) => Ok(Encoding::Ssz),
        (Some(json), Some(ssz)) => {
            let ssz_first = (ssz.quality, json.position) > (json.quality, ssz.position);
            Ok(if ssz_first { Encoding::Ssz } else { Encoding::Json })
        }
    }
}

/// The type in lower case and its quality in thousandths; `None` when the quality is malformed.
fn parse_entry(entry: &str) -> Option<(String, u16)> {
    let mut parts = entry.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let mut quality = 1000;
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("q") {
            quality = parse_quality(value.trim())?;
        }
    }
    Some((essence, quality))
}

/// `0`, `1`, `0.875`, `1.0`: at most three digits after the point, at most 1.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    let quality = whole.parse::<u16>().ok()? * 1000 + thousandths;
    (quality <= 1000).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Result<Encoding, NotAcceptable> = Ok(Encoding::Json);
    const SSZ: Result<Encoding, NotAcceptable> = Ok(Encoding::Ssz);

    #[test]
    fn every_clients_accept_is_understood() {
        for (client, accept, want) in [
            ("Lighthouse, Teku", "application/octet-stream;q=1.0,application/json;q=0.9", SSZ),
            ("Prysm", "application/octet-stream", SSZ),
            ("Prysm without SSZ", "application/json", JSON),
            ("Nimbus", "application/octet-stream,application/json;q=0.5", SSZ),
            ("Lodestar, Grandine", "application/octet-stream;q=1,application/json;q=0.9", SSZ),
            ("old Lodestar", "*/*", JSON),
            ("curl with JSON first", "application/json;q=1.0,application/octet-stream;q=0.9", JSON),
        ] {
            assert_eq!(negotiate([accept]), want, "{client}");
        }
        assert_eq!(negotiate([]), JSON);
    }

    #[test]
    fn rfc_9110_holds() {
        for (accept, want) in [
            ("", JSON),
            (" , ", JSON),
            ("application/octet-stream;charset=binary", SSZ),
            ("APPLICATION/JSON; charset=utf-8", JSON),
            ("application/octet-stream, application/json", SSZ),
            ("application/json, application/octet-stream", JSON),
            ("application/json;q=0, */*", SSZ),
            ("application/octet-stream;q=0, application/*", JSON),
            ("application/json;q=0.1, */*;q=0.9", SSZ),
            ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
            ("text/html, application/octet-stream;q=0.001", SSZ),
            ("application/json;q=0", Err(NotAcceptable)),
            ("application/json;q=0, application/octet-stream;q=0.0", Err(NotAcceptable)),
            ("text/html", Err(NotAcceptable)),
            ("application/json;q=2", Err(NotAcceptable)),
            ("application/json;q=x, application/octet-stream;q=0.5", SSZ),
            ("application/json;q=1.0001", Err(NotAcceptable)),
            ("garbage", Err(NotAcceptable)),
        ] {
            assert_eq!(negotiate([accept]), want, "{accept}");
        }
        assert_eq!(negotiate(["application/json;q=0.5", "application/octet-stream"]), SSZ);
    }
}
