//! `[[relays]]`, `[[builders]]` and the terms that apply to relays.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    checker::Checker,
    raw::{Amount, RawBuilder, RawRelay, RawTerms},
};
use crate::{
    auction::{BuilderRule, Keep, RelayTerms, Timing, Weight},
    relay::{HeaderMode, RelaySettings, parse_relay_url},
    types::{RelayId, Wei},
};

/// Calls a second to a relay unless configured: far above what validators need, far below what a runaway loop does.
const DEFAULT_CALLS_PER_SECOND: u32 = 2000;
/// Shortest time between requests of a timing game, in milliseconds. Arbitrary: relays ban faster callers.
const MIN_FREQUENCY_MS: u64 = 10;

/// Relays in the file's order, and the terms of those that have any.
pub(super) fn relays(
    raw: Vec<RawRelay>,
    checker: &mut Checker,
) -> (Vec<RelaySettings>, HashMap<RelayId, RelayTerms>) {
    let hint = "write [[relays]] with id and url; relays.toml of the repository has the public ones";
    if raw.is_empty() {
        checker.wrong("relays", "there are no relays", hint);
    } else if raw.iter().all(|relay| relay.enabled == Some(false)) {
        checker.wrong("relays", "no relay is enabled", "set enabled = true on at least one");
    }
    let (mut ids, mut urls) = (HashSet::new(), HashSet::new());
    let (mut checked, mut terms_of) = (Vec::with_capacity(raw.len()), HashMap::new());
    for (index, raw) in raw.into_iter().enumerate() {
        let at = |key: &str| format!("relays[{index}].{key}");
        let terms = terms(&raw.terms(), RelayTerms::default(), &at, checker);
        let Some(relay) = relay(raw, &at, checker) else { continue };
        if terms != RelayTerms::default() {
            terms_of.insert(relay.id.clone(), terms);
        }
        if !ids.insert(relay.id.clone()) {
            checker.wrong(
                &at("id"),
                format!("`{}` is used twice", relay.id),
                "ids name relays in logs: make them differ",
            );
        }
        if !urls.insert(relay.url.clone()) {
            let message = "the same URL is configured twice";
            checker.wrong(&at("url"), message, "two relays may share a key, not an address");
        }
        checked.push(relay);
    }
    (checked, terms_of)
}

fn relay(raw: RawRelay, at: &dyn Fn(&str) -> String, checker: &mut Checker) -> Option<RelaySettings> {
    let parsed = match raw.url.as_deref() {
        None => {
            checker.wrong(&at("url"), "url is missing", "write url = \"https://0x<public key>@host\"");
            None
        }
        Some(text) => parse_relay_url(text)
            .map_err(|error| {
                let hint = "copy it from the relay's documentation: https://0x<96 hex digits>@host";
                checker.wrong(&at("url"), error.to_string(), hint);
            })
            .ok(),
    };
    let (url, pubkey) = parsed?;
    let id = raw.id.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let id = RelayId::parse(&id)
        .map_err(|error| checker.wrong(&at("id"), error.to_string(), "such as flashbots"))
        .ok()?;
    let get_header = match raw.get_header.as_deref() {
        None | Some("http") => HeaderMode::Http,
        Some("stream") => HeaderMode::Stream,
        Some(other) => {
            checker.wrong(
                &at("get_header"),
                format!("`{other}` is neither `http` nor `stream`"),
                "http is the default",
            );
            HeaderMode::Http
        }
    };
    Some(RelaySettings {
        id,
        url,
        pubkey,
        enabled: raw.enabled.unwrap_or(true),
        sets_only: raw.sets_only.unwrap_or(false),
        pinned: raw.pinned.unwrap_or(false),
        pardon_before: raw.pardon_before.and_then(|date| unix_millis(&date, &at("pardon_before"), checker)),
        headers: headers(&raw.headers, &at("headers"), checker),
        get_params: raw.get_params.into_iter().map(|(name, value)| (name, value.0)).collect(),
        get_header,
        max_calls_per_second: raw.max_calls_per_second.unwrap_or(DEFAULT_CALLS_PER_SECOND),
        max_registrations_per_request: raw
            .max_registrations_per_request
            .map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    })
}

/// A date with or without a time, in UTC unless it says otherwise.
fn unix_millis(date: &toml::value::Datetime, key: &str, checker: &mut Checker) -> Option<i64> {
    let mut text = date.to_string();
    if date.time.is_none() {
        text.push_str("T00:00:00");
    }
    if date.offset.is_none() {
        text.push('Z');
    }
    let parsed = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    parsed
        .map_err(|error| {
            checker.wrong(key, error.to_string(), "write a date such as 2026-11-23 or 2026-11-23T10:00:00Z");
        })
        .ok()
}

