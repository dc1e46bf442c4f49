//! What this room counts.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::{
    events::{Conduct, ModeReason, RelayMode, RevealOutcome, Ruling},
    types::RelayId,
};

const CALLS: &str = "relaymux_relay_calls_total";
const DURATION: &str = "relaymux_relay_request_duration_seconds";
const STATE: &str = "relaymux_relay_state";
const REASON: &str = "relaymux_relay_reason";
const JUDGED: &str = "relaymux_relay_verdicts_total";
const SCORE: &str = "relaymux_relay_score";
const OFFENCES: &str = "relaymux_relay_offences_total";
/// The endpoint of [`CALLS`] for signed blocks.
pub(super) const SUBMIT: &str = "submit_blinded_block";
const UP: &str = "relaymux_relay_up";

/// Describes this room's metrics to the recorder.
pub fn describe_metrics() {
    describe_counter!(CALLS, "Calls to relays by endpoint and outcome, retries counted once");
    describe_histogram!(DURATION, Unit::Seconds, "Time from request to whole answer, retries included");
    describe_gauge!(STATE, "1 for the place the relay has, 0 for the others");
    describe_gauge!(REASON, "1 for the reason why the relay has its place, 0 for the others");
    describe_counter!(JUDGED, "Verdicts on relays: suspected, guilty, or taken back");
    describe_gauge!(
        SCORE,
        "Probability that asking the relay ends well, as far as its observations tell, 0 to 1"
    );
    describe_counter!(OFFENCES, "Offences that quarantine: withheld, mismatched, not on chain, paid less");
    describe_gauge!(UP, "1 while the relay answers its status request, 0 while it does not");
}

/// Begins what matters of a relay at 0: a counter that appears with its first theft has no increase. Does nothing to a relay that is counted.
pub(super) fn begin_relay(relay: &RelayId) {
    let offences = Conduct::ALL.into_iter().filter(|conduct| conduct.is_offence());
    for what in offences.map(|conduct| conduct.label()) {
        counter!(OFFENCES, "relay" => relay.to_string(), "offence" => what).increment(0);
        for ruling in Ruling::ALL {
            counter!(JUDGED, "relay" => relay.to_string(), "conduct" => what, "ruling" => ruling.label())
                .increment(0);
        }
    }
    for outcome in RevealOutcome::all() {
        let labels = [
            ("relay", relay.to_string()),
            ("endpoint", SUBMIT.to_owned()),
            ("outcome", outcome.label().to_owned()),
        ];
        counter!(CALLS, &labels).increment(0);
    }
}

/// A relay is not configured any more: it has no place and no score, and is neither up nor down. No alert compares true with what is no
/// number; a gauge cannot be taken back.
pub(super) fn end_relay(relay: &RelayId) {
    for mode in RelayMode::ALL {
        gauge!(STATE, "relay" => relay.to_string(), "state" => mode.label()).set(0.0);
    }
    for reason in ModeReason::ALL {
        gauge!(REASON, "relay" => relay.to_string(), "reason" => reason.label()).set(0.0);
    }
    record_unknown_up(relay);
    gauge!(SCORE, "relay" => relay.to_string()).set(f64::NAN);
}

pub(super) fn record_up(relay: &RelayId, is_up: bool) {
    gauge!(UP, "relay" => relay.to_string()).set(f64::from(u8::from(is_up)));
}

/// Nobody asks it any more: what it said last is no news of it, and a rule over all relays must not count it.
pub(super) fn record_unknown_up(relay: &RelayId) {
    gauge!(UP, "relay" => relay.to_string()).set(f64::NAN);
}

/// Counts the calls to one relay. What is counted is looked up in the registry once, not with every call.
#[derive(Debug, Default)]
pub(super) struct CallMeter {
    calls: RwLock<Vec<(&'static str, &'static str, Counter)>>,
    durations: RwLock<Vec<(&'static str, Histogram)>>,
}

/// A call under way. One that is given up is counted as `timed_out` where its time is up, and as `not_waited_for` where its auction was decided
/// without it.
pub(super) struct CallUnderWay<'a> {
    meter: &'a CallMeter,
    relay: &'a RelayId,
    endpoint: &'static str,
    started: Instant,
    deadline: Instant,
    is_over: bool,
}

impl CallUnderWay<'_> {
    /// It ended, in whatever way.
    pub(super) fn end(mut self, outcome: &'static str) {
        self.is_over = true;
        self.meter.record(self.relay, self.endpoint, outcome, self.started.elapsed());
    }
}

impl Drop for CallUnderWay<'_> {
    fn drop(&mut self) {
        if self.is_over {
        } else if Instant::now() >= self.deadline {
            self.meter.record(self.relay, self.endpoint, "timed_out", self.started.elapsed());
        } else {
            self.meter.count(self.relay, self.endpoint, "not_waited_for");
        }
    }
}

impl CallMeter {
    /// A call of an endpoint begins.
    pub(super) fn begin<'a>(
        &'a self,
        relay: &'a RelayId,
        endpoint: &'static str,
        deadline: Instant,
    ) -> CallUnderWay<'a> {
        let started = Instant::now();
        CallUnderWay { meter: self, relay, endpoint, started, deadline, is_over: false }
    }

    /// A call of an endpoint ended, in whatever way.
    pub(super) fn record(
        &self,
        relay: &RelayId,
        endpoint: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        self.count(relay, endpoint, outcome);
        let took = took.as_secs_f64();
        let is_it = |(of, _): &&(&str, Histogram)| *of == endpoint;
        let known = self.durations.read().iter().find(is_it).map(|(_, duration)| duration.record(took));
        if known.is_none() {
            let duration = histogram!(DURATION, "relay" => relay.to_string(), "endpoint" => endpoint);
            duration.record(took);
            self.durations.write().push((endpoint, duration));
        }
    }

    fn count(&self, relay: &RelayId, endpoint: &'static str, outcome: &'static str) {
        let is_it = |(of, with, _): &&(&str, &str, Counter)| *of == endpoint && *with == outcome;
        let known = self.calls.read().iter().find(is_it).map(|(_, _, calls)| calls.increment(1));
        if known.is_none() {
            let labels = [
                ("relay", relay.to_string()),
                ("endpoint", endpoint.to_owned()),
                ("outcome", outcome.to_owned()),
            ];
            let calls = counter!(CALLS, &labels);
            calls.increment(1);
            self.calls.write().push((endpoint, outcome, calls));
        }
    }
}

pub(super) fn record_mode(relay: &RelayId, mode: RelayMode, reason: ModeReason, score: f64) {
    for other in RelayMode::ALL {
        let is_it = if other == mode { 1.0 } else { 0.0 };
        gauge!(STATE, "relay" => relay.to_string(), "state" => other.label()).set(is_it);
    }
    for other in ModeReason::ALL {
        let is_it = if other == reason { 1.0 } else { 0.0 };
        gauge!(REASON, "relay" => relay.to_string(), "reason" => other.label()).set(is_it);
    }
    gauge!(SCORE, "relay" => relay.to_string()).set(score);
}

pub(super) fn record_verdict(relay: &RelayId, conduct: Conduct, ruling: Ruling) {
    let what = conduct.label();
    counter!(JUDGED, "relay" => relay.to_string(), "conduct" => what, "ruling" => ruling.label())
        .increment(1);
    if ruling == Ruling::Guilty {
        counter!(OFFENCES, "relay" => relay.to_string(), "offence" => what).increment(1);
    }
}
