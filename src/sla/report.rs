//! The SLA table of the operator's roadmap, measured: each target with its figure, what it is of, and the reason where there is none.

use serde::Serialize;

use super::{
    Availability, BurnAlert, GasView, Indicator, MevFacts,
    window::{Period, Window},
    words::{count, percent, share},
};
use crate::{
    ledger::{HostSums, MaintenanceRow},
    types::{UnixMillis, labelled},
};

/// Answers of nodes are to be quicker than this, in milliseconds.
pub(super) const LATENCY_MS: f64 = 100.0;
/// Memory in use, as a share, is to stay below this.
const MEMORY: f64 = 0.75;
/// Space in use.
const DISK: f64 = 0.80;
/// Own proposals that a relay's bid pays, more than this share.
const MEV: f64 = 0.25;

labelled! {
    /// Whether a target is held.
    pub enum TargetStatus {
        /// It is, by what is known.
        Met = "met",
        /// It is not.
        NotMet = "not_met",
        /// Nothing is known.
        NoData = "no_data",
    }
}

impl TargetStatus {
    pub(super) const fn of(is_met: Option<bool>) -> Self {
        match is_met {
            Some(true) => Self::Met,
            Some(false) => Self::NotMet,
            None => Self::NoData,
        }
    }
}

labelled! {
    /// What has a target.
    pub enum TargetName {
        /// The builder API's availability.
        Uptime = "uptime",
        /// Whether at least one relay was usable.
        RelayConnectivity = "relay_connectivity",
        /// How fast nodes answer.
        RpcLatency = "rpc_latency",
        /// Memory in use.
        Memory = "memory",
        /// Space in use.
        Disk = "disk",
        /// Own proposals that a relay's bid paid.
        MevSuccess = "mev_success_rate",
    }
}

/// One line of the table. Each cell has a figure or a reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What it is about.
    pub name: TargetName,
    /// What is to be held, in words.
    pub target: String,
    /// What was measured, in words; `N/A` where nothing was.
    pub measured: String,
    /// The figure: a share from 0 to 1, or milliseconds.
    pub value: Option<f64>,
    /// Whether it is held.
    pub status: TargetStatus,
    /// What the figure is of, or why there is none.
    pub detail: String,
    /// The window that was looked at, such as `30d`.
    pub window: Period,
    /// The share of the window of which something is known; none where it is not a matter of time.
    pub coverage: Option<f64>,
}

/// What a report is made of.
#[derive(Clone, Debug)]
pub(super) struct ReportInputs {
    /// The window.
    pub(super) window: Window,
    /// How each part did in it.
    pub(super) indicators: Vec<Availability>,
    /// What the machine was under.
    pub(super) host: HostSums,
    /// Own proposals in it; none where nobody knows which slots are ours.
    pub(super) mev: Option<MevFacts>,
    /// Budgets that burn too fast now.
    pub(super) burning: Vec<BurnAlert>,
    /// Announced times in the window.
    pub(super) maintenance: Vec<MaintenanceRow>,
    /// What gas costs.
    pub(super) gas: GasView,
}

/// What was held of what was to be held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlaReport {
    /// When it was made, in Unix milliseconds.
    pub at: UnixMillis,
    /// The window, such as `30d` or `month`.
    pub window: Period,
    /// When it begins, in Unix milliseconds.
    pub from: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// The operator's table.
    pub targets: Vec<Target>,
    /// Each part in detail.
    pub indicators: Vec<Availability>,
    /// Budgets that burn too fast now, gravest first.
    pub burning: Vec<BurnAlert>,
    /// Announced times in the window.
    pub maintenance: Vec<MaintenanceRow>,
    /// What gas costs.
    pub gas: GasView,
    /// How figures that are judgements were come by.
    pub estimators: Estimators,
}

/// How figures are come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimators {
    availability: &'static str,
    unknown: &'static str,
    latency: &'static str,
    memory: &'static str,
    disk: &'static str,
    mev_success_rate: &'static str,
}

