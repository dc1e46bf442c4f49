//! What our own node says of a bundle before a block does: counters that have passed, and a trial. Nobody waits for either.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    bundle::Bundle,
    intake::{BundleIntake, HeadView},
    pool::PooledBundle,
    simulate::{SimulationRequest, simulate},
};
use crate::jsonrpc::RpcError;

impl BundleIntake {
    /// Refuses what a sender's counter has passed, where that is known; finds out for the next time where it is not.
    pub(super) async fn check_nonces(&self, bundle: &Bundle, head: HeadView) -> Result<(), RpcError> {
        let senders = bundle.transactions.iter().map(|tx| tx.sender).collect();
        // Without a pool nothing is known, and nothing is taken in.
        let known = self.pool.nonces(head.number, senders).await.unwrap_or_default();
        let mut unknown = Vec::new();
        for (tx, counter) in bundle.transactions.iter().zip(known) {
            match counter {
                Some(counter) if tx.nonce < counter && !bundle.dropping.contains(&tx.hash) => {
                    let message = format!(
                        "{}: nonce {} of {} is used, the next is {counter}",
                        tx.hash, tx.nonce, tx.sender
                    );
                    return Err(RpcError::params(message));
                }
                Some(_) => {}
                None => unknown.push(tx.sender),
            }
        }
        for sender in unknown {
            let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else { break };
            let (node, pool) = (self.node.clone(), self.pool.clone());
            tokio::spawn(async move {
                if let Ok(next) = node.nonce(sender, head.number).await {
                    pool.nonce(head.number, sender, next).await;
                }
                drop(permit);
            });
        }
        Ok(())
    }

    /// Tries a bundle on our own node, for the reason if it is missed. Never waited for.
    pub(super) fn try_out(&self, pooled: &PooledBundle) {
        let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else { return };
        let (node, pool, pooled) = (self.node.clone(), self.pool.clone(), pooled.clone());
        tokio::spawn(async move {
            let request = SimulationRequest {
                bundle: (*pooled.bundle).clone(),
                state: json!("latest"),
                timestamp: None,
                base_fee: None,
                coinbase: None,
                gas_limit: None,
                is_mev: true,
            };
            let (trial, failure) = match simulate(&node, &request).await {
                Ok(trial) => {
                    let failure = trial.get("error").and_then(Value::as_str).map(str::to_owned);
                    (trial, failure)
                }
                Err(error) if error.is_answer() && !error.is_unknown_method() => {
                    (json!({ "success": false, "error": error.to_string() }), Some(error.to_string()))
                }
                Err(_) => return,
            };
            pool.tried(pooled.id, failure, trial.to_string()).await;
            drop(permit);
        });
    }
}
