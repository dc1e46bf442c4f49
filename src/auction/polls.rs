//! Asking one relay as its terms want it: once, several times, or by listening to its stream. Every answer is an [`Arrival`].

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::timing::Timing;
use crate::relay::{CallContext, HeaderCall, HeaderMode, HeaderOutcome, Relay, StreamEnd};

/// Answers that wait to be judged. They are judged in the task that asks, so hardly any ever wait.
pub(super) const ARRIVALS: usize = 64;

/// Part of the time for relays after which one that serves its stream and says nothing is asked by HTTP, too. Streams that send
/// their bids at the very end are still listened to. Arbitrary.
const SILENT_SHARE: u32 = 2;

/// How to ask one relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) index: usize,
    pub(super) relay: &'a Relay,
    pub(super) call: HeaderCall,
    pub(super) context: &'a CallContext,
    pub(super) timing: Timing,
    /// When the race began, and where in the slot that was.
    pub(super) started: Instant,
    pub(super) ms_into_slot: i64,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) index: usize,
    /// Which request, or which frame of a stream.
    pub(super) number: u32,
    pub(super) sent_ms_into_slot: i64,
    pub(super) outcome: HeaderOutcome,
    pub(super) latency: Duration,
}

impl Ask<'_> {
    /// Asks. The last answer is returned if there is only one; any others went to `sink` as they came.
    pub(super) async fn run(self, sink: &mpsc::Sender<Arrival>) -> Option<Arrival> {
        if self.relay.settings().get_header == HeaderMode::Stream {
            match self.listen(sink).await {
                StreamEnd::Served => return None,
                // The rest of the budget by HTTP, timing games included.
                StreamEnd::NotServed => {}
            }
        }
        if self.timing.is_played() {
            self.play(sink).await;
            return None;
        }
        let outcome = self.relay.get_header(&self.call, self.context).await;
        Some(self.arrival(0, self.started, outcome))
    }

    /// Listens to the relay's stream. One that is served and has had no bid when half of the time is gone is no reason to go
    /// without the relay's bid: it is asked by HTTP, too, and what comes first, comes first.
    async fn listen(&self, sink: &mpsc::Sender<Arrival>) -> StreamEnd {
        let (frames, mut heard) = mpsc::channel(ARRIVALS);
        let stream = self.relay.stream_headers(&self.call, self.context, frames);
        let silent_at =
            self.started + self.context.deadline.saturating_duration_since(self.started) / SILENT_SHARE;
        tokio::pin!(stream);
        let mut by_http = FuturesUnordered::new();
        let mut ended = None;
        let (mut number, mut has_bid, mut may_ask) = (0, false, true);
        loop {
            let (sent, outcome) = tokio::select! {
                biased;
                Some(outcome) = heard.recv() => (self.started, outcome),
                end = &mut stream, if ended.is_none() => {
                    ended = Some(end);
                    continue;
                }
                Some(answer) = by_http.next() => answer,
                () = sleep_until(silent_at), if may_ask && !has_bid && ended.is_none() => {
                    may_ask = false;
                    by_http.push(async {
                        let sent = Instant::now();
                        (sent, self.relay.get_header(&self.call, self.context).await)
                    });
                    continue;
                }
                else => break,
            };
            has_bid |= matches!(outcome, HeaderOutcome::Bid(_));
            if sink.send(self.arrival(number, sent, outcome)).await.is_err() {
                return StreamEnd::Served;
            }
            number += 1;
        }
        let was_asked = !may_ask;
        // It ended, politely or not, while there was time, and had no bid: HTTP is asked, unless it was.
        let was_cut_short = number == 0 && Instant::now() < self.context.deadline;
        match ended {
            Some(StreamEnd::Served) if was_cut_short && !was_asked => StreamEnd::NotServed,
            // It broke, and HTTP has answered already.
            Some(StreamEnd::NotServed) if was_asked => StreamEnd::Served,
            Some(StreamEnd::NotServed) => StreamEnd::NotServed,
            Some(StreamEnd::Served) | None => {
                if number == 0 {
                    let _ = sink.send(self.arrival(0, self.started, HeaderOutcome::NoBid)).await;
                }
                StreamEnd::Served
            }
        }
    }

    async fn play(&self, sink: &mpsc::Sender<Arrival>) {
        let deadline = self.context.deadline;
        let now = Instant::now();
        let into = self.ms_into_slot_at(now);
        sleep(self.timing.first_delay(into, deadline.saturating_duration_since(now))).await;
        let mut polls = FuturesUnordered::new();
        let mut next = Some(Instant::now());
        let mut number = 0;
        loop {
            let due = next.unwrap_or(deadline);
            tokio::select! {
                biased;
                Some((number, sent, outcome)) = polls.next(), if !polls.is_empty() => {
                    if !self.wants_more(number, &outcome) {
                        next = None;
                    }
                    if sink.send(self.arrival(number, sent, outcome)).await.is_err() {
                        return;
                    }
                }
                () = sleep_until(due), if next.is_some() => {
                    let sent = Instant::now();
                    let (this, is_first) = (number, number == 0);
                    polls.push(async move {
                        let outcome = if is_first {
                            self.relay.get_header(&self.call, self.context).await
                        } else {
                            self.relay.poll_header(&self.call, self.context).await
                        };
                        (this, sent, outcome)
                    });
                    number += 1;
                    let left = deadline.saturating_duration_since(sent);
                    let repeats = !self.relay.refuses_repeats();
                    next = self.timing.next_delay(left).filter(|_| repeats).map(|wait| due + wait);
                }
                else => return,
            }
        }
    }

    /// Whether an answer leaves sense in asking again. A relay that does not want to be asked twice says so with 429 (ultra sound:
    /// "a top header was already given"), and is remembered.
    fn wants_more(&self, number: u32, outcome: &HeaderOutcome) -> bool {
        let refused = matches!(outcome, HeaderOutcome::Failed(failure) if failure.http_status() == Some(429));
        if refused && number > 0 {
            self.relay.note_refused_repeat();
        }
        !refused
    }

    fn ms_into_slot_at(&self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.started).as_millis();
        self.ms_into_slot.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn arrival(&self, number: u32, sent: Instant, outcome: HeaderOutcome) -> Arrival {
        Arrival {
            index: self.index,
            number,
            sent_ms_into_slot: self.ms_into_slot_at(sent),
            outcome,
            latency: sent.elapsed(),
        }
    }
}
