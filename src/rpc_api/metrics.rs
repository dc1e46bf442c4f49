//! Metrics of this room: who was turned away, and how much is under way.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::{class::Class, shed::Pressure};

const SHED: &str = "relaymux_rpc_shed_total";
const RATE_LIMITED: &str = "relaymux_rpc_rate_limited_total";
const REFUSED: &str = "relaymux_rpc_refused_total";
const IN_FLIGHT: &str = "relaymux_rpc_in_flight";
const PRESSURE: &str = "relaymux_rpc_pressure";

/// Why a whole HTTP request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No token, or a wrong one.
    Token,
    /// A body that is too large, does not come, or is of another type.
    Body,
    /// Not JSON-RPC.
    Framing,
    /// A call of this gateway's own that came back to it.
    Loop,
}

impl Refused {
    const ALL: [Self; 4] = [Self::Token, Self::Body, Self::Framing, Self::Loop];

    const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Body => "body",
            Self::Framing => "framing",
            Self::Loop => "loop",
        }
    }
}

/// Describes what is counted, and begins it at 0.
pub fn describe_metrics() {
    describe_counter!(SHED, "Calls to the gateway that were turned away as there was too much, by class");
    describe_counter!(RATE_LIMITED, "Calls to the gateway that one client asked beyond its rate");
    describe_counter!(REFUSED, "Requests to the gateway that were refused whole, by reason");
    describe_gauge!(IN_FLIGHT, "Calls of the gateway's clients under way");
    describe_gauge!(
        PRESSURE,
        "How short CPU is for the gateway: 0 not, 1 logs and traces are shed, 2 most reads too"
    );
    for class in Class::ALL {
        counter!(SHED, "class" => class.label()).increment(0);
    }
    counter!(RATE_LIMITED).increment(0);
    for reason in Refused::ALL {
        counter!(REFUSED, "reason" => reason.label()).increment(0);
    }
    gauge!(IN_FLIGHT).set(0.0);
    gauge!(PRESSURE).set(0.0);
}

pub(super) fn note_shed(class: Class) {
    counter!(SHED, "class" => class.label()).increment(1);
}

pub(super) fn note_rate_limited() {
    counter!(RATE_LIMITED).increment(1);
}

pub(super) fn note_refused(reason: Refused) {
    counter!(REFUSED, "reason" => reason.label()).increment(1);
}

pub(super) fn show_in_flight(calls: usize) {
    gauge!(IN_FLIGHT).set(f64::from(u32::try_from(calls).unwrap_or(u32::MAX)));
}

pub(super) fn show_pressure(pressure: Pressure) {
    gauge!(PRESSURE).set(match pressure {
        Pressure::None => 0.0,
        Pressure::High => 1.0,
        Pressure::Extreme => 2.0,
    });
}
