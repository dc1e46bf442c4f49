//! What is known of all upstreams, as one snapshot that calls read without waiting, replaced as a whole by whoever probes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Head, Tier, UpstreamId, usual::UsualAnswers};
pub use crate::events::UpstreamState;
use crate::types::UnixMillis;

/// What is known of one upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub id: UpstreamId,
    /// Its tier.
    pub tier: Tier,
    /// How it is.
    pub state: UpstreamState,
    /// Why, in sentences. Empty while all is well; of one that is healthy, what the operator should know of it all the same.
    pub reason: String,
    /// Since when, in Unix milliseconds.
    pub since: UnixMillis,
    /// The newest block that it showed.
    pub head: Option<Head>,
    /// The newest finalized block that it showed.
    pub finalized: Option<u64>,
    /// Blocks behind the tip.
    pub lag: Option<u64>,
    /// The oldest block that it is known to have state for; none: not known.
    pub earliest: Option<u64>,
    /// What it calls itself.
    pub version: Option<String>,
}

/// What is known of all of them at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// In the configuration's order.
    pub upstreams: Vec<Standing>,
    /// Places in `upstreams` of those that serve, in the order in which they are asked: by tier, the preferred one of each tier first,
    /// healthy ones before lagging ones whatever their tier.
    pub order: Vec<usize>,
    /// The chain's tip, as those who can be believed show it.
    pub tip: Option<Head>,
    /// The highest finalized block that two of those that serve showed; where fewer than three showed any, the lowest of them. Never above the tip. It
    /// goes down when one that shows less serves again.
    pub finalized: Option<u64>,
}

/// What a call observed of an upstream, for whoever judges it.
#[derive(Clone, Debug, PartialEq)]
pub enum Feedback {
    /// It answered.
    Answered {
        /// How long that took.
        elapsed: Duration,
    },
    /// Its connection was refused, or there was none: down at once.
    Refused(String),
    /// It gave nothing usable.
    Failed(String),
    /// A call waits for it longer than its calls usually take, and it answers nothing else meanwhile: it is probed at once. By itself that is no fault.
    Silent,
    /// It showed a head: a subscription, or an answer that had one.
    Head(Head),
}

/// Another upstream is asked first from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switchover {
    /// Who was; none: nobody served.
    pub from: Option<UpstreamId>,
    /// Who is; none: nobody serves.
    pub to: Option<UpstreamId>,
    /// Why, in a sentence.
    pub reason: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
}

/// A probe that was answered: after so long, and when.
type Answered = (Duration, Instant);

/// The number of a head that was observed, and when.
type HeardHead = (u64, Instant);

/// How long a head that was observed counts by itself: whoever judges upstreams has taken it by then, and knows better. Arbitrary.
const HEARD: Duration = Duration::from_secs(2);
/// Failovers that are kept for people to see.
const SWITCHOVERS: usize = 50;

/// The board. Clones show the same.
#[derive(Clone, Debug)]
pub struct Board {
    switchovers: Arc<Mutex<VecDeque<Switchover>>>,
    /// How long the last answered probe of each took, and when it was.
    probed: Arc<Mutex<Vec<Option<Answered>>>>,
    now: Arc<ArcSwap<Snapshot>>,
    changed: watch::Sender<u64>,
    feedback: mpsc::Sender<(usize, Feedback)>,
    /// The number of the last head that was observed of each, and when.
    heard: Arc<Mutex<Vec<Option<HeardHead>>>>,
    usual: Arc<UsualAnswers>,
}

impl Board {
    /// A board that knows nothing yet, and where what calls observe comes out. What comes while nobody takes it is dropped: probes will see it.
    pub fn new(upstreams: Vec<Standing>) -> (Self, mpsc::Receiver<(usize, Feedback)>) {
        let (feedback, observed) = mpsc::channel(1024);
        let probed = Arc::new(Mutex::new(vec![None; upstreams.len()]));
        let heard = Arc::new(Mutex::new(vec![None; upstreams.len()]));
        let usual = Arc::new(UsualAnswers::of(upstreams.len()));
        let snapshot = Snapshot { upstreams, ..Snapshot::default() };
        let now = Arc::new(ArcSwap::from_pointee(snapshot));
        let switchovers = Arc::default();
        (Self { switchovers, probed, now, changed: watch::Sender::new(0), feedback, heard, usual }, observed)
    }

