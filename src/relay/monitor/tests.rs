//! The monitor as others see it: what goes in by the spine and by commands, what statuses come out.

use super::*;
use crate::{
    consensus::PresetName,
    relay::{Relay, RelaySettings, TlsRoots, build_http_client, parse_relay_url},
};

/// Two relays, kept; nothing of the network is used.
fn kept() -> (Arc<SharedRelays>, Spine, HealthMonitorHandle, CancellationToken) {
    let key =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let relay = |name: &str| {
        let (url, pubkey) = parse_relay_url(&format!("http://{key}@{name}.invalid")).unwrap();
        let settings = RelaySettings::new(RelayId::parse(name).unwrap(), url, pubkey);
        Arc::new(Relay::new(settings, PresetName::Mainnet, http.clone()))
    };
    let relays = Arc::new(SharedRelays::new(vec![relay("a"), relay("b")]));
    let (spine, stop) = (Spine::new(), CancellationToken::new());
    let (monitor, handle) =
        HealthMonitor::new(Arc::clone(&relays), HealthMonitorSettings::default(), spine.clone(), Vec::new());
    tokio::spawn(monitor.run(stop.clone()));
    (relays, spine, handle, stop)
}

async fn until_place(relays: &SharedRelays, relay: &RelayId, place: RelayMode) -> RelayStatus {
    for _ in 0..2000 {
        if let Some(status) = relays.status(relay).filter(|status| status.place == place) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{relay} never was {place:?}: {:?}", relays.status(relay));
}

/// What the watchers of the chain find out later counts as what a relay does in a race.
#[tokio::test]
async fn what_the_chain_says_later_counts() {
    for (outcome, said) in
        [(Outcome::PaidLess, "promised 0.05 ETH, paid 0.01 ETH"), (Outcome::NotOnChain, "it is not on chain")]
    {
        let (relays, spine, _keeper, stop) = kept();
        let a = RelayId::parse("a").unwrap();
        let settlement = Settlement {
            slot: Slot::new(7),
            block_hash: B256::repeat_byte(1),
            relay: a.clone(),
            outcome,
            promised: Wei::parse_eth("0.05").unwrap(),
            paid: Wei::parse_eth("0.01").unwrap(),
            at: WallClock.now(),
        };
        spine.publish(Event::Settlement(settlement.clone()));
        let status = until_place(&relays, &a, RelayMode::Quarantined).await;
        assert!(status.why.contains(said), "{}", status.why);
        assert_eq!(relays.active().len(), 1);
        // And an honest payment is to its credit.
        let b = RelayId::parse("b").unwrap();
        let before = relays.status(&b).unwrap().score;
        spine.publish(Event::Settlement(Settlement {
            relay: b.clone(),
            outcome: Outcome::PaidAsPromised,
            ..settlement
        }));
        for _ in 0..2000 {
            if relays.status(&b).unwrap().score > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(relays.status(&b).unwrap().score > before);
        stop.cancel();
    }
}

/// A race in which nobody could be reached, or nobody could have answered, is held against nobody.
#[tokio::test]
async fn our_own_line_is_held_against_nobody() {
    let (relays, spine, monitor, stop) = kept();
    let ids = [RelayId::parse("a").unwrap(), RelayId::parse("b").unwrap()];
    let race = |budget_ms: u64, outcomes: [Outcome; 2]| {
        let offer = |(relay, outcome): (&RelayId, Outcome)| crate::events::RelayAnswer {
            relay: relay.clone(),
            outcome,
            detail: outcome.to_string(),
            http_status: None,
            latency_us: 1,
            value: None,
            block_hash: None,
            verified: false,
            score: None,
            polls: Vec::new(),
        };
        Event::Auction(AuctionRecord {
            slot: Slot::new(1),
            parent_hash: B256::ZERO,
            proposer: Default::default(),
            fork: "fulu",
            requested_at: WallClock.now(),
            ms_into_slot: 0,
            budget_ms,
            answered_in_us: 1,
            user_agent: String::new(),
            policy: None,
            fee_recipient: None,
            winner: None,
            why_no_bid: String::new(),
            offers: ids.iter().zip(outcomes).map(offer).collect(),
        })
    };
    for _ in 0..5 {
        spine.publish(race(950, [Outcome::Connect, Outcome::TimedOut]));
        spine.publish(race(40, [Outcome::TimedOut, Outcome::NoBid]));
    }
    // A fault that is one: three in a row of the second relay's alone.
    for _ in 0..3 {
        spine.publish(race(950, [Outcome::NoBid, Outcome::TimedOut]));
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
    assert_eq!((worse.place, better.place), (RelayMode::Active, RelayMode::Active));
    stop.cancel();
}
