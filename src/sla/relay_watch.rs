//! What is seen of relays: the last status probe of each, looked at every few seconds, and how they answered headers.
//!
//! A relay is as the last probe found it while that is fresh, and away for as long as its circuit breaker is open. One that nobody has heard of
//! for longer is unknown: not probed because nobody wants it, or because the probes stand still.

use std::collections::HashMap;

use super::Indicator;
use crate::{
    events::{AnswerGrade, BidOutcome, CallFault, RelayAnswer},
    relay::SharedRelays,
    types::{RelayId, UnixMillis},
};

/// How long a probe's finding holds, in milliseconds. Probes come every four slots at least, which are 48 s on mainnet.
const FRESH_MS: i64 = 150_000;

/// What is known of one relay at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelayLook {
    pub(super) relay: RelayId,
    /// Whether it is among those that headers are asked from.
    pub(super) is_asked: bool,
    /// What the last probe said, and when.
    pub(super) probe: Option<(bool, UnixMillis)>,
    pub(super) is_breaker_open: bool,
}

/// Looks at all relays that the operator has not switched off.
pub(super) fn look(relays: &SharedRelays) -> Vec<RelayLook> {
    let asked = relays.active();
    let enabled = relays.enabled_of(&relays.all());
    enabled
        .iter()
        .map(|relay| RelayLook {
            relay: relay.id().clone(),
            is_asked: asked.iter().any(|asked| asked.id() == relay.id()),
            probe: relays.condition(relay.id()).map(|probe| (probe.usable, probe.at)),
            is_breaker_open: relays.status(relay.id()).is_some_and(|status| !status.breaker.is_closed()),
        })
        .collect()
}

/// What headers said of relays since the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct RelayWatch {
    answers: HashMap<RelayId, AnswerGrade>,
}

impl RelayWatch {
    /// A relay's answer in an auction: what it says of the relay, if anything.
    pub(super) fn heard(&mut self, answer: &RelayAnswer) -> Option<(Indicator, AnswerGrade)> {
        let grade = grade_of(answer.outcome)?;
        self.answers.insert(answer.relay.clone(), grade);
        Some((Indicator::Relay(answer.relay.clone()), grade))
    }

    /// What a look finds of each relay, and of all together.
    pub(super) fn judge(&mut self, looks: &[RelayLook], now: UnixMillis) -> Vec<(Indicator, AnswerGrade)> {
        let answers = std::mem::take(&mut self.answers);
        let mut found = Vec::with_capacity(looks.len() + 1);
        let (mut is_any_there, mut are_all_known) = (false, true);
        for look in looks {
            let state = state_of(look, now);
            if let Some(grade) = state {
                found.push((Indicator::Relay(look.relay.clone()), grade));
            }
            if look.is_asked {
                let there = answers.get(&look.relay).copied().or(state);
                is_any_there |= there.is_some_and(|grade| grade != AnswerGrade::Bad);
                are_all_known &= there.is_some();
            }
        }
        match (is_any_there, are_all_known) {
            (true, _) => found.push((Indicator::Relays, AnswerGrade::Good)),
            (false, true) => found.push((Indicator::Relays, AnswerGrade::Bad)),
            // One of those that nobody knows anything of may be there.
            (false, false) => {}
        }
        found
    }
}

fn state_of(look: &RelayLook, now: UnixMillis) -> Option<AnswerGrade> {
    if look.is_breaker_open {
        return Some(AnswerGrade::Bad);
    }
    let (usable, at) = look.probe?;
    let is_fresh = now.saturating_sub(at).saturating_abs() <= FRESH_MS;
    is_fresh.then_some(if usable { AnswerGrade::Good } else { AnswerGrade::Bad })
}

