//! A bundle: transactions that are to be in one block together, in order, and when. Read strictly: what a builder would drop silently is
//! refused here with a reason.

use std::collections::BTreeSet;

use alloy_consensus::{Transaction as _, TxEnvelope, crypto::SECP256K1N_HALF};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256};
use uuid::Uuid;

use super::hash::{UuidParts, bundle_hash, bundle_uuid, mev_bundle_hash};
use crate::ledger::BundleKind;

/// Most transactions of a bundle, and most bytes: Flashbots' and FlowProxy's.
pub(super) const MAX_TRANSACTIONS: usize = 100;
/// Bytes of all transactions together, blobs' sidecars not counted.
pub(super) const MAX_BYTES: usize = 300_000;
/// Most blocks that a bundle may wait for.
pub(super) const MAX_BLOCKS: u64 = 100;
/// Gas of one transaction from Osaka on (EIP-7825).
const MAX_GAS: u64 = 1 << 24;
/// Bytes of initialization code (EIP-3860).
const MAX_INITCODE: usize = 49_152;

/// A signed transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleTx {
    /// As it came, with blobs where there are any.
    pub raw: Bytes,
    /// Its hash: of the transaction alone, without the blobs.
    pub hash: B256,
    /// Address of whoever signed it.
    pub sender: Address,
    /// The sender's counter.
    pub nonce: u64,
    /// Gas limit.
    pub gas: u64,
    /// Most per gas, in wei.
    pub max_fee: u128,
    /// Chain, where it names one.
    pub chain: Option<u64>,
    /// The address that it calls or pays; none where it makes a contract.
    pub to: Option<Address>,
    /// Wei that it transfers.
    pub value: U256,
    /// Call data, or the code of the contract that it makes.
    pub input: Bytes,
    /// Most of it that goes to the block's builder, per gas.
    pub tip: u128,
    /// Whether it carries blobs.
    pub has_blobs: bool,
}

/// A share of what the bundle pays its builder, to be paid back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Percent.
    pub percent: u8,
    /// The address that gets it.
    pub recipient: Address,
    /// Of which transactions; the last, where none is named.
    pub transactions: Vec<B256>,
}

/// A `mev_sendBundle` as it came: its fields, each as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MevShareBody {
    /// Name and JSON of each field, in their order.
    pub fields: Vec<(String, Box<str>)>,
    /// Whether it asks for a refund of what it pays, in `validity.refund`.
    pub asks_refund: bool,
}

/// A bundle as a searcher sent it, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// The kind of method that brought it: a bundle, one of MEV-Share, or a private transaction.
    pub kind: BundleKind,
    /// Its transactions in order. Of a `mev_sendBundle`, those that are in it and no hashes.
    pub transactions: Vec<BundleTx>,
    /// The blocks it may be in: first and last; none for the next one.
    pub blocks: Option<(u64, u64)>,
    /// Earliest timestamp of a block, Unix seconds.
    pub min_timestamp: Option<u64>,
    /// Latest.
    pub max_timestamp: Option<u64>,
    /// Transactions that may revert and stay.
    pub reverting: Vec<B256>,
    /// Transactions that may be left out.
    pub dropping: Vec<B256>,
    /// The searcher's name for it, to replace or cancel it by.
    pub uuid: Option<String>,
    /// Refund.
    pub refund: Option<Refund>,
    /// Builders it may go to; all, where none is named.
    pub builders: BTreeSet<String>,
    /// A `mev_sendBundle` that only a matchmaker can keep: with hashes, nested bundles or refund shares. Passed on as it is.
    pub mev_share: Option<MevShareBody>,
    /// Hashes of its elements, where it is one.
    pub elements: Vec<B256>,
}

impl Bundle {
    /// Its hash.
    pub fn hash(&self) -> B256 {
        if self.kind == BundleKind::MevShare {
            return mev_bundle_hash(&self.elements);
        }
        let hashes: Vec<B256> = self.transactions.iter().map(|tx| tx.hash).collect();
        bundle_hash(&hashes)
    }

