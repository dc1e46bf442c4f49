//! What is looked at every few minutes: whether payments are missing, whether the rate is under its target, whether settling is behind,
//! and what relays have registered for our validators.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    notify::{raise, resolve},
    report::{ReportQuery, Reporter, TargetVerdict},
    rules::{RATE_UNDER_TARGET, REGISTRATION_DRIFT, SETTLEMENT_BEHIND, SLOTS_UNKNOWABLE},
    tally::project_sums,
};
use crate::{
    consensus::WallClock,
    ethereum::{KnownRegistration, registration_of},
    events::RegistrationFacts,
    ledger::{LedgerError, SignalBook, still_ours},
    relay::{Relay, SharedRelays},
    types::{DAY_MS, UnixMillis},
};

/// Days of history before the rate is judged: two weeks. A small operator proposes a few times a year and lowers its target instead.
const JUDGED_AFTER_DAYS: i64 = 14;
/// A slot that is not settled after this long is behind: an hour.
const BEHIND_MS: i64 = 3_600_000;
/// Validators asked about at one relay in one round. Relays ban those who ask too much.
const ASKED_PER_ROUND: usize = 50;
/// Between two questions to one relay.
const BETWEEN: Duration = Duration::from_millis(200);
/// A registration this fresh may not have reached the relays yet: ten minutes, in seconds.
const FRESH_SECS: i64 = 600;

/// How far settling is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementLag {
    /// Slots that are older than an hour, and were not looked at.
    pub behind: i64,
    /// Slots that can never be proven with this execution node.
    pub given_up: i64,
}

/// Looks how far settling is behind.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn settlement_lag(reporter: &Reporter, now: UnixMillis) -> Result<SettlementLag, LedgerError> {
    let late = reporter.slots.slot_at(now.saturating_sub(BEHIND_MS));
    let (behind, given_up) = (reporter.ledger.unlooked(late).await?, reporter.ledger.unknowable().await?);
    Ok(SettlementLag { behind, given_up })
}

/// What the checks work with.
#[derive(Clone, Debug)]
pub(super) struct CheckParts {
    /// Makes reports; knows the ledger, the slots and the settings.
    pub(super) reporter: Reporter,
    /// Tells the operator.
    pub(super) signals: SignalBook,
    pub(super) clock: WallClock,
}

