//! The monitor as others see it: what goes in by the spine and by commands, what statuses come out.

use alloy_primitives::B256;

use super::*;
use crate::{
    consensus::PresetName,
    events::{
        AuctionRecord, BlockReceived, BlockSignature, BlockSignatureChecked, Confidence, Evidence, Method,
        PaymentOutcome, RelayAnswer, RevealOutcome, Ruling, SlotOutcome, SlotSettled, SlotStatus, Winner,
    },
    relay::{Relay, RelayClients, RelaySettings, RelayStatus, TlsRoots, parse_relay_url},
    types::{Fork, Slot, Wei},
};

type Kept = (Arc<SharedRelays>, Spine, HealthMonitorHandle, CancellationToken);

/// When everything happens.
const NOW: UnixMillis = 1_700_000_000_000;

/// Two relays, kept; nothing of the network is used.
fn kept() -> Kept {
    kept_with(SavedHealth::default(), true)
}

fn kept_with(saved: SavedHealth, watches_chain: bool) -> Kept {
    let key =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
    let clients = RelayClients::build(&TlsRoots::Bundled, None).unwrap();
    let clock = WallClock::manual(NOW).0;
    let relay = |name: &str| {
        let (url, pubkey) = parse_relay_url(&format!("http://{key}@{name}.invalid")).unwrap();
        let settings = RelaySettings::new(RelayId::parse(name).unwrap(), url, pubkey);
        Arc::new(Relay::new(settings, PresetName::Mainnet, clients.clone(), clock.clone()))
    };
    let relays = Arc::new(SharedRelays::new(vec![relay("a"), relay("b")]));
    let (spine, stop) = (Spine::new(), CancellationToken::new());
    let settings = HealthMonitorSettings { watches_chain, ..HealthMonitorSettings::default() };
    let (monitor, handle) = HealthMonitor::new(Arc::clone(&relays), settings, spine.clone(), saved, clock);
    tokio::spawn(monitor.run(stop.clone()));
    (relays, spine, handle, stop)
}

const HASH: B256 = B256::repeat_byte(1);

/// What two relays did in an auction; `a` is `outcomes[0]`, and wins where it bid.
fn auction(budget_ms: u64, outcomes: [BidOutcome; 2]) -> Event {
    let value = Wei::parse_eth("0.05").unwrap();
    let names = ["a", "b"].map(|name| RelayId::parse(name).unwrap());
    let wins = outcomes[0] == BidOutcome::Bid;
    let answer = |(relay, outcome): (&RelayId, BidOutcome)| RelayAnswer {
        relay: relay.clone(),
        outcome,
        message: outcome.to_string(),
        http_status: None,
        latency_us: 1,
        value: (outcome == BidOutcome::Bid).then_some(value),
        block_hash: (outcome == BidOutcome::Bid && relay.as_str() == "a").then_some(HASH),
        verified: outcome == BidOutcome::Bid,
        is_corroborated: false,
        score: None,
        polls: Vec::new(),
    };
    Event::Auction(AuctionRecord {
        slot: Slot::new(7),
        parent_hash: B256::ZERO,
        proposer: Default::default(),
        fork: Fork::Fulu,
        requested_at: NOW,
        ms_into_slot: 0,
        budget_ms,
        answered_in_us: 1,
        user_agent: String::new(),
        policy: None,
        fee_recipient: None,
        winner: wins.then(|| {
            Box::new(Winner {
                block_hash: HASH,
                value,
                relays: vec![names[0].clone()],
                builder: String::new(),
                signed_bid: Default::default(),
            })
        }),
        race: crate::events::RaceShare::Own,
        no_bid_reason: String::new(),
        answers: names.iter().zip(outcomes).map(answer).collect(),
    })
}

/// The block of `a` is signed, and this is what the two answer to it.
fn handed_in(spine: &Spine, signature: BlockSignature, outcomes: [(RevealOutcome, Option<u16>); 2]) {
    let (slot, at) = (Slot::new(7), NOW);
    spine.publish(auction(950, [BidOutcome::Bid, BidOutcome::Bid]));
    spine.publish(Event::BlockReceived(BlockReceived {
        slot,
        block_hash: HASH,
        parent_hash: B256::ZERO,
        proposer_index: 0,
        fork: Fork::Fulu,
        version: 2,
        at,
        ms_into_slot: 400,
        offered_by: vec![RelayId::parse("a").unwrap()],
        undecoded: None,
    }));
    for (name, (outcome, http_status)) in ["a", "b"].into_iter().zip(outcomes) {
        spine.publish(Event::SubmissionAnswer(SubmissionAnswer {
            slot,
            block_hash: HASH,
            relay: RelayId::parse(name).unwrap(),
            outcome,
            message: outcome.to_string(),
            http_status,
            latency_us: 4_000_000,
            attempts: 1,
            at: at + 4000,
        }));
    }
    spine.publish(Event::BlockSignatureChecked(BlockSignatureChecked {
        slot,
        block_hash: HASH,
        signature,
        at,
    }));
}

