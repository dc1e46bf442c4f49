use std::time::Duration;

use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::{
    events::NodeState,
    gateway::{Feedback, HealthPolicy},
};
use UpstreamState::{Down, Forked, Healthy, Lagging, Syncing, Unknown, WrongChain};

/// A block of a chain that has the name `fork` from a height on.
pub(super) fn chain_head(number: u64, fork: u8, since: u64, timestamp: u64) -> Head {
    let hash = |number: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[31] = if number >= since { fork } else { 0 };
        B256::from(bytes)
    };
    Head { number, hash: hash(number), parent_hash: hash(number.saturating_sub(1)), timestamp }
}

/// When the chain that these tests watch was at block 0, in seconds; a block every 12.
const GENESIS: u64 = 1_000_000;

/// The honest chain's block.
fn block(number: u64) -> Head {
    chain_head(number, 0, 0, GENESIS + number * 12)
}

/// Just after that block, in Unix milliseconds.
fn at(number: u64) -> UnixMillis {
    i64::try_from((GENESIS + number * 12) * 1000 + 500).unwrap()
}

fn rules() -> HealthRules {
    HealthRules { policy: HealthPolicy::default(), chain_id: 1, block_time: Duration::from_secs(12) }
}

fn good(head: Head) -> Probe {
    Probe { chain_id: Some(1), head: Some(head), syncing: Some(false), peers: Some(50), ..Probe::default() }
}

fn failed(refused: bool) -> Observation {
    Observation::Failed { refused, message: "no answer in time".to_owned() }
}

/// Upstreams under test, with the time.
struct Stage {
    health: Health,
    now: UnixMillis,
    changes: Vec<Change>,
}

impl Stage {
    fn new(tiers: &[Tier]) -> Self {
        let id = |place: usize| UpstreamId::parse(&format!("u{place}")).unwrap();
        let upstreams = tiers.iter().enumerate().map(|(place, tier)| (id(place), *tier));
        Self { health: Health::of(upstreams, at(100)), now: at(100), changes: Vec::new() }
    }

    fn input(&mut self, input: Input) -> &mut Self {
        let health = self.health.clone();
        let (health, changes) = step(health, input, self.now, &rules());
        self.health = health;
        self.changes.extend(changes);
        self
    }

    fn see(&mut self, place: usize, observation: Observation) -> &mut Self {
        self.input(Input::Observed(place, observation))
    }

    fn probe(&mut self, place: usize, probe: Probe) -> &mut Self {
        self.see(place, Observation::Probed(probe))
    }

    fn meet(&mut self, place: usize, feedback: Feedback) -> &mut Self {
        self.see(place, Observation::Traffic(feedback))
    }

    /// All show the chain's head of the time.
    fn all_well(&mut self) -> &mut Self {
        let number = (u64::try_from(self.now).unwrap() / 1000 - GENESIS) / 12;
        for place in 0..self.health.records.len() {
            self.probe(place, good(block(number)));
        }
        self
    }

    fn wait(&mut self, ms: i64) -> &mut Self {
        self.now += ms;
        self.input(Input::Tick)
    }

    /// Time passes while all are well and probed.
    fn pass(&mut self, secs: i64) -> &mut Self {
        for _ in 0..secs {
            self.wait(1_000).all_well();
        }
        self
    }

    #[track_caller]
    fn is(&mut self, place: usize, state: UpstreamState, word: &str) -> &mut Self {
        let standing = &self.health.snapshot().upstreams[place];
        assert_eq!(standing.state, state, "{standing:?}");
        assert!(standing.reason.contains(word), "{:?} has no {word:?}", standing.reason);
        assert!(word.is_empty() || standing.reason.ends_with('.'), "{}", standing.reason);
        self
    }

    #[track_caller]
    fn order(&mut self, want: &[usize]) -> &mut Self {
        assert_eq!(self.health.snapshot().order, want, "{:#?}", self.health.snapshot());
        self
    }