    /// The name that BuilderNet's builders give it, for its first block.
    pub fn canonical_uuid(&self) -> Uuid {
        let sender = self.transactions.first().map(|tx| tx.sender).unwrap_or_default();
        let last: Vec<B256> = self.transactions.last().map(|tx| tx.hash).into_iter().collect();
        let refund = self.refund.as_ref().map(|refund| {
            let of = if refund.transactions.is_empty() { last } else { refund.transactions.clone() };
            let recipient = if refund.recipient.is_zero() { sender } else { refund.recipient };
            (refund.percent, recipient, of)
        });
        bundle_uuid(&UuidParts {
            block: self.blocks.map_or(0, |(first, _)| first),
            min_timestamp: self.min_timestamp,
            max_timestamp: self.max_timestamp,
            bundle_hash: self.hash(),
            reverting: self.reverting.clone(),
            dropping: self.dropping.clone(),
            refund,
        })
    }

    /// Whether a share of what it pays is to be paid back.
    pub fn asks_refund(&self) -> bool {
        self.refund.is_some() || self.mev_share.as_ref().is_some_and(|body| body.asks_refund)
    }

    /// What it holds in memory, in bytes, about: every transaction is there as it came and as it was read.
    pub fn held_bytes(&self) -> usize {
        /// What a transaction costs beside its bytes: its fields here, and its places in the indices.
        const EACH: usize = 512;
        let transactions: usize =
            self.transactions.iter().map(|tx| tx.raw.len() + tx.input.len() + EACH).sum();
        let hashes = self.reverting.len() + self.dropping.len() + self.elements.len();
        let fields: usize =
            self.mev_share.iter().flat_map(|body| &body.fields).map(|(_, json)| json.len()).sum();
        transactions + hashes * size_of::<B256>() + fields + 2 * EACH
    }

    /// Whether a block's time is within the bundle's window.
    pub fn fits_time(&self, timestamp: u64) -> bool {
        self.min_timestamp.is_none_or(|min| timestamp >= min)
            && self.max_timestamp.is_none_or(|max| timestamp <= max)
    }
}

/// Reads a signed transaction in its network form: blob transactions with or without their blobs.
///
/// # Errors
/// In words, what is wrong with it.
pub fn read_transaction(raw: &[u8]) -> Result<BundleTx, String> {
    let mut rest = raw;
    let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|error| format!("no transaction: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("{} bytes behind the transaction", rest.len()));
    }
    let sender = sender(&envelope).ok_or_else(|| "nobody's signature".to_owned())?;
    Ok(BundleTx {
        raw: Bytes::copy_from_slice(raw),
        hash: *envelope.tx_hash(),
        sender,
        nonce: envelope.nonce(),
        gas: envelope.gas_limit(),
        max_fee: envelope.max_fee_per_gas(),
        chain: envelope.chain_id(),
        to: envelope.to(),
        value: envelope.value(),
        input: envelope.input().clone(),
        tip: envelope.max_priority_fee_per_gas().unwrap_or_else(|| envelope.max_fee_per_gas()),
        has_blobs: envelope.is_eip4844(),
    })
}

/// Who signed a transaction. Of the two signatures that a key has for it, the chain takes the one with the lower `s` (EIP-2).
fn sender(envelope: &TxEnvelope) -> Option<Address> {
    let signature = envelope.signature();
    if signature.s() > SECP256K1N_HALF {
        return None;
    }
    signature.recover_address_from_prehash(&envelope.signature_hash()).ok()
}