fn settled(
    outcome: SlotOutcome,
    status: SlotStatus,
    received: Option<&str>,
    confidence: Confidence,
) -> Event {
    Event::SlotSettled(SlotSettled {
        slot: Slot::new(7),
        status,
        outcome,
        payment: None,
        promised: None,
        received: received.map(|eth| Wei::parse_eth(eth).unwrap()),
        evidence: Evidence { method: Method::Trace, confidence },
        block_hash: Some(HASH),
        has_other_block: false,
        at: NOW,
    })
}

async fn until(
    relays: &SharedRelays,
    relay: &str,
    what: &str,
    holds: impl Fn(&RelayStatus) -> bool,
) -> RelayStatus {
    let relay = RelayId::parse(relay).unwrap();
    for _ in 0..2000 {
        if let Some(status) = relays.status(&relay).filter(|status| holds(status)) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{relay} never was {what}: {:?}", relays.status(&relay));
}

const TOOK_IT: (RevealOutcome, Option<u16>) = (RevealOutcome::Accepted, Some(202));
const REFUSED: (RevealOutcome, Option<u16>) = (RevealOutcome::Failed(CallFault::HttpStatus), Some(400));
const SILENT: (RevealOutcome, Option<u16>) = (RevealOutcome::Failed(CallFault::TimedOut), None);

/// What the watchers of the chain find out later counts as what a relay answers.
#[tokio::test]
async fn what_the_chain_says_later_counts() {
    for (outcome, received, said) in [
        (SlotOutcome::Ours, Some("0.01"), "promised 0.05 ETH, paid 0.01 ETH"),
        (SlotOutcome::NotDelivered, None, "it is not on chain"),
    ] {
        let (relays, spine, _monitor, stop) = kept();
        let mut events = spine.subscribe();
        handed_in(&spine, BlockSignature::Valid, [TOOK_IT, REFUSED]);
        spine.publish(settled(outcome, SlotStatus::Final, received, Confidence::High));
        let status = until(&relays, "a", "guilty", |status| status.offences == 1).await;
        assert_eq!((status.mode, status.reason), (RelayMode::Quarantined, ModeReason::Dishonest));
        assert!(status.message.contains(said), "{}", status.message);
        assert_eq!(relays.active().len(), 1);
        // Told to whoever watches, as a verdict and as what the chain said.
        let (mut judged, mut told) = (None, None);
        while judged.is_none() || told.is_none() {
            match &*events.next().await.unwrap() {
                Event::RelayJudged(verdict) if verdict.ruling == Ruling::Guilty => {
                    judged = Some(verdict.clone())
                }
                Event::Settlement(settlement) => told = Some(settlement.outcome),
                _ => {}
            }
        }
        assert_eq!(judged.map(|judged| judged.conduct.label()), told.map(PaymentOutcome::label));
        stop.cancel();
    }
}

#[tokio::test]
async fn an_honest_payment_is_to_its_relays_credit_once() {
    let (relays, spine, monitor, stop) = kept();
    let before = until(&relays, "a", "known", |_| true).await.score;
    handed_in(&spine, BlockSignature::Valid, [TOOK_IT, REFUSED]);
    for _ in 0..3 {
        spine.publish(settled(SlotOutcome::Ours, SlotStatus::Final, Some("0.05"), Confidence::High));
    }
    let status = until(&relays, "a", "trusted more", |status| status.score > before).await;
    spine.publish(settled(SlotOutcome::Ours, SlotStatus::Final, Some("0.05"), Confidence::High));
    monitor.operator_command(RelayId::parse("a").unwrap(), OperatorCommand::Release).await.unwrap();
    let again = relays.status(&RelayId::parse("a").unwrap()).unwrap();
    assert!((again.score - status.score).abs() < 1e-6, "{} {}", again.score, status.score);
    stop.cancel();
}

/// Its word alone is none while somebody watches the chain: it may keep the block.
#[tokio::test]
async fn credit_waits_for_the_chain_where_somebody_watches_it() {
    for watches_chain in [true, false] {
        let (relays, spine, monitor, stop) = kept_with(SavedHealth::default(), watches_chain);
        let before = until(&relays, "a", "known", |_| true).await.trust;
        handed_in(&spine, BlockSignature::Valid, [TOOK_IT, REFUSED]);
        let status = until(&relays, "a", "judged", |status| status.record.bids_lately()).await;
        let a = RelayId::parse("a").unwrap();
        monitor.operator_command(a.clone(), OperatorCommand::Release).await.unwrap();
        let status = relays.status(&a).unwrap_or(status);
        let reveals = |trust: &crate::relay::health::Trust| {
            trust.mean(crate::relay::health::FaultClass::Reveals, NOW, i64::MAX)
        };
        assert_eq!(reveals(&status.trust) > reveals(&before) + 1e-9, !watches_chain);
        stop.cancel();
    }
}

/// A lost answer, a refusal, an underpayment that was seen badly: taken back when the chain says otherwise, also after a restart.
#[tokio::test]
async fn what_the_chain_refutes_is_taken_back() {
    for (answer, reason) in [(REFUSED, ModeReason::Dishonest), (SILENT, ModeReason::Suspected)] {
        for restarts in [false, true] {
            let (mut relays, mut spine, _monitor, mut stop) = kept();
            let mut events = spine.subscribe();
            let reveals = |status: &RelayStatus| {
                status.trust.mean(crate::relay::health::FaultClass::Reveals, NOW, i64::MAX)
            };
            let before = reveals(&until(&relays, "a", "known", |_| true).await);
            handed_in(&spine, BlockSignature::Valid, [answer, REFUSED]);
            let status = until(&relays, "a", "out", |status| status.reason == reason).await;
            assert_eq!(status.offences, u32::from(reason == ModeReason::Dishonest));
            let mut saved = SavedHealth::default();
            if restarts {
                stop.cancel();
                // What the ledger would have: the last of each.
                while saved.reputations.is_empty() || saved.blocks.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    while let Some(event) = events.try_next() {
                        match &*event {
                            Event::ReputationSaved(one) if one.relay.as_str() == "a" => {
                                saved.reputations = vec![("a".to_owned(), one.reputation.clone())];
                            }
                            Event::BlockRecordSaved(one) => saved.blocks = vec![one.record.clone()],
                            _ => {}
                        }
                    }
                }
                (relays, spine, _, stop) = kept_with(saved, true);
                until(&relays, "a", "still out", |status| status.reason == reason).await;
            }
            spine.publish(settled(
                SlotOutcome::Ours,
                SlotStatus::Provisional,
                Some("0.05"),
                Confidence::High,
            ));
            let status = until(&relays, "a", "back", |status| status.reason == ModeReason::Fit).await;
            assert_eq!((status.offences, status.accusations.len()), (0, 0));
            // Who lost its answer alone has revealed the block; who refused has not, and is as it was.
            let gained = reveals(&status) - before;
            assert!(if answer == SILENT { gained > 1e-6 } else { gained.abs() < 1e-6 }, "{gained}");
            stop.cancel();
        }
    }
}

