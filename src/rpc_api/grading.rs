//! How answers went, as clients saw them: in time, late, or a failure of ours.

use std::time::Duration;

use super::class::Class;
use crate::{
    events::{AnswerGrade, AnswerMeter},
    gateway::{RpcAnswer, Served, ServedBy},
    jsonrpc::ErrorCode,
};

/// Longest time for what wallets and programs wait for.
const IN_TIME: Duration = Duration::from_secs(1);

/// Grades answers into a meter.
#[derive(Clone, Debug)]
pub(super) struct Grading {
    pub(super) meter: AnswerMeter,
    /// Longest time that any call may take: a trace that takes it is in time.
    pub(super) deadline: Duration,
}

impl Grading {
    /// A call was answered.
    pub(super) fn answered(&self, class: Class, reply: &Served, elapsed: Duration) {
        let time = match class {
            Class::Heavy => self.deadline,
            Class::Send | Class::Read => IN_TIME.min(self.deadline),
        };
        let grade = if is_failure(reply) {
            AnswerGrade::Bad
        } else if elapsed > time {
            AnswerGrade::Slow
        } else {
            AnswerGrade::Good
        };
        self.meter.note(grade, elapsed);
    }

    /// A call was turned away, as there was too much.
    pub(super) fn shed(&self) {
        self.meter.note(AnswerGrade::Bad, Duration::ZERO);
    }
}

/// Whether nobody could answer. What an upstream says is an answer, also where it is an error; so is that the client asks what is not served, or
/// more than it may.
fn is_failure(reply: &Served) -> bool {
    const CLIENTS_OWN: [ErrorCode; 4] = [
        ErrorCode::InvalidRequest,
        ErrorCode::MethodNotFound,
        ErrorCode::InvalidParams,
        ErrorCode::LimitExceeded,
    ];
    match (&reply.by, &reply.answer) {
        (ServedBy::Gateway, RpcAnswer::Error(error)) => {
            !CLIENTS_OWN.iter().any(|code| code.number() == error.code)
        }
        (ServedBy::Gateway | ServedBy::Cache | ServedBy::Upstream(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::{NodeError, RawJson, UpstreamId};

    fn reply(by: ServedBy, code: i64) -> Served {
        let raw = RawJson::from_value(&json!({ "code": code, "message": "m" }));
        Served { by, answer: RpcAnswer::Error(NodeError { code, message: "m".into(), raw }) }
    }

    #[test]
    fn only_what_nobody_could_answer_is_a_failure() {
        let node = || ServedBy::Upstream(UpstreamId::parse("geth").unwrap());
        for (by, code, want) in [
            (node(), -32603, false),
            (node(), 3, false),
            (ServedBy::Gateway, -32601, false),
            (ServedBy::Gateway, -32005, false),
            (ServedBy::Gateway, -32603, true),
            (ServedBy::Gateway, -32000, true),
        ] {
            assert_eq!(is_failure(&reply(by.clone(), code)), want, "{by:?} {code}");
        }
    }

    #[test]
    fn a_trace_has_more_time_than_a_read() {
        let grading = Grading { meter: AnswerMeter::default(), deadline: Duration::from_secs(10) };
        let good = reply(ServedBy::Cache, 3);
        for (class, ms) in
            [(Class::Read, 900), (Class::Read, 1100), (Class::Heavy, 9000), (Class::Heavy, 11_000)]
        {
            grading.answered(class, &good, Duration::from_millis(ms));
        }
        grading.shed();
        let seen = grading.meter.take();
        assert_eq!((seen.good, seen.slow, seen.bad), (2, 2, 1));
    }
}