/// What builders would refuse silently, refused aloud.
///
/// # Errors
/// In words, what is wrong.
pub fn check(bundle: &Bundle, chain: u64) -> Result<(), String> {
    let transactions = &bundle.transactions;
    if transactions.is_empty() && bundle.mev_share.is_none() {
        return Err("a bundle without transactions".to_owned());
    }
    if transactions.len() > MAX_TRANSACTIONS {
        return Err(format!("{} transactions, at most {MAX_TRANSACTIONS}", transactions.len()));
    }
    // What blobs weigh is another limit, the node's.
    let bytes: usize = transactions.iter().filter(|tx| !tx.has_blobs).map(|tx| tx.raw.len()).sum();
    if bytes > MAX_BYTES {
        return Err(format!("{bytes} bytes, at most {MAX_BYTES}"));
    }
    for (index, tx) in transactions.iter().enumerate() {
        let wrong = |what: String| Err(format!("transaction {index} ({}): {what}", tx.hash));
        if let Some(other) = tx.chain.filter(|other| *other != chain) {
            return wrong(format!("is of chain {other}, this is {chain}"));
        }
        if tx.gas > MAX_GAS {
            return wrong(format!("gas limit {} is above {MAX_GAS} (EIP-7825)", tx.gas));
        }
        if tx.gas < 21_000 {
            return wrong(format!("gas limit {} is below 21000, what any transaction costs", tx.gas));
        }
        if tx.to.is_none() && tx.input.len() > MAX_INITCODE {
            return wrong(format!(
                "{} bytes of initialization code, at most {MAX_INITCODE} (EIP-3860)",
                tx.input.len()
            ));
        }
        if transactions.iter().take(index).any(|before| before.hash == tx.hash) {
            return wrong("is in the bundle twice".to_owned());
        }
        let before = transactions.iter().take(index).rfind(|before| before.sender == tx.sender);
        if let Some(before) = before.filter(|before| tx.nonce != before.nonce.saturating_add(1)) {
            return wrong(format!("nonce {} behind {} of the same sender", tx.nonce, before.nonce));
        }
    }
    for (name, hashes) in [("revertingTxHashes", &bundle.reverting), ("droppingTxHashes", &bundle.dropping)] {
        if let Some(unknown) = hashes.iter().find(|hash| !transactions.iter().any(|tx| tx.hash == **hash))
            && bundle.kind != BundleKind::MevShare
        {
            return Err(format!("{name}: {unknown} is not in the bundle"));
        }
    }
    if let Some((first, last)) = bundle.blocks {
        if last < first {
            return Err(format!("block {last} is before {first}"));
        }
        if last - first >= MAX_BLOCKS {
            return Err(format!("{} blocks, at most {MAX_BLOCKS}", last - first + 1));
        }
    }
    if let (Some(min), Some(max)) = (bundle.min_timestamp, bundle.max_timestamp)
        && max < min
    {
        return Err(format!("maxTimestamp {max} is before minTimestamp {min}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{Signature, hex};

    use super::*;

    /// The example of EIP-155, signed with the key of 32 bytes 0x46.
    const RAW: &str = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    const SENDER: &str = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f";

    #[test]
    fn of_two_signatures_for_a_transaction_the_chain_takes_one() {
        let raw = hex::decode(RAW).unwrap();
        assert_eq!(read_transaction(&raw).unwrap().sender, SENDER.parse::<Address>().unwrap());
        let TxEnvelope::Legacy(signed) = TxEnvelope::decode_2718(&mut &raw[..]).unwrap() else { panic!() };
        let (tx, signature): (TxLegacy, Signature) = (signed.tx().clone(), *signed.signature());
        let order = SECP256K1N_HALF * U256::from(2) + U256::from(1);
        let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
        // Both are this key's.
        assert_eq!(
            other.recover_address_from_prehash(&tx.signature_hash()).unwrap(),
            SENDER.parse::<Address>().unwrap()
        );
        let raw = TxEnvelope::from(tx.into_signed(other)).encoded_2718();
        assert_eq!(read_transaction(&raw).unwrap_err(), "nobody's signature");
    }
}
