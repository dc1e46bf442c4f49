//! What a day or a week came to, for people who were not woken: availability, profit, relays, restarts, alerts, what will expire. Pure.

mod text;

use serde::Serialize;

use super::{
    AlertFacts, ExpiryFacts, Objective, Period, ProfitFacts, RelayFacts, SlaReport,
    words::{percent, share, span},
};
use crate::types::{DAY_MS, UnixMillis, UtcDay, labelled};
pub use text::Section;

/// What expires later than this is not yet told, in days.
const EXPIRES_DAYS: i64 = 45;
/// Calls that a relay must have had before it is called the worst. Arbitrary: one failure of two is no record.
const MIN_ASKED: u64 = 5;

labelled! {
    /// How often a digest comes.
    pub enum Cadence {
        /// Each day.
        Daily = "daily",
        /// Each week.
        Weekly = "weekly",
    }
}

impl Cadence {
    /// What it looks back, in days.
    pub const fn days(self) -> i64 {
        match self {
            Self::Daily => 1,
            Self::Weekly => 7,
        }
    }
}

/// A task that began anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestartFacts {
    /// Its name.
    pub task: String,
    /// How often.
    pub count: u64,
}

/// What a digest is made of.
#[derive(Clone, Debug)]
pub struct DigestInputs {
    /// How often it comes.
    pub cadence: Cadence,
    /// The name of this machine or sidecar.
    pub source: String,
    /// Availability over the same time.
    pub report: SlaReport,
    /// What own slots earned in it; none without a node that knows.
    pub profit: Option<ProfitFacts>,
    /// What relays did in it.
    pub relays: Vec<RelayFacts>,
    /// What is to be said of the disk's future; none while nobody forecasts it.
    pub disk_forecast: Option<String>,
    /// Tasks that began anew in it.
    pub restarts: Vec<RestartFacts>,
    /// Alerts in it by their cause.
    pub alerts: Vec<AlertFacts>,
    /// What will not be valid any more.
    pub expiries: Vec<ExpiryFacts>,
}

/// A day or week.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Digest {
    /// How often it comes.
    pub cadence: Cadence,
    /// The machine or sidecar.
    pub source: String,
    /// When it was made, in Unix milliseconds.
    pub at: UnixMillis,
    /// What matters most, in a line: the subject of a mail.
    pub headline: String,
    /// For people, in the order in which it is read.
    pub sections: Vec<Section>,
    /// The relay that won most; none where none won.
    pub best_relay: Option<RelayFacts>,
    /// The relay that failed most often of the times that it was asked; none where none failed.
    pub worst_relay: Option<RelayFacts>,
    /// Alerts by their cause, most first.
    pub alerts: Vec<AlertFacts>,
    /// Tasks that began anew.
    pub restarts: Vec<RestartFacts>,
    /// What will not be valid any more, soonest first.
    pub expiries: Vec<ExpiryFacts>,
    /// Availability over the same time, in full.
    pub report: SlaReport,
}

impl Digest {
    /// What stands under the headline, for a message that has it as its subject: at most 72 columns.
    pub fn body(&self) -> String {
        text::render(&[&format!("{}, {}", self.source, UtcDay::of(self.at).date())], &self.sections)
    }

    /// Whether something happened: an alert, a restart, or downtime.
    pub fn is_news(&self) -> bool {
        let is_down = |part: &super::Availability| part.minutes.bad > 0 || part.minutes.bad_unwatched > 0;
        !self.alerts.is_empty()
            || self.restarts.iter().any(|restart| restart.count > 0)
            || self.report.indicators.iter().any(is_down)
    }

    /// The same as plain text for a mail in a terminal: at most 72 columns.
    pub fn text(&self) -> String {
        text::render(
            &[&self.headline, &format!("{}, {}", self.source, UtcDay::of(self.at).date())],
            &self.sections,
        )
    }
}

