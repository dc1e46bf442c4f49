//! Whether the operator's phases are complete: each criterion met, not met or unknown, with the evidence and its age.

use serde::Serialize;

use super::{
    Availability, Indicator, ProfitFacts, TargetStatus,
    report::{LATENCY_MS, whole_percent},
    words::{ago, count, percent},
};
use crate::{
    ledger::{Criticals, EvidenceKind, EvidenceRow, HostRow},
    types::{DAY_MS, UnixMillis, Wei, labelled},
};

/// A minute is written down each minute: none for longer than this, and nobody watches. In milliseconds.
const MONITOR_MS: i64 = 180_000;
/// The share of the last hour, week or month that must have been watched before it says anything good.
const HOUR_COVERAGE: f64 = 0.9;
const WEEK_COVERAGE: f64 = 0.95;
const MONTH_COVERAGE: f64 = 0.99;
/// Space in use, as a share, is to be below this.
const DISK: f64 = 0.65;
/// Relays that are to be usable.
const RELAYS: usize = 3;
/// What is to be earned a day: 0.01 ETH.
const PER_DAY_WEI: u64 = 10_000_000_000_000_000;
/// Days over which that, and availability, are judged.
const DAYS: u64 = 30;
/// How long what was proven holds, in days: what is rehearsed each week, and each quarter.
const MONTHLY: i64 = 30;
const QUARTERLY: i64 = 90;

labelled! {
    /// What is to be fulfilled.
    pub enum CriterionName {
        /// All monitoring systems operational.
        Monitoring = "monitoring_operational",
        /// L2 nodes deployed and synced.
        L2Synced = "l2_nodes_synced",
        /// Disk usage below 65 %.
        Disk = "disk_below_65_percent",
        /// All endpoints respond within 100 ms.
        Endpoints = "endpoints_below_100_ms",
        /// High availability validated.
        HighAvailability = "high_availability_validated",
        /// Three relays or more.
        Relays = "three_relays",
        /// Load testing passes at 1,000 requests a second.
        LoadTest = "load_of_1000_requests_held",
        /// Automated failover tested.
        Failover = "failover_tested",
        /// 99.9 % for 30 days.
        Uptime = "uptime_of_30_days",
        /// More than 0.01 ETH a day.
        Profit = "profit_per_day",
        /// No critical incident for 7 days.
        NoCriticals = "no_critical_for_7_days",
        /// Full disaster recovery tested.
        Recovery = "disaster_recovery_tested",
    }
}

impl CriterionName {
    /// The phase that it belongs to, 1 to 3.
    pub const fn phase(self) -> u8 {
        match self {
            Self::Monitoring | Self::L2Synced | Self::Disk | Self::Endpoints => 1,
            Self::HighAvailability | Self::Relays | Self::LoadTest | Self::Failover => 2,
            Self::Uptime | Self::Profit | Self::NoCriticals | Self::Recovery => 3,
        }
    }
}

/// One criterion, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// Which.
    pub name: CriterionName,
    /// Whether it is fulfilled.
    pub status: TargetStatus,
    /// What it was judged by, or what to do so that it can be.
    pub evidence: String,
    /// When that was seen, in Unix milliseconds; none without.
    pub evidence_at: Option<UnixMillis>,
    /// How long ago, in words.
    pub age: Option<String>,
}

/// A phase: met once each of its criteria is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// 1 to 3.
    pub phase: u8,
    /// Whether it is complete.
    pub status: TargetStatus,
    /// How many of its criteria are met.
    pub met: usize,
    /// Its criteria.
    pub criteria: Vec<Criterion>,
}

/// How far the operator's box is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// When it was judged, in Unix milliseconds.
    pub at: UnixMillis,
    /// Whether every phase is complete.
    pub status: TargetStatus,
    /// The three phases.
    pub phases: Vec<Phase>,
}

/// What other rooms know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadinessFacts {
    /// Relays that the operator has not switched off.
    pub relays: usize,
    /// Of them, those that answer; none where nobody knows, as in a report beside the service.
    pub usable_relays: Option<usize>,
    /// What own slots earned over 30 days; none without a node that knows.
    pub profit: Option<ProfitFacts>,
}

