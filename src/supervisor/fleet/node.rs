//! What is known of one node: facts as they were observed. What they mean, `judge` says.

use std::{collections::VecDeque, time::Duration};

use super::{
    about::About, cut_short::CutShort, ending::Ending, input::Memory, sync_watch::SyncWatch,
    watched::WatchedMs,
};
use crate::{
    events::{ActedBy, NodeAction, NodeHold, NodeState, NodeWanted},
    supervisor::{Limits, ProcessStatus, Sight, Usage},
    types::{NodeId, UnixMillis},
};

/// Two kills for memory within this, and a restart does not help: an hour.
const OOM_WINDOW: Duration = Duration::from_secs(3600);
/// The ticket of what nobody waits for.
pub(super) const NO_TICKET: u64 = 0;

/// What is said of a run that we began.
pub(super) const STARTED_BY_US: &str = "It was started.";
/// What is said of a run that we did not begin.
pub(super) const SOMEBODY_STARTED: &str = "Somebody else has started it.";

/// A node under supervision.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) about: About,
    pub(super) wanted: NodeWanted,
    pub(super) hold: Hold,
    pub(super) state: NodeState,
    /// Since when, by the clock, for people.
    pub(super) since: UnixMillis,
    /// Why, as sentences for people.
    pub(super) why: String,
    pub(super) process: Process,
    pub(super) probes: Probes,
    pub(super) restarts: Restarts,
    pub(super) doing: Option<Doing>,
    pub(super) job: Option<Job>,
    /// What an earlier process had begun to do, until the first look shows what came of it.
    pub(super) cut_short: Option<CutShort>,
    /// When this process began to look after it.
    pub(super) found_at: UnixMillis,
    /// When its removal was ordered, as long as that is not done.
    pub(super) removal_at: Option<UnixMillis>,
    /// What a person is to be told of it.
    pub(super) to_tell: Option<String>,
}

/// What keeps our hands off it.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) kind: NodeHold,
    /// Until when; none: until a person says so.
    pub(super) until: Option<WatchedMs>,
    pub(super) why: String,
}

impl Hold {
    pub(super) const NONE: Self = Self { kind: NodeHold::None, until: None, why: String::new() };

    pub(super) fn is_none(&self) -> bool {
        self.kind == NodeHold::None
    }
}

/// What its runtime says.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Why its runtime does not answer.
    pub(super) away: Option<String>,
    /// Whether its runtime was away since it was seen to run last: what ended meanwhile, nobody here stopped by hand, as far as is known.
    pub(super) was_away: bool,
    /// As it was seen last.
    pub(super) status: Option<ProcessStatus>,
    /// How it ended; none while it runs.
    pub(super) ending: Option<Ending>,
    pub(super) run: Option<String>,
    pub(super) ours: bool,
    pub(super) what: String,
    pub(super) usage: Option<Usage>,
    /// Whether we have begun to start it: an end is not a person's, and the next run is no news.
    pub(super) our_hand: bool,
    /// When its runtime has told that somebody stops it, and that it ended.
    pub(super) told_stop: Option<WatchedMs>,
    pub(super) told_end: Option<WatchedMs>,
    /// The end that `ending` was made of.
    pub(super) end: Option<EndSeen>,
    /// What is to be said of the run that it is in.
    pub(super) note: Option<&'static str>,
}

/// An end as it was seen, to be looked at again when more is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndSeen {
    pub(super) code: Option<i64>,
    pub(super) oom_killed: bool,
    pub(super) at: Option<UnixMillis>,
    pub(super) was_seen: bool,
    pub(super) our_hand: bool,
    pub(super) taken: WatchedMs,
    /// Whether it was taken for a person's, so that the node is wanted stopped by that alone.
    pub(super) has_stopped: bool,
}

impl Process {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.status, Some(ProcessStatus::Running { .. }))
    }
}