/// Makes a digest.
pub fn make(inputs: DigestInputs, now: UnixMillis) -> Digest {
    let DigestInputs {
        cadence,
        source,
        report,
        profit,
        relays,
        disk_forecast,
        restarts,
        mut alerts,
        mut expiries,
    } = inputs;
    alerts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
    expiries.retain(|expiry| expiry.at.saturating_sub(now) <= EXPIRES_DAYS.saturating_mul(DAY_MS));
    expiries.sort_by_key(|expiry| expiry.at);
    let best_relay =
        relays.iter().filter(|relay| relay.wins > 0).max_by_key(|relay| (relay.wins, relay.bids));
    let worst_relay = relays
        .iter()
        .filter(|relay| relay.faults > 0 && relay.asked >= MIN_ASKED)
        .max_by(|a, b| failing(a).total_cmp(&failing(b)));
    let (best_relay, worst_relay) = (best_relay.cloned(), worst_relay.cloned());
    let sections = vec![
        Section { title: "Availability".to_owned(), lines: availability(&report) },
        Section { title: "Targets".to_owned(), lines: targets(&report) },
        Section { title: "Profit".to_owned(), lines: vec![profit_line(profit)] },
        Section { title: "Relays".to_owned(), lines: relay_lines(&best_relay, &worst_relay, &relays) },
        Section {
            title: "Disk".to_owned(),
            lines: vec![
                disk_forecast
                    .unwrap_or_else(|| "no forecast: nothing measures the disk's growth yet".to_owned()),
            ],
        },
        Section { title: "Restarts".to_owned(), lines: restart_lines(&restarts) },
        Section { title: "Alerts".to_owned(), lines: alert_lines(&alerts) },
        Section { title: "Expires soon".to_owned(), lines: expiry_lines(&expiries, now) },
        Section { title: "Gas".to_owned(), lines: vec![report.gas.in_words.clone()] },
    ];
    Digest {
        headline: headline(&report, &alerts),
        cadence,
        source,
        at: now,
        sections,
        best_relay,
        worst_relay,
        alerts,
        restarts,
        expiries,
        report,
    }
}

fn headline(report: &SlaReport, alerts: &[AlertFacts]) -> String {
    let when = match report.window {
        Period::Days(1) => "day".to_owned(),
        Period::Days(7) => "week".to_owned(),
        Period::Days(days) => format!("{days} days"),
        Period::Month => "month so far".to_owned(),
    };
    let uptime = report.targets.first().map_or("N/A", |uptime| uptime.measured.as_str());
    let count: u64 = alerts.iter().fold(0, |sum, alert| sum.saturating_add(alert.count));
    let alerts = match count {
        0 => "no alerts".to_owned(),
        n => super::words::count(n, "alert", "alerts"),
    };
    format!("Your {when}: uptime {uptime}, {alerts}")
}

fn availability(report: &SlaReport) -> Vec<String> {
    let mut lines: Vec<String> = report
        .indicators
        .iter()
        .map(|part| {
            let share = part.availability.map_or_else(|| "N/A".to_owned(), percent);
            let down = part.minutes.bad.saturating_add(part.minutes.bad_unwatched);
            let down =
                if down == 0 { String::new() } else { format!(", {} down", span(down.saturating_mul(60))) };
            let unwatched = if part.coverage >= Objective::THREE_NINES.target() {
                String::new()
            } else {
                format!(", watched {}", percent(part.coverage))
            };
            format!("{}: {share}{down}{unwatched}", part.indicator)
        })
        .collect();
    lines.extend(report.burning.iter().map(|alert| format!("{} {}", alert.severity, alert.message)));
    lines
}

fn targets(report: &SlaReport) -> Vec<String> {
    let line = |target: &super::Target| {
        let status = target.status.label().replace('_', " ");
        let name = target.name.label().replace('_', " ");
        match target.value {
            Some(_) => format!("{name}: {} ({}), {status}", target.measured, target.target),
            None => format!("{name}: N/A ({}); {}", target.target, target.detail),
        }
    };
    report.targets.iter().map(line).collect()
}

