//! Whether each upstream may serve, and who is asked first.
//!
//! Pure: `step` takes what was observed, with the time, and says what changed. What one upstream showed is its `record`; `recent` and `forks`
//! compare chains, `tip` says what can be believed of the chain, `judge` says how each is and why, `order` who is asked first.
//!
//! The age of its head is the authority, as a node that is cut off says that all is well; where all heads are old, `standstill` says who serves
//! all the same. Unknown is not healthy. One upstream that lies takes no
//! other out: heads from the future count for nothing, the tip needs a witness, and an accusation two. A refused connection is enough to be
//! out, and a probe follows at once.

mod forks;
mod judge;
mod observation;
mod order;
mod recent;
mod record;
mod rules;
mod standstill;
mod tip;

pub use observation::{Finalized, Observation, Probe};
pub use rules::HealthRules;

use self::{
    forks::{Difference, find_forks},
    judge::{Verdict, judge},
    order::{Candidate, find_leader, order},
    record::{Lag, Record, Word},
    standstill::{Standstill, find_standstill},
    tip::{Tip, find_tip},
};
use super::{
    Feedback, Head, Snapshot, Standing, Switchover, Tier, UpstreamId, UpstreamSettings, UpstreamState,
};
use crate::{events::NodeState, types::UnixMillis};

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Something was observed of the upstream at a place.
    Observed(usize, Observation),
    /// Nothing but time has passed.
    Tick,
}

impl Input {
    /// Whether it is a call that was answered, which is counted and changes no state.
    pub fn is_usual(&self) -> bool {
        matches!(self, Self::Observed(_, Observation::Traffic(Feedback::Answered { .. })))
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An upstream has another state.
    State {
        /// The one before.
        before: UpstreamState,
        /// How it is from now on.
        now: Standing,
    },
    /// Another upstream is asked first.
    Switchover(Switchover),
}

/// All that is known of all upstreams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    records: Vec<Record>,
    leader: Option<usize>,
    /// Whoever led last, also while nobody serves.
    led: Option<usize>,
    tip: Option<Tip>,
    disagreement: Option<String>,
    standstill: Option<Standstill>,
}

impl Health {
    /// Nothing is known.
    pub fn new(upstreams: &[UpstreamSettings], now: UnixMillis) -> Self {
        Self::of(upstreams.iter().map(|upstream| (upstream.id.clone(), upstream.tier)), now)
    }

    fn of(upstreams: impl IntoIterator<Item = (UpstreamId, Tier)>, now: UnixMillis) -> Self {
        let records = upstreams.into_iter().map(|(id, tier)| Record::new(id, tier, now)).collect();
        Self { records, leader: None, led: None, tip: None, disagreement: None, standstill: None }
    }

    /// What the board shows.
    pub fn snapshot(&self) -> Snapshot {
        let serving = |record: &&Record| record.state.serves();
        let mut finalized: Vec<u64> = self
            .records
            .iter()
            .filter(serving)
            .filter_map(|record| record.finalized.map(|finalized| finalized.number))
            .collect();
        finalized.sort_unstable_by(|a, b| b.cmp(a));
        // As the tip: with three, two must have it. What is finalized is kept for ever, so one's word is not enough: of fewer, all must have it.
        let finalized = if finalized.len() >= 3 { finalized.get(1) } else { finalized.last() };
        let tip = self.tip.map(|tip| tip.head);
        Snapshot {
            upstreams: self.records.iter().map(standing).collect(),
            order: order(&self.candidates(None), self.leader),
            tip,
            finalized: finalized.copied().min(tip.map(|tip| tip.number)),
        }
    }

    /// Which two upstreams disagree, where nobody can tell who is right.
    pub fn disagreement(&self) -> Option<&str> {
        self.disagreement.as_deref()
    }

    /// What is so while no upstream's head is new.
    pub fn standstill(&self) -> Option<&str> {
        self.standstill.as_ref().map(|standstill| &*standstill.message)
    }

    /// How the upstream at a place is.
    pub fn state(&self, place: usize) -> Option<UpstreamState> {
        self.records.get(place).map(|record| record.state)
    }

    /// Whether it should be probed sooner than usual: something is against it, or not known yet.
    pub fn is_doubtful(&self, place: usize) -> bool {
        self.records.get(place).is_some_and(|record| {
            record.failure.is_some()
                || !record.probes.is_closed()
                || !record.traffic.is_closed()
                || record.state == UpstreamState::Unknown
        })
    }

    /// Whether what its supervisor says of the one at a place is news.
    pub fn takes_word(&self, place: usize, state: Option<NodeState>) -> bool {
        self.records.get(place).is_some_and(|record| record.node != state)
    }

