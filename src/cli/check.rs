//! `relaymux check`: reads the configuration, says every mistake with its place, then asks each relay, node and upstream of the gateway whether it is well.
//!
//! It changes nothing and starts no service. Exit code 0: sound; 1: something does not answer; 2: the configuration is wrong.

mod alerts;
mod disk;
mod maintenance;
mod nodes;
mod supervised;
mod upstreams;

use std::{process::ExitCode, sync::Arc, time::Duration};

use comfy_table::Table;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::HeaderValue;
use tokio::time::Instant;

use self::{
    alerts::report_alerts,
    disk::report_disks,
    maintenance::report_maintenance,
    nodes::{Nodes, check_nodes, report_fork},
    supervised::report_supervised,
    upstreams::check_upstreams,
};
use super::{
    arguments::CheckArguments,
    exit::MISUSED,
    findings::{Finding, Findings, State, unsound},
    loading::environment,
    progress::Progress,
    terminal::{self, complain, complain_of_config, say},
};
use crate::{
    app::alert_rules,
    auction::{AuctionSettings, Keep, RelayTerms},
    config::{Config, ProposerSet},
    consensus::WallClock,
    ethereum::load_keys,
    relay::{CallContext, HttpClientError, Relay, RelayClients, build_http_client},
    types::BlsPublicKey,
};

/// Longest wait for a relay.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn check(arguments: CheckArguments) -> ExitCode {
    let path = arguments.config.display().to_string();
    let config = match Config::load(&arguments.config, &environment(), &alert_rules()) {
        Ok(config) => config,
        Err(error) => {
            if arguments.json {
                say(unsound(&path, &error));
            } else {
                complain_of_config(&error);
            }
            return ExitCode::from(MISUSED);
        }
    };
    let mut findings = Findings::new(arguments.json, &path, &config);
    let clock = WallClock::system();
    if let Some(proposer) = arguments.proposer {
        return explain(&config, &proposer, arguments.offline).await;
    }
    report_alerts(&config.alerts, clock.now(), &mut findings);
    report_maintenance(&config, clock.now(), &mut findings);
    if let Some(nodes) = &config.nodes {
        report_supervised(nodes, &mut findings);
    }
    if let Some(disk) = &config.disk {
        report_disks(disk, &mut findings).await;
    }
    if arguments.offline {
        // What is in force is said, and is no mistake of the file.
        let _ = report_fork(&config.spec, None, clock.now(), &mut findings);
        return findings.end();
    }
    let (http, clients) = match clients(&config) {
        Ok(clients) => clients,
        Err(error) => {
            complain(error);
            return ExitCode::from(MISUSED);
        }
    };
    let relay = |settings| Arc::new(Relay::new(settings, config.spec.preset, clients.clone(), clock.clone()));
    let relays: Vec<Arc<Relay>> = config.relays.into_iter().map(relay).collect();
    let Config { spec, execution, execution_by_gateway, beacon, bundles, rpc, .. } = config;
    // Where it is the gateway, its upstreams are asked instead: nobody listens there now.
    let execution = execution.filter(|_| !execution_by_gateway);
    let upstreams = rpc.as_ref().map_or(0, |rpc| rpc.upstreams.len());
    let nodes = Nodes { spec, execution, beacon, bundles, clock: clock.clone() };
    findings.expect(relays.len() + nodes.count() + upstreams);
    check_relays(&relays, &mut findings).await;
    if let Some(rpc) = &rpc {
        check_upstreams(&http, rpc, &clock, &mut findings).await;
    }
    check_nodes(&http, nodes, &relays, &mut findings).await;
    findings.end()
}

/// What nodes and relays are asked by.
fn clients(config: &Config) -> Result<(reqwest::Client, RelayClients), HttpClientError> {
    let (roots, proxy) = (&config.tls_roots, config.proxy.as_deref());
    Ok((build_http_client(roots, proxy)?, RelayClients::build(roots, proxy)?))
}

/// Asks every enabled relay for its status, all at once, and tells of each as it answers.
async fn check_relays(relays: &[Arc<Relay>], findings: &mut Findings) {
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    let width = relays.iter().map(|relay| relay.id().as_str().len()).max().unwrap_or(0);
    let mut probes: FuturesUnordered<_> = relays
        .iter()
        .cloned()
        .map(|relay| {
            let context = CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + TIMEOUT };
            async move {
                if !relay.settings().enabled {
                    return (relay, None, Duration::ZERO);
                }
                let started = Instant::now();
                let result = relay.status(&context).await;
                (relay, Some(result), started.elapsed())
            }
        })
        .collect();
    while let Some((relay, result, took)) = probes.next().await {
        let (state, answer) = match &result {
            None => (State::Disabled, "not asked".to_owned()),
            Some(Ok(())) => (State::Ok, "ok".to_owned()),
            Some(Err(failure)) => (State::Failed, failure.to_string()),
        };
        findings.add(Finding {
            kind: "relay",
            id: relay.id().to_string(),
            url: Some(relay.settings().public_url()),
            state,
            answer,
            ms: result.is_some().then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            width,
        });
    }
}