fn profit_line(profit: Option<ProfitFacts>) -> String {
    let Some(profit) = profit.filter(|profit| profit.is_known) else {
        return "not known yet: it takes an execution node ([execution] url) and settled slots".to_owned();
    };
    let bundles = if profit.bundles.is_zero() {
        String::new()
    } else {
        format!("; bundles beside it {} ETH", profit.bundles.to_eth())
    };
    format!("{} ETH a day{bundles}", profit.per_day.to_eth())
}

/// The share of a relay's calls that failed.
fn failing(relay: &RelayFacts) -> f64 {
    share(relay.faults, relay.asked).unwrap_or(0.0)
}

fn relay_lines(best: &Option<RelayFacts>, worst: &Option<RelayFacts>, all: &[RelayFacts]) -> Vec<String> {
    if all.iter().all(|relay| relay.asked == 0) {
        return vec!["no header was asked for".to_owned()];
    }
    let mut lines = Vec::new();
    match best {
        Some(best) => lines.push(format!("best: {}, {} of {} bids won", best.relay, best.wins, best.bids)),
        None => lines.push("no relay's bid was returned".to_owned()),
    }
    match worst {
        Some(worst) => lines.push(format!(
            "worst: {}, {} of {} calls failed ({})",
            worst.relay,
            worst.faults,
            worst.asked,
            percent(failing(worst))
        )),
        None => lines.push("no relay failed noticeably".to_owned()),
    }
    let advised = all.iter().filter_map(|relay| Some((relay, relay.timing_advice.as_ref()?)));
    lines.extend(advised.map(|(relay, advice)| format!("timing of {}: {advice}", relay.relay)));
    lines
}

fn restart_lines(restarts: &[RestartFacts]) -> Vec<String> {
    if restarts.iter().all(|restart| restart.count == 0) {
        return vec!["none".to_owned()];
    }
    let begun = restarts.iter().filter(|restart| restart.count > 0);
    begun
        .map(|restart| {
            format!("the task {} began anew {} times: please report it", restart.task, restart.count)
        })
        .collect()
}

fn alert_lines(alerts: &[AlertFacts]) -> Vec<String> {
    if alerts.is_empty() {
        return vec!["none".to_owned()];
    }
    let line = |alert: &AlertFacts| {
        let how = match (alert.acknowledged, alert.acknowledged_in_secs) {
            (None, _) => String::new(),
            (Some(0), _) => ": none acknowledged".to_owned(),
            (Some(n), None) => format!(": {n} acknowledged"),
            (Some(n), Some(secs)) => format!(": {n} acknowledged, half of them within {}", span(secs)),
        };
        format!("{} × {}{how}", alert.count, alert.cause)
    };
    alerts.iter().map(line).collect()
}