/// What is judged.
#[derive(Clone, Debug, Default)]
pub struct ReadinessInputs {
    /// The last minute that was written down, since 1970-01-01 UTC.
    pub newest_minute: Option<i64>,
    /// The share of the last hour that was watched.
    pub hour_coverage: f64,
    /// Of the last 7 days.
    pub week_coverage: f64,
    /// Nodes in the last hour.
    pub endpoints: Vec<Availability>,
    /// The builder API over 30 days.
    pub uptime: Option<Availability>,
    /// The machine in the newest minute.
    pub host: Option<HostRow>,
    /// What was critical in the last 7 days.
    pub criticals: Criticals,
    /// The newest of each kind that was proven.
    pub evidence: Vec<EvidenceRow>,
    /// What other rooms know.
    pub facts: ReadinessFacts,
}

/// A judgement with its evidence, and when that was seen.
type Judged = (Option<bool>, String, Option<UnixMillis>);

/// Judges every criterion.
pub(super) fn judge(inputs: &ReadinessInputs, now: UnixMillis) -> Readiness {
    let criteria = CriterionName::ALL.map(|name| {
        let (is_met, evidence, at) = judge_one(name, inputs, now);
        let age = at.map(|at| ago(now.saturating_sub(at)));
        Criterion { name, status: TargetStatus::of(is_met), evidence, evidence_at: at, age }
    });
    let phases: Vec<Phase> = (1..=3)
        .map(|phase| {
            let criteria: Vec<Criterion> =
                criteria.iter().filter(|criterion| criterion.name.phase() == phase).cloned().collect();
            let met = criteria.iter().filter(|criterion| criterion.status == TargetStatus::Met).count();
            let status = together(criteria.iter().map(|criterion| criterion.status));
            Phase { phase, status, met, criteria }
        })
        .collect();
    Readiness { at: now, status: together(phases.iter().map(|phase| phase.status)), phases }
}

/// Met when all are; not met as soon as one is not.
fn together(all: impl Iterator<Item = TargetStatus>) -> TargetStatus {
    all.fold(TargetStatus::Met, |whole, one| match (whole, one) {
        (TargetStatus::NotMet, _) | (_, TargetStatus::NotMet) => TargetStatus::NotMet,
        (TargetStatus::NoData, _) | (_, TargetStatus::NoData) => TargetStatus::NoData,
        (TargetStatus::Met, TargetStatus::Met) => TargetStatus::Met,
    })
}

fn judge_one(name: CriterionName, inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    match name {
        CriterionName::Monitoring => monitoring(inputs, now),
        CriterionName::L2Synced => {
            proven(inputs, EvidenceKind::L2Sync, MONTHLY, "no L2 node is configured", now)
        }
        CriterionName::Disk => disk(inputs),
        CriterionName::Endpoints => endpoints(inputs, now),
        CriterionName::HighAvailability => {
            let how = "a second node was never validated: configure one, and run `relaymux drill failover`";
            proven(inputs, EvidenceKind::HighAvailability, MONTHLY, how, now)
        }
        CriterionName::Relays => relays(inputs, now),
        CriterionName::LoadTest => {
            let how = "no load test was run: run `relaymux loadtest`";
            proven(inputs, EvidenceKind::LoadTest, MONTHLY, how, now)
        }
        CriterionName::Failover => {
            let how = "no failover was rehearsed: run `relaymux drill failover`";
            proven(inputs, EvidenceKind::Failover, MONTHLY, how, now)
        }
        CriterionName::Uptime => uptime(inputs, now),
        CriterionName::Profit => profit(inputs, now),
        CriterionName::NoCriticals => criticals(inputs, now),
        CriterionName::Recovery => recovery(inputs, now),
    }
}

fn monitoring(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let Some(minute) = inputs.newest_minute else {
        return (None, "no minute was watched yet: start the service (`relaymux run`)".to_owned(), None);
    };
    let at = minute.saturating_add(1).saturating_mul(60_000);
    let coverage = percent(inputs.hour_coverage);
    if now.saturating_sub(at) > MONITOR_MS {
        return (
            Some(false),
            "nobody watches: the newest minute is old; is the service running?".to_owned(),
            Some(at),
        );
    }
    let is_met = inputs.hour_coverage >= HOUR_COVERAGE;
    (Some(is_met), format!("{coverage} of the last hour's minutes were watched"), Some(at))
}