/// A block that its proposer did not sign; a payment that was not seen well.
#[tokio::test]
async fn what_proves_nothing_convicts_nobody() {
    let (relays, spine, _monitor, stop) = kept();
    handed_in(&spine, BlockSignature::Invalid, [REFUSED, REFUSED]);
    spine.publish(settled(SlotOutcome::NotDelivered, SlotStatus::Final, None, Confidence::None));
    spine.publish(settled(SlotOutcome::Ours, SlotStatus::Final, Some("0.01"), Confidence::Low));
    // And a better sight corrects.
    let status = until(&relays, "a", "judged", |status| status.record.bids_lately()).await;
    assert_eq!((status.offences, status.reason), (0, ModeReason::Fit));
    spine.publish(settled(SlotOutcome::Ours, SlotStatus::Final, Some("0.01"), Confidence::High));
    until(&relays, "a", "guilty", |status| status.offences == 1).await;
    spine.publish(settled(SlotOutcome::Ours, SlotStatus::Final, Some("0.05"), Confidence::High));
    until(&relays, "a", "cleared", |status| status.offences == 0).await;
    stop.cancel();
}

/// A race in which nobody could be reached, or nobody could have answered, is held against nobody.
#[tokio::test]
async fn our_own_line_is_held_against_nobody() {
    let (relays, spine, monitor, stop) = kept();
    let ids = [RelayId::parse("a").unwrap(), RelayId::parse("b").unwrap()];
    let race = auction;
    for _ in 0..5 {
        spine.publish(race(
            950,
            [BidOutcome::Failed(CallFault::Connect), BidOutcome::Failed(CallFault::TimedOut)],
        ));
        spine.publish(race(40, [BidOutcome::Failed(CallFault::TimedOut), BidOutcome::NoBid]));
    }
    // A fault that is one: three in a row of the second relay's alone.
    for _ in 0..3 {
        spine.publish(race(950, [BidOutcome::NoBid, BidOutcome::Failed(CallFault::TimedOut)]));
    }
    for _ in 0..2000 {
        if !relays.status(&ids[1]).unwrap().breaker.is_closed() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    monitor.operator_command(ids[0].clone(), OperatorCommand::Release).await.unwrap();
    assert!(relays.status(&ids[0]).unwrap().breaker.is_closed());
    assert!(!relays.status(&ids[1]).unwrap().breaker.is_closed());
    stop.cancel();
}

/// A public record moves the score, quarantines nobody, and counts once.
#[tokio::test]
async fn a_public_record_seeds_once() {
    let (relays, _spine, monitor, stop) = kept();
    let (a, b) = (RelayId::parse("a").unwrap(), RelayId::parse("b").unwrap());
    monitor.seed(a.clone(), 60, 40).await;
    monitor.seed(b.clone(), 100, 0).await;
    monitor.seed(b.clone(), 0, 100).await;
    // Wishes are fulfilled in order: an answered one means that those before are done.
    monitor.operator_command(a.clone(), OperatorCommand::Release).await.unwrap();
    let (worse, better) = (relays.status(&a).unwrap(), relays.status(&b).unwrap());
    assert!(worse.score < 0.75 && better.score > 0.93, "{} {}", worse.score, better.score);
    assert_eq!((worse.mode, better.mode), (RelayMode::Active, RelayMode::Active));
    stop.cancel();
}

/// A relay that was disabled while it answered would be up for ever, and hide that no other answers.
#[tokio::test]
async fn a_relay_that_is_disabled_is_neither_up_nor_down_until_it_is_asked_again() {
    use crate::{events::ProbeResult, relay::OperatorCommand};
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (relays, _spine, monitor, stop) = kept();
    let ids = ["a", "b"].map(|name| RelayId::parse(name).unwrap());
    let probed = |relay: &RelayId, usable| {
        relays.note_condition(ProbeResult { relay: relay.clone(), usable, message: String::new(), at: NOW })
    };
    let shown = |relay: &str| {
        let text = recorder.handle().render();
        let line = format!("relaymux_relay_up{{relay=\"{relay}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)).unwrap().to_owned()
    };
    assert!(probed(&ids[0], true) && probed(&ids[1], false));
    assert!(!probed(&ids[0], true), "no news");
    monitor.operator_command(ids[0].clone(), OperatorCommand::Disable).await;
    until(&relays, "a", "disabled", |status| status.mode == RelayMode::Disabled).await;
    assert_eq!([shown("a"), shown("b")], ["NaN", "0"]);
    assert_eq!(relays.condition(&ids[0]), None);
    // One that was under way.
    assert!(!probed(&ids[0], true));
    assert_eq!(shown("a"), "NaN");
    monitor.operator_command(ids[0].clone(), OperatorCommand::Release).await;
    until(&relays, "a", "released", |status| status.mode == RelayMode::Active).await;
    assert!(probed(&ids[0], true));
    assert_eq!(shown("a"), "1");
    stop.cancel();
}

/// Its places are told no more, so nobody else would say that it is over.
#[tokio::test]
async fn what_is_said_of_a_relay_ends_with_it() {
    let (relays, spine, monitor, stop) = kept();
    let mut events = spine.subscribe();
    let b = RelayId::parse("b").unwrap();
    until(&relays, "b", "placed", |_| true).await;
    let all = relays.all();
    relays.replace(all.iter().filter(|relay| *relay.id() != b).cloned().collect());
    monitor.configure(HealthMonitorSettings::default()).await;
    let mut over = Vec::new();
    while over.len() < 2 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
        if let Event::AlertSignal(signal) = &*event.unwrap()
            && signal.resolved
            && signal.message.starts_with("Nobody watches this any more")
        {
            over.push((signal.rule.name.to_string(), signal.subject.clone()));
        }
    }
    let named = |rule: &str| (rule.to_owned(), "b".to_owned());
    assert_eq!(over, [named("relay_quarantined"), named("relay_unreachable")]);
    stop.cancel();
}