    fn switchovers(&self) -> Vec<String> {
        let name = |id: &Option<UpstreamId>| id.as_ref().map_or("nobody".to_owned(), ToString::to_string);
        self.changes
            .iter()
            .filter_map(|change| match change {
                Change::Switchover(it) => {
                    Some(format!("{} to {}: {}", name(&it.from), name(&it.to), it.reason))
                }
                Change::State { .. } => None,
            })
            .collect()
    }
}

fn one() -> Stage {
    Stage::new(&[Tier::Primary])
}

#[test]
fn its_supervisors_word_takes_one_out_at_once_and_a_probe_brings_it_back() {
    let says = |state| Observation::Node(Some(state));
    for state in NodeState::ALL {
        let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
        stage.all_well().order(&[0, 1]).see(0, says(state));
        if !state.is_out() {
            // Probes say more of it.
            stage.is(0, Healthy, "").order(&[0, 1]);
            continue;
        }
        stage.is(0, Down, "Its supervisor says").order(&[1]);
        // Whatever its port answers: it may be on its way down.
        stage.pass(20).is(0, Down, "Its supervisor says").order(&[1]);
        // What it showed before is of a process that may be gone.
        stage.see(0, says(NodeState::Starting)).is(0, Unknown, "not shown a head").order(&[1]);
        stage.all_well().is(0, Healthy, "").order(&[1, 0]);
        stage.pass(61).order(&[0, 1]);
        // Nobody supervises it any more.
        stage.see(0, says(state)).order(&[1]).see(0, Observation::Node(None)).all_well().order(&[1, 0]);
    }
}

#[test]
fn one_that_its_supervisor_has_taken_out_is_no_witness() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
    stage.all_well().see(0, Observation::Node(Some(NodeState::Maintenance)));
    // It shows a head far ahead, and fails: neither is anybody's business.
    stage.probe(0, good(block(140))).is(1, Healthy, "").order(&[1]);
    stage.see(0, failed(true)).is(0, Down, "under maintenance");
    stage.see(0, Observation::Node(Some(NodeState::Healthy))).is(0, Down, "Its probes fail");
}

#[test]
fn what_one_probe_says_of_an_upstream() {
    let probe = good(block(100));
    let head = |number: u64, timestamp| Some(chain_head(number, 0, 0, timestamp));
    let secs_ago = |secs: u64| u64::try_from(at(100)).unwrap() / 1000 - secs;
    let finalized = |number, age| Some(Finalized { number, timestamp: secs_ago(age) });
    for (name, probe, state, word) in [
        ("all well", probe.clone(), Healthy, ""),
        ("methods missing", Probe { syncing: None, peers: None, ..probe.clone() }, Healthy, ""),
        ("no head", Probe { head: None, ..probe.clone() }, Unknown, "has not shown a head"),
        (
            "chain",
            Probe { chain_id: Some(5), ..probe.clone() },
            WrongChain,
            "chain 5, and this gateway is for chain 1",
        ),
        (
            "chain before head",
            Probe { chain_id: Some(5), head: None, ..probe.clone() },
            WrongChain,
            "chain 5",
        ),
        ("syncing", Probe { syncing: Some(true), ..probe.clone() }, Syncing, "head is block 100"),
        ("no peers", Probe { peers: Some(0), ..probe.clone() }, Healthy, "has no peers; at least 3"),
        ("few peers", Probe { peers: Some(2), ..probe.clone() }, Healthy, "2 peers; at least 3"),
        ("a minute old", Probe { head: head(95, secs_ago(59)), ..probe.clone() }, Healthy, ""),
        ("more", Probe { head: head(95, secs_ago(60)), ..probe.clone() }, Lagging, "block 95, is 60 s old"),
        ("five minutes", Probe { head: head(75, secs_ago(299)), ..probe.clone() }, Lagging, "4 min"),
        ("more", Probe { head: head(75, secs_ago(300)), ..probe.clone() }, Lagging, "head is 5 min old"),
        ("genesis", Probe { head: head(0, 0), ..probe.clone() }, Lagging, "days old"),
        ("in 15 s", Probe { head: head(101, secs_ago(0) + 15), ..probe.clone() }, Healthy, ""),
        ("in 17 s", Probe { head: head(101, secs_ago(0) + 17), ..probe.clone() }, Lagging, "in the future"),
        (
            "in eternity",
            Probe { head: head(u64::MAX, u64::MAX), ..probe.clone() },
            Lagging,
            "or this machine's clock",
        ),
        ("finality", Probe { finalized: finalized(36, 800), ..probe.clone() }, Healthy, ""),
        (
            "no finality",
            Probe { finalized: finalized(3, 1801), ..probe.clone() },
            Healthy,
            "block, 3, is 30 min old",
        ),
        ("a new chain", Probe { finalized: finalized(0, 18_000), ..probe.clone() }, Healthy, ""),
        (
            "absurd finality",
            Probe { finalized: finalized(101, 0), ..probe.clone() },
            Healthy,
            "above its head, 100",
        ),
    ] {
        let mut stage = one();
        let found = &stage.probe(0, probe).health.snapshot();
        assert_eq!(found.upstreams[0].state, state, "{name}: {found:?}");
        assert!(found.upstreams[0].reason.contains(word), "{name}: {found:?}");
        assert!(
            state != Healthy || !word.is_empty() || found.upstreams[0].reason.is_empty(),
            "{name}: {found:?}"
        );
        assert_eq!(!found.order.is_empty(), state.serves(), "{name}");
    }
}