fn disk(inputs: &ReadinessInputs) -> Judged {
    let looked = inputs.host.and_then(|host| Some((host.disk_max?, host.minute)));
    let Some((used, minute)) = looked else {
        return (None, "the disk was not looked at yet: start the service (`relaymux run`)".to_owned(), None);
    };
    let evidence = format!("{} of the filesystem that has the data is used", whole_percent(used));
    (Some(used < DISK), evidence, Some(minute.saturating_add(1).saturating_mul(60_000)))
}

fn endpoints(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let timed: Vec<(&Indicator, Option<f64>)> =
        inputs.endpoints.iter().map(|node| (&node.indicator, node.latency_p95_ms)).collect();
    if timed.is_empty() {
        let how = "no node was asked in the last hour: give the url of one in [execution] or [beacon], and run the service";
        return (None, how.to_owned(), None);
    }
    let is_met = timed.iter().all(|(_, p95)| p95.is_some_and(|p95| p95 < LATENCY_MS));
    // One that is away answers in no time at all.
    let are_there = inputs.endpoints.iter().all(|node| node.availability.is_none_or(|share| share > 0.5));
    let each = timed.iter().map(|(node, p95)| {
        let p95 = p95.map_or_else(|| "nothing timed".to_owned(), |p95| format!("{p95:.1} ms"));
        format!("{}: {p95}", node.in_words())
    });
    let mut evidence = format!("95th percentile of the last hour, {}", each.collect::<Vec<_>>().join(", "));
    if !are_there {
        evidence.push_str("; one of them was away for most of it");
    }
    (Some(is_met && are_there), evidence, Some(now))
}

fn relays(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let ReadinessFacts { relays, usable_relays, .. } = inputs.facts;
    let configured = count(relays, "relay is", "relays are");
    match usable_relays {
        Some(usable) => {
            (Some(usable >= RELAYS), format!("{configured} configured, {usable} of them usable"), Some(now))
        }
        None if relays < RELAYS => (Some(false), format!("{configured} configured"), Some(now)),
        None => (
            None,
            format!("{configured} configured; whether they are usable, the running service knows"),
            None,
        ),
    }
}

fn uptime(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let known = inputs.uptime.as_ref().and_then(|uptime| Some((uptime, uptime.is_met?)));
    let Some((uptime, is_met)) = known else {
        return (None, "no minute was watched yet: start the service (`relaymux run`)".to_owned(), None);
    };
    let evidence = format!("{}; budget: {}", uptime.in_words(), uptime.budget.in_words);
    match (is_met && !uptime.budget.is_spent, uptime.coverage >= MONTH_COVERAGE) {
        // More is down than 30 days may have, whatever else they had.
        (false, _) if uptime.budget.is_spent => (Some(false), evidence, Some(now)),
        (false, true) => (Some(false), evidence, Some(now)),
        (true, true) => (Some(true), evidence, Some(now)),
        (_, false) => {
            let evidence = format!("{evidence}. Of 30 days, 99 % must be watched");
            (None, evidence, Some(now))
        }
    }
}

fn profit(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let Some(profit) = inputs.facts.profit.filter(|profit| profit.is_known) else {
        let how = "what slots paid is not known yet: it takes an execution node ([execution] url) and settled slots";
        return (None, how.to_owned(), None);
    };
    let is_enough = profit.per_day.as_u256() > alloy_primitives::U256::from(PER_DAY_WEI);
    let bundles = if profit.bundles == Wei::ZERO {
        String::new()
    } else {
        format!("; beside it, bundles earned {} ETH in all", profit.bundles.to_eth())
    };
    let evidence = format!(
        "{} ETH a day over {}, more than 0.01 is asked for{bundles}",
        profit.per_day.to_eth(),
        count(profit.days, "day", "days")
    );
    if profit.days < DAYS {
        return (None, format!("{evidence}. It is judged over 30 days"), Some(now));
    }
    (Some(is_enough), evidence, Some(now))
}

fn criticals(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let Criticals { count: raised, last_at } = inputs.criticals;
    if raised > 0 {
        let evidence = format!(
            "{} in the last 7 days, or still open",
            count(raised, "critical notice", "critical notices")
        );
        return (Some(false), evidence, last_at);
    }
    if inputs.week_coverage < WEEK_COVERAGE {
        let watched = percent(inputs.week_coverage);
        let evidence =
            format!("none was raised, but only {watched} of the last 7 days was watched; 95 % must be");
        return (None, evidence, Some(now));
    }
    (Some(true), "no critical notice in the last 7 days, and they were watched".to_owned(), Some(now))
}

