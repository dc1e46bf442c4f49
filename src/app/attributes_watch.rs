//! Follows what the beacon node says of coming payloads, and tells the auction.
//!
//! Without it nothing is compared and everything else goes on: a node that does not serve the topic, whose events do not read, or that is of
//! another network, costs no bid.

use std::{sync::Arc, time::Duration};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    auction::Auction,
    consensus::{AttributesError, PayloadAttributes},
    ethereum::{BeaconNode, NodeError},
    tasks::TaskGroup,
};

const EVENTS: &str = "relaymux_payload_attributes_total";
const OPEN: &str = "relaymux_payload_attributes_followed";
/// Pause before a stream that ended is asked for again.
const PAUSE: Duration = Duration::from_secs(2);
/// The same where the node has said that it does not serve it: another version may be started.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Taken,
    NotReadable,
    WrongTime,
}

impl Use {
    const ALL: [Self; 3] = [Self::Taken, Self::NotReadable, Self::WrongTime];

    const fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::NotReadable => "not_readable",
            Self::WrongTime => "wrong_time",
        }
    }
}

/// Describes what is counted here, and begins it at 0.
pub(super) fn describe_metrics() {
    describe_counter!(EVENTS, "What the beacon node said of coming payloads, by what became of it");
    describe_gauge!(OPEN, "1 while the beacon node's payload attributes are followed");
    gauge!(OPEN).set(0.0);
    for of in Use::ALL {
        counter!(EVENTS, "use" => of.label()).increment(0);
    }
}

/// Follows for as long as the group runs, where that is asked for.
pub(super) fn start_attributes_watch(parts: Option<(BeaconNode, Arc<Auction>)>, group: &TaskGroup) {
    let Some((beacon, auction)) = parts else { return };
    group.restarting("payload_attributes", move |stop| {
        run_attributes_watch(beacon.clone(), Arc::clone(&auction), stop)
    });
}

/// Follows until told to stop.
async fn run_attributes_watch(beacon: BeaconNode, auction: Arc<Auction>, stop: CancellationToken) {
    let mut said = None;
    loop {
        let mut is_first_bad = true;
        let followed = beacon
            .follow_attributes(|| gauge!(OPEN).set(1.0), |data| take_in(&auction, data, &mut is_first_bad));
        let end = tokio::select! {
            end = followed => end,
            () = stop.cancelled() => return,
        };
        if let Err(NodeError::OtherNetwork { .. }) = end {
            auction.forget_attributes();
        }
        gauge!(OPEN).set(0.0);
        let is_refusal = matches!(end, Err(NodeError::Status { status: 400..500, .. }));
        match end {
            Err(error) if is_refusal && said != Some(error.to_string()) => {
                info!(%error, "the beacon node does not serve payload_attributes events: bids are not compared with them");
                said = Some(error.to_string());
            }
            Err(error) => {
                debug!(%error, "the beacon node's payload attributes are not followed at the moment")
            }
            Ok(()) => debug!("the beacon node ended its stream of payload attributes"),
        }
        tokio::select! {
            () = sleep(if is_refusal { LONG_PAUSE } else { PAUSE }) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Takes in one event. Of a stream with bad ones, the first is told.
fn take_in(auction: &Auction, data: &[u8], is_first_bad: &mut bool) {
    let of = match PayloadAttributes::from_event(auction.spec(), data) {
        Ok(attributes) => {
            debug!(slot = %attributes.slot, parent_hash = %attributes.parent_hash, prev_randao = %attributes.prev_randao,
                "payload attributes");
            auction.note_attributes(attributes);
            Use::Taken
        }
        Err(error) => {
            if std::mem::take(is_first_bad) {
                warn!(%error, "a payload_attributes event of the beacon node is not used");
            }
            match error {
                AttributesError::NotReadable(_) => Use::NotReadable,
                AttributesError::WrongTime { .. } => Use::WrongTime,
            }
        }
    };
    counter!(EVENTS, "use" => of.label()).increment(1);
}