#[test]
fn nothing_is_served_before_a_first_head_of_the_right_chain() {
    let mut stage = one();
    stage.is(0, Unknown, "not asked yet").order(&[]);
    // A subscription's head says nothing of the chain that it is of.
    stage.meet(0, Feedback::Head(block(100))).is(0, Unknown, "").order(&[]);
    stage.see(0, failed(false)).is(0, Unknown, "no answer in time").order(&[]);
    stage.probe(0, good(block(100))).is(0, Healthy, "").order(&[0]);
    assert_eq!(stage.switchovers(), Vec::<String>::new(), "the first one is no switchover");
    one().see(0, failed(true)).is(0, Down, "no answer in time").order(&[]);
}

#[test]
fn probes_that_fail_in_a_row_take_it_out_and_good_ones_in_a_row_bring_it_back() {
    let mut stage = one();
    stage.all_well().see(0, failed(false)).is(0, Healthy, "").all_well();
    stage.see(0, failed(false)).is(0, Healthy, "").see(0, failed(false)).is(0, Down, "no answer in time");
    stage.all_well().is(0, Down, "not often enough").see(0, failed(false)).is(0, Down, "");
    stage.all_well().is(0, Down, "").all_well().is(0, Healthy, "");
    stage.see(0, failed(true)).is(0, Down, "no answer in time").order(&[]);
    assert_eq!(
        stage.switchovers(),
        [
            "u0 to nobody: Its probes fail: no answer in time.",
            "nobody to u0: Nobody served; now it does.",
            "u0 to nobody: Its probes fail: no answer in time."
        ]
    );
}

#[test]
fn a_refused_call_is_enough_and_a_probe_confirms_or_lifts_it() {
    let refused = || Feedback::Refused("connection refused".to_owned());
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
    stage.all_well().order(&[0, 1]);
    stage.meet(0, refused()).is(0, Down, "connection refused").order(&[1]);
    // Lifted, and on trial.
    stage.probe(0, good(block(100))).is(0, Healthy, "").order(&[1, 0]);
    // Again, although probes are answered: asked only when nobody else can be, for a while.
    stage.meet(0, refused()).is(0, Down, "");
    stage.probe(0, good(block(100))).is(0, Lagging, "Its probes are answered").order(&[1, 0]);
    stage.wait(1_999).probe(0, good(block(100))).is(0, Lagging, "");
    stage.wait(1).probe(0, good(block(100))).is(0, Healthy, "").order(&[1, 0]);
    // Confirmed.
    stage.meet(0, refused()).see(0, failed(true)).is(0, Down, "Its probes fail").order(&[1]);
    stage.wait(9_000).all_well().is(0, Down, "").all_well().is(0, Healthy, "");
    // Alone, a passing refusal is lifted by the probe that follows.
    let mut stage = one();
    stage.all_well().meet(0, refused()).order(&[]).all_well().order(&[0]);
    stage.meet(0, refused()).order(&[]).all_well().is(0, Lagging, "").order(&[0]);
}

