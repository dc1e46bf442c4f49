//! Evidence of a slot: what a relay signed, what came of it, and how anybody can check both without this program. It judges nobody.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    consensus::{ChainSpec, Encoding, SignedBuilderBid, bls::ValidatedKey, signing_root},
    events::{PaymentVerdict, SlotOutcome},
    ledger::{Journal, Ledger, LedgerError, Settled, SlotView},
    types::{Fork, Slot},
};

/// What an operator can send to a relay.
#[derive(Clone, Debug, Serialize)]
pub struct SlotEvidence {
    /// One sentence.
    pub claim: String,
    /// The chain it happened on.
    pub network: String,
    /// The slot's start, Unix milliseconds.
    pub slot_start_ms: i64,
    /// The bid as the relay signed it; none where this ledger has not kept it.
    pub signed_bid: Option<Value>,
    /// The signed blinded block that was handed in; none where there was none, or the journal has forgotten it (30 days).
    pub signed_block: Option<Value>,
    /// What is on chain in the slot, and what it paid.
    pub settlement: Settled,
    /// Request, each relay's answer, each answer to the submission, with their times.
    pub timings: SlotView,
    /// How to verify it independently.
    pub how_to_verify: Vec<String>,
}

/// Collects what the ledger has of a slot; `None` if nothing happened in it.
///
/// # Errors
/// When the ledger does not answer.
pub async fn evidence(
    ledger: &Ledger,
    journal: &Journal,
    spec: &ChainSpec,
    slot: Slot,
) -> Result<Option<SlotEvidence>, LedgerError> {
    let Some(timings) = ledger.slot(slot).await? else { return Ok(None) };
    let settlement = ledger.settlement(slot).await?.unwrap_or_default();
    let block = settlement.promised_block.clone().unwrap_or_default();
    let bid = ledger.signed_bid(slot, &block).await?;
    let signed_bid = bid.and_then(|(fork, ssz)| bid_evidence(spec, &fork, &ssz));
    let signed_block = journal.signed_block(slot, &block).await?.map(|ssz| {
        json!({ "ssz": alloy_primitives::hex::encode_prefixed(&ssz), "type": "SignedBlindedBeaconBlock" })
    });
    let how_to_verify = steps(&settlement, signed_bid.is_some(), signed_block.is_some());
    Ok(Some(SlotEvidence {
        claim: claim(slot, &settlement),
        network: spec.name.clone(),
        slot_start_ms: spec.clock().start_of(slot),
        signed_bid,
        signed_block,
        settlement,
        timings,
        how_to_verify,
    }))
}

fn bid_evidence(spec: &ChainSpec, fork: &str, ssz: &[u8]) -> Option<Value> {
    let fork = Fork::ALL.into_iter().find(|known| known.name() == fork)?;
    let bid = SignedBuilderBid::decode(fork, Encoding::Ssz, ssz).ok()?;
    let facts = bid.facts();
    let domain = spec.builder_domain();
    let root = signing_root(bid.message_root(), domain);
    let holds = ValidatedKey::new(facts.pubkey).is_ok_and(|key| key.has_signed(root, bid.signature()));
    Some(json!({
        "fork": fork.name(),
        "ssz": alloy_primitives::hex::encode_prefixed(ssz),
        "json": serde_json::from_slice::<Value>(&bid.encode(Encoding::Json)).unwrap_or_default(),
        "relay_pubkey": facts.pubkey,
        "signature": bid.signature(),
        "message_root": bid.message_root(),
        "builder_domain": domain,
        "signing_root": root,
        "signature_holds": holds,
        "value_wei": facts.value,
        "block_hash": facts.block_hash,
    }))
}

fn claim(slot: Slot, row: &Settled) -> String {
    let relay = row.relay.as_deref().unwrap_or("an unknown relay");
    let promised = row.promised_wei.as_deref().unwrap_or("an unknown number of");
    let received = row.received_wei.as_deref().unwrap_or("an unknown number of");
    let Some(outcome) = &row.outcome else {
        return format!("slot {slot}: not settled yet; {relay} had bid {promised} wei");
    };
    match (outcome.known(), &row.payment) {
        (Some(SlotOutcome::Ours), Some(payment)) if payment.known().is_some_and(PaymentVerdict::is_short) => {
            format!(
                "slot {slot}: {relay} signed a bid of {promised} wei, and {received} wei reached the fee recipient"
            )
        }
        (Some(SlotOutcome::Ours), Some(payment)) => {
            format!("slot {slot}: {relay} signed a bid of {promised} wei, {received} wei arrived: {payment}")
        }
        (Some(SlotOutcome::NotDelivered), _) => {
            format!(
                "slot {slot}: {relay} signed a bid of {promised} wei, was handed the signed block, and it is not on chain"
            )
        }
        (
            Some(SlotOutcome::Ours | SlotOutcome::Local | SlotOutcome::Missed | SlotOutcome::Orphaned) | None,
            _,
        ) => {
            format!("slot {slot}: {outcome}; {relay} had bid {promised} wei")
        }
    }
}

fn steps(row: &Settled, has_bid: bool, has_block: bool) -> Vec<String> {
    let mut steps = Vec::new();
    if has_bid {
        steps.push(
            "The bid: decode signed_bid.ssz as the fork's SignedBuilderBid (builder-specs); hash_tree_root(message) is message_root; \
             hash_tree_root(SigningData(message_root, builder_domain)) is signing_root; verify signature with relay_pubkey over it \
             (BLS12-381, G2 signatures, proof-of-possession scheme). The domain is DOMAIN_APPLICATION_BUILDER with the genesis fork \
             version and a zero genesis_validators_root."
                .to_owned(),
        );
    }
    if has_block {
        steps.push(
            "The signed block: decode signed_block.ssz as the fork's SignedBlindedBeaconBlock; its execution_payload_header.block_hash is \
             the bid's. The times it was handed in and each relay's answer are in timings.submissions."
                .to_owned(),
        );
    }
    let hash = row.block_hash.as_deref().unwrap_or("-");
    match &row.outcome {
        Some(outcome) if *outcome == SlotOutcome::Ours => {
            steps.push(format!(
                "The chain: eth_getBlockByHash {hash} with full transactions; the block is canonical if eth_getBlockByNumber of its \
                 number has the same hash."
            ));
            steps.push(format!(
                "The payment: debug_traceBlockByHash {hash} with callTracer; add up the value of every call to {} that has no failed \
                 call above it, in the transactions {} ({}). Withdrawals of the block to that address ({} gwei) are not part of it.",
                row.fee_recipient.as_deref().unwrap_or("the fee recipient"),
                row.transactions.as_deref().filter(|list| !list.is_empty()).unwrap_or("(none pays)"),
                row.message,
                row.withdrawals_gwei.unwrap_or_default(),
            ));
        }
        Some(_) => steps.push(format!(
            "The chain: /eth/v1/beacon/headers/{} of any beacon node answers 404, or names a block whose execution payload is not {}.",
            row.slot,
            row.promised_block.as_deref().unwrap_or("the promised one"),
        )),
        None => steps.push("The chain: this slot is not settled yet.".to_owned()),
    }
    steps.push(format!(
        "The relay's own record: GET /relay/v1/data/bidtraces/proposer_payload_delivered?slot={} of its Data API.",
        row.slot
    ));
    steps
}