    /// Whether its supervisor has taken the one at a place out.
    pub fn is_out(&self, place: usize) -> bool {
        self.records.get(place).is_some_and(Record::is_out)
    }

    /// Whether a person wants the one at a place out, by the word of its supervisor.
    pub fn is_out_by_hand(&self, place: usize) -> bool {
        self.records.get(place).and_then(|record| record.node).is_some_and(NodeState::is_by_hand)
    }

    /// Whether all should be asked of it, not its head alone.
    pub fn wants_all(&self, place: usize) -> bool {
        self.records.get(place).is_some_and(|record| {
            record.failure.is_some()
                || !matches!(record.state, UpstreamState::Healthy | UpstreamState::Lagging)
        })
    }

    /// Whether another one that serves has a higher finalized block.
    pub fn trails_in_finality(&self, place: usize) -> bool {
        let height = |record: &Record| record.finalized.map(|finalized| finalized.number);
        let own = self.records.get(place).and_then(height);
        self.records.iter().any(|record| record.state.serves() && height(record) > own)
    }

    fn candidates(&self, settled: Option<(UnixMillis, &HealthRules)>) -> Vec<Candidate> {
        let candidate = |record: &Record| Candidate {
            tier: record.tier,
            state: record.state,
            is_settled: settled.is_some_and(|(now, rules)| record.is_settled(now, rules)),
        };
        self.records.iter().map(candidate).collect()
    }

    fn name(&self, place: usize) -> Option<&UpstreamId> {
        self.records.get(place).map(|record| &record.id)
    }

    /// Places in the order in which they are asked when all are well.
    fn by_rank(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.records.len()).collect();
        places.sort_by_key(|place| (self.records.get(*place).map(|record| record.tier), *place));
        places
    }
}

/// Takes in what happened: what is known from now on, and what changed by it.
pub fn step(mut health: Health, input: Input, now: UnixMillis, rules: &HealthRules) -> (Health, Vec<Change>) {
    let is_usual = input.is_usual();
    let shown = match input {
        Input::Observed(place, observation) => {
            let record = health.records.get_mut(place);
            record.is_some_and(|record| record.take(observation, now, rules)).then_some(place)
        }
        Input::Tick => None,
    };
    if is_usual {
        return (health, Vec::new());
    }
    let accused = compare(&mut health, rules);
    find(&mut health, &accused, now, rules);
    if let (Some(tip), Some(place)) = (health.tip, shown) {
        let word = word(&health, place, tip, rules);
        if let Some(record) = health.records.get_mut(place)
            && let Some(head) = record.head
        {
            record.lag = Some(Lag { blocks: tip.head.number.saturating_sub(head.number), word });
        }
    }
    let verdicts: Vec<Verdict> =
        health.records.iter().zip(accused).map(|(record, fork)| judge(record, fork, now, rules)).collect();
    health.standstill = stand(&health, &verdicts, now, rules);
    let mut changes = Vec::new();
    for (place, (record, verdict)) in health.records.iter_mut().zip(verdicts).enumerate() {
        let before = record.state;
        let (state, reason) = spare(record, verdict, health.standstill.as_ref(), place, shown == Some(place));
        if record.set_state(state, reason, now, rules) {
            changes.push(Change::State { before, now: standing(record) });
        }
    }
    let switchover = lead(&mut health, now, rules);
    // One of an earlier tier that was not heard of before takes nothing over: this is the start.
    let is_start = |switchover: &Switchover| {
        switchover.from.is_some()
            && changes.iter().any(|change| match change {
                Change::State { before, now } => {
                    *before == UpstreamState::Unknown && switchover.to.as_ref() == Some(&now.id)
                }
                Change::Switchover(_) => false,
            })
    };
    let switchover = switchover.filter(|switchover| !is_start(switchover));
    changes.extend(switchover.map(Change::Switchover));
    (health, changes)
}

/// Compares all chains: what speaks against each.
fn compare(health: &mut Health, rules: &HealthRules) -> Vec<Option<String>> {
    let chains: Vec<_> = health
        .by_rank()
        .into_iter()
        .filter_map(|place| Some((place, health.records.get(place)?)))
        .filter(|(_, record)| record.is_witness(rules))
        .map(|(place, record)| (place, &record.recent))
        .collect();
    let forks = find_forks(&chains);
    let name = |place: usize| health.name(place).map_or_else(String::new, ToString::to_string);
    let majority = forks.majority.iter().map(|place| name(*place)).collect::<Vec<_>>().join(", ");
    let accused = (0..health.records.len())
        .map(|place| {
            let (_, found) = forks.outvoted.iter().find(|(outvoted, _)| *outvoted == place)?;
            let Difference { height, here, there } = found;
            Some(format!(
                "Its block {height} is {here}, while {majority} have {there}: it is on another fork."
            ))
        })
        .collect();
    let disagreement = forks.undecided.map(|(one, other, Difference { height, here, there })| {
        let (one, other) = (name(one), name(other));
        format!(
            "Block {height} of {one} is {here}, that of {other} is {there}. Nobody can tell who is right; both serve, in their usual order."
        )
    });
    health.disagreement = disagreement;
    accused
}

