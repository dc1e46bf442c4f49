//! A fleet for tests, by hand.

use std::time::Duration;

pub(super) use super::{
    about::{About, RuntimeKind},
    hold_bounds::LONGEST_HOLD,
    input::{
        Act, Effect, Input, LimitsChange, Memory, Order, OrderDone, OrderKind, OrderRefused, Remembered,
        UnderWay,
    },
    whole::Fleet,
};
pub(super) use crate::{
    events::{ActedBy, NodeAction, NodeChanged, NodeHold, NodeState, NodeWanted},
    host::Stalls,
    supervisor::{
        Inspection, Limits, NodeKind, ProbeFailed, ProcessStatus, Ready, RestartPolicy, RuntimeError,
        RuntimeEvent, STALL_AFTER, Sight, Usage,
    },
    types::{NodeId, UnixMillis},
};

pub(super) fn id(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

/// A container of geth, probed each second or so on this machine.
pub(super) fn about(name: &str, group: &str) -> About {
    About {
        id: id(name),
        kind: NodeKind::Geth,
        group: group.to_owned(),
        runtime: RuntimeKind::Docker,
        probed_at: Some("127.0.0.1".to_owned()),
        can_create: true,
        restart: RestartPolicy::default(),
        stall_after: STALL_AFTER,
        stop_grace: Duration::from_secs(300),
        limits: Limits::default(),
    }
}

pub(super) fn running(run: &str) -> Inspection {
    inspection(ProcessStatus::Running { since: None }, run)
}

pub(super) fn exited(code: i64, run: &str) -> Inspection {
    inspection(ProcessStatus::Exited { code: Some(code), oom_killed: false, at: None }, run)
}

pub(super) fn oom(run: &str) -> Inspection {
    inspection(ProcessStatus::Exited { code: Some(137), oom_killed: true, at: None }, run)
}

pub(super) fn inspection(status: ProcessStatus, run: &str) -> Inspection {
    Inspection { status, ours: true, run: Some(run.to_owned()), what: "geth".to_owned(), usage: None }
}

pub(super) fn sight(ready: Ready) -> Sight {
    Sight {
        head: Some(100),
        head_age: Some(Duration::from_secs(4)),
        peers: Some(50),
        version: Some("Geth/v1.17.0".to_owned()),
        took: Duration::from_millis(3),
        ..Sight::only(ready)
    }
}

/// A fleet with a clock, and what it did.
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    pub(super) now: UnixMillis,
    pub(super) acts: Vec<Act>,
    pub(super) calls: Vec<String>,
    pub(super) changes: Vec<NodeChanged>,
    pub(super) remembered: Vec<(NodeId, Memory)>,
    pub(super) answers: Vec<Result<OrderDone, OrderRefused>>,
    pub(super) sync_news: Vec<String>,
    runs: u32,
}

impl Scene {
    pub(super) fn new(nodes: Vec<About>) -> Self {
        Self::restored(nodes, &[], None)
    }

    pub(super) fn restored(nodes: Vec<About>, left: &[Remembered], booted_at: Option<UnixMillis>) -> Self {
        let now = 1_800_000_000_000;
        Self {
            fleet: Fleet::new(nodes, left, booted_at, 7, now),
            now,
            acts: Vec::new(),
            calls: Vec::new(),
            changes: Vec::new(),
            remembered: Vec::new(),
            answers: Vec::new(),
            sync_news: Vec::new(),
            runs: 0,
        }
    }

    /// Nodes that run and are well.
    pub(super) fn healthy(nodes: Vec<About>) -> Self {
        let names: Vec<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
        let mut scene = Self::new(nodes);
        for name in &names {
            scene.inspect(name.as_str(), running("first"));
            scene.answer(name.as_str(), Ready::Yes);
        }
        scene.changes.clear();
        scene
    }

    pub(super) fn step(&mut self, input: Input) {
        for effect in self.fleet.step(input, self.now) {
            match effect {
                Effect::Act(act) => self.acts.push(act),
                Effect::Call { why, .. } => self.calls.push(why),
                Effect::Changed(changed) => self.changes.push(changed),
                Effect::Remember { node, memory } => self.remembered.push((node, memory)),
                Effect::Answer { answer, .. } => self.answers.push(answer),
                Effect::SyncNews { message, .. } => self.sync_news.push(message),
            }
        }
    }

    pub(super) fn inspect(&mut self, name: &str, inspection: Inspection) {
        self.step(Input::Inspected(id(name), Ok(inspection)));
    }

    pub(super) fn away(&mut self, name: &str) {
        self.step(Input::Inspected(id(name), Err(RuntimeError::Away("no socket".to_owned()))));
    }

    pub(super) fn answer(&mut self, name: &str, ready: Ready) {
        self.step(Input::Probed(id(name), Ok(sight(ready))));
    }

    pub(super) fn fail(&mut self, name: &str, times: u32) {
        for _ in 0..times {
            self.now += 1_000;
            self.step(Input::Probed(id(name), Err(ProbeFailed("No answer.".to_owned()))));
        }
    }

    pub(super) fn order(&mut self, name: &str, kind: OrderKind) -> Result<OrderDone, OrderRefused> {
        let order = Order { node: id(name), kind, by: ActedBy::Operator, why: String::new() };
        self.step(Input::Ordered { ticket: 1, order });
        self.answers.pop().unwrap_or_else(|| Ok(OrderDone { message: "under way".to_owned() }))
    }

    /// So much time, second by second.
    pub(super) fn pass(&mut self, secs: i64) {
        for _ in 0..secs {
            self.now += 1_000;
            self.step(Input::Tick);
        }
    }

    /// The action that is under way is done, and what was started is seen to run.
    pub(super) fn done(&mut self) -> Act {
        let act = self.acts.last().cloned().expect("something is under way");
        self.step(Input::Acted { node: act.node.clone(), action: act.action, result: Ok(()) });
        if matches!(act.action, NodeAction::Start | NodeAction::Restart) {
            self.runs += 1;
            let run = format!("run {}", self.runs);
            self.inspect(act.node.as_str(), running(&run));
        }
        act
    }

    /// The run that `done` has begun last.
    pub(super) fn run(&self) -> String {
        format!("run {}", self.runs)
    }

    pub(super) fn state(&self, name: &str) -> NodeState {
        self.fleet.states().find(|(node, _)| node.as_str() == name).unwrap().1
    }

    pub(super) fn why(&self, name: &str) -> String {
        self.fleet.view().into_iter().find(|view| view.id.as_str() == name).unwrap().why
    }

    pub(super) fn rules(&self) -> Vec<String> {
        self.fleet
            .troubles()
            .iter()
            .map(|trouble| format!("{} {}", trouble.rule.name, trouble.subject))
            .collect()
    }
}