#[test]
fn calls_that_fail_in_a_row_take_it_out() {
    let failed = || Feedback::Failed("HTTP 502".to_owned());
    let answered = || Feedback::Answered { elapsed: Duration::ZERO };
    let mut stage = Stage::new(&[Tier::Primary, Tier::Backup]);
    stage.all_well();
    for _ in 0..4 {
        stage.meet(0, failed()).is(0, Healthy, "");
    }
    stage.meet(0, answered()).meet(0, failed()).is(0, Healthy, "");
    // Probes do not answer for calls.
    for _ in 0..4 {
        stage.all_well().meet(0, failed());
    }
    stage.is(0, Down, "Calls to it fail: HTTP 502").order(&[1]);
    // What straggles in lifts nothing.
    stage.meet(0, answered()).is(0, Down, "");
    stage.all_well().is(0, Healthy, "").order(&[1, 0]);
}

#[test]
fn one_that_answers_calls_is_never_out_because_our_budget_has_no_probe_left() {
    let answered = || Feedback::Answered { elapsed: Duration::ZERO };
    let mut stage = Stage::new(&[Tier::Primary, Tier::Backup]);
    stage.all_well().see(0, failed(true)).order(&[1]);
    for _ in 0..20 {
        stage.wait(30_000).see(1, Observation::NotSent).meet(1, answered());
    }
    stage.is(1, Lagging, "block 100, is 10 min old: our budget").order(&[1]);
    // Nor is one that is only asked again.
    stage.all_well().is(1, Healthy, "");
    // Nothing at all is heard of it any more.
    stage.see(1, Observation::NotSent).wait(300_000).is(1, Lagging, "our budget");
    stage.wait(12_000).is(1, Down, "our budget").order(&[]);
    // One that was probed in vain is judged by that.
    stage.meet(1, answered()).see(1, failed(true)).is(1, Down, "Its probes fail");
}

#[test]
fn a_restart_on_the_right_chain_ends_a_wrong_one() {
    let mut stage = one();
    stage.all_well().probe(0, Probe { chain_id: Some(5), ..good(block(100)) }).is(0, WrongChain, "chain 5");
    stage.probe(0, Probe { chain_id: None, ..good(block(100)) }).is(0, WrongChain, "");
    stage.all_well().is(0, Healthy, "");
}

#[test]
fn the_age_of_a_head_is_a_fault_beside_one_that_is_newer() {
    let secs_ago = |secs: u64| u64::try_from(at(100)).unwrap() / 1000 - secs;
    for (name, peers, age, state, word) in [
        ("a minute old", 50, 59, Healthy, ""),
        ("more", 50, 60, Lagging, "block 99, is 60 s old"),
        ("five minutes", 50, 299, Lagging, "block 99, is 4 min old"),
        ("more", 50, 300, Down, "block 99, is 5 min old"),
        ("no peers", 0, 59, Healthy, "has no peers"),
        ("no peers and an old head", 0, 60, Down, "no peers, and its head, block 99, is 60 s old"),
    ] {
        let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
        let probe = Probe { peers: Some(peers), ..good(chain_head(99, 0, 0, secs_ago(age))) };
        stage.all_well().probe(0, probe);
        let found = &stage.health.snapshot().upstreams[0];
        assert!(found.state == state && found.reason.contains(word), "{name}: {found:?}");
        assert_eq!(stage.health.standstill(), None, "{name}");
    }
}

