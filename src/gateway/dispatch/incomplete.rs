//! Logs of blocks that nobody who answers has: a node gives what it has of a range, and does not say what it lacks, so that a client which goes on from
//! there would never hear of the rest.

use tokio::time::{Instant, timeout_at};

use crate::{
    gateway::{MethodClass, RpcAnswer, RpcCall, Served, lanes::Lanes, own_answer},
    jsonrpc::ErrorCode,
};

impl Lanes {
    /// Whether the upstream at a place shows a block by now: what is known of it is some seconds old.
    pub(super) async fn shows(&self, place: usize, number: u64, deadline: Instant) -> bool {
        let Some(lane) = self.at(place) else { return false };
        let (call, until) = (RpcCall::bare("eth_blockNumber"), deadline.min(Instant::now() + self.attempt()));
        lane.note_asked(1);
        let started = Instant::now();
        let Ok(Ok(RpcAnswer::Result(result))) = timeout_at(until, lane.ask.call(&call, until)).await else {
            return false;
        };
        lane.note_answer(MethodClass::Read, started.elapsed(), Instant::now());
        let Some(latest) = result.read::<&str>().ok().and_then(own_answer::read_quantity) else {
            return false;
        };
        if latest <= self.ceiling() {
            lane.note_latest(latest, self.board().snapshot().upstreams.get(place));
        }
        self.latest(place) >= number
    }

    /// The error that says who has the end of a range, where whoever answered (at a place) does not.
    pub(super) fn incomplete(&self, place: usize, end: u64) -> Served {
        let snapshot = self.board().snapshot();
        let name = |place: usize| self.at(place).map_or_else(String::new, |lane| lane.id.to_string());
        let holders: Vec<String> = (0..self.all().len())
            .filter(|other| *other != place && self.latest(*other) >= end)
            .map(|other| match snapshot.upstreams.get(other) {
                Some(standing) if !standing.state.serves() => {
                    format!("{} has it and is {}", name(other), standing.state)
                }
                Some(_) | None => format!("{} has it and does not answer", name(other)),
            })
            .collect();
        let who =
            if holders.is_empty() { "nobody who has it is known".to_owned() } else { holders.join(", ") };
        let message = format!(
            "logs up to block {end} would be incomplete: {} answers and has block {} at most; {who}. Ask again later, or for fewer blocks",
            name(place),
            self.latest(place)
        );
        Served::error(ErrorCode::Server, message)
    }
}
