//! What is remembered of one upstream, and what each observation changes of it.

use super::{
    observation::{Finalized, Observation, Probe},
    recent::Recent,
    rules::HealthRules,
};
use crate::{
    breaker::{Breaker, BreakerPolicy, Pulse},
    events::NodeState,
    gateway::{Feedback, Head, Tier, UpstreamId, UpstreamState},
    types::UnixMillis,
};

/// Longest that a first answer is waited for, in milliseconds: longer than any probe may take.
const FIRST_ANSWER_MS: i64 = 10_000;

/// How far an upstream was behind the tip when it last showed its head. Later, when the others have gone on and it was not asked again, says
/// nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) blocks: u64,
    /// Who says so.
    pub(super) word: Word,
}

/// Whose word the tip is that an upstream is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Two others have it.
    Witnessed,
    /// A node of the operator's has it, and no second one.
    Own,
    /// A provider has it, and nobody else.
    Backup,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) id: UpstreamId,
    pub(super) tier: Tier,
    /// What probes say of its being there.
    pub(super) probes: Breaker,
    /// What calls say of it.
    pub(super) traffic: Breaker,
    /// Whether a probe was answered since calls took it out.
    pub(super) is_lifted: bool,
    /// Whether any probe was answered: before that its chain is not known.
    pub(super) is_known: bool,
    pub(super) chain_id: Option<u64>,
    pub(super) head: Option<Head>,
    pub(super) lag: Option<Lag>,
    pub(super) recent: Recent,
    pub(super) finalized: Option<Finalized>,
    /// The highest finalized block that it ever showed.
    pub(super) finalized_most: Option<u64>,
    pub(super) is_syncing: bool,
    pub(super) peers: Option<u64>,
    pub(super) version: Option<String>,
    /// Why its last probe failed; none when it was answered.
    pub(super) failure: Option<String>,
    /// Whether its last probe was not sent, so that what is known of it is older than it need be.
    pub(super) is_unasked: bool,
    /// Whether it serves although its head is old, as all heads were when it was last looked at.
    pub(super) is_spared: bool,
    /// When a call was last answered by it.
    pub(super) answered: Option<UnixMillis>,
    /// Why the last call to it failed; none when it was answered.
    pub(super) trouble: Option<String>,
    /// How it is by the word of whoever supervises it; none: nobody does, or says.
    pub(super) node: Option<NodeState>,
    pub(super) state: UpstreamState,
    pub(super) reason: String,
    pub(super) since: UnixMillis,
    /// Whether it has lost what it had, and must prove itself before it is asked first again.
    pub(super) is_on_trial: bool,
    /// Since when it is healthy and at the tip.
    pub(super) in_step_since: Option<UnixMillis>,
}

impl Record {
    /// An upstream of which nothing is known.
    pub(super) fn new(id: UpstreamId, tier: Tier, now: UnixMillis) -> Self {
        Self {
            id,
            tier,
            probes: Breaker::default(),
            traffic: Breaker::default(),
            is_lifted: false,
            is_known: false,
            chain_id: None,
            head: None,
            lag: None,
            recent: Recent::default(),
            finalized: None,
            finalized_most: None,
            is_syncing: false,
            peers: None,
            version: None,
            failure: None,
            is_unasked: false,
            is_spared: false,
            answered: None,
            trouble: None,
            node: None,
            state: UpstreamState::Unknown,
            reason: "It was not asked yet.".to_owned(),
            since: now,
            is_on_trial: false,
            in_step_since: None,
        }
    }

    /// Takes in an observation. Whether it showed a head.
    pub(super) fn take(&mut self, observation: Observation, now: UnixMillis, rules: &HealthRules) -> bool {
        match observation {
            Observation::Probed(probe) => self.probed(probe, now, rules),
            Observation::Failed { refused, message } => {
                self.is_unasked = false;
                self.probes = step(self.probes, Pulse::Failed, now, rules.probe_breaker(), refused);
                if !self.traffic.is_closed() {
                    self.traffic = self.traffic.step(Pulse::Failed, now, &self.traffic_policy(rules));
                }
                self.failure = Some(message);
                false
            }
            Observation::NotSent => {
                self.is_unasked = true;
                false
            }
            Observation::Traffic(feedback) => self.met(feedback, now, rules),
            Observation::Node(state) => {
                let was_out = self.is_out();
                self.node = state;
                // It is another process now, perhaps: what it showed before says nothing of it.
                if was_out && !self.is_out() {
                    self.is_known = false;
                }
                false
            }
        }
    }

