//! What is done when a filesystem is nearly full, one rung after the other, and what is undone once there is room again. A pure step.
//!
//! Told; cleaned; workloads stopped, in the operator's order and one at a time; the ballast deleted. Each rung waits until it can be seen whether the
//! one before was enough. A forecast alone stops workloads, but leaves the ballast: that is for a disk on which there is no room now. Over it is
//! once the filesystem has been below its mark for some minutes.

use serde::{Deserialize, Serialize};

use super::{
    settings::Thresholds,
    space::{Level, Space, percent},
};
pub(super) use crate::events::DiskRung as Rung;
use crate::{
    supervisor::{Layer, NodeView},
    types::{ByteSize, NodeId, UnixMillis},
};

/// How long it takes until it can be seen whether a rung was enough.
const SETTLE_MS: i64 = 120_000;
/// How long there must be room until it is believed.
const CALM_MS: i64 = 600_000;
/// While it is not over, it is cleaned again so often.
const CLEAN_AGAIN_MS: i64 = 3_600_000;

/// What is remembered of a filesystem, also over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Since when it is an emergency.
    pub(super) since: Option<UnixMillis>,
    /// When it was cleaned last in it.
    pub(super) cleaned_at: Option<UnixMillis>,
    /// When something was done last.
    pub(super) acted_at: Option<UnixMillis>,
    /// Since when there is room again.
    pub(super) calm_since: Option<UnixMillis>,
    /// Workloads that were stopped, the first one first.
    #[serde(default)]
    pub(super) stopped: Vec<NodeId>,
    /// Workloads that could not be stopped: they are left alone until it is over.
    #[serde(default)]
    pub(super) passed_over: Vec<NodeId>,
    /// Whether the ballast was deleted.
    #[serde(default)]
    pub(super) is_ballast_released: bool,
}

impl Memory {
    /// Something could not be done: it is not done.
    pub(super) fn failed(&mut self, act: &Act) {
        match (act.rung, &act.node) {
            (Rung::StopWorkload, Some(node)) => {
                self.stopped.retain(|stopped| stopped != node);
                self.passed_over.push(node.clone());
            }
            (Rung::StartWorkload, Some(node)) => self.stopped.push(node.clone()),
            (Rung::ReleaseBallast, _) => self.is_ballast_released = false,
            (Rung::RemakeBallast, _) => self.is_ballast_released = true,
            (Rung::Alert | Rung::Clean | Rung::Over | Rung::StopWorkload | Rung::StartWorkload, _) => {}
        }
    }
}

/// How a filesystem is, and what could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight<'a> {
    pub(super) space: Space,
    /// Hours until it is full.
    pub(super) hours: Option<u64>,
    /// Workloads that may be stopped now, the one that can be spared first in front.
    pub(super) stoppable: &'a [NodeId],
    /// Whether the ballast is there.
    pub(super) has_ballast: bool,
    /// Bytes that making it takes; none: there is to be none.
    pub(super) ballast_bytes: Option<u64>,
    /// Whether what was begun last is still under way.
    pub(super) is_busy: bool,
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) rung: Rung,
    pub(super) node: Option<NodeId>,
    /// Sentences for people; never empty.
    pub(super) why: String,
}

/// Why it is an emergency.
fn emergency(sight: &Sight<'_>, thresholds: &Thresholds) -> Option<String> {
    let Sight { space, hours, .. } = sight;
    if is_short(sight, thresholds) {
        return Some(if space.lacks_inodes(thresholds) {
            format!(
                "{} of its inodes are in use, and {} are left.",
                percent(space.inodes_used_permille()),
                space.inodes_free
            )
        } else {
            format!(
                "{} is in use, and {} are left.",
                percent(space.used_permille()),
                ByteSize(space.available_bytes)
            )
        });
    }
    let hours = hours.filter(|hours| is_soon(*hours, thresholds))?;
    Some(format!("It will be full in {hours} hours as it grows now."))
}

/// Whether there is hardly any room now.
fn is_short(sight: &Sight<'_>, thresholds: &Thresholds) -> bool {
    sight.space.level(thresholds) == Level::Emergency || sight.space.lacks_inodes(thresholds)
}

fn is_soon(hours: u64, thresholds: &Thresholds) -> bool {
    hours < u64::from(thresholds.min_days) * 24
}

