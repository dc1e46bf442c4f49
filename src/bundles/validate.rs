//! Whether a bundle holds, against the chain's head and our builders, before it is taken in.

use super::{
    BuilderEndpoint, FanOut,
    bundle::{Bundle, check},
    intake::{BundleIntake, HeadView, ValidBundle},
};
use crate::jsonrpc::RpcError;

impl BundleIntake {
    /// Checks what builders would refuse, what the chain has passed, and whether anybody can do what it asks for.
    pub(super) async fn validate(&self, bundle: Bundle, head: HeadView) -> Result<ValidBundle, RpcError> {
        check(&bundle, self.chain()).map_err(RpcError::params)?;
        let target = self.target(&bundle, head)?;
        self.check_nonces(&bundle, head).await?;
        let builders = self.builders_for(&bundle)?;
        let is_due = bundle.fits_time(self.time_of(target, head));
        Ok(ValidBundle { bundle, builders, target, is_due })
    }

    /// The block that a bundle is first for.
    fn target(&self, bundle: &Bundle, head: HeadView) -> Result<u64, RpcError> {
        let next = head.number + 1;
        let (first, last) = bundle.blocks.unwrap_or((next, next));
        if last <= head.number {
            return Err(RpcError::params(format!("block {last} is past, the next block is {next}")));
        }
        if bundle.max_timestamp.is_some_and(|max| max <= head.timestamp) {
            return Err(RpcError::params("maxTimestamp is past"));
        }
        let target = first.max(next);
        let earliest = self.time_of(target, head);
        if bundle.max_timestamp.is_some_and(|max| earliest > max) {
            let message =
                format!("maxTimestamp is before block {target}, which comes at {earliest} at the earliest");
            return Err(RpcError::params(message));
        }
        Ok(target)
    }

    /// When a block comes at the earliest: slots may be missed, so blocks may come later than that, and never earlier.
    pub(super) fn time_of(&self, block: u64, head: HeadView) -> u64 {
        let slots = block.saturating_sub(head.number);
        head.timestamp.saturating_add(self.slot_secs.saturating_mul(slots))
    }

    /// Whom a bundle goes to: at least one that can say all it asks for.
    fn builders_for(&self, bundle: &Bundle) -> Result<Vec<String>, RpcError> {
        let builders = &self.settings.builders;
        let known = |name: &String| builders.iter().any(|endpoint| endpoint.id == *name);
        if let Some(unknown) = bundle.builders.iter().find(|name| !known(name)) {
            let names: Vec<&str> = builders.iter().map(|endpoint| endpoint.id.as_str()).collect();
            let shown: String = unknown.chars().take(64).collect();
            return Err(RpcError::params(format!("builders: {shown} is not one of {}", names.join(", "))));
        }
        let is_chosen = |endpoint: &BuilderEndpoint| match &self.settings.fan_out {
            _ if !bundle.builders.is_empty() => bundle.builders.contains(&endpoint.id),
            FanOut::RefundsTo(only) if bundle.asks_refund() => endpoint.id == *only,
            FanOut::All | FanOut::RefundsTo(_) => !endpoint.on_request,
        };
        let chosen: Vec<&BuilderEndpoint> = builders.iter().filter(|endpoint| is_chosen(endpoint)).collect();
        if chosen.is_empty() {
            return Err(RpcError::refused(
                "there is no builder for it: all that are configured are on_request, and it names none",
            ));
        }
        // A builder that cannot is not asked; if none can, the searcher must know before it counts on it.
        let lacks: Vec<String> = chosen
            .iter()
            .filter_map(|endpoint| {
                let lack = endpoint.dialect.supports(bundle).err()?;
                Some(format!("{} {lack}", endpoint.id))
            })
            .collect();
        if lacks.len() == chosen.len() {
            let message = format!("no builder can do what this bundle asks for: {}", lacks.join("; "));
            return Err(RpcError::refused(message));
        }
        Ok(chosen.into_iter().map(|endpoint| endpoint.id.clone()).collect())
    }
}
