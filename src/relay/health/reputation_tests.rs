//! A reputation through offences, pardons and restarts.

use super::*;
use crate::{
    events::{Confidence, Evidence, Method},
    types::{RelayId, Wei},
};

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

fn block(slot: u64, since: i64) -> BlockRecord {
    BlockRecord::new(Slot::new(slot), B256::repeat_byte(1), since)
}

fn verdict(conduct: Conduct, stage: Stage, confidence: Confidence) -> Verdict {
    Verdict {
        relay: RelayId::parse("a").unwrap(),
        conduct,
        stage,
        evidence: Evidence { method: Method::Answers, confidence },
        value: Wei::parse_eth("0.05").unwrap(),
        reason: format!("{conduct:?}"),
    }
}

fn guilty(conduct: Conduct) -> Verdict {
    verdict(conduct, Stage::Provisional, Confidence::Medium)
}

#[test]
fn quarantine_doubles_and_is_forgotten_in_time() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    let mut offend = |at: i64| {
        let slot = u64::try_from(at).unwrap();
        reputation.apply(&block(slot, at), &[guilty(Conduct::Withheld)], at, &policy);
        let quarantine = reputation.quarantine.clone().unwrap();
        (quarantine.level, (quarantine.until - at) / HOUR)
    };
    assert_eq!(offend(0), (1, 6));
    assert_eq!(offend(DAY), (2, 12));
    assert_eq!(offend(2 * DAY), (3, 24));
    // Two half-lives of peace forgive two of three.
    assert_eq!(offend(31 * DAY), (2, 12));
    for day in 32..90 {
        offend(day * DAY);
    }
    assert_eq!(reputation.quarantine.as_ref().unwrap().until, 89 * DAY + 30 * DAY);
    assert!(reputation.quarantined(89 * DAY).is_some());
    assert!(reputation.quarantined(120 * DAY).is_none());
    assert!(reputation.accusations.len() <= MAX_ACCUSATIONS);
}

#[test]
fn a_pardon_forgives_what_was_and_not_what_comes() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    let offend = |reputation: &mut Reputation, slot: u64, since: i64, now: i64| {
        reputation.apply(&block(slot, since), &[guilty(Conduct::PaidLess)], now, &policy);
    };
    offend(&mut reputation, 1, 10, 10);
    reputation.pardon(20);
    assert_eq!(reputation.quarantined(21), None);
    // Found later, done before.
    offend(&mut reputation, 2, 15, 30);
    assert_eq!(reputation.quarantined(31), None);
    offend(&mut reputation, 3, 25, 30);
    assert_eq!(reputation.quarantined(31).map(|q| q.level), Some(1));
}

#[test]
fn what_is_taken_back_leaves_nothing() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    reputation.apply(&block(1, 0), &[guilty(Conduct::Withheld)], 0, &policy);
    let before = reputation.clone();
    let change = reputation.apply(&block(2, DAY), &[guilty(Conduct::NotOnChain)], DAY, &policy);
    assert_eq!(change.map(|change| change.ruling), Some(Ruling::Guilty));
    assert_eq!(reputation.level(DAY, &policy), 2);
    // The same again changes nothing.
    assert_eq!(reputation.apply(&block(2, DAY), &[guilty(Conduct::NotOnChain)], DAY + 5, &policy), None);
    assert_eq!(reputation.level(DAY, &policy), 2);
    let change = reputation.apply(&block(2, DAY), &[], DAY + HOUR, &policy);
    assert_eq!(change.map(|change| change.ruling), Some(Ruling::TakenBack));
    assert_eq!((&reputation.quarantine, &reputation.accusations), (&before.quarantine, &before.accusations));
    let score = |reputation: &Reputation| reputation.trust.score(2 * DAY, policy.half_life_ms);
    assert!((score(&reputation) - score(&before)).abs() < 1e-9);
    // The first of two is taken back: the second is the first.
    reputation.apply(&block(3, DAY), &[guilty(Conduct::PaidLess)], DAY, &policy);
    reputation.apply(&block(1, 0), &[], 2 * DAY, &policy);
    assert_eq!(reputation.quarantine.as_ref().map(|q| (q.level, q.until)), Some((1, DAY + 6 * HOUR)));
}