/// `--proposer`: the set a key is in, why, and everything that applies.
async fn explain(config: &Config, proposer: &BlsPublicKey, offline: bool) -> ExitCode {
    let (loaded, unknown) = match sets_by_loader(config, proposer, offline).await {
        Ok(found) => found,
        Err(failed) => return failed,
    };
    let named = config.proposers.iter().find(|set| set.keys.contains(proposer));
    let by_label = config.proposers.iter().find(|set| set.labelled.contains(proposer));
    let (set, reason) = match (named, loaded, by_label) {
        (Some(set), _, _) => (Some(set), "named in pubkeys or pubkeys_file"),
        (None, Some(set), _) => (Some(set), "its loader or pubkeys_url has it"),
        (None, None, Some(set)) => (Some(set), "its label fits, and no set names it"),
        (None, None, None) => (None, ""),
    };
    match set {
        Some(set) => say(format_args!("{proposer} is in set {}: {reason}", set.id)),
        None => say(format_args!("{proposer} is in no set: [auction] and the relays' own terms apply")),
    }
    if !unknown.is_empty() && named.is_none() {
        say(format_args!(
            "not known: whether it is in {}, whose keys are kept elsewhere",
            unknown.join(", ")
        ));
    }
    say(settings_table(config, set));
    say(relays_table(config, set));
    ExitCode::SUCCESS
}

/// The first set whose loader has a key, and the sets of which that cannot be known.
async fn sets_by_loader<'a>(
    config: &'a Config,
    proposer: &BlsPublicKey,
    offline: bool,
) -> Result<(Option<&'a ProposerSet>, Vec<&'a str>), ExitCode> {
    let mut unknown = Vec::new();
    let mut loaded = None;
    for set in &config.proposers {
        let Some(loader) = &set.loader else { continue };
        if offline {
            unknown.push(set.id.as_str());
            continue;
        }
        let http = build_http_client(&config.tls_roots, config.proxy.as_deref()).map_err(|error| {
            complain(error);
            ExitCode::from(MISUSED)
        })?;
        let progress = Progress::of(None, format!("loading the keys of set {}", set.id));
        let loaded_keys =
            load_keys(&http, &loader.kind, &mut |keys| progress.at(keys.loaded, keys.total)).await;
        drop(progress);
        match loaded_keys {
            Ok(keys) if keys.contains(proposer) => loaded = loaded.or(Some(set)),
            Ok(_) => {}
            Err(error) => {
                complain(format_args!("set {}: {error}", set.id));
                unknown.push(set.id.as_str());
            }
        }
    }
    Ok((loaded, unknown))
}

/// What applies in auctions of a set's proposers, or of everybody else's, and where it comes from.
fn settings_table(config: &Config, set: Option<&ProposerSet>) -> Table {
    let settings = set.map_or(&config.auction, |set| &set.settings);
    let default = AuctionSettings::default();
    let mut table = terminal::table(["key", "value", "from"]);
    let rows = values(settings).into_iter().zip(values(&config.auction)).zip(values(&default));
    for (((key, value), (_, everybody)), (_, built_in)) in rows {
        let from = match set {
            Some(set) if value != everybody => format!("[[proposers]] {}", set.id),
            _ if value != built_in => "[auction]".to_owned(),
            _ => "default, or the same as it".to_owned(),
        };
        table.add_row([key.to_owned(), value, from]);
    }
    table
}

/// Which relays are asked for a set's proposers, or for everybody else, and on which terms.
fn relays_table(config: &Config, set: Option<&ProposerSet>) -> Table {
    let terms = set.map_or(&config.terms, |set| &set.terms);
    let mut table = terminal::table(["relay", "asked", "terms"]);
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
        table.add_row([relay.id.to_string(), asked.to_owned(), describe_terms(&terms)]);
    }
    table
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

fn describe_terms(terms: &RelayTerms) -> String {
    let RelayTerms { weight, min_bid, timing } = terms;
    let mut parts = Vec::new();
    if *weight != crate::auction::Weight::NEUTRAL {
        let sign = if weight.is_negative { "-" } else { "+" };
        parts.push(format!("(value {sign} {} ETH) × {} %", weight.offset.to_eth(), weight.factor_percent));
    }
    parts.extend(min_bid.map(|min| format!("at least {} ETH", min.to_eth())));
    parts.extend(timing.first.map(|first| format!("first at {} ms", first.as_millis())));
    parts.extend(timing.every.map(|every| format!("every {} ms", every.as_millis())));
    if timing.is_played() {
        parts.push(match timing.keep {
            Keep::Highest => "highest kept".to_owned(),
            Keep::Latest => "latest kept".to_owned(),
        });
    }
    parts.join(", ")
}
