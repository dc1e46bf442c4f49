//! A bid with other randomness than everybody else's: the consensus client would refuse its block.

use relaymux::sim::HeaderFault;

use crate::stage::{honest, milli, stage};

/// [H18]
#[tokio::test(flavor = "multi_thread")]
async fn a_lone_randomness_is_not_returned_against_two_that_agree() {
    let wrong = || honest().value(milli(90)).builder(1).header(HeaderFault::WrongPrevRandao);
    let stage = stage()
        .relay(wrong())
        .relay(honest().value(milli(60)).builder(2))
        .relay(honest().value(milli(50)).builder(3))
        .start()
        .await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    assert_eq!(stage.relay_of(&bid), 1, "the best of those that agree");
    assert_eq!(stage.outcomes(slot).await, ["wrong_prev_randao", "bid", "bid"]);
    let auction = stage.auction(slot).await;
    assert!(auction.to_string().contains("2 other relays agree"), "{auction}");
}

/// One against one proves nothing, and so do two that agree with nobody else in their way.
#[tokio::test(flavor = "multi_thread")]
async fn one_relay_contradicts_nobody() {
    let wrong = || honest().value(milli(90)).builder(1).header(HeaderFault::WrongPrevRandao);
    let stage = stage().relay(wrong()).relay(honest().value(milli(60)).builder(2)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    assert_eq!(stage.relay_of(&bid), 0);
    assert_eq!(stage.outcomes(slot).await, ["bid", "bid"]);
}

/// Forged bids are no evidence: two relays that sign nothing do not keep an honest bid out.
#[tokio::test(flavor = "multi_thread")]
async fn what_forgers_agree_on_does_not_count() {
    let forged = || honest().value(milli(90)).builder(1).header(HeaderFault::WrongSignature);
    let stage = stage()
        .relay(honest().value(milli(60)).builder(2).header(HeaderFault::WrongPrevRandao))
        .relay(forged())
        .relay(forged())
        .start()
        .await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    assert_eq!(stage.relay_of(&bid), 0);
    assert_eq!(stage.outcomes(slot).await, ["bid", "wrong_signature", "wrong_signature"]);
}