const ESTIMATORS: Estimators = Estimators {
    availability: "known minutes that were not down, of all known minutes; a minute is down when more than 5 % of its answers or looks failed",
    unknown: "minutes that nobody watched are in no ratio and in the coverage; between two bad ones they count as bad",
    latency: "of buckets whose bounds are √2 apart: a quantile is off by 41 % at most, and whether it is below 100 ms is exact",
    memory: "95 of 100 minutes used as much in the mean, or less",
    disk: "the highest of the window, of the filesystem that has the data",
    mev_success_rate: "own slots whose block paid by a relay's bid, of all own slots that have an end and whose payment can be known",
};

/// Makes a report.
pub(super) fn make(inputs: ReportInputs, now: UnixMillis) -> SlaReport {
    let ReportInputs { window, indicators, host, mev, mut burning, maintenance, gas } = inputs;
    let targets = vec![
        uptime(TargetName::Uptime, &Indicator::BuilderApi, &indicators, window.period),
        uptime(TargetName::RelayConnectivity, &Indicator::Relays, &indicators, window.period),
        latency(&indicators, window.period),
        memory(&host, window),
        disk(&host, window),
        mev_success(mev, window.period),
    ];
    burning.sort_by_key(|alert| alert.severity);
    SlaReport {
        at: now,
        window: window.period,
        from: window.from.saturating_mul(60_000),
        until: window.until.saturating_mul(60_000),
        targets,
        indicators,
        burning,
        maintenance,
        gas,
        estimators: ESTIMATORS,
    }
}

/// A line of which nothing is known.
fn no_data(name: TargetName, target: String, detail: &str, window: Period) -> Target {
    let (measured, detail) = ("N/A".to_owned(), detail.to_owned());
    Target {
        name,
        target,
        measured,
        value: None,
        status: TargetStatus::NoData,
        detail,
        window,
        coverage: None,
    }
}

fn uptime(name: TargetName, indicator: &Indicator, all: &[Availability], window: Period) -> Target {
    let found = all.iter().find(|found| found.indicator == *indicator);
    let Some((found, availability)) = found.and_then(|found| Some((found, found.availability?))) else {
        let why = "no minute of it was watched yet; the service writes one down each minute that it runs";
        return no_data(name, "99.9 %".to_owned(), why, window);
    };
    let events = match found.events {
        0 => String::new(),
        all => format!(
            "; {} of {} failed",
            found.failed_events,
            count(all, "answer or look", "answers or looks")
        ),
    };
    Target {
        name,
        target: percent(found.target),
        measured: percent(availability),
        value: Some(availability),
        status: TargetStatus::of(found.is_met),
        detail: format!("{}; budget: {}{events}", found.in_words(), found.budget.in_words),
        window,
        coverage: Some(found.coverage),
    }
}

/// The slowest node's: one that is slow is not made good by another.
fn latency(all: &[Availability], window: Period) -> Target {
    let target = "below 100 ms".to_owned();
    let nodes = all.iter().filter(|found| matches!(found.indicator, Indicator::Node(_)));
    let timed = nodes.filter_map(|found| Some((found, found.latency_p95_ms?)));
    let Some((found, p95)) = timed.max_by(|(_, a), (_, b)| a.total_cmp(b)) else {
        let is_asked = all.iter().any(|found| matches!(found.indicator, Indicator::Node(_)));
        let why = if is_asked {
            "no node answered in this window"
        } else {
            "no node was asked: give the url of one in [execution] or [beacon]"
        };
        return no_data(TargetName::RpcLatency, target, why, window);
    };
    let ms = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.0}"));
    Target {
        name: TargetName::RpcLatency,
        target,
        measured: format!("{p95:.1} ms"),
        value: Some(p95),
        status: TargetStatus::of(Some(p95 < LATENCY_MS)),
        detail: format!(
            "95th percentile of {} of {}, the slowest; median {} ms, 99th {} ms",
            count(found.events, "answer", "answers"),
            found.indicator.in_words(),
            ms(found.latency_p50_ms),
            ms(found.latency_p99_ms)
        ),
        window,
        coverage: Some(found.coverage),
    }
}