/// Says what is to be done. What it says is written down before it is done.
pub(super) fn step(
    memory: &mut Memory,
    sight: &Sight<'_>,
    thresholds: &Thresholds,
    now: UnixMillis,
) -> Vec<Act> {
    if sight.is_busy {
        return Vec::new();
    }
    match emergency(sight, thresholds) {
        Some(why) => climb(memory, sight, thresholds, now, why),
        None => descend(memory, sight, thresholds, now),
    }
}

/// ## Calm => Emergency, and one rung higher where the last was not enough
fn climb(
    memory: &mut Memory,
    sight: &Sight<'_>,
    thresholds: &Thresholds,
    now: UnixMillis,
    why: String,
) -> Vec<Act> {
    memory.calm_since = None;
    let act = |rung, node, why| Act { rung, node, why };
    if memory.since.is_none() {
        memory.since = Some(now);
        memory.cleaned_at = Some(now);
        memory.acted_at = Some(now);
        return vec![act(Rung::Alert, None, why.clone()), act(Rung::Clean, None, why)];
    }
    if memory.acted_at.is_some_and(|at| now.saturating_sub(at) < SETTLE_MS) {
        return Vec::new();
    }
    let is_due = memory.cleaned_at.is_none_or(|at| now.saturating_sub(at) >= CLEAN_AGAIN_MS);
    let is_new = |node: &&NodeId| !memory.stopped.contains(node) && !memory.passed_over.contains(node);
    let next = sight.stoppable.iter().find(is_new);
    let acts = if let Some(node) = next {
        memory.stopped.push(node.clone());
        vec![act(Rung::StopWorkload, Some(node.clone()), why)]
    } else if is_short(sight, thresholds) && sight.has_ballast && !memory.is_ballast_released {
        memory.is_ballast_released = true;
        vec![act(Rung::ReleaseBallast, None, why)]
    } else if is_due {
        memory.cleaned_at = Some(now);
        vec![act(Rung::Clean, None, why)]
    } else {
        return Vec::new();
    };
    memory.acted_at = Some(now);
    acts
}

/// ## Emergency => Calm, once there was room for some minutes; then one thing after the other is undone
fn descend(memory: &mut Memory, sight: &Sight<'_>, thresholds: &Thresholds, now: UnixMillis) -> Vec<Act> {
    let is_open = memory.since.is_some() || !memory.stopped.is_empty() || memory.is_ballast_released;
    if !is_open || sight.space.level(thresholds) >= Level::High {
        memory.calm_since = None;
        return Vec::new();
    }
    let since = *memory.calm_since.get_or_insert(now);
    let is_settled = memory.acted_at.is_none_or(|at| now.saturating_sub(at) >= SETTLE_MS);
    if now.saturating_sub(since) < CALM_MS || !is_settled {
        return Vec::new();
    }
    let room = format!("There is room again: {} is in use.", percent(sight.space.used_permille()));
    let act = |rung, node| vec![Act { rung, node, why: room.clone() }];
    if memory.is_ballast_released && fits(sight, thresholds) {
        memory.is_ballast_released = false;
        memory.acted_at = Some(now);
        return act(Rung::RemakeBallast, None);
    }
    if let Some(node) = memory.stopped.pop() {
        memory.acted_at = Some(now);
        return act(Rung::StartWorkload, Some(node));
    }
    if memory.since.take().is_some() {
        (memory.cleaned_at, memory.acted_at) = (None, None);
        memory.passed_over.clear();
        return act(Rung::Over, None);
    }
    Vec::new()
}

/// Whether it stays below its mark with the ballast.
pub(super) fn fits(sight: &Sight<'_>, thresholds: &Thresholds) -> bool {
    // Nobody wants one any more.
    let Some(bytes) = sight.ballast_bytes else { return true };
    let with = Space {
        used_bytes: sight.space.used_bytes.saturating_add(bytes),
        available_bytes: sight.space.available_bytes.saturating_sub(bytes),
        ..sight.space
    };
    bytes < sight.space.available_bytes && with.level(thresholds) < Level::High
}

/// A node, as far as it matters whether it may be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) id: NodeId,
    pub(super) layer: Layer,
    pub(super) group: String,
    pub(super) runs: bool,
    pub(super) serves: bool,
}

