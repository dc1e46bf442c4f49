//! How an answer went, as the consensus client saw it: in time, too late, a failure, or none that it waited for.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::{
    auction::{Auction, PolicyTable},
    events::{AnswerGrade, AnswerMeter},
};

/// What an answer may take beyond its time: a header leaves when its time is over, and clients hang up 50 ms later by default.
const GRACE: Duration = Duration::from_millis(50);
/// What is only looked up takes no longer.
const STATUS_TIME: Duration = Duration::from_secs(1);

/// A client waits for its answer. One that does not get it has hung up.
pub(super) struct Waiting {
    endpoint: &'static str,
    auction: Arc<Auction>,
    answers: AnswerMeter,
    since: Instant,
    is_answered: bool,
}

impl Waiting {
    /// From now on.
    pub(super) fn new(endpoint: &'static str, auction: Arc<Auction>, answers: AnswerMeter) -> Self {
        Self { endpoint, auction, answers, since: Instant::now(), is_answered: false }
    }

    /// It has its answer.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.is_answered = true;
        let elapsed = self.since.elapsed();
        let is_late = is_late(self.endpoint, elapsed, || self.auction.policies());
        self.answers.note(grade_of(status, is_late), elapsed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_answered {
            self.answers.note(AnswerGrade::Slow, self.since.elapsed());
        }
    }
}

/// 502 says that relays failed, in words that came from us in time: they have indicators of their own.
fn grade_of(status: StatusCode, is_late: bool) -> AnswerGrade {
    match status {
        status if status.is_server_error() && status != StatusCode::BAD_GATEWAY => AnswerGrade::Bad,
        _ if is_late => AnswerGrade::Slow,
        _ => AnswerGrade::Good,
    }
}

/// Whether an answer took longer than the longest time that any policy gives it. Policies are asked for only where it matters.
fn is_late(endpoint: &str, elapsed: Duration, policies: impl FnOnce() -> Arc<PolicyTable>) -> bool {
    if elapsed <= GRACE {
        return false;
    }
    let time = match endpoint {
        "get_header" => policies().longest_header(),
        "register_validators" => policies().longest_registration(),
        "submit_blinded_block_v1" | "submit_blinded_block_v2" => policies().longest_submission(),
        _ => STATUS_TIME,
    };
    elapsed > time.saturating_add(GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_that_fail_are_no_failure_of_ours_and_a_late_word_of_it_is_late() {
        for (status, is_late, want) in [
            (200, false, AnswerGrade::Good),
            (204, false, AnswerGrade::Good),
            (400, false, AnswerGrade::Good),
            (502, false, AnswerGrade::Good),
            (502, true, AnswerGrade::Slow),
            (204, true, AnswerGrade::Slow),
            (500, false, AnswerGrade::Bad),
            (503, false, AnswerGrade::Bad),
            (504, true, AnswerGrade::Bad),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(grade_of(status, is_late), want, "{status} {is_late}");
        }
    }

    #[test]
    fn what_is_looked_up_is_late_after_a_second() {
        let late = |ms| is_late("status", Duration::from_millis(ms), || unreachable!("of no policy"));
        assert!(!late(3) && !late(1050) && late(1051));
    }
}