fn memory(host: &HostSums, window: Window) -> Target {
    let target = "below 75 %".to_owned();
    let (Some(p95), Some(mean), Some(max)) = (host.memory_p95, host.memory_mean, host.memory_max) else {
        return no_data(TargetName::Memory, target, NO_HOST, window.period);
    };
    let detail = format!(
        "in 95 of 100 minutes that much or less, of {}; mean {}, highest {}",
        count(host.minutes, "minute", "minutes"),
        whole_percent(mean),
        whole_percent(max)
    );
    of_host(TargetName::Memory, target, (p95, MEMORY), detail, (host, window))
}

fn disk(host: &HostSums, window: Window) -> Target {
    let target = "below 80 %".to_owned();
    let (Some(mean), Some(max)) = (host.disk_mean, host.disk_max) else {
        return no_data(TargetName::Disk, target, NO_HOST, window.period);
    };
    let detail = format!(
        "the highest of {}, of the filesystem that has the data; mean {}",
        count(host.minutes, "minute", "minutes"),
        whole_percent(mean)
    );
    of_host(TargetName::Disk, target, (max, DISK), detail, (host, window))
}

const NO_HOST: &str =
    "the machine was not looked at yet, or does not say; the service looks each minute that it runs";

fn of_host(
    name: TargetName,
    target: String,
    (value, limit): (f64, f64),
    detail: String,
    (host, window): (&HostSums, Window),
) -> Target {
    Target {
        name,
        target,
        measured: whole_percent(value),
        value: Some(value),
        status: TargetStatus::of(Some(value < limit)),
        detail,
        window: window.period,
        coverage: share(host.minutes, window.minutes()).map(|coverage| coverage.min(1.0)),
    }
}

fn mev_success(mev: Option<MevFacts>, window: Period) -> Target {
    let target = "above 25 %".to_owned();
    let Some(mev) = mev else {
        let why =
            "nobody knows which slots are ours, or what they paid: give the url of a node in [execution]";
        return no_data(TargetName::MevSuccess, target, why, window);
    };
    let Some(rate) = share(mev.relay_paid, mev.judged) else {
        let why = match mev.proposals {
            0 => "0 own proposals in this window".to_owned(),
            all => format!(
                "{} in this window, and what they paid cannot be known",
                count(all, "own proposal", "own proposals")
            ),
        };
        return no_data(TargetName::MevSuccess, target, &why, window);
    };
    let unknown = match mev.proposals.saturating_sub(mev.judged) {
        0 => String::new(),
        unknown => format!("; of {unknown} more it cannot be known"),
    };
    Target {
        name: TargetName::MevSuccess,
        target,
        measured: percent(rate),
        value: Some(rate),
        status: TargetStatus::of(Some(rate > MEV)),
        detail: format!(
            "{} of {} were paid by a relay's bid{unknown}",
            mev.relay_paid,
            count(mev.judged, "own proposal", "own proposals")
        ),
        window,
        coverage: None,
    }
}