/// Finds the tip among those whom nothing speaks against.
fn find(health: &mut Health, accused: &[Option<String>], now: UnixMillis, rules: &HealthRules) {
    let is_accused = |place: usize| accused.get(place).is_some_and(Option::is_some);
    let heads: Vec<Head> = health
        .by_rank()
        .into_iter()
        .filter(|place| !is_accused(*place))
        .filter_map(|place| health.records.get(place))
        .filter(|record| record.is_witness(rules))
        .filter_map(|record| record.head)
        .collect();
    // While nobody answers, the last tip is the best that is known.
    if let Some(tip) = find_tip(&heads, health.tip, now, rules) {
        health.tip = Some(tip);
    }
}

/// Whose word the tip is for the upstream at a place: the operator's own nodes are asked before a provider is believed.
fn word(health: &Health, place: usize, tip: Tip, rules: &HealthRules) -> Word {
    if tip.is_witnessed {
        return Word::Witnessed;
    }
    let is_own = health.records.iter().enumerate().any(|(other, record)| {
        other != place
            && record.tier != Tier::Backup
            && record.is_witness(rules)
            && record.head.is_some_and(|head| head.number >= tip.head.number)
    });
    if is_own { Word::Own } else { Word::Backup }
}

/// Whether all who could serve have old heads, and nobody else serves.
fn stand(health: &Health, verdicts: &[Verdict], now: UnixMillis, rules: &HealthRules) -> Option<Standstill> {
    // At the start the first one that answers must not be taken for all.
    if verdicts.iter().any(Verdict::serves) || health.records.iter().any(|record| record.is_awaited(now)) {
        return None;
    }
    let old: Vec<(usize, Head)> = health
        .by_rank()
        .into_iter()
        .filter_map(|place| match verdicts.get(place)? {
            Verdict::Old(head, _) => Some((place, *head)),
            Verdict::Is(..) => None,
        })
        .collect();
    find_standstill(&old, verdicts.len(), health.tip, now, rules)
}

/// How one is after a look at all. One that was spared while the chain stood is not out because another shows the first new block: it is looked at
/// again when it has shown its own.
fn spare(
    record: &mut Record,
    verdict: Verdict,
    standstill: Option<&Standstill>,
    place: usize,
    is_shown: bool,
) -> (UpstreamState, String) {
    let (head, reason) = match verdict {
        Verdict::Is(state, reason) => {
            record.is_spared = false;
            return (state, reason);
        }
        Verdict::Old(head, reason) => (head, reason),
    };
    let message = match standstill {
        Some(found) => found.places.contains(&place).then(|| found.message.clone()),
        None => (record.is_spared && !is_shown)
            .then(|| "Another upstream has shown a newer block since it was probed.".to_owned()),
    };
    record.is_spared = message.is_some();
    match message {
        Some(message) => {
            let number = head.number;
            (UpstreamState::Lagging, format!("{message} It serves all the same; its head is block {number}."))
        }
        None => (UpstreamState::Down, reason),
    }
}

/// Says who is asked first, and if that is somebody else than before, why.
fn lead(health: &mut Health, now: UnixMillis, rules: &HealthRules) -> Option<Switchover> {
    let before = health.leader;
    let leader = find_leader(&health.candidates(Some((now, rules))), before);
    health.leader = leader;
    if leader == before {
        return None;
    }
    let led = health.led;
    health.led = leader.or(led);
    // The first one is no switchover.
    let from = before.or(led)?;
    let was = health.records.get(from)?;
    let reason = match (before, leader) {
        (None, _) => "Nobody served; now it does.".to_owned(),
        (Some(_), Some(to)) if was.state == UpstreamState::Healthy => {
            let to = health.name(to)?;
            format!("{to} has proved itself again and is of an earlier tier.")
        }
        (Some(_), _) => was.reason.clone(),
    };
    let name = |place: usize| health.name(place).cloned();
    Some(Switchover { from: before.and_then(name), to: leader.and_then(name), reason, at: now })
}

fn standing(record: &Record) -> Standing {
    Standing {
        id: record.id.clone(),
        tier: record.tier,
        state: record.state,
        reason: record.reason.clone(),
        since: record.since,
        head: record.head,
        finalized: record.finalized.map(|finalized| finalized.number),
        lag: record.lag.map(|lag| lag.blocks),
        earliest: None,
        version: record.version.clone(),
    }
}

#[cfg(test)]
mod tests;