fn headers(raw: &BTreeMap<String, String>, key: &str, checker: &mut Checker) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in raw {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                // It may be an API key: keep it out of debug output.
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            (Err(_), _) => checker.wrong(key, format!("`{name}` is not a header name"), "such as X-Api-Key"),
            (_, Err(_)) => {
                checker.wrong(
                    key,
                    format!("the value of `{name}` cannot be sent in a header"),
                    "use visible ASCII",
                );
            }
        }
    }
    headers
}

/// Terms as they are written, over those that apply anyway.
pub(super) fn terms(
    raw: &RawTerms,
    base: RelayTerms,
    at: &dyn Fn(&str) -> String,
    checker: &mut Checker,
) -> RelayTerms {
    let mut weight = base.weight;
    if let Some(factor) = raw.weight_factor {
        weight.factor_percent = factor;
    }
    if let Some(offset) = &raw.weight_offset_eth {
        (weight.offset, weight.is_negative) = signed_eth(offset, &at("weight_offset_eth"), checker);
    }
    let min_bid = raw.min_bid_eth.as_ref().map(|amount| checker.eth(&at("min_bid_eth"), amount));
    let timing = match raw.enable_timing_games {
        Some(false) => Timing { keep: base.timing.keep, ..Timing::default() },
        Some(true) => Timing {
            first: raw.target_first_request_ms.map(Duration::from_millis).or(base.timing.first),
            every: raw.frequency_get_header_ms.map(Duration::from_millis).or(base.timing.every),
            keep: base.timing.keep,
        },
        None => base.timing,
    };
    if raw.enable_timing_games == Some(true) && !timing.is_played() {
        checker.wrong(
            &at("enable_timing_games"),
            "there is nothing to play with",
            "give target_first_request_ms, frequency_get_header_ms, or both",
        );
    }
    if raw.frequency_get_header_ms.is_some_and(|ms| ms < MIN_FREQUENCY_MS) {
        let hint = format!("give {MIN_FREQUENCY_MS} or more: relays ban callers that ask faster");
        checker.wrong(&at("frequency_get_header_ms"), "is too short", hint);
    }
    let keep = match raw.keep.as_deref() {
        None => timing.keep,
        Some("highest") => Keep::Highest,
        Some("latest") => Keep::Latest,
        Some(other) => {
            let message = format!("`{other}` is neither `highest` nor `latest`");
            checker.wrong(&at("keep"), message, "highest is the default");
            timing.keep
        }
    };
    RelayTerms { weight, min_bid: min_bid.or(base.min_bid), timing: Timing { keep, ..timing } }
}

fn signed_eth(amount: &Amount, key: &str, checker: &mut Checker) -> (Wei, bool) {
    match amount.0.strip_prefix('-') {
        Some(digits) => (checker.eth(key, &Amount(digits.to_owned())), true),
        None => (checker.eth(key, amount), false),
    }
}

pub(super) fn builders(raw: Vec<RawBuilder>, checker: &mut Checker) -> Vec<BuilderRule> {
    let mut rules = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let at = |key: &str| format!("builders[{index}].{key}");
        if raw.fee_recipient.is_none() && raw.extra_data.is_none() {
            let hint = "a bid tells its builder by fee_recipient (an address) and extra_data (a text in it)";
            checker.wrong(&at("id"), "this builder cannot be told from others", hint);
        }
        let fee_recipient = raw.fee_recipient.as_deref().and_then(|text| {
            let parsed = text.parse();
            if parsed.is_err() {
                checker.wrong(
                    &at("fee_recipient"),
                    format!("`{text}` is not an address"),
                    "0x and 40 hex digits",
                );
            }
            parsed.ok()
        });
        let (offset, is_negative) = match &raw.weight_offset_eth {
            Some(amount) => signed_eth(amount, &at("weight_offset_eth"), checker),
            None => (Wei::ZERO, false),
        };
        let factor_percent = raw.weight_factor.unwrap_or(100);
        rules.push(BuilderRule {
            id: raw.id.unwrap_or_else(|| format!("builder {index}")),
            fee_recipient,
            extra_data: raw.extra_data.map(|text| text.to_lowercase()),
            weight: Weight { factor_percent, offset, is_negative },
        });
    }
    rules
}
