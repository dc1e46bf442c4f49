//! What a bundle that is in a block cost and brought. Pure; all in wei.

use alloy_primitives::{Address, B256, I256, U256, b256};
use serde::Serialize;

use crate::ethereum::{Block, Log, Receipt, Transfer};

/// `Transfer(address,address,uint256)`
pub(super) const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `Deposit(address,uint256)` of WETH.
const DEPOSIT: B256 = b256!("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c");
/// `Withdrawal(address,uint256)` of WETH.
const WITHDRAWAL: B256 = b256!("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65");

/// A bundle's account. Amounts are decimal wei; signed where they may be below zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BundleProfit {
    /// Gas used by the bundle.
    pub gas_used: u64,
    /// What its gas and blobs cost its senders.
    pub gas_cost: U256,
    /// The part of that which is burnt.
    pub burnt: U256,
    /// The part that the block's builder got.
    pub priority: U256,
    /// What the bundle paid the builder beside: transfers to the block's fee recipient.
    pub direct: U256,
    /// Change of the watched addresses' ether, gas included.
    pub eth: I256,
    /// Change of their WETH.
    pub weth: I256,
    /// `eth + weth`.
    pub profit: I256,
    /// Whether calls inside transactions were seen. Without traces only plain transfers count.
    pub traced: bool,
}

/// What a bundle at some places of a block came to. `weth` is the WETH contract of the chain.
pub fn bundle_profit(
    block: &Block,
    receipts: &[Receipt],
    transfers: Option<&[Transfer]>,
    places: &[usize],
    watched: &[Address],
    weth: Address,
) -> BundleProfit {
    let mut profit = BundleProfit { traced: transfers.is_some(), ..BundleProfit::default() };
    let signed = |amount: U256| I256::try_from(amount).unwrap_or(I256::MAX);
    let is_watched = |address: &Address| watched.contains(address);
    let plain: Vec<Transfer>;
    let transfers = match transfers {
        Some(transfers) => transfers,
        None => {
            let of = |(transaction, (tx, receipt)): (usize, (&crate::ethereum::Transaction, &Receipt))| {
                let to = tx.to.filter(|_| !receipt.status.is_zero())?;
                Some(Transfer { transaction, from: tx.from, to, value: tx.value })
            };
            plain = block.transactions.iter().zip(receipts).enumerate().filter_map(of).collect();
            &plain
        }
    };
    for place in places {
        let (Some(tx), Some(receipt)) = (block.transactions.get(*place), receipts.get(*place)) else {
            continue;
        };
        let gas = U256::from(receipt.gas_used);
        let blobs = U256::from(receipt.blob_gas_used.unwrap_or_default())
            .saturating_mul(receipt.blob_gas_price.unwrap_or_default());
        let cost = gas.saturating_mul(receipt.effective_gas_price).saturating_add(blobs);
        let tip = gas.saturating_mul(receipt.effective_gas_price.saturating_sub(block.base_fee_per_gas));
        profit.gas_used = profit.gas_used.saturating_add(receipt.gas_used.to());
        profit.gas_cost = profit.gas_cost.saturating_add(cost);
        profit.burnt = profit.burnt.saturating_add(cost.saturating_sub(tip));
        profit.priority = profit.priority.saturating_add(tip);
        if is_watched(&tx.from) {
            profit.eth = profit.eth.saturating_sub(signed(cost));
        }
        for transfer in transfers.iter().filter(|transfer| transfer.transaction == *place) {
            if transfer.to == block.coinbase {
                profit.direct = profit.direct.saturating_add(transfer.value);
            }
            if is_watched(&transfer.to) {
                profit.eth = profit.eth.saturating_add(signed(transfer.value));
            }
            if is_watched(&transfer.from) {
                profit.eth = profit.eth.saturating_sub(signed(transfer.value));
            }
        }
        for log in receipt.logs.iter().filter(|log| log.address == weth) {
            profit.weth = profit.weth.saturating_add(weth_change(log, &is_watched));
        }
    }
    profit.profit = profit.eth.saturating_add(profit.weth);
    profit
}

/// What a log of WETH's says of the watched addresses' balance.
fn weth_change(log: &Log, is_watched: &dyn Fn(&Address) -> bool) -> I256 {
    let Some(amount) =
        log.data.get(..32).map(U256::from_be_slice).and_then(|amount| I256::try_from(amount).ok())
    else {
        return I256::ZERO;
    };
    let party = |index: usize| log.topics.get(index).map(|topic| Address::from_word(*topic));
    let counts =
        |index: usize| if party(index).is_some_and(|party| is_watched(&party)) { amount } else { I256::ZERO };
    match log.topics.first() {
        Some(topic) if *topic == TRANSFER => counts(2).saturating_sub(counts(1)),
        Some(topic) if *topic == DEPOSIT => counts(1),
        Some(topic) if *topic == WITHDRAWAL => I256::ZERO.saturating_sub(counts(1)),
        Some(_) | None => I256::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, keccak256};

    use super::*;

    #[test]
    fn the_topics_are_the_events() {
        for (topic, event) in [
            (TRANSFER, "Transfer(address,address,uint256)"),
            (DEPOSIT, "Deposit(address,uint256)"),
            (WITHDRAWAL, "Withdrawal(address,uint256)"),
        ] {
            assert_eq!(topic, keccak256(event));
        }
    }

    #[test]
    fn weth_counts_for_the_watched() {
        let (us, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let log = |topic: B256, parties: &[Address]| Log {
            address: Address::ZERO,
            topics: std::iter::once(topic).chain(parties.iter().map(|party| party.into_word())).collect(),
            data: Bytes::from(U256::from(7).to_be_bytes::<32>().to_vec()),
        };
        let watched = |address: &Address| *address == us;
        for (log, expected) in [
            (log(TRANSFER, &[other, us]), 7),
            (log(TRANSFER, &[us, other]), -7),
            (log(TRANSFER, &[us, us]), 0),
            (log(TRANSFER, &[other, other]), 0),
            (log(DEPOSIT, &[us]), 7),
            (log(WITHDRAWAL, &[us]), -7),
            (Log { data: Bytes::new(), ..log(DEPOSIT, &[us]) }, 0),
        ] {
            assert_eq!(weth_change(&log, &watched), I256::try_from(expected).unwrap(), "{log:?}");
        }
    }
}
