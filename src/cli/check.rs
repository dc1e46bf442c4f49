//! `relaymux check`

mod nodes;

use std::{process::ExitCode, sync::Arc, time::Duration};

use comfy_table::{Table, presets};
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use self::nodes::{Nodes, check_nodes, say_fork};
use super::{FAILED, MISUSED, arguments::CheckArguments, load};
use crate::{
    auction::{AuctionSettings, Keep, RelayTerms},
    config::Config,
    ethereum::load_keys,
    relay::{CallContext, Relay, build_http_client},
    types::BlsPublicKey,
};

/// Longest wait for a relay.
const TIMEOUT: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn check(arguments: CheckArguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(misused) => return misused,
    };
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let enabled = config.relays.iter().filter(|relay| relay.enabled).count();
    println!(
        "{}: sound. network {}, {} relays, {enabled} of them enabled, builder API on {}, ops API on {}",
        arguments.config.display(),
        config.spec.name,
        config.relays.len(),
        config.builder_api.listen,
        config.ops.listen,
    );
    if let Some(proposer) = arguments.proposer {
        return explain(&config, &proposer, arguments.offline).await;
    }
    if arguments.offline {
        say_fork(&config.spec, None);
        return ExitCode::SUCCESS;
    }
    let http = match build_http_client(&config.tls_roots, config.proxy.as_deref()) {
        Ok(http) => http,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    let relay = |settings| Arc::new(Relay::new(settings, config.spec.preset, http.clone()));
    let relays: Vec<Arc<Relay>> = config.relays.into_iter().map(relay).collect();
    let probes = relays.iter().cloned().map(|relay| {
        let context = CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + TIMEOUT };
        async move {
            if !relay.settings().enabled {
                return (relay, None, Duration::ZERO);
            }
            let started = Instant::now();
            let result = relay.status(&context).await;
            (relay, Some(result), started.elapsed())
        }
    });
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["relay", "address", "answer", "ms"]);
    let mut all_well = true;
    for (relay, result, took) in futures_util::future::join_all(probes).await {
        let (words, took) = match &result {
            None => ("disabled".to_owned(), String::new()),
            Some(Ok(())) => ("ok".to_owned(), took.as_millis().to_string()),
            Some(Err(failure)) => (failure.to_string(), took.as_millis().to_string()),
        };
        all_well &= !matches!(result, Some(Err(_)));
        table.add_row([relay.id().to_string(), relay.settings().public_url(), words, took]);
    }
    println!("{table}");
    let Config { spec, execution, beacon, bundles, .. } = config;
    all_well &= check_nodes(&http, Nodes { spec, execution, beacon, bundles }, &relays).await;
    if all_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// `--proposer`: the set a key is in, why, and everything that applies.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