fn expiry_lines(expiries: &[ExpiryFacts], now: UnixMillis) -> Vec<String> {
    if expiries.is_empty() {
        return vec![format!("nothing known in {EXPIRES_DAYS} days")];
    }
    let line = |expiry: &ExpiryFacts| {
        let left = expiry.at.saturating_sub(now);
        if left <= 0 {
            format!("{}: expired {} ago", expiry.what, super::words::ago(left.saturating_neg()))
        } else {
            format!("{}: in {}", expiry.what, super::words::ago(left))
        }
    };
    expiries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sla::{
            Indicator, MevFacts,
            report::{
                self, ReportInputs,
                tests::{NOW, inputs, measured},
            },
        },
        types::Wei,
    };

    fn relay(name: &str, wins: u64, faults: u64) -> RelayFacts {
        RelayFacts {
            relay: name.to_owned(),
            asked: 40,
            bids: 30,
            wins,
            faults,
            latency_p50_ms: Some(80.0),
            timing_advice: None,
        }
    }

    fn week() -> DigestInputs {
        let report = ReportInputs {
            indicators: vec![measured(Indicator::BuilderApi, 2), measured(Indicator::Relays, 0)],
            window: Period::Days(7).window(NOW),
            mev: Some(MevFacts { proposals: 4, judged: 4, relay_paid: 3 }),
            ..inputs()
        };
        DigestInputs {
            cadence: Cadence::Weekly,
            source: "box-1".to_owned(),
            report: report::make(report, NOW),
            profit: Some(ProfitFacts {
                per_day: Wei::parse_eth("0.0123").unwrap(),
                days: 7,
                is_known: true,
                bundles: Wei::parse_eth("0.002").unwrap(),
            }),
            relays: vec![relay("good", 5, 0), relay("often", 9, 2), relay("bad", 1, 20)],
            disk_forecast: None,
            restarts: vec![RestartFacts { task: "probes".to_owned(), count: 2 }],
            alerts: vec![
                AlertFacts {
                    cause: "clock_wrong".to_owned(),
                    count: 1,
                    acknowledged: Some(0),
                    acknowledged_in_secs: None,
                },
                AlertFacts {
                    cause: "payload_withheld".to_owned(),
                    count: 3,
                    acknowledged: Some(3),
                    acknowledged_in_secs: Some(190),
                },
            ],
            expiries: vec![
                ExpiryFacts { what: "the certificate of the ops API".to_owned(), at: NOW + 12 * DAY_MS },
                ExpiryFacts { what: "something far away".to_owned(), at: NOW + 400 * DAY_MS },
                ExpiryFacts { what: "an old token".to_owned(), at: NOW - DAY_MS },
            ],
        }
    }

    #[test]
    fn a_week_reads_well_in_a_terminal() {
        let digest = make(week(), NOW);
        let text = digest.text();
        for line in text.lines() {
            assert!(line.chars().count() <= 72, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert_eq!(digest.headline, "Your week: uptime 99.995 %, 4 alerts");
        for words in [
            "Your week: uptime 99.995 %, 4 alerts",
            "box-1, 2026-11-28",
            "builder_api: 99.995 %, 2 m down",
            "0.0123 ETH a day; bundles beside it 0.002 ETH",
            "best: often, 9 of 30 bids won",
            "worst: bad, 20 of 40 calls failed (50 %)",
            "no forecast",
            "the task probes began anew 2 times",
            "3 × payload_withheld: 3 acknowledged, half of them within 3 m 10 s",
            "1 × clock_wrong: none acknowledged",
            "an old token: expired 1 d ago",
            "the certificate of the ops API: in 12 d",
        ] {
            assert!(text.contains(words), "{words} is missing:\n{text}");
        }
        assert!(!text.contains("far away"));
        assert!(digest.is_news());
        assert_eq!(digest.body(), text.split_once('\n').unwrap().1, "the same without its first line");
    }

    #[test]
    fn a_quiet_day_says_so() {
        let digest = make(
            DigestInputs {
                cadence: Cadence::Daily,
                profit: None,
                relays: vec![],
                restarts: vec![],
                alerts: vec![],
                expiries: vec![],
                report: report::make(ReportInputs { window: Period::Days(1).window(NOW), ..inputs() }, NOW),
                ..week()
            },
            NOW,
        );
        assert_eq!(digest.headline, "Your day: uptime N/A, no alerts");
        let sections: Vec<&Section> = digest.sections.iter().collect();
        // Without an indicator there is nothing to list; every other section has its word.
        assert!(
            sections
                .iter()
                .filter(|section| section.title != "Availability")
                .all(|section| !section.lines.is_empty())
        );
        assert!(digest.text().contains("no header was asked for"));
        assert!(!digest.is_news());
        let json = serde_json::to_value(&digest).unwrap();
        assert_eq!(
            (json["cadence"].as_str(), json["report"]["window"].as_str()),
            (Some("daily"), Some("1d"))
        );
    }
}
