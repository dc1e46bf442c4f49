//! Private transactions: one transaction for builders alone, for as many blocks as it takes.

use alloy_primitives::{B256, Bytes, hex};
use serde::Deserialize;

use super::{
    super::bundle::{Bundle, MAX_BLOCKS, MAX_TRANSACTIONS},
    command::BundleCommand,
    fields::{Number, Privacy, RefundConfig, names, number, parse, transaction},
};
use crate::{
    jsonrpc::{BoundedList, RpcError},
    ledger::BundleKind,
};

/// Blocks that a private transaction waits for when it does not say: Flashbots'.
const PRIVATE_BLOCKS: u64 = 25;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PrivateTransaction {
    tx: Option<Bytes>,
    max_block_number: Option<Number>,
    tx_hash: Option<B256>,
    preferences: Option<Preferences>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preferences {
    privacy: Privacy,
    validity: PrivateValidity,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrivateValidity {
    refund: BoundedList<RefundConfig, MAX_TRANSACTIONS>,
}

/// `eth_sendPrivateTransaction`.
pub(super) fn send(raw: &str, next: u64) -> Result<BundleCommand, RpcError> {
    let asked: PrivateTransaction = parse(raw)?;
    let raw = asked.tx.ok_or_else(|| RpcError::params("tx is missing"))?;
    private(&raw, number(asked.max_block_number), asked.preferences.unwrap_or_default(), next)
}

/// `eth_sendPrivateRawTransaction`.
pub(super) fn send_raw(raw: &str, preferences: &str, next: u64) -> Result<BundleCommand, RpcError> {
    let raw: Bytes = parse(raw)?;
    let preferences: Option<Preferences> = parse(preferences)?;
    private(&raw, None, preferences.unwrap_or_default(), next)
}

/// `eth_cancelPrivateTransaction`.
pub(super) fn cancel(raw: &str) -> Result<BundleCommand, RpcError> {
    let asked: PrivateTransaction = parse(raw)?;
    asked.tx_hash.map(BundleCommand::CancelPrivate).ok_or_else(|| RpcError::params("txHash is missing"))
}

fn private(
    raw: &[u8],
    last: Option<u64>,
    preferences: Preferences,
    next: u64,
) -> Result<BundleCommand, RpcError> {
    if preferences.validity.refund.iter().any(|share| share.percent > 0) {
        return Err(RpcError::params(
            "preferences.validity.refund: refunds of private transactions are Flashbots Protect's own, and would be lost on the way to              other builders: send the transaction there, or as eth_sendBundle with refundPercent",
        ));
    }
    let tx = transaction(0, raw)?;
    let last = last.unwrap_or(next.saturating_add(PRIVATE_BLOCKS - 1));
    if last < next {
        return Err(RpcError::params(format!("maxBlockNumber {last} is past, the next block is {next}")));
    }
    let (hash, last) = (tx.hash, last.min(next.saturating_add(MAX_BLOCKS - 1)));
    Ok(BundleCommand::Send(Box::new(Bundle {
        kind: BundleKind::Private,
        // A private transaction that reverts is of no use to anybody: none may.
        transactions: vec![tx],
        blocks: Some((next, last)),
        uuid: Some(private_uuid(hash)),
        builders: names(&preferences.privacy.builders),
        ..Bundle::default()
    })))
}

/// The name that a private transaction is replaced or cancelled by.
pub(in super::super) fn private_uuid(hash: B256) -> String {
    format!("private-{}", hex::encode(hash))
}