pub(super) fn whole_percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        ledger::MinuteState,
        sla::{Objective, Tally, tally::tests::row},
        types::NodeId,
    };

    pub(in crate::sla) const NOW: i64 = 1_795_824_000_000;

    pub(in crate::sla) fn inputs() -> ReportInputs {
        ReportInputs {
            window: Period::THIRTY_DAYS.window(NOW),
            indicators: vec![],
            host: HostSums::default(),
            mev: None,
            burning: vec![],
            maintenance: vec![],
            gas: GasView::default(),
        }
    }

    pub(in crate::sla) fn measured(indicator: Indicator, bad: i64) -> Availability {
        let window = Period::THIRTY_DAYS.window(NOW);
        let state = |n| if n % 900 == 7 && n / 900 < bad { MinuteState::Bad } else { MinuteState::Good };
        let rows: Vec<_> = (0..43_200).map(|n| row(window.from + n, state(n))).collect();
        let tally = Tally::of_all(&rows);
        Availability::judge(indicator, (&tally, &Tally::default()), window, Objective::THREE_NINES)
    }

    fn line(inputs: ReportInputs, name: TargetName) -> Target {
        make(inputs, NOW).targets.into_iter().find(|target| target.name == name).unwrap()
    }

    #[test]
    fn every_cell_has_a_figure_or_a_reason() {
        let full = ReportInputs {
            indicators: vec![
                measured(Indicator::BuilderApi, 1),
                measured(Indicator::Relays, 44),
                measured(Indicator::Node(NodeId::parse("execution").unwrap()), 0),
            ],
            host: HostSums {
                minutes: 43_200,
                memory_mean: Some(0.4),
                memory_p95: Some(0.5),
                memory_max: Some(0.9),
                disk_mean: Some(0.7),
                disk_max: Some(0.81),
                ..HostSums::default()
            },
            mev: Some(MevFacts { proposals: 10, judged: 9, relay_paid: 4 }),
            ..inputs()
        };
        for report in [make(inputs(), NOW), make(full, NOW)] {
            assert_eq!(report.targets.iter().map(|target| target.name).collect::<Vec<_>>(), TargetName::ALL);
            for target in report.targets {
                assert!(!target.detail.is_empty() && !target.measured.is_empty(), "{target:?}");
                assert_eq!(target.value.is_none(), target.measured == "N/A", "{target:?}");
                assert_eq!(target.value.is_none(), target.status == TargetStatus::NoData, "{target:?}");
            }
        }
    }

    #[test]
    fn uptime_is_the_builder_apis_with_its_budget() {
        let with = |bad| ReportInputs { indicators: vec![measured(Indicator::BuilderApi, bad)], ..inputs() };
        let met = line(with(43), TargetName::Uptime);
        assert_eq!((met.measured.as_str(), met.status), ("99.9 %", TargetStatus::Met));
        assert_eq!(
            met.detail,
            "99.9 % of 43200 known minutes; 100 % of the window was watched; \
             budget: 43 m used of 43 m 12 s, 12 s left; 172 of 172800 answers or looks failed"
        );
        assert_eq!(line(with(44), TargetName::Uptime).status, TargetStatus::NotMet);
    }

    #[test]
    fn each_target_can_be_missed() {
        let host = |memory, disk| HostSums {
            minutes: 1,
            memory_mean: Some(0.1),
            memory_p95: Some(memory),
            memory_max: Some(0.99),
            disk_mean: Some(0.1),
            disk_max: Some(disk),
            ..HostSums::default()
        };
        for (memory, disk, want) in [(0.749, 0.799, TargetStatus::Met), (0.75, 0.80, TargetStatus::NotMet)] {
            let with = || ReportInputs { host: host(memory, disk), ..inputs() };
            assert_eq!(line(with(), TargetName::Memory).status, want);
            assert_eq!(line(with(), TargetName::Disk).status, want);
        }
        for (relay_paid, want) in [(1, TargetStatus::NotMet), (2, TargetStatus::Met)] {
            let mev = Some(MevFacts { proposals: 4, judged: 4, relay_paid });
            assert_eq!(line(ReportInputs { mev, ..inputs() }, TargetName::MevSuccess).status, want);
        }
        let none = ReportInputs { mev: Some(MevFacts::default()), ..inputs() };
        assert_eq!(line(none, TargetName::MevSuccess).detail, "0 own proposals in this window");
    }

    /// A connection that is refused at once is not quick.
    #[test]
    fn a_node_that_is_away_has_no_latency() {
        let away = Indicator::Node(NodeId::parse("execution").unwrap());
        let away = Availability { latency_p95_ms: None, ..measured(away, 40) };
        let found = line(ReportInputs { indicators: vec![away], ..inputs() }, TargetName::RpcLatency);
        assert_eq!(
            (found.status, found.detail.as_str()),
            (TargetStatus::NoData, "no node answered in this window")
        );
    }

    #[test]
    fn the_slowest_node_counts() {
        let at = |name: &str, ms| {
            let indicator = Indicator::Node(NodeId::parse(name).unwrap());
            Availability { latency_p95_ms: Some(ms), ..measured(indicator, 0) }
        };
        let with =
            |slow| ReportInputs { indicators: vec![at("beacon", 3.0), at("execution", slow)], ..inputs() };
        assert_eq!(line(with(99.9), TargetName::RpcLatency).status, TargetStatus::Met);
        let missed = line(with(150.0), TargetName::RpcLatency);
        assert_eq!((missed.status, missed.measured.as_str()), (TargetStatus::NotMet, "150.0 ms"));
        assert!(missed.detail.contains("the node execution, the slowest"), "{}", missed.detail);
    }
}