/// What a header's answer says of whether the relay is there. A bid that cannot be used is an answer, and no service.
fn grade_of(outcome: BidOutcome) -> Option<AnswerGrade> {
    match outcome {
        BidOutcome::Bid
        | BidOutcome::NoBid
        | BidOutcome::BelowMinBid
        | BidOutcome::Excluded
        | BidOutcome::BelowLocal => Some(AnswerGrade::Good),
        // Our decisions, not theirs.
        BidOutcome::NotAsked | BidOutcome::Late | BidOutcome::Failed(CallFault::RateLimited) => None,
        BidOutcome::Failed(CallFault::TimedOut) => Some(AnswerGrade::Slow),
        BidOutcome::Failed(
            CallFault::Connect
            | CallFault::Transport
            | CallFault::HttpStatus
            | CallFault::Redirect
            | CallFault::TooLarge
            | CallFault::ContentType
            | CallFault::Undecodable
            | CallFault::WrongFork,
        )
        | BidOutcome::Flawed(_) => Some(AnswerGrade::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::BidFlaw;

    const NOW: i64 = 1_000_000;

    fn at(name: &str, probe: Option<(bool, i64)>, is_breaker_open: bool) -> RelayLook {
        RelayLook { relay: RelayId::parse(name).unwrap(), is_asked: true, probe, is_breaker_open }
    }

    fn union(looks: &[RelayLook]) -> Option<AnswerGrade> {
        let found = RelayWatch::default().judge(looks, NOW);
        found.into_iter().find(|(indicator, _)| *indicator == Indicator::Relays).map(|(_, grade)| grade)
    }

    #[test]
    fn a_relay_is_as_it_was_found_while_that_is_fresh() {
        for (look, want) in [
            (at("a", Some((true, NOW)), false), Some(AnswerGrade::Good)),
            (at("a", Some((false, NOW)), false), Some(AnswerGrade::Bad)),
            (at("a", Some((true, NOW - FRESH_MS - 1)), false), None),
            (at("a", None, false), None),
            (at("a", Some((false, NOW - 10 * FRESH_MS)), true), Some(AnswerGrade::Bad)),
        ] {
            assert_eq!(state_of(&look, NOW), want, "{look:?}");
        }
    }

    #[test]
    fn one_usable_relay_is_enough_and_all_must_be_known_to_be_away() {
        let (up, down) = (at("a", Some((true, NOW)), false), at("b", Some((false, NOW)), false));
        let unknown = at("c", None, false);
        let spare = RelayLook { is_asked: false, ..up.clone() };
        for (looks, want) in [
            (vec![up.clone(), down.clone(), unknown.clone()], Some(AnswerGrade::Good)),
            (vec![down.clone(), unknown.clone()], None),
            (vec![unknown.clone()], None),
            (vec![down.clone()], Some(AnswerGrade::Bad)),
            (vec![down.clone(), spare], Some(AnswerGrade::Bad)),
            (vec![], Some(AnswerGrade::Bad)),
        ] {
            assert_eq!(union(&looks), want, "{looks:?}");
        }
    }

    #[test]
    fn a_header_says_that_a_relay_is_there_once() {
        let mut watch = RelayWatch::default();
        let looks = [at("a", None, false)];
        let answer = |outcome| RelayAnswer {
            relay: RelayId::parse("a").unwrap(),
            outcome,
            message: String::new(),
            http_status: None,
            latency_us: 0,
            value: None,
            block_hash: None,
            verified: false,
            is_corroborated: false,
            score: None,
            polls: vec![],
        };
        assert_eq!(watch.heard(&answer(BidOutcome::NotAsked)), None);
        let heard = watch.heard(&answer(BidOutcome::NoBid)).unwrap();
        assert_eq!(heard, (Indicator::Relay(RelayId::parse("a").unwrap()), AnswerGrade::Good));
        assert_eq!(watch.judge(&looks, NOW), [(Indicator::Relays, AnswerGrade::Good)]);
        assert_eq!(watch.judge(&looks, NOW), []);
        watch.heard(&answer(BidOutcome::Flawed(BidFlaw::ZeroValue))).unwrap();
        assert_eq!(watch.judge(&looks, NOW), [(Indicator::Relays, AnswerGrade::Bad)]);
    }
}
