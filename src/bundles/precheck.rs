//! What our own node says of a bundle before a block does: counters that have passed, and a trial. Nobody waits for either.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    bundle::Bundle,
    intake::{BundleIntake, HeadView},
    pool::PooledBundle,
    simulate::{SimulationRequest, simulate},
};
use crate::{jsonrpc::RpcError, ledger::BundleWrite};

impl BundleIntake {
    /// Refuses what a sender's counter has passed, where that is known; finds out for the next time where it is not.
    pub(super) fn check_nonces(self: &Arc<Self>, bundle: &Bundle, head: HeadView) -> Result<(), RpcError> {
        let mut unknown = Vec::new();
        {
            let mut pool = self.pool.lock();
            for tx in &bundle.transactions {
                match pool.nonce(head.number, tx.sender) {
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
        }
        for sender in unknown {
            let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else { break };
            let intake = Arc::clone(self);
            tokio::spawn(async move {
                if let Ok(counter) = intake.node.nonce(sender, head.number).await {
                    intake.pool.lock().note_nonce(head.number, sender, counter);
                }
                drop(permit);
            });
        }
        Ok(())
    }

    /// Tries a bundle on our own node, for the reason if it is missed. Never waited for.
    pub(super) fn try_out(self: &Arc<Self>, pooled: &PooledBundle) {
        let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else { return };
        let (intake, pooled) = (Arc::clone(self), pooled.clone());
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
            let (trial, failure) = match simulate(&intake.node, &request).await {
                Ok(trial) => {
                    let failure = trial.get("error").and_then(Value::as_str).map(str::to_owned);
                    (trial, failure)
                }
                Err(error) if error.is_answer() && !error.is_unknown_method() => {
                    (json!({ "success": false, "error": error.to_string() }), Some(error.to_string()))
                }
                Err(_) => return,
            };
            intake.pool.lock().note_trial(pooled.id, failure);
            intake.recorder.write(BundleWrite::Simulated(pooled.id, trial.to_string()));
            drop(permit);
        });
    }
}