#[test]
fn a_suspicion_rests_and_counts_for_nothing() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    let weak = verdict(Conduct::Withheld, Stage::Provisional, Confidence::Low);
    let change = reputation.apply(&block(1, 0), std::slice::from_ref(&weak), 0, &policy);
    assert_eq!(change.map(|change| change.ruling), Some(Ruling::Suspected));
    assert_eq!((reputation.level(0, &policy), &reputation.quarantine), (0, &None));
    assert!((reputation.trust.score(0, policy.half_life_ms) - Trust::default().score(0, 1)).abs() < 1e-9);
    assert!(reputation.suspicion(super::super::SUSPICION_MS - 1).is_some());
    assert!(reputation.suspicion(super::super::SUSPICION_MS).is_none());
    // Proven later, it counts from then on; uncertain for good, it is over.
    let mut proven = reputation.clone();
    let change = proven.apply(&block(1, 0), &[guilty(Conduct::Withheld)], HOUR, &policy);
    assert_eq!(change.map(|change| change.ruling), Some(Ruling::Guilty));
    assert_eq!(proven.quarantine.as_ref().map(|q| (q.level, q.since)), Some((1, HOUR)));
    let for_good = verdict(Conduct::Withheld, Stage::Final, Confidence::Low);
    let change = reputation.apply(&block(1, 0), &[for_good], 5, &policy);
    assert_eq!(change.map(|change| change.ruling), Some(Ruling::TakenBack));
    assert!(reputation.suspicion(6).is_none());
}

#[test]
fn credit_is_given_once() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    let revealed = verdict(Conduct::Revealed, Stage::Final, Confidence::High);
    let mut score = || {
        reputation.apply(&block(1, 0), std::slice::from_ref(&revealed), 0, &policy);
        reputation.trust.score(0, policy.half_life_ms)
    };
    let (first, second) = (score(), score());
    assert!(first > Trust::default().score(0, 1));
    assert!((first - second).abs() < 1e-12);
}

#[test]
fn no_answer_in_an_auction_quarantines() {
    let policy = TrustPolicy::default();
    for outcome in BidOutcome::all() {
        let mut reputation = Reputation::default();
        let observation = Observation {
            outcome,
            http_status: None,
            message: format!("did {outcome}"),
            is_corroborated: false,
            at: 1,
        };
        reputation.step(&observation, &policy);
        assert_eq!((reputation.quarantine, reputation.accusations.len()), (None, 0), "{outcome}");
    }
}

#[test]
fn it_survives_the_ledger() {
    let policy = TrustPolicy::default();
    let mut reputation = Reputation::default();
    reputation.record.raced(true, true, Some(12_345));
    reputation.apply(&block(4, 77), &[guilty(Conduct::Mismatched)], 77, &policy);
    reputation.operator_setting = Some(OperatorSetting::Pinned);
    let json = serde_json::to_string(&reputation).unwrap();
    let restored = serde_json::from_str::<Reputation>(&json).unwrap().restored();
    assert_eq!(restored, reputation);
    // What was open can be taken back after a restart.
    let mut restored = restored;
    restored.apply(&block(4, 77), &[], 80, &policy);
    assert_eq!(restored.quarantine, None);
    // A later version may know more, an earlier one less.
    assert_eq!(serde_json::from_str::<Reputation>("{\"new\": 1}").unwrap(), Reputation::default());
}

/// As version 0.1.0 saved it.
#[test]
fn what_an_earlier_version_saved_still_counts() {
    let policy = TrustPolicy::default();
    let json = "{\"quarantine\":{\"level\":1,\"until\":21600000,\"since\":0,\"why\":\"slot 1\"},\"record\":{\"races\":3.0,\"tops\":1.0,\"latencies_us\":[5]}}";
    let mut reputation = serde_json::from_str::<Reputation>(json).unwrap().restored();
    assert_eq!(reputation.level(5, &policy), 1);
    reputation.apply(&block(9, 10), &[guilty(Conduct::Withheld)], 10, &policy);
    assert_eq!(reputation.level(11, &policy), 2);
    reputation.apply(&block(9, 10), &[], 12, &policy);
    assert_eq!(reputation.quarantine.as_ref().map(|q| (q.level, q.until)), Some((1, 6 * HOUR)));
}

#[test]
fn quick_relays_that_win_rank_first() {
    let policy = TrustPolicy::default();
    let with = |tops: usize, latency_us: u64| {
        let mut reputation = Reputation::default();
        for n in 0..20 {
            reputation.record.raced(true, n < tops, Some(latency_us));
        }
        reputation.rank(0, &policy)
    };
    assert!(with(10, 50_000) > with(2, 50_000));
    assert!(with(10, 50_000) > with(10, 400_000));
    assert!(with(5, 50_000) > Reputation::default().rank(0, &policy));
}
