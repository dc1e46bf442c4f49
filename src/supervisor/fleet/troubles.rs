//! What is wrong at the moment, of what the fleet knows: the rule, whom it is about, and why.

use super::{ending::Ending, node::Node, whole::Fleet};
use crate::{
    events::{AlertRule, NodeHold, NodeState, NodeWanted},
    supervisor::{
        Limits, ProcessStatus,
        rules::{
            NODE_CRASH_LOOP, NODE_DOWN, NODE_HUNG, NODE_LAGGING, NODE_LIMITS_NOT_HELD, NODE_MEMORY_PRESSURE,
            NODE_OUT_OF_MEMORY, NODE_RUNTIME_AWAY, NODE_STOPPED, NODE_SYNC_STALLED,
        },
    },
};

/// The subject of what is about no single node.
const ALL: &str = "all nodes";

/// Kernels round limits to pages.
const PAGES: u64 = 1 << 16;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) rule: &'static AlertRule,
    pub(crate) subject: String,
    pub(crate) message: String,
}

impl Fleet {
    /// What is wrong now.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let mut found: Vec<Trouble> = self.nodes.iter().flat_map(|node| self.troubles_of(node)).collect();
        let at = self.clock.now();
        if let Some(percent) = self.pressure.lasting(at) {
            found.push(Trouble {
                rule: &NODE_MEMORY_PRESSURE,
                subject: ALL.to_owned(),
                message: format!(
                    "In {percent:.0} % of the last minute everything waited for memory. {}",
                    self.largest_users()
                ),
            });
        }
        found
    }

    fn largest_users(&self) -> String {
        let mut users: Vec<(u64, &Node)> =
            self.nodes.iter().filter_map(|node| Some((node.process.usage.as_ref()?.memory?, node))).collect();
        users.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let users: Vec<String> = users
            .iter()
            .take(4)
            .map(|(used, node)| format!("{} uses {}", node.about.id, mib(*used)))
            .collect();
        if users.is_empty() {
            "What nodes use is not known.".to_owned()
        } else {
            format!("{}.", users.join(", "))
        }
    }

    fn troubles_of(&self, node: &Node) -> Vec<Trouble> {
        let mut found = Vec::new();
        let id = node.about.id.as_str();
        let mut tell = |rule, message: String| found.push(Trouble { rule, subject: id.to_owned(), message });
        let why = &node.why;
        let is_wanted = node.wanted == NodeWanted::Up;
        match node.state {
            NodeState::Crashed => {
                tell(&NODE_DOWN, format!("{id} is down. {why}{}", self.what_follows(node)));
            }
            NodeState::Absent if is_wanted => tell(&NODE_DOWN, format!("{id} is gone. {why}")),
            NodeState::Hung => {
                let follows = self.what_follows(node);
                tell(&NODE_DOWN, format!("{id} does not answer. {why}{follows}"));
                tell(&NODE_HUNG, format!("{id} hangs. {why}{follows}"));
            }
            NodeState::OutOfMemory => {
                let follows = self.what_follows(node);
                tell(&NODE_OUT_OF_MEMORY, format!("{id}: {why}{follows}"));
                tell(&NODE_DOWN, format!("{id} is down. {why}{follows}"));
            }
            NodeState::CrashLoop => tell(&NODE_CRASH_LOOP, format!("{id}: {why}")),
            NodeState::Lagging => tell(&NODE_LAGGING, format!("{id}: {why}")),
            NodeState::Stopped => {
                let from_outside = matches!(node.process.ending, Some(Ending::ByHand(_)))
                    && node.wanted == NodeWanted::Stopped
                    || node.process.status == Some(ProcessStatus::Paused);
                if from_outside {
                    tell(&NODE_STOPPED, format!("{id}: {why}"));
                }
            }
            NodeState::Syncing => {
                if node.probes.sync.is_stalled(self.clock.now(), node.about.stall_after) {
                    tell(&NODE_SYNC_STALLED, format!("{id}: {why}"));
                }
            }
            NodeState::Unknown
            | NodeState::Absent
            | NodeState::Starting
            | NodeState::Healthy
            | NodeState::Pruning
            | NodeState::Maintenance => {}
        }
        // What killed it is to be known also once it runs again.
        if node.state != NodeState::OutOfMemory && !node.restarts.ooms.is_empty() {
            tell(
                &NODE_OUT_OF_MEMORY,
                format!("{id} was killed by the kernel for its memory within the last hour."),
            );
        }
        if let Some(away) = &node.process.away {
            tell(&NODE_RUNTIME_AWAY, format!("The {} of {id} does not answer: {away}", node.about.runtime));
        }
        if let Some(words) = not_held(node) {
            tell(&NODE_LIMITS_NOT_HELD, format!("{id} {words}"));
        }
        found
    }

    /// What is done about it, and when.
    fn what_follows(&self, node: &Node) -> String {
        if node.hold.kind != NodeHold::None {
            return String::new();
        }
        if !node.about.restart.on_failure {
            return " It is not restarted: restart = \"no\" in its [[nodes]].".to_owned();
        }
        if node.restarts.called {
            return " It is not restarted: all nodes stopped answering at once, which is the network or this machine.".to_owned();
        }
        if node.probes.refuses && node.state == NodeState::Hung {
            return " It is not restarted: it answers, and would say so again.".to_owned();
        }
        match node.restarts.due {
            Some(due) => {
                let secs = due.since(self.clock.now()).max(0) / 1000;
                format!(" It is started again in {secs} s, unless another is being restarted then.")
            }
            None => String::new(),
        }
    }
}

/// What the kernel allows beyond what was asked for.
fn not_held(node: &Node) -> Option<String> {
    let held = node.process.usage.as_ref()?.held_to.as_ref()?;
    let Limits { memory, cpus, pids, swap: _, cpuset: _ } = &node.about.limits;
    let mut wrong = Vec::new();
    if let Some(asked) = memory {
        match held.memory {
            None => wrong.push(format!("has no memory limit, and should have {}", mib(*asked))),
            Some(held) if held.abs_diff(*asked) > PAGES => {
                wrong.push(format!("may use {} of memory, and should have {}", mib(held), mib(*asked)));
            }
            Some(_) => {}
        }
    }
    if let Some(asked) = cpus {
        match held.cpus {
            None => wrong.push(format!("may use all cores, and should have {asked}")),
            Some(held) if (held - asked).abs() > 0.02 => {
                wrong.push(format!("may use {held} cores, and should have {asked}"));
            }
            Some(_) => {}
        }
    }
    if let (Some(asked), None) = (pids, held.pids) {
        wrong.push(format!("may have any number of processes, and should have {asked}"));
    }
    (!wrong.is_empty()).then(|| format!("{}.", wrong.join("; ")))
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
