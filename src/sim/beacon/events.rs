//! `/eth/v1/events` of a simulated beacon node.

use std::convert::Infallible;

use alloy_primitives::{Address, B256};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    consensus::{ChainSpec, containers::Withdrawal},
    sim::payload::{OTHER_RANDAO, SIM_RANDAO, sim_parent_root},
    types::Slot,
};

/// Events that wait for one follower.
const WAITING: usize = 64;

/// Bytes of an event stream that are no event anybody knows.
const GARBAGE: &str =
    "event: payload_attributes\ndata: {\"data\": 5}\n\n\u{0}:::\n\ndata: ]\nevent: payload_attributes\n\n";

/// What becomes of a request for the event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventHabit {
    /// It is served.
    #[default]
    Served,
    /// The topic `payload_attributes` is not known: 400, as the specification has it.
    LacksAttributes,
    /// 200 and the right content type, and nothing that is an event.
    Garbage,
    /// 200 and a line that has no end.
    Endless,
}

/// What goes to the followers.
#[derive(Clone, Debug)]
enum Feed {
    /// An event of a topic, in its exact bytes.
    Event { topic: &'static str, text: String },
    /// The end of all streams.
    Break,
}

/// What the node says of a payload. As honest relays of the simulation build it, unless changed.
#[derive(Clone, Debug)]
pub struct SimAttributes {
    /// The block's slot.
    pub slot: Slot,
    /// Its parent (execution layer).
    pub parent_hash: B256,
    /// The randomness that the payload must have.
    pub prev_randao: B256,
    /// The withdrawals that the payload must have, in order.
    pub withdrawals: Vec<Withdrawal>,
}

impl SimAttributes {
    /// What is true in the simulation.
    pub fn of(slot: Slot, parent_hash: B256) -> Self {
        Self { slot, parent_hash, prev_randao: SIM_RANDAO, withdrawals: Vec::new() }
    }

    /// With the randomness that a faulty relay takes.
    #[must_use]
    pub fn other_randao(self) -> Self {
        Self { prev_randao: OTHER_RANDAO, ..self }
    }

    /// With these withdrawals.
    #[must_use]
    pub fn withdrawals(self, withdrawals: Vec<Withdrawal>) -> Self {
        Self { withdrawals, ..self }
    }

    /// The event's data, as a node of this chain sends it.
    pub(super) fn data(&self, spec: &ChainSpec) -> String {
        json!({ "version": spec.fork_at(self.slot).name(), "data": {
            "proposer_index": "1",
            "proposal_slot": self.slot.to_string(),
            "parent_block_number": "20",
            "parent_block_root": sim_parent_root(self.parent_hash),
            "parent_block_hash": self.parent_hash,
            "payload_attributes": {
                "timestamp": spec.clock().payload_timestamp(self.slot).to_string(),
                "prev_randao": self.prev_randao,
                "suggested_fee_recipient": Address::repeat_byte(0xfe),
                "withdrawals": self.withdrawals,
                "parent_beacon_block_root": sim_parent_root(self.parent_hash),
            },
        } })
        .to_string()
    }
}

/// The node's events, on their way to whoever follows. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct EventFeed(broadcast::Sender<Feed>);

impl Default for EventFeed {
    fn default() -> Self {
        Self(broadcast::channel(WAITING).0)
    }
}

impl EventFeed {
    /// Tells the followers of a topic any data.
    pub(super) fn tell(&self, topic: &'static str, data: &str) {
        let _ = self.0.send(Feed::Event { topic, text: format!("event: {topic}\ndata: {data}\n\n") });
    }

    /// Ends all streams.
    pub(super) fn end(&self) {
        let _ = self.0.send(Feed::Break);
    }

    /// The answer to a request for these topics.
    pub(super) fn serve(&self, habit: EventHabit, topics: &str) -> Response {
        let topics: Vec<String> = topics.split(',').map(str::to_owned).collect();
        let body = match habit {
            EventHabit::LacksAttributes if topics.iter().any(|topic| topic == "payload_attributes") => {
                return (StatusCode::BAD_REQUEST, "Invalid topic: payload_attributes").into_response();
            }
            EventHabit::Served | EventHabit::LacksAttributes => {
                Body::from_stream(stream::unfold((self.0.subscribe(), topics), next_event))
            }
            EventHabit::Garbage => Body::from(GARBAGE),
            EventHabit::Endless => {
                Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>("x".repeat(4096))))
            }
        };
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }
}

type Follower = (broadcast::Receiver<Feed>, Vec<String>);

/// The next event of one of the topics.
async fn next_event((mut feed, topics): Follower) -> Option<(Result<String, Infallible>, Follower)> {
    loop {
        match feed.recv().await {
            Ok(Feed::Event { topic, text }) if topics.iter().any(|wanted| wanted == topic) => {
                return Some((Ok(text), (feed, topics)));
            }
            Ok(Feed::Event { .. }) | Err(RecvError::Lagged(_)) => {}
            Ok(Feed::Break) | Err(RecvError::Closed) => return None,
        }
    }
}
