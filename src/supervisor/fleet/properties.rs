//! What holds whatever is observed, ordered and answered, and in whatever order.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::testing::*;

const NAMES: [&str; 3] = ["primary", "replica", "rollup"];

/// One thing that happens, by number of the node.
#[derive(Clone, Debug)]
enum Happening {
    Runs(usize, u8),
    Ends(usize, i64, bool),
    Other(usize, u8),
    Away(usize),
    Answers(usize, u8),
    Fails(usize, u8),
    Told(usize),
    Done(usize, u8),
    Ordered(usize, u8),
    Pressure(bool),
    Time(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let node = 0..NAMES.len();
    prop_oneof![
        3 => (node.clone(), 0..4_u8).prop_map(|(node, run)| Happening::Runs(node, run)),
        3 => (node.clone(), prop_oneof![Just(0), Just(1), Just(137), Just(143)], prop::bool::weighted(0.2))
            .prop_map(|(node, code, oom)| Happening::Ends(node, code, oom)),
        1 => (node.clone(), 0..4_u8).prop_map(|(node, what)| Happening::Other(node, what)),
        1 => node.clone().prop_map(Happening::Away),
        3 => (node.clone(), 0..4_u8).prop_map(|(node, how)| Happening::Answers(node, how)),
        3 => (node.clone(), 1..8_u8).prop_map(|(node, times)| Happening::Fails(node, times)),
        1 => node.clone().prop_map(Happening::Told),
        6 => (node.clone(), 0..5_u8).prop_map(|(node, how)| Happening::Done(node, how)),
        1 => (node, 0..9_u8).prop_map(|(node, what)| Happening::Ordered(node, what)),
        1 => any::<bool>().prop_map(Happening::Pressure),
        6 => prop_oneof![
            8 => 1_000..130_000_i64,
            1 => Just(86_400_000_i64),
            1 => Just(-86_400_000_i64),
        ].prop_map(Happening::Time),
    ]
}

/// What is checked at each step, beside the fleet.
struct Checker {
    fleet: Fleet,
    now: UnixMillis,
    /// As the fleet counts it, without looking into it.
    watched: i64,
    flying: BTreeMap<NodeId, Act>,
    /// When the supervisor began restarts of each node; cleared by a person who looks after it.
    begun: BTreeMap<NodeId, Vec<i64>>,
    wanted: BTreeMap<NodeId, NodeWanted>,
    /// Nodes that were started by us and were not able to serve since: when, and the run, once it was seen.
    coming_back: BTreeMap<NodeId, (i64, Option<u8>)>,
}

impl Checker {
    fn new() -> Self {
        let nodes = vec![about("primary", "execution"), about("replica", "execution"), about("rollup", "l2")];
        Self {
            fleet: Fleet::new(nodes, &[], None, 3, 0),
            now: 0,
            watched: 0,
            flying: BTreeMap::new(),
            begun: BTreeMap::new(),
            wanted: BTreeMap::new(),
            coming_back: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: Input) -> Result<(), TestCaseError> {
        let states: BTreeMap<NodeId, NodeState> =
            self.fleet.states().map(|(id, state)| (id.clone(), state)).collect();
        let effects = self.fleet.step(input, self.now);
        let after: BTreeMap<NodeId, NodeState> =
            self.fleet.states().map(|(id, state)| (id.clone(), state)).collect();
        for effect in effects {
            match effect {
                Effect::Act(act) => self.acted(act, &states, &after)?,
                Effect::Call { why, .. } => prop_assert!(!why.is_empty()),
                Effect::Changed(changed) => {
                    prop_assert!(!changed.message.is_empty() && changed.state != changed.before);
                    prop_assert_eq!(states[&changed.node], changed.before);
                    prop_assert_eq!(after[&changed.node], changed.state);
                }
                Effect::Remember { node, memory } => {
                    self.wanted.insert(node, memory.wanted);
                }
                Effect::SyncNews { message, node, .. } => {
                    prop_assert!(!message.is_empty());
                    prop_assert_eq!(after[&node], NodeState::Syncing);
                }
                Effect::Answer { .. } => {}
            }
        }
        // Whatever is shown can be shown.
        for trouble in self.fleet.troubles() {
            prop_assert!(!trouble.message.is_empty());
        }
        prop_assert_eq!(self.fleet.view().len(), NAMES.len());
        Ok(())
    }

    fn acted(
        &mut self,
        act: Act,
        before: &BTreeMap<NodeId, NodeState>,
        states: &BTreeMap<NodeId, NodeState>,
    ) -> Result<(), TestCaseError> {
        prop_assert!(!act.why.trim().is_empty());
        prop_assert!(!self.flying.contains_key(&act.node), "two things at once to {}", act.node);
        let state = states[&act.node];
        if act.by == ActedBy::Supervisor {
            prop_assert!(matches!(act.action, NodeAction::Start | NodeAction::Restart), "{:?}", act.action);
            // What has ended may be started beside a restart, and nothing else beside anything.
            let is_in_its_way = |other: &Act| {
                is_restart(other) && (act.action == NodeAction::Restart || other.action == NodeAction::Start)
            };
            let is_flying = self.flying.values().any(is_in_its_way);
            prop_assert!(!is_flying, "two restarts in flight: {:?} and {act:?}", self.flying);
            prop_assert_eq!(
                self.wanted.get(&act.node),
                Some(&NodeWanted::Up),
                "of a node that a person stopped"
            );
            let allowed = matches!(state, NodeState::Crashed | NodeState::OutOfMemory | NodeState::Hung);
            prop_assert!(allowed, "a restart while it is {state}");
            let begun = self.begun.entry(act.node.clone()).or_default();
            begun.push(self.watched);
            let window = self.watched - 600_000;
            begun.retain(|at| *at > window);
            prop_assert!(begun.len() <= 5, "{} restarts within the window", begun.len());
        }
        if act.action == NodeAction::Restart {
            let takes_down = |act: &&Act| {
                !matches!(act.action, NodeAction::Resize | NodeAction::Create | NodeAction::Resume)
            };
            let mut others = self.flying.values().filter(takes_down);
            let other = others.find(|other| group(&other.node) == group(&act.node));
            prop_assert!(
                act.by != ActedBy::Supervisor || other.is_none(),
                "{other:?} and {} are down at once by our hand",
                act.node
            );
            // Nor while the other was started by us and cannot serve yet.
            let mut others = self.coming_back.iter().filter(|(id, _)| {
                **id != act.node && group(id) == group(&act.node) && !self.flying.contains_key(*id)
            });
            let other = others.find(|(_, (began, _))| self.watched - began < 600_000);
            prop_assert!(other.is_none(), "{other:?} is not back yet, and {} is taken down", act.node);
            // A person takes the last one that serves down only where no other is waited for.
            let mut others =
                before.iter().filter(|(id, _)| **id != act.node && group(id) == group(&act.node));
            let is_last = before[&act.node].serves() && others.clone().all(|(_, state)| !state.serves());
            let waited_for = others.find(|(id, _)| self.wanted.get(*id) == Some(&NodeWanted::Up));
            prop_assert!(
                !is_last || waited_for.is_none(),
                "{} is the last that serves: {waited_for:?}",
                act.node
            );
        }
        self.flying.insert(act.node.clone(), act);
        Ok(())
    }

    fn happens(&mut self, happening: Happening) -> Result<(), TestCaseError> {
        match happening {
            Happening::Runs(node, run) => {
                let id = id(NAMES[node]);
                if !self.flying.contains_key(&id)
                    && let Some((_, seen)) = self.coming_back.get_mut(&id)
                    && *seen.get_or_insert(run) != run
                {
                    // Somebody else has started it since.
                    self.coming_back.remove(&id);
                }
                self.inspected(node, running(&format!("{run}")))
            }
            Happening::Ends(node, code, oom_killed) => {
                self.coming_back.remove(&id(NAMES[node]));
                let status = ProcessStatus::Exited { code: Some(code), oom_killed, at: Some(self.now) };
                self.inspected(node, inspection(status, "e"))
            }
            Happening::Other(node, what) => {
                self.coming_back.remove(&id(NAMES[node]));
                let status = match what {
                    0 => ProcessStatus::Absent,
                    1 => ProcessStatus::Created,
                    2 => ProcessStatus::Paused,
                    _ => ProcessStatus::Stopping,
                };
                self.inspected(node, inspection(status, "o"))
            }
            Happening::Away(node) => {
                self.step(Input::Inspected(id(NAMES[node]), Err(RuntimeError::Away("gone".to_owned()))))
            }
            Happening::Answers(node, how) => {
                let ready = match how {
                    0 | 1 => Ready::Yes,
                    2 => Ready::Syncing("It syncs.".to_owned()),
                    _ => Ready::Lagging("It lags.".to_owned()),
                };
                if ready == Ready::Yes {
                    self.coming_back.remove(&id(NAMES[node]));
                }
                self.step(Input::Probed(id(NAMES[node]), Ok(sight(ready))))
            }
            Happening::Fails(node, times) => {
                for _ in 0..times {
                    self.step(Input::Probed(id(NAMES[node]), Err(ProbeFailed("No answer.".to_owned()))))?;
                }
                Ok(())
            }
            Happening::Told(node) => self.step(Input::Told(RuntimeEvent {
                node: id(NAMES[node]),
                what: "kill".to_owned(),
                at: None,
            })),
            Happening::Done(node, how) => {
                let Some(act) = self.flying.remove(&id(NAMES[node])) else { return Ok(()) };
                let result = match how {
                    0 => Err(RuntimeError::Refused("no".to_owned())),
                    1 => Err(RuntimeError::TimedOut("late".to_owned())),
                    _ => Ok(()),
                };
                self.coming_back.remove(&act.node);
                // Nor is one waited for that a person works on, and has started meanwhile.
                let is_held =
                    self.fleet.view().iter().any(|node| node.id == act.node && node.hold != NodeHold::None);
                let starts = matches!(act.action, NodeAction::Start | NodeAction::Restart);
                if result.is_ok() && starts && !is_held {
                    self.coming_back.insert(act.node.clone(), (self.watched, None));
                }
                self.step(Input::Acted { node: act.node, action: act.action, result })
            }
            Happening::Ordered(node, what) => {
                let hour = Some(Duration::from_secs(3600));
                let kind = match what {
                    0 => OrderKind::Up,
                    1 => OrderKind::Down,
                    2 => OrderKind::Stop,
                    3 => OrderKind::Restart,
                    4 => OrderKind::Resume,
                    5 => OrderKind::Maintenance(hour),
                    6 => OrderKind::Maintenance(None),
                    7 => OrderKind::Pruning(hour),
                    _ => OrderKind::Resize(LimitsChange { memory: Some(1 << 30), ..LimitsChange::default() }),
                };
                if matches!(kind, OrderKind::Maintenance(_) | OrderKind::Pruning(_)) {
                    // A person works on it: it is not waited for.
                    self.coming_back.remove(&id(NAMES[node]));
                }
                if matches!(kind, OrderKind::Up | OrderKind::Restart | OrderKind::Resume) {
                    self.begun.remove(&id(NAMES[node]));
                }
                let order = Order { node: id(NAMES[node]), kind, by: ActedBy::Operator, why: String::new() };
                self.step(Input::Ordered { ticket: 0, order })
            }
            Happening::Pressure(is_high) => {
                self.step(Input::HostPressure(Stalls { memory: is_high.then_some(90.0), io: None }))
            }
            Happening::Time(ms) => {
                self.now += ms;
                self.watched += ms.clamp(0, 60_000);
                self.step(Input::Tick)
            }
        }
    }

    /// The shell drops what was seen while something is being done.
    fn inspected(&mut self, node: usize, inspection: Inspection) -> Result<(), TestCaseError> {
        if self.flying.contains_key(&id(NAMES[node])) {
            return Ok(());
        }
        self.step(Input::Inspected(id(NAMES[node]), Ok(inspection)))
    }
}

fn group(id: &NodeId) -> &'static str {
    if id.as_str() == "rollup" { "l2" } else { "execution" }
}

fn is_restart(act: &Act) -> bool {
    act.by == ActedBy::Supervisor || act.action == NodeAction::Restart
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_promised_holds_whatever_happens(story in prop::collection::vec(happening(), 1..200)) {
        let mut checker = Checker::new();
        for happening in story {
            checker.happens(happening)?;
        }
    }

    /// The same story, told with a node that does nothing but crash: the worst case for storms.
    #[test]
    fn a_node_that_only_crashes_is_started_no_more_than_allowed(steps in prop::collection::vec(1_000..60_000_i64, 50..300)) {
        let mut checker = Checker::new();
        checker.happens(Happening::Runs(0, 0))?;
        let mut starts = 0;
        for ms in steps {
            checker.happens(Happening::Ends(0, 1, false))?;
            checker.happens(Happening::Time(ms))?;
            if checker.flying.contains_key(&id(NAMES[0])) {
                starts += 1;
            }
            checker.happens(Happening::Done(0, 4))?;
        }
        prop_assert_eq!(starts, 5);
    }
}