/// Runs the checks until told to stop.
pub(super) async fn run_checks(parts: CheckParts, stop: CancellationToken) {
    let every = parts.reporter.settings.check_every;
    loop {
        if let Err(error) = check(&parts).await {
            warn!(%error, "profit check");
        }
        let due = Instant::now() + every;
        tokio::select! {
            () = sleep_until(due) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One check. Payments that are missing raise their signals when they are found.
async fn check(CheckParts { reporter, signals, clock }: &CheckParts) -> Result<(), LedgerError> {
    let (ledger, now) = (&reporter.ledger, clock.now());
    let SettlementLag { behind, given_up } = settlement_lag(reporter, now).await?;
    if behind > 0 && reporter.has_execution {
        let message = format!(
            "{behind} slots are older than an hour and not looked at: does the execution node answer and follow the chain?"
        );
        raise(signals, &SETTLEMENT_BEHIND, "profit", message).await?;
    } else {
        resolve(signals, &SETTLEMENT_BEHIND, "profit").await?;
    }
    if given_up > 0 {
        let message = format!(
            "{given_up} slots can never be proven with this execution node, which has pruned their blocks: give it one that has them and restart"
        );
        raise(signals, &SLOTS_UNKNOWABLE, "profit", message).await?;
    } else {
        resolve(signals, &SLOTS_UNKNOWABLE, "profit").await?;
    }
    // Reports add what changed since by themselves: this keeps that little.
    project_sums(ledger, reporter.slots, now).await?;
    let days = (now - reporter.began(now).await?) / DAY_MS;
    if days >= JUDGED_AFTER_DAYS && reporter.has_execution && !reporter.settings.target_per_day.is_zero() {
        let report = reporter.report(ReportQuery::default(), now).await?;
        metrics::gauge!("relaymux_profit_eth_per_day")
            .set(report.eth_per_day.parse::<f64>().unwrap_or_default());
        if report.target == TargetVerdict::NotMet {
            let message = format!(
                "{} ETH a day over the last 30 days, the target is {}",
                report.eth_per_day, report.target_eth_per_day
            );
            raise(signals, &RATE_UNDER_TARGET, "profit", message).await?;
        } else {
            resolve(signals, &RATE_UNDER_TARGET, "profit").await?;
        }
    }
    Ok(())
}

/// Looks at what relays have registered for our validators until told to stop, a few validators a round, in turn.
pub(super) async fn run_registration_checks(
    parts: CheckParts,
    relays: Arc<SharedRelays>,
    http: Client,
    stop: CancellationToken,
) {
    let mut at = 0;
    loop {
        let round = check_registrations(&parts, &relays, &http, at);
        match tokio::select! { round = round => round, () = stop.cancelled() => return } {
            Ok(next) => at = next,
            Err(error) => warn!(%error, "check of registrations"),
        }
        let due = Instant::now() + parts.reporter.settings.registrations_every;
        tokio::select! {
            () = sleep_until(due) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn check_registrations(
    parts: &CheckParts,
    relays: &SharedRelays,
    http: &Client,
    at: usize,
) -> Result<usize, LedgerError> {
    let CheckParts { reporter, clock, .. } = parts;
    // Of a validator that moved away relays have what its new client registers.
    let ours = still_ours(reporter.ledger.registrations().await?, reporter.slots.slot_ms());
    let now = clock.now();
    let is_due =
        |facts: &&RegistrationFacts| i64::try_from(facts.timestamp).unwrap_or(0) < now / 1000 - FRESH_SECS;
    let due: Vec<&RegistrationFacts> = ours.iter().map(|validator| &validator.facts).filter(is_due).collect();
    let start = if at >= due.len() { 0 } else { at };
    let round: Vec<&RegistrationFacts> = due.iter().skip(start).take(ASKED_PER_ROUND).copied().collect();
    for relay in relays.all().iter().filter(|relay| relay.settings().enabled) {
        for facts in &round {
            if !look(parts, relay, http, facts).await? {
                // It does not answer: not asked again before the next round.
                break;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
    Ok(start + round.len())
}

/// Compares one; `false` if the relay does not answer.
async fn look(
    CheckParts { reporter, signals, clock }: &CheckParts,
    relay: &Relay,
    http: &Client,
    ours: &RegistrationFacts,
) -> Result<bool, LedgerError> {
    let Ok(theirs) = registration_of(http, &relay.settings().url, &ours.pubkey).await else {
        return Ok(false);
    };
    let drift = drift(ours, theirs);
    let is_news = reporter.ledger.save_drift(relay.id().as_str(), &ours.pubkey, &drift, clock.now()).await?;
    if is_news {
        let subject = format!("{} at {}", ours.pubkey, relay.id());
        if drift.is_empty() {
            resolve(signals, &REGISTRATION_DRIFT, &subject).await?;
        } else {
            let message = format!("{}: {drift}", relay.id());
            raise(signals, &REGISTRATION_DRIFT, &subject, message).await?;
        }
    }
    Ok(true)
}

/// What is wrong with a relay's registration; empty if nothing is.
fn drift(ours: &RegistrationFacts, theirs: Option<KnownRegistration>) -> String {
    let Some(theirs) = theirs else { return "has no registration of this validator".to_owned() };
    let mut wrong = Vec::new();
    if theirs.fee_recipient != ours.fee_recipient {
        wrong.push(format!("pays {}, registered is {}", theirs.fee_recipient, ours.fee_recipient));
    }
    if theirs.gas_limit != ours.gas_limit {
        wrong.push(format!("gas limit {}, registered is {}", theirs.gas_limit, ours.gas_limit));
    }
    if !wrong.is_empty() && theirs.timestamp > ours.timestamp {
        wrong.push("its registration is newer than ours: another client registers this validator".to_owned());
    }
    wrong.join("; ")
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::{
        consensus::SlotClock,
        events::{PaymentVerdict, SlotOutcome, SlotStatus, Spine},
        ledger::{Ledger, Settled},
        profit::ProfitSettings,
        types::Slot,
    };

    #[tokio::test]
    async fn the_operator_is_told_of_a_poor_rate_and_of_a_backlog_until_they_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let slots = SlotClock::new(1_600_000_000, 12_000);
        let reporter = Reporter {
            ledger: ledger.clone(),
            slots,
            settings: ProfitSettings::default(),
            has_execution: true,
            has_beacon: false,
        };
        let now = 1_700_000_000_000;
        let clock = WallClock::manual(now).0;
        let signals = SignalBook::new(ledger.clone(), Spine::new(), clock.clone());
        let parts = CheckParts { reporter, signals, clock };
        // One block 20 days ago that paid, and one slot of yesterday that nobody looked at.
        let save = async |days_ago: i64, wei: &str, status: SlotStatus| {
            let slot: Slot = slots.slot_at(now - days_ago * DAY_MS);
            let is_looked_at = status != SlotStatus::Open;
            let row = Settled {
                slot: slot.as_u64(),
                status: status.into(),
                outcome: is_looked_at.then(|| SlotOutcome::Ours.into()),
                payment: is_looked_at.then(|| PaymentVerdict::Exact.into()),
                promised_block: Some("0x1".to_owned()),
                promised_wei: Some(wei.to_owned()),
                received_wei: Some(wei.to_owned()),
                ..Settled::default()
            };
            ledger.save_settlements(&[row]).await.unwrap();
        };
        let open = async || -> Vec<String> {
            let signals = ledger.signals(10).await.unwrap();
            let open = signals.into_iter().filter(|notice| notice.resolved_at.is_none());
            let mut rules: Vec<String> = open.map(|notice| notice.rule.to_string()).collect();
            rules.sort();
            rules
        };
        save(20, "50000000000000000", SlotStatus::Final).await;
        save(1, "50000000000000000", SlotStatus::Open).await;
        check(&parts).await.unwrap();
        check(&parts).await.unwrap();
        assert_eq!(open().await, ["rate_under_target", "settlement_behind"]);
        assert_eq!(ledger.signals(10).await.unwrap().len(), 2, "each is told once");
        // It is looked at, and paid a third of an ETH: 0.35 in 21 days is above 0.01 a day.
        save(1, "300000000000000000", SlotStatus::Final).await;
        check(&parts).await.unwrap();
        assert_eq!(open().await, Vec::<String>::new());
        // A slot is given up: that is told until a node can prove it.
        save(2, "0", SlotStatus::Unknowable).await;
        check(&parts).await.unwrap();
        assert_eq!(open().await, ["slots_unknowable"]);
        assert_eq!(ledger.reopen_unknowable().await.unwrap(), 1);
        check(&parts).await.unwrap();
        assert_eq!(open().await, Vec::<String>::new());
    }

    #[test]
    fn a_drift_is_named() {
        let ours = RegistrationFacts {
            pubkey: Default::default(),
            fee_recipient: Address::repeat_byte(1),
            gas_limit: 60,
            timestamp: 100,
        };
        let theirs = |recipient: u8, gas_limit, timestamp| {
            Some(KnownRegistration { fee_recipient: Address::repeat_byte(recipient), gas_limit, timestamp })
        };
        // An older signature of the same registration is as good.
        assert_eq!(drift(&ours, theirs(1, 60, 50)), "");
        assert!(drift(&ours, None).contains("no registration"));
        assert!(drift(&ours, theirs(2, 60, 100)).starts_with("pays 0x0202"));
        assert!(drift(&ours, theirs(1, 36, 100)).contains("gas limit 36"));
        assert!(drift(&ours, theirs(2, 60, 200)).contains("newer than ours"));
    }
}