    /// What is known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }

    /// Shows something else from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        self.now.store(Arc::new(snapshot));
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Wakes whoever waits when there is something else to see.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells what a call observed of the upstream at a place, unless that is what was told just before. Never waits.
    pub fn observed(&self, place: usize, feedback: Feedback) {
        if let Feedback::Head(head) = &feedback
            && let Some(heard) = self.heard.lock().get_mut(place)
        {
            *heard = Some((head.number, Instant::now()));
        }
        let is_answer = matches!(feedback, Feedback::Answered { .. });
        if self.usual.is_news(place, is_answer, tokio::time::Instant::now()) {
            let _ = self.feedback.try_send((place, feedback));
        }
    }

    /// The number of the head that the upstream at a place told of a moment ago, 0 for none: whoever was told of it may ask for it before whoever
    /// judges upstreams has taken it.
    pub fn heard(&self, place: usize, now: Instant) -> u64 {
        let heard = self.heard.lock().get(place).copied().flatten();
        heard.filter(|(_, at)| now.saturating_duration_since(*at) < HEARD).map_or(0, |(number, _)| number)
    }

    /// The last switchovers, the newest first.
    pub fn switchovers(&self) -> Vec<Switchover> {
        self.switchovers.lock().iter().cloned().collect()
    }

    /// Remembers one.
    pub fn switched_over(&self, switchover: Switchover) {
        let mut kept = self.switchovers.lock();
        kept.push_front(switchover);
        kept.truncate(SWITCHOVERS);
    }

    /// How long the last probe of the upstream at a place took; none while none was answered.
    pub fn probe_latency(&self, place: usize) -> Option<Duration> {
        self.probed.lock().get(place).copied().flatten().map(|(latency, _)| latency)
    }

    /// When the upstream at a place last answered a probe; none while none was answered.
    pub fn probe_answered(&self, place: usize) -> Option<Instant> {
        self.probed.lock().get(place).copied().flatten().map(|(_, at)| at)
    }

    /// A probe of the upstream at a place was answered, after so long, just now.
    pub fn probed(&self, place: usize, latency: Duration, now: Instant) {
        if let Some(known) = self.probed.lock().get_mut(place) {
            *known = Some((latency, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_counts_at_once_and_for_a_moment() {
        let standing = Standing {
            id: UpstreamId::parse("one").unwrap(),
            tier: Tier::Primary,
            state: UpstreamState::Unknown,
            reason: String::new(),
            since: 0,
            head: None,
            finalized: None,
            lag: None,
            earliest: None,
            version: None,
        };
        let (board, _observed) = Board::new(vec![standing]);
        let head = |number| Head {
            number,
            hash: alloy_primitives::B256::ZERO,
            parent_hash: alloy_primitives::B256::ZERO,
            timestamp: 0,
        };
        assert_eq!(board.heard(0, Instant::now()), 0);
        board.observed(0, Feedback::Head(head(7)));
        board.observed(0, Feedback::Failed("it failed".to_owned()));
        assert_eq!((board.heard(0, Instant::now()), board.heard(1, Instant::now())), (7, 0));
        // A reorganisation, or a node that has lost its newest blocks.
        board.observed(0, Feedback::Head(head(6)));
        assert_eq!(board.heard(0, Instant::now()), 6);
        assert_eq!(board.heard(0, Instant::now() + HEARD), 0);
    }

    #[test]
    fn the_last_fifty_switchovers_are_kept() {
        let (board, _observed) = Board::new(Vec::new());
        for at in 0..60 {
            board.switched_over(Switchover { from: None, to: None, reason: String::new(), at });
        }
        let kept: Vec<UnixMillis> = board.switchovers().into_iter().map(|switchover| switchover.at).collect();
        assert_eq!(kept, (10..60).rev().collect::<Vec<_>>());
    }
}
