//! Asks the beacon node when validators of ours propose, so that connections are warm by then.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    auction::Auction, consensus::WallClock, ethereum::BeaconNode, relay::ExpectedProposals, types::Epoch,
};

/// Slots between two looks: validators register at any time, and an epoch's duties may change until it begins.
const EVERY_SLOTS: u32 = 4;

/// Keeps `expected` up to date until told to stop: this epoch and the next. While nobody has registered, every slot may be ours.
pub(super) async fn run_duties(
    beacon: BeaconNode,
    auction: Arc<Auction>,
    expected: watch::Sender<ExpectedProposals>,
    stop: CancellationToken,
) {
    let clock = WallClock;
    let spec = auction.spec().clone();
    let slots_per_epoch = spec.slots_per_epoch;
    let slot = Duration::from_millis(spec.slot_ms.max(1));
    let mut was_well = true;
    loop {
        let now = spec.clock().slot_at(clock.now());
        let epoch = now.epoch(slots_per_epoch).as_u64();
        let mut coming = BTreeSet::new();
        let mut failure = None;
        for epoch in [epoch, epoch.saturating_add(1)] {
            match beacon.proposer_duties(Epoch::new(epoch)).await {
                Ok(duties) => {
                    let ours = duties.into_iter().filter(|(_, key)| auction.is_registered(key));
                    coming.extend(ours.map(|(slot, _)| slot).filter(|slot| *slot >= now));
                }
                Err(error) => failure = Some(error),
            }
        }
        let wait = match &failure {
            None if !auction.has_validators() => {
                expected.send_replace(None);
                slot
            }
            None => {
                let is_news = expected.borrow().as_ref() != Some(&coming);
                if is_news {
                    info!(slots = ?coming.iter().map(|slot| slot.as_u64()).collect::<Vec<_>>(), "proposals expected");
                    expected.send_replace(Some(coming));
                }
                slot * EVERY_SLOTS
            }
            Some(error) => {
                if was_well {
                    warn!(%error, "no duties from the beacon node, every slot is taken for one of ours");
                }
                expected.send_replace(None);
                slot
            }
        };
        was_well = failure.is_none();
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}