#[test]
fn a_chain_that_stands_still_is_served_as_it_stands() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica, Tier::Backup]);
    stage.all_well();
    let still = |stage: &mut Stage| {
        for place in 0..3 {
            stage.probe(place, good(block(100)));
        }
    };
    // Or this machine's clock goes ahead by as much: that looks the same.
    for _ in 0..200 {
        stage.wait(3_000);
        still(&mut stage);
        stage.order(&[0, 1, 2]);
    }
    let words =
        "Every upstream's head is 10 min old or older: the chain stands still, or this machine's clock";
    stage.is(0, Lagging, words);
    assert!(stage.health.standstill().is_some_and(|words| words.ends_with("clock is wrong.")));
    // Whoever is out for another reason stays out.
    stage.see(1, failed(true)).is(1, Down, "Its probes fail").order(&[0, 2]);
    stage.is(0, Lagging, "Every head that can be served is 10 min old");
    still(&mut stage);
    still(&mut stage);
    stage.order(&[0, 1, 2]);
    // It goes on. Who did not show the new block yet is not out for that, and once it was looked at, it is.
    let secs = u64::try_from(stage.now).unwrap() / 1000;
    let next = |number| good(chain_head(number, 0, 0, secs));
    stage.probe(0, next(101)).is(0, Healthy, "").is(1, Lagging, "a newer block since").order(&[0, 1, 2]);
    assert_eq!(stage.health.standstill(), None);
    stage.wait(1_000).order(&[0, 1, 2]).probe(2, next(102)).order(&[0, 2, 1]);
    stage.probe(1, good(block(100))).is(1, Down, "block 100, is 10 min old").order(&[0, 2]);
    stage.probe(1, next(102)).is(1, Healthy, "").order(&[0, 1, 2]);
}

#[test]
fn one_far_behind_a_chain_that_stands_is_out() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
    stage.all_well().wait(600_000).probe(0, good(block(70))).probe(1, good(block(100)));
    stage.is(0, Down, "block 70").is(1, Lagging, "the chain stands still").order(&[1]);
}

#[test]
fn at_the_start_an_old_head_waits_for_the_others_answers() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Backup]);
    stage.probe(0, good(block(10))).is(0, Down, "block 10, is 18 min old").order(&[]);
    stage.probe(1, good(block(100))).is(0, Down, "").order(&[1]);
    // One that never says anything is not waited for.
    let mut stage = Stage::new(&[Tier::Primary, Tier::Backup]);
    stage.probe(0, good(block(10))).order(&[]).wait(10_000).is(0, Lagging, "no other to compare").order(&[0]);
}

#[test]
fn blocks_behind_the_tip() {
    let three = [Tier::Primary, Tier::Replica, Tier::Replica];
    for (tiers, behind, state) in [
        (&three[..], 2, Healthy),
        (&three[..], 3, Lagging),
        (&three[..], 29, Lagging),
        (&three[..], 30, Down),
        // One other's word takes nobody out.
        (&three[..2], 3, Lagging),
        (&three[..2], 90, Lagging),
        // Nor does a provider's alone make anybody lag.
        (&[Tier::Primary, Tier::Backup], 3, Healthy),
        (&[Tier::Primary, Tier::Backup], 90, Healthy),
        (&[Tier::Backup, Tier::Backup], 90, Healthy),
        (&[Tier::Backup, Tier::Primary], 3, Lagging),
        (&[Tier::Primary, Tier::Backup, Tier::Backup], 3, Lagging),
    ] {
        let mut stage = Stage::new(tiers);
        stage.all_well();
        // Its time is new, so that its age says nothing.
        let head = chain_head(100 - behind, 0, 0, block(100).timestamp);
        stage.probe(0, good(head)).is(0, state, "");
        assert_eq!(stage.health.snapshot().upstreams[0].lag, Some(behind));
    }
    // Whoever was not asked since the others have gone on is not behind.
    let mut stage = Stage::new(&three);
    stage.all_well().wait(48_000);
    stage.probe(1, good(block(104))).probe(2, good(block(104))).is(0, Healthy, "");
    assert_eq!(stage.health.snapshot().tip, Some(block(104)));
}