impl Workload {
    pub(super) fn of(view: &NodeView) -> Self {
        use crate::events::NodeState as S;
        let runs = match view.state {
            S::Starting | S::Syncing | S::Healthy | S::Lagging | S::Hung => true,
            S::Unknown
            | S::Absent
            | S::Crashed
            | S::OutOfMemory
            | S::CrashLoop
            | S::Pruning
            | S::Maintenance
            | S::Stopped => false,
        };
        Self {
            id: view.id.clone(),
            layer: view.layer,
            group: view.group.clone(),
            runs: runs && view.doing.is_none(),
            serves: view.state.serves(),
        }
    }
}

/// Which of the operator's order may be stopped now: never a beacon node, and an execution client only while another one of its group serves.
pub(super) fn stoppable(order: &[NodeId], nodes: &[Workload]) -> Vec<NodeId> {
    let may_stop = |node: &Workload| match node.layer {
        Layer::Consensus => false,
        Layer::Execution => {
            nodes.iter().any(|other| other.id != node.id && other.group == node.group && other.serves)
        }
        Layer::L2 | Layer::Solana | Layer::Other => true,
    };
    let known = order.iter().filter_map(|id| nodes.iter().find(|node| node.id == *id));
    known.filter(|node| node.runs && may_stop(node)).map(|node| node.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn node(name: &str) -> NodeId {
        NodeId::parse(name).unwrap()
    }

    fn used(percent: u64) -> Space {
        Space {
            total_bytes: 100_000,
            used_bytes: percent * 1000,
            available_bytes: (100 - percent) * 1000,
            ..Space::default()
        }
    }

    /// A filesystem with two workloads and a ballast, at a time in minutes.
    struct Box {
        memory: Memory,
        running: Vec<NodeId>,
        has_ballast: bool,
        told: Vec<String>,
    }

    impl Box {
        fn new() -> Self {
            let running = vec![node("solana"), node("arbitrum")];
            Self { memory: Memory::default(), running, has_ballast: true, told: Vec::new() }
        }

        fn at(&mut self, minute: i64, space: Space, hours: Option<u64>) -> &mut Self {
            let sight = Sight {
                space,
                hours,
                stoppable: &self.running.clone(),
                has_ballast: self.has_ballast,
                ballast_bytes: Some(5000),
                is_busy: false,
            };
            for act in step(&mut self.memory, &sight, &Thresholds::default(), minute * MINUTE) {
                assert!(act.why.ends_with('.'), "{act:?}");
                match (act.rung, &act.node) {
                    (Rung::StopWorkload, Some(node)) => self.running.retain(|running| running != node),
                    (Rung::StartWorkload, Some(node)) => self.running.insert(0, node.clone()),
                    (Rung::ReleaseBallast, _) => self.has_ballast = false,
                    (Rung::RemakeBallast, _) => self.has_ballast = true,
                    _ => {}
                }
                let node = act.node.map(|node| format!(" {node}")).unwrap_or_default();
                self.told.push(format!("{minute} {}{node}", act.rung));
            }
            self
        }
    }

    #[test]
    fn rungs_come_in_order_each_when_the_last_was_not_enough_and_are_undone() {
        let mut one = Box::new();
        for minute in 0..=70 {
            one.at(minute, used(95), None);
        }
        for minute in 71..=100 {
            one.at(minute, used(70), None);
        }
        let want = [
            "0 alert",
            "0 clean",
            "2 stop_workload solana",
            "4 stop_workload arbitrum",
            "6 release_ballast",
            "60 clean",
            "81 remake_ballast",
            "83 start_workload arbitrum",
            "85 start_workload solana",
            "87 over",
        ];
        assert_eq!(one.told, want);
        assert_eq!(one.memory, Memory { calm_since: one.memory.calm_since, ..Memory::default() });
    }

    #[test]
    fn a_cleaning_that_is_enough_is_all() {
        let mut one = Box::new();
        one.at(0, used(91), None).at(1, used(60), None);
        for minute in 2..=20 {
            one.at(minute, used(60), None);
        }
        assert_eq!(one.told, ["0 alert", "0 clean", "11 over"]);
    }

    #[test]
    fn between_its_mark_and_an_emergency_nothing_is_done_and_nothing_undone() {
        let mut one = Box::new();
        one.at(0, used(95), None).at(2, used(95), None);
        for minute in 3..=200 {
            one.at(minute, used(85), None);
        }
        assert_eq!(one.told, ["0 alert", "0 clean", "2 stop_workload solana"]);
    }

    #[test]
    fn a_forecast_stops_workloads_and_leaves_the_ballast() {
        let mut one = Box::new();
        for minute in 0..=30 {
            one.at(minute, used(50), Some(71));
        }
        assert_eq!(one.told, ["0 alert", "0 clean", "2 stop_workload solana", "4 stop_workload arbitrum"]);
        assert!(one.has_ballast);
        let mut far = Box::new();
        far.at(0, used(50), Some(72));
        assert!(far.told.is_empty());
    }

    #[test]
    fn what_could_not_be_done_is_not_done() {
        let mut one = Box::new();
        one.at(0, used(95), None).at(2, used(95), None);
        let act = |rung, node| Act { rung, node, why: "Why.".to_owned() };
        one.memory.failed(&act(Rung::StopWorkload, Some(node("solana"))));
        assert!(one.memory.stopped.is_empty());
        one.running = vec![node("solana"), node("arbitrum")];
        // It is passed over: the next one is tried.
        one.at(4, used(95), None);
        assert_eq!(one.told.last().unwrap(), "4 stop_workload arbitrum");
        one.memory.failed(&act(Rung::StartWorkload, Some(node("x"))));
        assert_eq!(one.memory.stopped, ["arbitrum", "x"].map(node));
    }

    #[test]
    fn few_inodes_are_an_emergency_of_their_own() {
        let mut one = Box::new();
        one.at(0, Space { inodes: 1000, inodes_free: 10, ..used(10) }, None);
        assert_eq!(one.told, ["0 alert", "0 clean"]);
    }

    #[test]
    fn a_ballast_that_would_fill_the_disk_again_is_not_made() {
        let mut one = Box::new();
        for minute in 0..=8 {
            one.at(minute, used(95), None);
        }
        for minute in 9..=60 {
            one.at(minute, used(76), None);
        }
        assert!(!one.told.iter().any(|told| told.contains("remake")), "{:?}", one.told);
        assert!(one.told.iter().any(|told| told.contains("over")), "{:?}", one.told);
        // It is made once there is room, however long after.
        for minute in 61..=80 {
            one.at(minute, used(60), None);
        }
        assert_eq!(one.told.last().unwrap(), "61 remake_ballast");
    }

    #[test]
    fn the_primary_and_the_beacon_node_are_never_stopped() {
        let workload = |name: &str, layer, serves| Workload {
            id: node(name),
            layer,
            group: format!("{layer}"),
            runs: true,
            serves,
        };
        let order = ["beacon", "geth-replica", "solana", "gone", "arbitrum"].map(node);
        let mut nodes = vec![
            workload("geth-primary", Layer::Execution, true),
            workload("geth-replica", Layer::Execution, true),
            workload("beacon", Layer::Consensus, true),
            workload("arbitrum", Layer::L2, false),
            workload("solana", Layer::Solana, true),
        ];
        assert_eq!(stoppable(&order, &nodes), ["geth-replica", "solana", "arbitrum"].map(node));
        nodes[0].serves = false;
        nodes[4].runs = false;
        assert_eq!(stoppable(&order, &nodes), [node("arbitrum")]);
    }

    proptest! {
        /// Whatever happens: nothing is done while something is under way, what was stopped is what will be started, and nothing is stopped twice.
        #[test]
        fn what_is_done_is_undone(levels in prop::collection::vec((0_u64..100, any::<bool>()), 1..80)) {
            let mut one = Box::new();
            for (minute, (percent, is_soon)) in levels.iter().enumerate() {
                let minute = i64::try_from(minute).unwrap() * 2;
                one.at(minute, used(*percent), is_soon.then_some(5));
                let running = one.running.len() + one.memory.stopped.len();
                prop_assert_eq!(running, 2, "{:?}", &one.told);
                prop_assert_eq!(one.has_ballast, !one.memory.is_ballast_released);
            }
            for minute in 200..260 {
                one.at(minute, used(10), None);
            }
            prop_assert!(one.memory.since.is_none() && one.has_ballast && one.running.len() == 2);
        }

        #[test]
        fn nothing_is_done_while_something_is_under_way(percent in 0_u64..100) {
            let mut memory = Memory::default();
            let sight = Sight {
                space: used(percent), hours: Some(1), stoppable: &[], has_ballast: true, ballast_bytes: None, is_busy: true,
            };
            prop_assert!(step(&mut memory, &sight, &Thresholds::default(), 0).is_empty());
            prop_assert_eq!(memory, Memory::default());
        }
    }
}