/// A signal that a process is still alive after, beyond its grace, was not meant to stop it: `docker kill --signal HUP`.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// What its probes show, of the run that it is in.
#[derive(Debug)]
pub(super) struct Probes {
    pub(super) began: WatchedMs,
    /// What was seen last.
    pub(super) sight: Option<Sight>,
    pub(super) seen_at: WatchedMs,
    /// Whether it was able to serve once.
    pub(super) was_ready: bool,
    /// Failures in a row since the last answer, and since when.
    pub(super) fails: u32,
    pub(super) failing_since: Option<WatchedMs>,
    pub(super) failure: String,
    /// Whether the failures are answers that say that it cannot serve: a restart would not help.
    pub(super) refuses: bool,
    /// Failures without any answer, in a row.
    pub(super) unanswered: u32,
    pub(super) sync: SyncWatch,
}

impl Probes {
    pub(super) fn new(began: WatchedMs) -> Self {
        Self {
            began,
            sight: None,
            seen_at: began,
            was_ready: false,
            fails: 0,
            failing_since: None,
            failure: String::new(),
            refuses: false,
            unanswered: 0,
            sync: SyncWatch::default(),
        }
    }
}

/// Restarts by the supervisor.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// When they were begun, oldest first; only those of the window.
    pub(super) begun: VecDeque<WatchedMs>,
    /// How many since it last ran well for a while: what the wait is doubled by.
    pub(super) attempt: u32,
    /// When the next is due.
    pub(super) due: Option<WatchedMs>,
    /// When the kernel killed it for its memory, of late.
    pub(super) ooms: VecDeque<WatchedMs>,
    /// And how often since this process began.
    pub(super) oom_kills: u64,
    /// Since when it runs well.
    pub(super) steady_since: Option<WatchedMs>,
    /// Whether a person was called for what keeps the next from being done.
    pub(super) called: bool,
}

/// What is being done to it.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    pub(super) action: NodeAction,
    pub(super) by: ActedBy,
    pub(super) limits: Option<Limits>,
}

/// An order that takes several steps.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: u64,
    pub(super) steps: VecDeque<NodeAction>,
    pub(super) limits: Option<Limits>,
    pub(super) by: ActedBy,
    pub(super) why: String,
    /// What is said when it is done.
    pub(super) done: String,
}

impl Node {
    pub(super) fn id(&self) -> &NodeId {
        &self.about.id
    }

    /// Whether what was told of its stop still counts.
    pub(super) fn lately(&self, told: Option<WatchedMs>, at: WatchedMs) -> bool {
        told.is_some_and(|told| !at.is_after(told, self.about.stop_grace + TOLD_FOR))
    }

    /// Whether we take it down, or have started it and it was not able to serve since. After its start timeout it counts no more: others get their turn.
    pub(super) fn is_down_by_our_hand(&self, at: WatchedMs) -> bool {
        let takes_down = |doing: &Doing| !matches!(doing.action, NodeAction::Resize | NodeAction::Create);
        let is_ours = self.process.our_hand || self.process.note == Some(STARTED_BY_US);
        let is_coming_back = is_ours
            && self.process.is_running()
            && self.hold.is_none()
            && self.about.probed_at.is_some()
            && !self.probes.was_ready
            && !at.is_after(self.probes.began, self.about.restart.start_timeout);
        self.doing.as_ref().is_some_and(takes_down) || is_coming_back
    }

    /// What is kept of it over restarts.
    pub(super) fn memory(&self, at: WatchedMs, now: UnixMillis) -> Memory {
        Memory {
            wanted: self.wanted,
            hold: self.hold.kind,
            hold_until: self.hold.until.map(|until| now.saturating_add(until.since(at))),
            hold_why: self.hold.why.clone(),
            removal_at: self.removal_at,
        }
    }

    /// Kills for memory that still count.
    pub(super) fn ooms_in_window(&mut self, at: WatchedMs) -> usize {
        while self.restarts.ooms.front().is_some_and(|first| at.is_after(*first, OOM_WINDOW)) {
            self.restarts.ooms.pop_front();
        }
        self.restarts.ooms.len()
    }

    /// Restarts that were begun within the policy's window.
    pub(super) fn restarts_in_window(&mut self, at: WatchedMs) -> usize {
        let window = self.about.restart.burst_window;
        while self.restarts.begun.front().is_some_and(|begun| at.is_after(*begun, window)) {
            self.restarts.begun.pop_front();
        }
        self.restarts.begun.len()
    }
}
