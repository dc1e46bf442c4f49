//! What a Prometheus gets from a running service: described, of our name, and counted from 0 on.

use std::collections::{BTreeMap, BTreeSet};

use relaymux::{app::alert_rules, sim::PayloadFault};

use crate::stage::{Stage, eventually, honest, milli, stage};
use relaymux::consensus::Encoding;

async fn scrape(stage: &Stage) -> String {
    stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap()
}

/// The value of a sample by its name and labels.
fn sample(text: &str, series: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What the sample is of: a histogram's parts belong to the histogram.
fn family<'a>(sample: &'a str, types: &BTreeMap<&str, &str>) -> &'a str {
    let name = sample.split(['{', ' ']).next().unwrap();
    ["_bucket", "_sum", "_count"]
        .into_iter()
        .filter_map(|end| name.strip_suffix(end))
        .find(|base| types.get(base) == Some(&"histogram"))
        .unwrap_or(name)
}

/// Each family that has a sample.
fn check_families(text: &str) -> BTreeSet<&str> {
    let after = |start: &'static str| text.lines().filter_map(move |line| line.strip_prefix(start));
    let types: BTreeMap<&str, &str> = after("# TYPE ").map(|rest| rest.split_once(' ').unwrap()).collect();
    let help: BTreeMap<&str, &str> = after("# HELP ").map(|rest| rest.split_once(' ').unwrap()).collect();
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let families: BTreeSet<&str> = samples.map(|line| family(line, &types)).collect();
    for family in &families {
        assert!(family.starts_with("relaymux_"), "{family}");
        assert!(help.get(family).is_some_and(|help| !help.is_empty()), "{family} has no HELP");
        assert!(
            matches!(types.get(family), Some(&("counter" | "gauge" | "histogram"))),
            "{family}: {types:?}"
        );
    }
    families
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_matters_is_counted_from_zero_on_and_the_first_theft_is_one() {
    let stage = stage()
        .builder_api("relay_check = true")
        .relay(honest().value(milli(90)).builder(1).payload(PayloadFault::Withholds))
        .relay(honest().value(milli(10)).builder(2))
        .start()
        .await;
    let at_start = scrape(&stage).await;
    check_families(&at_start);
    let mut zero = vec!["relaymux_journal_failures_total".to_owned()];
    for fate in ["delivered", "accepted", "failed", "unknown"] {
        zero.push(format!("relaymux_submissions_total{{fate=\"{fate}\"}}"));
    }
    zero.extend(alert_rules().iter().map(|rule| format!("relaymux_notices_total{{rule=\"{}\"}}", rule.name)));
    for relay in ["r0", "r1"] {
        for offence in ["payload_withheld", "payload_mismatched", "not_on_chain", "paid_less"] {
            zero.push(format!("relaymux_relay_offences_total{{relay=\"{relay}\",offence=\"{offence}\"}}"));
            for ruling in ["suspected", "guilty", "taken_back"] {
                zero.push(format!(
                    "relaymux_relay_verdicts_total{{relay=\"{relay}\",conduct=\"{offence}\",ruling=\"{ruling}\"}}"
                ));
            }
        }
        for outcome in ["bid", "no_bid", "timed_out", "wrong_signature"] {
            zero.push(format!("relaymux_offers_total{{relay=\"{relay}\",outcome=\"{outcome}\"}}"));
        }
        zero.push(format!("relaymux_relay_wins_total{{relay=\"{relay}\"}}"));
        zero.push(format!(
            "relaymux_relay_calls_total{{relay=\"{relay}\",endpoint=\"submit_blinded_block\",outcome=\"timed_out\"}}"
        ));
    }
    zero.push("relaymux_last_client_request_timestamp_seconds{endpoint=\"get_header\"}".to_owned());
    zero.push("relaymux_builder_api_requests_total{endpoint=\"get_header\",status=\"200\"}".to_owned());
    for series in zero {
        assert_eq!(sample(&at_start, &series), Some(0.0), "{series} in\n{at_start}");
    }

    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 502);
    stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    let withheld = |relay: &str| {
        format!("relaymux_relay_offences_total{{relay=\"{relay}\",offence=\"payload_withheld\"}}")
    };
    let text = eventually("the offence", async || {
        let text = scrape(&stage).await;
        (sample(&text, &withheld("r0")) == Some(1.0)).then_some(text)
    })
    .await;
    assert_eq!(sample(&text, &withheld("r1")), Some(0.0), "{text}");
    assert_eq!(sample(&text, "relaymux_submissions_total{fate=\"failed\"}"), Some(1.0), "{text}");
    let asked =
        sample(&text, "relaymux_last_client_request_timestamp_seconds{endpoint=\"get_header\"}").unwrap();
    let started = sample(&text, "relaymux_process_start_time_seconds").unwrap();
    // Whole seconds on both sides.
    assert!(asked >= started.floor() && asked < started + 3600.0, "{asked} {started}");

    let text = eventually("both probes", async || {
        let text = scrape(&stage).await;
        let is_up =
            |relay: &str| sample(&text, &format!("relaymux_relay_up{{relay=\"{relay}\"}}")) == Some(1.0);
        (is_up("r0") && is_up("r1")).then_some(text)
    })
    .await;
    let families = check_families(&text);
    for name in [
        "relaymux_header_request_seconds_into_slot",
        "relaymux_relay_request_duration_seconds",
        "relaymux_process_resident_memory_bytes",
        "relaymux_process_cpu_seconds_total",
    ] {
        assert!(families.contains(name), "{name} is missing in {families:?}");
    }
    assert!(text.contains("relaymux_header_request_seconds_into_slot_bucket{le=\"-1\"}"), "{text}");
}