#[test]
fn one_providers_word_takes_the_lead_from_no_node_of_ours() {
    let ahead = |stage: &Stage, blocks: u64| {
        let now = u64::try_from(stage.now).unwrap() / 1000;
        let newest = (now - GENESIS) / 12;
        (good(block(newest)), good(chain_head(newest + blocks, 0, 0, now)))
    };
    let mut stage = Stage::new(&[Tier::Primary, Tier::Backup]);
    let probe = |stage: &mut Stage| {
        let (honest, lie) = ahead(stage, 12);
        stage.probe(1, lie).probe(0, honest);
    };
    stage.all_well();
    probe(&mut stage);
    stage.is(0, Healthy, "One provider, and no node of yours, is 12 blocks ahead of it.").order(&[0, 1]);
    // Nor does it keep one that was out from coming back.
    stage.see(0, failed(true)).order(&[1]);
    for _ in 0..62 {
        stage.wait(1_000);
        probe(&mut stage);
    }
    stage.order(&[0, 1]);
    // The age of its head tells whether it is stuck.
    stage.wait(70_000);
    let (_, newer) = ahead(&stage, 0);
    stage.probe(1, newer).is(0, Lagging, " old.").order(&[1, 0]);
}

#[test]
fn failback_waits_until_the_earlier_tier_has_proved_itself() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica, Tier::Backup]);
    stage.all_well().order(&[0, 1, 2]).see(0, failed(true)).order(&[1, 2]);
    stage.all_well().all_well().is(0, Healthy, "").order(&[1, 0, 2]);
    stage.pass(48).order(&[1, 0, 2]);
    // A lag begins the wait anew.
    stage.probe(0, good(block(103))).is(0, Healthy, "").all_well();
    stage.pass(59).order(&[1, 0, 2]).pass(1).order(&[0, 1, 2]);
    assert_eq!(
        stage.switchovers(),
        [
            "u0 to u1: Its probes fail: no answer in time.",
            "u1 to u0: u0 has proved itself again and is of an earlier tier."
        ]
    );
    // When the leader dies meanwhile, the own node on trial is asked before a paid one.
    stage.see(0, failed(true)).all_well().all_well().order(&[1, 0, 2]);
    stage.see(1, failed(true)).order(&[0, 2]);
}

#[test]
fn within_a_tier_the_leader_stays() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Primary]);
    stage.all_well().see(0, failed(true)).all_well().all_well().order(&[1, 0]);
    stage.pass(600).order(&[1, 0]);
}

#[test]
fn a_minority_on_another_fork_is_named_with_the_majority() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica, Tier::Replica]);
    stage.all_well().wait(12_000);
    let forked = |number: u64| good(chain_head(number, 7, 101, GENESIS + number * 12));
    stage.probe(0, forked(101)).probe(1, good(block(101))).probe(2, good(block(101))).is(0, Healthy, "");
    stage.wait(12_000).probe(0, forked(102)).probe(1, good(block(102)));
    stage.is(0, Healthy, "").probe(2, good(block(102))).is(0, Forked, "u1, u2 have 0x").order(&[1, 2]);
    assert_eq!(stage.health.disagreement(), None);
    // It comes to the others' chain.
    stage.wait(12_000).all_well().is(0, Healthy, "").order(&[1, 0, 2]);
}

#[test]
fn of_two_that_disagree_nobody_is_guilty() {
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica]);
    stage.all_well();
    for number in 101..104 {
        stage.wait(12_000).probe(0, good(chain_head(number, 7, 101, GENESIS + number * 12)));
        stage.probe(1, good(block(number)));
    }
    stage.is(0, Healthy, "").is(1, Healthy, "").order(&[0, 1]);
    let words = stage.health.disagreement().unwrap();
    assert!(words.contains("Block 102 of u0 is 0x") && words.contains("that of u1 is 0x"), "{words}");
    stage.see(1, failed(true));
    assert_eq!(stage.health.disagreement(), None, "one that is away says nothing");
}

