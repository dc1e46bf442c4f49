//! `/api/v1/events`: the spine as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures_util::stream;
use serde::Deserialize;

use super::state::Api;
use crate::{
    events::{Event, Subscription},
    relay::SharedRelays,
};
use tokio_util::sync::CancellationToken;

/// `?kind=auction,relay`: all kinds when it is missing.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    kind: Option<String>,
}

struct Feed {
    events: Subscription,
    kinds: Vec<String>,
    relays: Arc<SharedRelays>,
    stop: CancellationToken,
}

/// The kind of an event as it stands in its JSON.
fn kind_of(event: &Event) -> &'static str {
    match event {
        Event::Relay(_) => "relay",
        Event::Auction(_) => "auction",
        Event::Registrations(_) => "registrations",
        Event::RegistrationAnswer(_) => "registration_answer",
        Event::BlockReceived(_) => "block_received",
        Event::ConflictingBlock(_) => "conflicting_block",
        Event::SubmissionAnswer(_) => "submission_answer",
        Event::SubmissionClosed(_) => "submission_closed",
        Event::Settlement(_) => "settlement",
        Event::SlotSettled(_) => "slot_settled",
        Event::AlertSignal(_) => "notice",
        Event::MissedRequest(_) => "missed_request",
        Event::RelayModeChanged(_) => "relay_placed",
        Event::ReputationSaved(_) => "standing_saved",
        Event::BlockSignatureChecked(_) => "block_signature_checked",
        Event::RelayJudged(_) => "relay_judged",
        Event::BlockRecordSaved(_) => "block_record_saved",
        Event::UpstreamChanged(_) => "upstream_changed",
        Event::NodeChanged(_) => "node_changed",
        Event::NodeActed(_) => "node_acted",
        Event::TaskRun(_) => "task_run",
        Event::DiskActed(_) => "disk_acted",
        Event::DiskCleaned(_) => "disk_cleaned",
        Event::BackupFinished(_) => "backup_finished",
    }
}

pub(super) async fn stream_events(State(api): Api, Query(filter): Query<Filter>) -> Response {
    let kinds = filter.kind.unwrap_or_default();
    let feed = Feed {
        events: api.spine.subscribe(),
        kinds: kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
        relays: Arc::clone(&api.relays),
        stop: api.stop.clone(),
    };
    let stream = stream::unfold(feed, |mut feed| async move {
        loop {
            let event = tokio::select! {
                event = feed.events.next() => event?,
                () = feed.stop.cancelled() => return None,
            };
            let kind = kind_of(&event);
            // Under pressure the live stream is the first to rest: what matters then is who is asked and why.
            if feed.relays.is_shedding() && !matches!(kind, "relay" | "relay_placed" | "relay_judged") {
                continue;
            }
            // Bookkeeping for the ledger: only for who asks for it.
            if matches!(kind, "standing_saved" | "block_record_saved") && feed.kinds.is_empty() {
                continue;
            }
            if !feed.kinds.is_empty() && !feed.kinds.iter().any(|wanted| wanted == kind) {
                continue;
            }
            let Ok(data) = serde_json::to_string(&*event) else { continue };
            return Some((Ok::<_, Infallible>(sse::Event::default().event(kind).data(data)), feed));
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::ProbeResult, types::RelayId};

    #[test]
    fn the_kind_in_the_filter_is_the_kind_in_the_json() {
        let event = Event::Relay(ProbeResult {
            relay: RelayId::parse("r").unwrap(),
            usable: true,
            message: String::new(),
            at: 0,
        });
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], kind_of(&event));
    }
}