fn recovery(inputs: &ReadinessInputs, now: UnixMillis) -> Judged {
    let parts = [
        (EvidenceKind::Failover, "`relaymux drill failover` was never run"),
        (EvidenceKind::Restore, "`relaymux drill restore` was never run"),
        (EvidenceKind::Alert, "`relaymux drill alert` was never run"),
    ];
    let judged = parts.map(|(kind, how)| proven(inputs, kind, QUARTERLY, how, now));
    let whole = together(judged.iter().map(|(is_met, _, _)| TargetStatus::of(*is_met)));
    let is_met = match whole {
        TargetStatus::Met => Some(true),
        TargetStatus::NotMet => Some(false),
        TargetStatus::NoData => None,
    };
    // As old as the oldest of them.
    let at = judged.iter().filter_map(|(_, _, at)| *at).min();
    (is_met, judged.map(|(_, evidence, _)| evidence).join("; "), at)
}

/// What was done last of a kind, if it is not too old.
fn proven(inputs: &ReadinessInputs, kind: EvidenceKind, days: i64, how: &str, now: UnixMillis) -> Judged {
    let Some(row) = inputs.evidence.iter().find(|row| row.kind == kind) else {
        return (None, how.to_owned(), None);
    };
    if now.saturating_sub(row.at) > days.saturating_mul(DAY_MS) {
        let evidence = format!("{} (more than {days} days ago: do it again)", row.summary);
        return (None, evidence, Some(row.at));
    }
    (Some(row.ok), row.summary.clone(), Some(row.at))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::{
        sla::report::tests::{NOW, measured},
        types::NodeId,
    };

    fn proof(kind: EvidenceKind, days_ago: i64, ok: bool) -> EvidenceRow {
        EvidenceRow {
            kind: kind.into(),
            at: NOW - days_ago * DAY_MS,
            ok,
            summary: "done".to_owned(),
            details: "{}".to_owned(),
        }
    }

    fn node(p95: f64) -> Availability {
        let indicator = Indicator::Node(NodeId::parse("execution").unwrap());
        Availability { latency_p95_ms: Some(p95), ..measured(indicator, 0) }
    }

    /// Everything is as it should be.
    fn ready() -> ReadinessInputs {
        let per_day = Wei::new(U256::from(PER_DAY_WEI + 1));
        ReadinessInputs {
            newest_minute: Some(NOW / 60_000 - 1),
            hour_coverage: 1.0,
            week_coverage: 1.0,
            endpoints: vec![node(20.0)],
            uptime: Some(measured(Indicator::BuilderApi, 43)),
            host: Some(HostRow { minute: NOW / 60_000 - 1, disk_max: Some(0.649), ..HostRow::default() }),
            criticals: Criticals::default(),
            evidence: EvidenceKind::ALL.map(|kind| proof(kind, 1, true)).to_vec(),
            facts: ReadinessFacts {
                relays: 4,
                usable_relays: Some(3),
                profit: Some(ProfitFacts { per_day, days: 30, is_known: true, bundles: Wei::ZERO }),
            },
        }
    }

    fn status(inputs: &ReadinessInputs, name: CriterionName) -> TargetStatus {
        let phases = judge(inputs, NOW).phases;
        let all = phases.iter().flat_map(|phase| &phase.criteria);
        all.into_iter().find(|criterion| criterion.name == name).unwrap().status
    }

    #[test]
    fn all_is_met_when_all_is_and_nothing_is_known_of_nothing() {
        let ready = judge(&ready(), NOW);
        assert_eq!(ready.status, TargetStatus::Met, "{ready:#?}");
        assert_eq!(ready.phases.iter().map(|phase| phase.met).collect::<Vec<_>>(), [4, 4, 4]);
        let nothing = judge(&ReadinessInputs::default(), NOW);
        for criterion in nothing.phases.iter().flat_map(|phase| &phase.criteria) {
            // No relay is configured: that is known.
            let want = if criterion.name == CriterionName::Relays {
                TargetStatus::NotMet
            } else {
                TargetStatus::NoData
            };
            assert_eq!(criterion.status, want, "{criterion:?}");
            assert!(!criterion.evidence.is_empty());
        }
    }

    /// Each criterion turns by its own evidence, and by nobody else's.
    #[test]
    fn each_criterion_can_be_missed_and_be_unknown() {
        use CriterionName as C;
        use TargetStatus::{NoData, NotMet};
        type Change = fn(&mut ReadinessInputs);
        fn replace(inputs: &mut ReadinessInputs, kind: EvidenceKind, days_ago: i64, ok: bool) {
            inputs.evidence.retain(|row| row.kind != kind);
            inputs.evidence.push(proof(kind, days_ago, ok));
        }
        let cases: [(C, TargetStatus, Change); 26] = [
            (C::Monitoring, NotMet, |i| i.newest_minute = Some(NOW / 60_000 - 10)),
            (C::Monitoring, NotMet, |i| i.hour_coverage = 0.5),
            (C::Monitoring, NoData, |i| i.newest_minute = None),
            (C::L2Synced, NoData, |i| i.evidence.retain(|row| row.kind != EvidenceKind::L2Sync)),
            (C::L2Synced, NotMet, |i| replace(i, EvidenceKind::L2Sync, 0, false)),
            (C::Disk, NotMet, |i| i.host = Some(HostRow { disk_max: Some(0.65), ..HostRow::default() })),
            (C::Disk, NoData, |i| i.host = None),
            (C::Endpoints, NotMet, |i| i.endpoints.push(node(100.0))),
            (C::Endpoints, NoData, |i| i.endpoints.clear()),
            (C::Endpoints, NotMet, |i| i.endpoints[0].availability = Some(0.1)),
            (C::HighAvailability, NotMet, |i| replace(i, EvidenceKind::HighAvailability, 0, false)),
            (C::Relays, NotMet, |i| i.facts.usable_relays = Some(2)),
            (C::Relays, NoData, |i| i.facts.usable_relays = None),
            (C::LoadTest, NoData, |i| replace(i, EvidenceKind::LoadTest, 31, true)),
            (C::LoadTest, NotMet, |i| replace(i, EvidenceKind::LoadTest, 3, false)),
            (C::Failover, NoData, |i| replace(i, EvidenceKind::Failover, 31, true)),
            (C::Uptime, NotMet, |i| i.uptime = Some(measured(Indicator::BuilderApi, 44))),
            (C::Uptime, NoData, |i| i.uptime.as_mut().unwrap().coverage = 0.98),
            (C::Uptime, NoData, |i| i.uptime = None),
            (C::Profit, NotMet, |i| {
                i.facts.profit.as_mut().unwrap().per_day = Wei::new(U256::from(PER_DAY_WEI));
            }),
            (C::Profit, NoData, |i| i.facts.profit.as_mut().unwrap().days = 29),
            (C::Profit, NoData, |i| i.facts.profit = None),
            (C::NoCriticals, NotMet, |i| i.criticals = Criticals { count: 1, last_at: Some(NOW - 5) }),
            (C::NoCriticals, NoData, |i| i.week_coverage = 0.9),
            (C::Recovery, NotMet, |i| replace(i, EvidenceKind::Restore, 3, false)),
            (C::Recovery, NoData, |i| replace(i, EvidenceKind::Alert, 91, true)),
        ];
        for (name, want, change) in cases {
            let mut inputs = ready();
            change(&mut inputs);
            assert_eq!(status(&inputs, name), want, "{name}");
            let others = C::ALL.into_iter().filter(|other| *other != name);
            for other in others {
                assert_eq!(status(&inputs, other), TargetStatus::Met, "{other} by the evidence of {name}");
            }
            assert_ne!(judge(&inputs, NOW).status, TargetStatus::Met);
        }
    }

    #[test]
    fn evidence_has_its_age_and_bundles_stand_apart() {
        let mut inputs = ready();
        inputs.facts.profit.as_mut().unwrap().bundles = Wei::parse_eth("0.5").unwrap();
        let readiness = judge(&inputs, NOW);
        let find = |name| {
            let mut all = readiness.phases.iter().flat_map(|phase| &phase.criteria);
            all.find(|criterion| criterion.name == name).unwrap()
        };
        assert_eq!(find(CriterionName::LoadTest).age.as_deref(), Some("1 d"));
        assert_eq!(
            find(CriterionName::Profit).evidence,
            "0.010000000000000001 ETH a day over 30 days, more than 0.01 is asked for; beside it, bundles earned 0.5 ETH in all"
        );
    }
}