async fn explain(config: &Config, proposer: &BlsPublicKey, offline: bool) -> ExitCode {
    let mut unknown = Vec::new();
    let mut loaded = None;
    for set in &config.proposers {
        let Some(loader) = &set.loader else { continue };
        if offline {
            unknown.push(set.id.clone());
            continue;
        }
        let http = match build_http_client(&config.tls_roots, config.proxy.as_deref()) {
            Ok(http) => http,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(MISUSED);
            }
        };
        match load_keys(&http, &loader.kind).await {
            Ok(keys) if keys.contains(proposer) => loaded = loaded.or(Some(&set.id)),
            Ok(_) => {}
            Err(error) => {
                eprintln!("set {}: {error}", set.id);
                unknown.push(set.id.clone());
            }
        }
    }
    let named = config.proposers.iter().find(|set| set.keys.contains(proposer));
    let by_loader = config.proposers.iter().find(|set| Some(&set.id) == loaded);
    let by_label = config.proposers.iter().find(|set| set.labelled.contains(proposer));
    let (set, why) = match (named, by_loader, by_label) {
        (Some(set), _, _) => (Some(set), "named in pubkeys or pubkeys_file"),
        (None, Some(set), _) => (Some(set), "its loader or pubkeys_url has it"),
        (None, None, Some(set)) => (Some(set), "its label fits, and no set names it"),
        (None, None, None) => (None, ""),
    };
    match set {
        Some(set) => println!("{proposer} is in set {}: {why}", set.id),
        None => println!("{proposer} is in no set: [auction] and the relays' own terms apply"),
    }
    if !unknown.is_empty() && named.is_none() {
        println!("not known: whether it is in {}, whose keys are kept elsewhere", unknown.join(", "));
    }
    let settings = set.map_or(&config.auction, |set| &set.settings);
    let terms = set.map_or(&config.terms, |set| &set.terms);
    let default = AuctionSettings::default();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["key", "value", "from"]);
    let rows = values(settings).into_iter().zip(values(&config.auction)).zip(values(&default));
    for (((key, value), (_, everybody)), (_, built_in)) in rows {
        let from = match set {
            Some(set) if value != everybody => format!("[[proposers]] {}", set.id),
            _ if value != built_in => "[auction]".to_owned(),
            _ => "default, or the same as it".to_owned(),
        };
        table.add_row([key.to_owned(), value, from]);
    }
    println!("{table}");
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["relay", "asked", "terms"]);
    for relay in &config.relays {
        let is_own = match set.and_then(|set| set.relays.as_ref()) {
            Some(ids) => ids.contains(&relay.id),
            None => !relay.sets_only,
        };
        let asked = match (relay.enabled, is_own) {
            (false, _) => "no: disabled",
            (true, false) => "no: for other sets",
            (true, true) => "yes",
        };
        let terms = terms.get(&relay.id).copied().unwrap_or_default();
        table.add_row([relay.id.to_string(), asked.to_owned(), words(&terms)]);
    }
    println!("{table}");
    ExitCode::SUCCESS
}

/// Settings as their keys have them.
fn values(settings: &AuctionSettings) -> Vec<(&'static str, String)> {
    let AuctionSettings {
        timeout_get_header,
        timeout_get_payload,
        timeout_register_validator,
        late_in_slot_ms,
        min_bid,
        min_profit,
        reserve,
        gas_limit_check,
        submit_others_delay,
        soft_deadline,
    } = settings;
    let soft = soft_deadline.map(|soft| (soft.after.as_millis().to_string(), soft.min_answers, soft.risk));
    vec![
        ("timeout_get_header_ms", timeout_get_header.as_millis().to_string()),
        ("timeout_get_payload_ms", timeout_get_payload.as_millis().to_string()),
        ("timeout_register_validator_ms", timeout_register_validator.as_millis().to_string()),
        ("late_in_slot_time_ms", late_in_slot_ms.to_string()),
        ("min_bid_eth", min_bid.to_eth()),
        ("min_profit_eth", min_profit.map_or("off".to_owned(), |profit| profit.to_eth())),
        ("reserve_ms", reserve.as_millis().to_string()),
        ("gas_limit_check", format!("{gas_limit_check:?}").to_lowercase()),
        ("submit_others_delay_ms", submit_others_delay.as_millis().to_string()),
        ("soft_deadline_ms", soft.as_ref().map_or("off".to_owned(), |(ms, _, _)| ms.clone())),
        (
            "soft_deadline_min_answers",
            soft.as_ref().map_or("off".to_owned(), |(_, count, _)| count.to_string()),
        ),
        ("soft_deadline_risk", soft.map_or("off".to_owned(), |(_, _, risk)| risk.to_string())),
    ]
}

fn words(terms: &RelayTerms) -> String {
    let RelayTerms { weight, min_bid, timing } = terms;
    let mut words = Vec::new();
    if *weight != crate::auction::Weight::NEUTRAL {
        let sign = if weight.is_negative { "-" } else { "+" };
        words.push(format!("(value {sign} {} ETH) × {} %", weight.offset.to_eth(), weight.factor_percent));
    }
    words.extend(min_bid.map(|min| format!("at least {} ETH", min.to_eth())));
    words.extend(timing.first.map(|first| format!("first at {} ms", first.as_millis())));
    words.extend(timing.every.map(|every| format!("every {} ms", every.as_millis())));
    if timing.is_played() {
        words.push(match timing.keep {
            Keep::Highest => "highest kept".to_owned(),
            Keep::Latest => "latest kept".to_owned(),
        });
    }
    words.join(", ")
}
