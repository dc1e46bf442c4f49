//! What this room counts of calls.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::{Method, RpcAnswer, Served, ServedBy, UpstreamId, verdict::Reason};

const REQUESTS: &str = "relaymux_rpc_requests_total";
const SECONDS: &str = "relaymux_rpc_request_seconds";
const FAILOVERS: &str = "relaymux_rpc_failovers_total";
const ATTEMPTS: &str = "relaymux_rpc_attempts_total";
const HEDGES: &str = "relaymux_rpc_hedges_total";
const CACHE: &str = "relaymux_rpc_cache_total";
const REFUSED: &str = "relaymux_rpc_refused_methods_total";

/// Describes what is counted of calls, and begins it at 0.
pub fn describe_call_metrics() {
    describe_counter!(
        REQUESTS,
        "Calls to the gateway by method, who answered, and outcome: result, error, failed"
    );
    describe_histogram!(SECONDS, Unit::Seconds, "Time from a call to its answer, by class");
    describe_counter!(FAILOVERS, "Calls answered by another upstream than the first, by the first and why");
    describe_counter!(ATTEMPTS, "Calls sent to upstreams, by upstream and what came of them");
    describe_counter!(HEDGES, "Second upstreams asked as the first was slow, by who answered first");
    describe_counter!(CACHE, "Calls that could be answered by what is kept, by result: hit, miss");
    describe_counter!(REFUSED, "Calls of methods that are not served");
    counter!(REFUSED).increment(0);
    for first in ["first", "second"] {
        counter!(HEDGES, "won" => first).increment(0);
    }
    for result in ["hit", "miss"] {
        counter!(CACHE, "result" => result).increment(0);
    }
}

/// A call was answered.
pub(super) fn answered(method: Method, served: &Served, elapsed: Duration) {
    let upstream = match &served.by {
        ServedBy::Upstream(id) => id.as_str().to_owned(),
        ServedBy::Cache => "cache".to_owned(),
        ServedBy::Gateway => "gateway".to_owned(),
    };
    let outcome = match (&served.answer, &served.by) {
        (RpcAnswer::Result(_), _) => "result",
        (RpcAnswer::Error(_), ServedBy::Gateway) => "failed",
        (RpcAnswer::Error(_), _) => "error",
    };
    counter!(REQUESTS, "method" => method.label, "upstream" => upstream, "outcome" => outcome).increment(1);
    histogram!(SECONDS, "class" => method.class.label()).record(elapsed.as_secs_f64());
}

/// A call to an upstream ended.
pub(super) fn attempted(upstream: &UpstreamId, outcome: &'static str) {
    counter!(ATTEMPTS, "upstream" => upstream.as_str().to_owned(), "outcome" => outcome).increment(1);
}

/// Another upstream than the first answered.
pub(super) fn failed_over(from: &UpstreamId, reason: Reason) {
    counter!(FAILOVERS, "upstream" => from.as_str().to_owned(), "reason" => reason.label()).increment(1);
}

/// Of two that were asked as the first was slow, one answered.
pub(super) fn hedged(second_won: bool) {
    counter!(HEDGES, "won" => if second_won { "second" } else { "first" }).increment(1);
}

/// What is kept had an answer, or had none.
pub(super) fn looked_up(hit: bool) {
    counter!(CACHE, "result" => if hit { "hit" } else { "miss" }).increment(1);
}

/// A method is not served.
pub(super) fn refused() {
    counter!(REFUSED).increment(1);
}
