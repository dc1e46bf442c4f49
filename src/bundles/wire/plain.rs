//! `eth_sendBundle`: transactions in their order, and the way to take them back.

use alloy_primitives::{Address, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::bundle::{Bundle, MAX_TRANSACTIONS, Refund},
    command::BundleCommand,
    fields::{Hashes, Name, Names, Number, names, number, parse, transaction},
};
use crate::{
    jsonrpc::{BoundedList, RpcError},
    ledger::BundleKind,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SendBundle<'a> {
    pub(super) txs: BoundedList<Bytes, MAX_TRANSACTIONS>,
    pub(super) block_number: Option<Number>,
    pub(super) max_block_number: Option<Number>,
    pub(super) min_timestamp: Option<Number>,
    pub(super) max_timestamp: Option<Number>,
    pub(super) reverting_tx_hashes: Hashes,
    pub(super) dropping_tx_hashes: Hashes,
    pub(super) replacement_uuid: Option<Name>,
    pub(super) uuid: Option<Name>,
    pub(super) refund_percent: Option<u8>,
    pub(super) refund_recipient: Option<Address>,
    pub(super) refund_tx_hashes: Hashes,
    pub(super) builders: Names,
    // eth_callBundle's.
    #[serde(borrow)]
    pub(super) state_block_number: Option<&'a RawValue>,
    pub(super) timestamp: Option<Number>,
    pub(super) base_fee: Option<Number>,
    pub(super) coinbase: Option<Address>,
    pub(super) gas_limit: Option<Number>,
}

/// `eth_sendBundle`. As BuilderNet, beaverbuild and Titan have it, an empty bundle takes the one of its UUID back.
pub(super) fn send(raw: &str, next: u64) -> Result<BundleCommand, RpcError> {
    let asked: SendBundle<'_> = parse(raw)?;
    let uuid = asked.replacement_uuid.clone().or(asked.uuid.clone());
    match (asked.txs.is_empty(), uuid) {
        (true, Some(Name(uuid))) => Ok(BundleCommand::Cancel(uuid)),
        _ => Ok(BundleCommand::Send(Box::new(bundle(asked, next)?))),
    }
}

/// `eth_cancelBundle`.
pub(super) fn cancel(raw: &str) -> Result<BundleCommand, RpcError> {
    let asked: SendBundle<'_> = parse(raw)?;
    let uuid = asked.replacement_uuid.or(asked.uuid);
    uuid.map(|Name(uuid)| BundleCommand::Cancel(uuid))
        .ok_or_else(|| RpcError::params("replacementUuid is missing"))
}

pub(super) fn bundle(asked: SendBundle<'_>, next: u64) -> Result<Bundle, RpcError> {
    let transactions = asked.txs.iter().enumerate().map(|(index, raw)| transaction(index, raw));
    let transactions: Vec<_> = transactions.collect::<Result<_, _>>()?;
    let first = number(asked.block_number).filter(|block| *block != 0).unwrap_or(next);
    let last = number(asked.max_block_number).unwrap_or(first);
    let refund = match asked.refund_percent.filter(|percent| *percent > 0) {
        None => None,
        Some(percent) if percent > 100 => {
            return Err(RpcError::params(format!("refundPercent {percent} is above 100")));
        }
        Some(percent) => {
            let sender = transactions.first().map(|tx| tx.sender);
            let recipient = asked.refund_recipient.or(sender).unwrap_or_default();
            Some(Refund { percent, recipient, transactions: asked.refund_tx_hashes.into_vec() })
        }
    };
    Ok(Bundle {
        kind: BundleKind::Bundle,
        transactions,
        blocks: Some((first, last)),
        min_timestamp: number(asked.min_timestamp).filter(|t| *t != 0),
        max_timestamp: number(asked.max_timestamp).filter(|t| *t != 0),
        reverting: asked.reverting_tx_hashes.into_vec(),
        dropping: asked.dropping_tx_hashes.into_vec(),
        uuid: asked.replacement_uuid.or(asked.uuid).map(|Name(uuid)| uuid),
        refund,
        builders: names(&asked.builders),
        mev_share: None,
        elements: Vec::new(),
    })
}
