//! Bundles that are to be tried: `eth_callBundle` and `mev_simBundle`.

use alloy_primitives::Address;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    super::simulate::SimulationRequest,
    command::BundleCommand,
    fields::{Number, number, parse},
    mev_share::mev_bundle,
    plain::{SendBundle, bundle},
};
use crate::jsonrpc::RpcError;

/// `mev_simBundle`'s second parameter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SimulationOptions<'a> {
    #[serde(borrow)]
    parent_block: Option<&'a RawValue>,
    timestamp: Option<Number>,
    base_fee: Option<Number>,
    coinbase: Option<Address>,
    gas_limit: Option<Number>,
}

/// `eth_callBundle`.
pub(super) fn call_bundle(raw: &str, next: u64) -> Result<BundleCommand, RpcError> {
    let asked: SendBundle<'_> = parse(raw)?;
    let state = state_block("stateBlockNumber", asked.state_block_number)?;
    let (timestamp, base_fee, coinbase, gas_limit) =
        (number(asked.timestamp), number(asked.base_fee), asked.coinbase, number(asked.gas_limit));
    let bundle = bundle(asked, next)?;
    Ok(BundleCommand::Simulate(Box::new(SimulationRequest {
        bundle,
        state,
        timestamp,
        base_fee,
        coinbase,
        gas_limit,
        is_mev: false,
    })))
}

/// `mev_simBundle`.
pub(super) fn simulate_mev(raw: &str, options: &str, next: u64) -> Result<BundleCommand, RpcError> {
    let bundle = mev_bundle(raw, next)?;
    if bundle.mev_share.is_some() {
        return Err(RpcError::params(
            "only bundles of whole transactions can be tried here, without hashes, nested bundles or refund shares",
        ));
    }
    let options: Option<SimulationOptions<'_>> = parse(options)?;
    let options = options.unwrap_or_default();
    Ok(BundleCommand::Simulate(Box::new(SimulationRequest {
        bundle,
        state: state_block("parentBlock", options.parent_block)?,
        timestamp: number(options.timestamp),
        base_fee: number(options.base_fee),
        coinbase: options.coinbase,
        gas_limit: number(options.gas_limit),
        is_mev: true,
    })))
}

/// A height, a hash or a tag, as the node will read it.
fn state_block(name: &str, raw: Option<&RawValue>) -> Result<Value, RpcError> {
    /// A hash in quotes is the longest.
    const MAX_BYTES: usize = 70;
    match raw.map(RawValue::get) {
        None => Ok(json!("latest")),
        Some(text) if text.len() <= MAX_BYTES && !text.starts_with(['[', '{']) => parse(text),
        Some(_) => Err(RpcError::params(format!("{name}: expected a height or a tag such as latest"))),
    }
}