#[test]
fn finality_that_goes_back_is_named() {
    let mut stage = one();
    let finalized = |number| Probe {
        finalized: Some(Finalized { number, timestamp: GENESIS + 90 * 12 }),
        ..good(block(100))
    };
    stage.probe(0, finalized(60)).is(0, Healthy, "").probe(0, finalized(50));
    stage.is(0, Healthy, "Its finalized block went back from 60 to 50.");
    stage.probe(0, finalized(60));
    assert_eq!(stage.health.snapshot().upstreams[0].reason, "");
    assert_eq!(stage.health.snapshot().finalized, Some(60));
    // No upstream's word makes final what the tip is not.
    stage.probe(0, finalized(1_000));
    assert_eq!(stage.health.snapshot().finalized, Some(100));
}

#[test]
fn no_upstreams_word_alone_makes_a_block_final() {
    let finalized = |number| Probe {
        finalized: Some(Finalized { number, timestamp: GENESIS + 90 * 12 }),
        ..good(block(100))
    };
    let mut stage = Stage::new(&[Tier::Primary, Tier::Replica, Tier::Backup]);
    let shown = |stage: &Stage| stage.health.snapshot().finalized;
    stage.probe(0, finalized(60));
    assert_eq!(shown(&stage), Some(60), "alone, and it is the only one that serves");
    stage.probe(1, finalized(90)).probe(2, good(block(100)));
    assert_eq!(shown(&stage), Some(60), "of two that say anything, both must have it");
    stage.see(0, failed(true));
    assert_eq!(shown(&stage), Some(90), "the other is out");
    stage.probe(0, finalized(60)).probe(0, finalized(60));
    assert_eq!(shown(&stage), Some(60), "it serves again: going down is shown");
    stage.probe(2, finalized(80));
    assert_eq!(shown(&stage), Some(80), "of three, two");
}

#[test]
fn every_change_is_told_once() {
    let mut stage = one();
    stage.all_well().all_well().wait(1_000).see(0, failed(true)).see(0, failed(true));
    let told: Vec<(UpstreamState, UpstreamState)> = stage
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::State { before, now } => Some((*before, now.state)),
            Change::Switchover(_) => None,
        })
        .collect();
    assert_eq!(told, [(Unknown, Healthy), (Healthy, Down)]);
    assert_eq!(stage.health.snapshot().upstreams[0].since, at(100) + 1_000);
}

/// Whatever an upstream may claim.
fn any_claim() -> impl Strategy<Value = Observation> {
    let number = prop_oneof![Just(0), Just(u64::MAX), 80..140_u64, any::<u64>()];
    let timestamp = prop_oneof![GENESIS + 900..GENESIS + 1_800, any::<u64>()];
    let head = (number, 0u8..3, 0u64..130, timestamp)
        .prop_map(|(number, fork, since, timestamp)| chain_head(number, fork, since, timestamp));
    let finalized =
        (any::<u64>(), any::<u64>()).prop_map(|(number, timestamp)| Finalized { number, timestamp });
    let probe = (
        proptest::option::of(head.clone()),
        proptest::option::of(finalized),
        proptest::option::of(any::<bool>()),
        proptest::option::of(0u64..5),
        prop_oneof![Just(None), Just(Some(1)), any::<u64>().prop_map(Some)],
    );
    let probed = probe.prop_map(|(head, finalized, syncing, peers, chain_id)| {
        let probe = Probe { chain_id, head, finalized, syncing, peers, ..Probe::default() };
        Observation::Probed(probe)
    });
    prop_oneof![
        8 => probed,
        2 => head.prop_map(|head| Observation::Traffic(Feedback::Head(head))),
        1 => Just(Observation::NotSent),
        1 => any::<bool>().prop_map(|refused| Observation::Failed { refused, message: String::new() }),
        1 => Just(Observation::Traffic(Feedback::Refused(String::new()))),
        1 => Just(Observation::Traffic(Feedback::Failed(String::new()))),
        1 => Just(Observation::Traffic(Feedback::Answered { elapsed: Duration::ZERO })),
    ]
}