    fn probed(&mut self, probe: Probe, now: UnixMillis, rules: &HealthRules) -> bool {
        let Probe { chain_id, head, finalized, syncing, peers, version, latency: _ } = probe;
        self.probes = self.probes.step(Pulse::Alive, now, &rules.probe_breaker());
        // Probes are no traffic: while calls are let through, calls alone say how calls do.
        if !self.traffic.is_closed() {
            self.is_lifted = true;
            self.traffic = self.traffic.step(Pulse::Alive, now, &self.traffic_policy(rules));
        }
        self.failure = None;
        self.is_unasked = false;
        self.is_known = true;
        self.chain_id = chain_id.or(self.chain_id);
        self.is_syncing = syncing.unwrap_or(self.is_syncing);
        self.peers = peers.or(self.peers);
        self.version = version.or(self.version.take());
        if let Some(finalized) = finalized {
            self.finalized = Some(finalized);
            self.finalized_most = self.finalized_most.max(Some(finalized.number));
        }
        if let Some(head) = head {
            self.showed(head);
        }
        head.is_some()
    }

    fn met(&mut self, feedback: Feedback, now: UnixMillis, rules: &HealthRules) -> bool {
        let policy = self.traffic_policy(rules);
        if matches!(feedback, Feedback::Answered { .. }) {
            self.answered = Some(now);
        }
        match feedback {
            // An answer that straggles in lifts nothing: probes do.
            Feedback::Answered { .. } if self.traffic.is_closed() => {
                self.traffic = self.traffic.step(Pulse::Alive, now, &policy);
                self.trouble = None;
            }
            Feedback::Answered { .. } | Feedback::Silent => {}
            Feedback::Refused(message) => {
                if self.traffic.is_closed() {
                    self.is_lifted = false;
                    self.traffic = step(self.traffic, Pulse::Failed, now, policy, true);
                }
                self.trouble = Some(message);
            }
            Feedback::Failed(message) => {
                if self.traffic.is_closed() {
                    self.is_lifted = false;
                    self.traffic = self.traffic.step(Pulse::Failed, now, &policy);
                }
                self.trouble = Some(message);
            }
            Feedback::Head(head) => {
                // It may come later than what a probe showed.
                let is_newer = self.head.is_none_or(|known| head.number >= known.number);
                if is_newer {
                    self.showed(head);
                }
                return is_newer;
            }
        }
        false
    }

    fn showed(&mut self, head: Head) {
        self.recent.note(&head);
        self.head = Some(head);
    }

    fn traffic_policy(&self, rules: &HealthRules) -> BreakerPolicy {
        let (Breaker::Closed { times, .. } | Breaker::Open { times, .. } | Breaker::HalfOpen { times, .. }) =
            self.traffic;
        rules.traffic_breaker(times)
    }

    /// Whether it is not to be asked, by the word of whoever supervises it.
    pub(super) fn is_out(&self) -> bool {
        self.node.is_some_and(NodeState::is_out)
    }

    /// Whether its head may say something of the chain.
    pub(super) fn is_witness(&self, rules: &HealthRules) -> bool {
        self.is_known
            && !self.is_out()
            && self.probes.is_closed()
            && !self.is_syncing
            && self.chain_id.is_none_or(|id| id == rules.chain_id)
    }

    /// Whether its first answer may still be on its way, so that nothing can be said of all yet.
    pub(super) fn is_awaited(&self, now: UnixMillis) -> bool {
        !self.is_known
            && !self.is_out()
            && self.failure.is_none()
            && !self.is_unasked
            && now.saturating_sub(self.since) < FIRST_ANSWER_MS
    }

    /// Whether it may take the lead back.
    pub(super) fn is_settled(&self, now: UnixMillis, rules: &HealthRules) -> bool {
        let is_proved = |since: UnixMillis| now.saturating_sub(since) >= rules.failback_ms();
        !self.is_on_trial || self.in_step_since.is_some_and(is_proved)
    }

    /// It has a state from now on, the one before included. Whether that is another one.
    pub(super) fn set_state(
        &mut self,
        state: UpstreamState,
        reason: String,
        now: UnixMillis,
        rules: &HealthRules,
    ) -> bool {
        let is_new = self.state != state;
        if is_new {
            self.since = now;
        }
        self.state = state;
        self.reason = reason;
        let is_healthy = state == UpstreamState::Healthy;
        // One provider's word must not keep the operator's nodes from their place, either.
        let is_near = |lag: Lag| lag.word == Word::Backup || lag.blocks <= rules.in_step_blocks();
        let is_in_step = is_healthy && self.lag.is_some_and(is_near);
        self.in_step_since = is_in_step.then(|| self.in_step_since.unwrap_or(now));
        if !is_healthy && state != UpstreamState::Unknown {
            self.is_on_trial = true;
        } else if self.is_settled(now, rules) {
            self.is_on_trial = false;
        }
        is_new
    }
}

/// A step of a breaker; what was refused needs no second time.
fn step(breaker: Breaker, pulse: Pulse, now: UnixMillis, policy: BreakerPolicy, refused: bool) -> Breaker {
    let failures = if refused { 1 } else { policy.failures };
    breaker.step(pulse, now, &BreakerPolicy { failures, ..policy })
}