#[derive(Clone, Debug)]
enum Act {
    /// Time passes, in milliseconds.
    Wait(i64),
    /// An honest upstream is probed; it may have the newest block not yet.
    Honest(usize, u64),
    /// The liar is observed.
    Liar(Box<Observation>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (100..6_000_i64).prop_map(Act::Wait),
        4 => (0..4_usize, 0..2_u64).prop_map(|(place, behind)| Act::Honest(place, behind)),
        3 => any_claim().prop_map(|claim| Act::Liar(Box::new(claim))),
    ];
    proptest::collection::vec(act, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_liar_with_any_head_never_changes_whether_honest_upstreams_serve(
        acts in acts(),
        honest in 1..5_usize,
        liar in 0..5_usize,
    ) {
        let liar = liar.min(honest);
        let place_of = |number: usize| { let at = number % honest; if at >= liar { at + 1 } else { at } };
        let mut stage = Stage::new(&vec![Tier::Primary; honest + 1]);
        // All have been seen once.
        for number in 0..honest {
            stage.probe(place_of(number), good(block(100)));
        }
        let mut seen = vec![stage.now; honest + 1];
        for act in acts {
            match act {
                Act::Wait(ms) => {
                    stage.wait(ms);
                }
                Act::Honest(number, behind) => {
                    let newest = (u64::try_from(stage.now).unwrap() / 1000 - GENESIS) / 12;
                    stage.probe(place_of(number), good(block(newest - behind)));
                    seen[place_of(number)] = stage.now;
                }
                Act::Liar(claim) => {
                    stage.see(liar, *claim);
                }
            }
            // Probes come at least every 15 s; whoever was not asked for longer is not what this is about.
            for place in (0..honest).map(place_of) {
                if stage.now - seen[place] > 15_000 {
                    let newest = (u64::try_from(stage.now).unwrap() / 1000 - GENESIS) / 12;
                    stage.probe(place, good(block(newest)));
                    seen[place] = stage.now;
                }
            }
            let snapshot = stage.health.snapshot();
            for place in (0..honest).map(place_of) {
                prop_assert!(snapshot.order.contains(&place), "{:?}", snapshot.upstreams[place]);
                // With two honest ones it does not even make them lag.
                if honest >= 3 {
                    prop_assert_eq!(snapshot.upstreams[place].state, Healthy);
                }
            }
        }
    }

    #[test]
    fn whatever_is_observed_only_who_serves_is_in_the_order_and_never_without_a_head(
        claims in proptest::collection::vec((0..5_usize, any_claim(), 0..20_000_i64), 1..60),
        tiers in proptest::collection::vec(0..3_usize, 1..4),
    ) {
        let tiers: Vec<Tier> = tiers.into_iter().map(|tier| Tier::ALL[tier]).collect();
        let mut stage = Stage::new(&tiers);
        for (place, claim, wait) in claims {
            let before = stage.health.snapshot();
            stage.changes.clear();
            stage.see(place, claim).wait(wait);
            let snapshot = stage.health.snapshot();
            let mut order = snapshot.order.clone();
            order.sort_unstable();
            let serving: Vec<usize> =
                (0..tiers.len()).filter(|place| snapshot.upstreams[*place].state.serves()).collect();
            prop_assert_eq!(&order, &serving);
            prop_assert!(serving.iter().all(|place| snapshot.upstreams[*place].head.is_some()));
            prop_assert_eq!(snapshot.order.first().copied(), stage.health.leader);
            // What is told is what happened.
            let mut told: Vec<UpstreamState> = before.upstreams.iter().map(|standing| standing.state).collect();
            for change in &stage.changes {
                if let Change::State { before, now } = change {
                    let at = snapshot.upstreams.iter().position(|standing| standing.id == now.id).unwrap();
                    prop_assert_eq!(told[at], *before);
                    told[at] = now.state;
                }
            }
            let states: Vec<UpstreamState> = snapshot.upstreams.iter().map(|standing| standing.state).collect();
            prop_assert_eq!(told, states);
            for standing in &snapshot.upstreams {
                prop_assert!(standing.state == Healthy || !standing.reason.is_empty());
            }
        }
    }
}
