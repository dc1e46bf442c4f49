//! Plans as people read them, and what none of them ever does.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    host::HostSize,
    supervisor::{
        Admission, Cpuset, DockerSettings, Inspection, LaunchSpec, Limits, Network, NodeKind, NodeSettings,
        ProcessSettings, ProcessStatus, Reserve, RestartPolicy, RuntimeSettings, SystemdSettings, Usage,
        admit,
    },
    types::NodeId,
};

const GIB: u64 = 1 << 30;

fn id(text: &str) -> NodeId {
    NodeId::parse(text).unwrap()
}

fn launch(image: &str, limits: &Limits) -> LaunchSpec {
    LaunchSpec {
        image: image.to_owned(),
        entrypoint: None,
        args: vec!["--secret-url=http://k3y@x".to_owned()],
        env: Vec::new(),
        user: (1000, 1000),
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        ports: Vec::new(),
        networks: vec![Network::Internal, Network::P2p],
        limits: limits.clone(),
        stop_grace: Duration::from_secs(300),
    }
}

fn node(name: &str, kind: NodeKind, runtime: RuntimeSettings) -> NodeSettings {
    NodeSettings {
        id: id(name),
        kind,
        group: kind.layer().label().to_owned(),
        runtime,
        limits: Limits { memory: Some(8 * GIB), cpus: Some(2.0), ..Limits::default() },
        probe: None,
        restart: RestartPolicy::default(),
        stop_grace: Duration::from_secs(300),
    }
}

fn docker(name: &str, kind: NodeKind) -> NodeSettings {
    let limits = Limits { memory: Some(8 * GIB), cpus: Some(2.0), ..Limits::default() };
    let runtime = DockerSettings {
        container: name.to_owned(),
        launch: Some(launch(&format!("example/{kind}:v1"), &limits)),
    };
    node(name, kind, RuntimeSettings::Docker(runtime))
}

fn seen(status: ProcessStatus, ours: bool, what: &str) -> Inspection {
    Inspection { status, ours, run: None, what: what.to_owned(), usage: None }
}

const RUNS: ProcessStatus = ProcessStatus::Running { since: None };

fn box_of(memory: u64) -> HostSize {
    HostSize { memory: memory * GIB, cpus: 16.0 }
}

fn looks<'a>(nodes: &'a [NodeSettings], seen: &'a [Option<Inspection>]) -> Vec<Look<'a>> {
    nodes.iter().zip(seen).map(|(node, seen)| Look { node, seen: seen.as_ref() }).collect()
}

fn fits(looks: &[Look<'_>], named: &[NodeId], memory: u64) -> Admission {
    admit(box_of(memory), Reserve::default(), counted(looks, named))
}

/// `step node` of each step, in order.
fn short(plan: &Plan) -> Vec<String> {
    let name = |step: &Step| match (&step.kind, &step.node) {
        (StepKind::CreateNetwork(network), _) => network.to_string(),
        (_, node) => node.as_ref().map_or("", NodeId::as_str).to_owned(),
    };
    plan.steps.iter().map(|step| format!("{} {}", step.kind.label(), name(step))).collect()
}

fn absent() -> Option<Inspection> {
    Some(seen(ProcessStatus::Absent, false, ""))
}

#[test]
fn what_is_not_there_is_made_each_after_those_it_stands_on() {
    let nodes = [
        docker("op-node", NodeKind::OpNode),
        docker("beacon", NodeKind::Beacon),
        docker("op-reth", NodeKind::OpReth),
        docker("geth", NodeKind::Geth),
    ];
    let seen = [absent(), absent(), absent(), absent()];
    let looks = looks(&nodes, &seen);
    let plan = up(&looks, &[], &fits(&looks, &[], 64));
    assert_eq!(
        short(&plan),
        [
            "create-network relaymux-internal",
            "create-network relaymux-p2p",
            "create geth",
            "start geth",
            "create beacon",
            "start beacon",
            "create op-reth",
            "start op-reth",
            "create op-node",
            "start op-node",
        ]
    );
    assert!(plan.changes() && !plan.is_refused() && plan.drifts.is_empty());
    let words = plan.to_string();
    assert!(
        words.contains("3. create geth: there is no container geth: from example/geth:v1, 8 GiB of memory without swap, 2 CPUs\n4. start geth: it was just made"),
        "{words}"
    );
    assert!(!words.contains("k3y"), "arguments may hold a key");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["network"], "relaymux-internal");
    assert_eq!((&json["steps"][2]["step"], &json["steps"][2]["node"]), (&"create".into(), &"geth".into()));
    // By name: nothing else is made.
    let named = [id("geth")];
    let plan = up(&looks, &named, &fits(&looks, &named, 64));
    assert_eq!(short(&plan)[2..], ["create geth", "start geth"]);
}

#[test]
fn what_is_there_is_taken_as_it_is() {
    let exited = |oom_killed| ProcessStatus::Exited { code: Some(137), oom_killed, at: None };
    let unit = || {
        node(
            "n",
            NodeKind::Geth,
            RuntimeSettings::Systemd(SystemdSettings { unit: "geth.service".to_owned() }),
        )
    };
    let process = || {
        let process = ProcessSettings { program: "geth".into(), args: vec![], folder: None, env: vec![] };
        node("n", NodeKind::Geth, RuntimeSettings::Process(process))
    };
    let attached = || {
        node(
            "n",
            NodeKind::Geth,
            RuntimeSettings::Docker(DockerSettings { container: "legacy".to_owned(), launch: None }),
        )
    };
    for (node, looked, want, words) in [
        (docker("n", NodeKind::Geth), Some(seen(RUNS, true, "example/geth:v1")), "attach", "was made here"),
        (docker("n", NodeKind::Geth), Some(seen(RUNS, false, "example/geth:v1")), "attach", "never removed"),
        (
            docker("n", NodeKind::Geth),
            Some(seen(ProcessStatus::Paused, true, "")),
            "leave-alone",
            "docker unpause",
        ),
        (
            docker("n", NodeKind::Geth),
            Some(seen(ProcessStatus::Stopping, true, "")),
            "leave-alone",
            "about to stop",
        ),
        (docker("n", NodeKind::Geth), Some(seen(ProcessStatus::Created, true, "")), "start", "never started"),
        (docker("n", NodeKind::Geth), Some(seen(exited(false), true, "")), "start", "exit code 137"),
        (
            docker("n", NodeKind::Geth),
            Some(seen(exited(true), true, "")),
            "start",
            "killed it for its memory",
        ),
        (docker("n", NodeKind::Geth), None, "leave-alone", "does not answer"),
        (attached(), absent(), "refuse", "no container legacy"),
        (attached(), Some(seen(RUNS, false, "")), "attach", "not made here"),
        (unit(), absent(), "refuse", "no unit geth.service"),
        (unit(), Some(seen(exited(false), false, "")), "start", "exit code"),
        (process(), absent(), "start", "child process"),
    ] {
        let (nodes, looked) = ([node], [looked]);
        let looks = looks(&nodes, &looked);
        let plan = up(&looks, &[], &fits(&looks, &[], 64));
        assert_eq!(plan.steps.len(), 1, "{plan}");
        assert_eq!(plan.steps[0].kind.label(), want, "{plan}");
        assert!(plan.steps[0].why.contains(words), "{plan}");
    }
}

#[test]
fn what_does_not_fit_is_not_started_and_what_runs_goes_on() {
    let nodes = [
        docker("geth", NodeKind::Geth),
        docker("replica", NodeKind::Geth),
        docker("beacon", NodeKind::Beacon),
    ];
    let looked = [
        Some(seen(RUNS, true, "example/geth:v1")),
        absent(),
        Some(seen(ProcessStatus::Created, true, "example/beacon:v1")),
    ];
    let looks = looks(&nodes, &looked);
    let plan = up(&looks, &[], &fits(&looks, &[], 20));
    assert_eq!(short(&plan), ["attach geth", "refuse replica", "refuse beacon"]);
    assert!(plan.is_refused() && !plan.changes());
    // Of those that are named, and that run, there is room for.
    let named = [id("beacon")];
    let plan = up(&looks, &named, &fits(&looks, &named, 20));
    assert_eq!(short(&plan), ["start beacon"]);
}

#[test]
fn down_stops_in_the_opposite_order_and_removes_only_what_was_made_here() {
    let nodes = [
        docker("geth", NodeKind::Geth),
        docker("beacon", NodeKind::Beacon),
        docker("legacy", NodeKind::Nitro),
        docker("gone", NodeKind::Generic),
    ];
    let looked = [
        Some(seen(RUNS, true, "")),
        Some(seen(ProcessStatus::Created, true, "")),
        Some(seen(RUNS, false, "")),
        absent(),
    ];
    let looks = looks(&nodes, &looked);
    let plan = down(&looks, &[]);
    assert_eq!(
        short(&plan),
        ["leave-alone gone", "leave-alone legacy", "remove beacon", "stop geth", "remove geth"]
    );
    assert!(plan.to_string().contains("relaymux nodes down legacy"), "{plan}");
    let plan = down(&looks, &[id("legacy")]);
    assert_eq!(short(&plan), ["stop legacy"]);
    assert_eq!(plan.steps[0].kind, StepKind::Stop(Duration::from_secs(300)));
}

fn using(memory: u64, held_to: Limits) -> Option<Inspection> {
    let usage = Usage { memory: Some(memory), held_to: Some(held_to), ..Usage::default() };
    Some(Inspection { usage: Some(usage), ..seen(RUNS, true, "example/geth:v1") })
}

#[test]
fn a_resize_never_kills_what_runs_nor_takes_what_is_not_there() {
    let limits = |memory| Limits { memory: Some(memory * GIB), ..Limits::default() };
    let at = |memory| using(memory * GIB, limits(16));
    for (looked, to, fits_with, want) in [
        (at(4), limits(8), true, Ok(())),
        (at(4), limits(32), true, Ok(())),
        (at(7), limits(8), true, Ok(())),
        (
            at(8),
            limits(8),
            true,
            Err(
                "it uses 8 GiB now, and with 8 GiB the kernel would kill it at once: give it 8.5 GiB or more",
            ),
        ),
        (at(10), limits(8), true, Err("it uses 10 GiB now")),
        (at(4), limits(32), false, Err("do not fit this machine")),
        // Less may always be given.
        (at(4), limits(8), false, Ok(())),
        (absent(), limits(8), true, Err("does not run")),
        (None, limits(8), true, Err("does not answer")),
    ] {
        let nodes = [docker("geth", NodeKind::Geth)];
        let look = Look { node: &nodes[0], seen: looked.as_ref() };
        let admission = admit(box_of(if fits_with { 64 } else { 4 }), Reserve::default(), &nodes);
        let plan = resize(&look, &to, &admission);
        match want {
            Ok(()) => {
                assert_eq!(plan.steps[0].kind, StepKind::Resize(to.clone()), "{plan}");
                assert!(
                    plan.to_string().contains("swap moves with it")
                        && plan.to_string().contains("geth's cache")
                );
                let json = serde_json::to_value(&plan).unwrap();
                assert_eq!(json["steps"][0]["memory_bytes"], to.memory.unwrap());
            }
            Err(words) => {
                assert!(plan.is_refused() && plan.to_string().contains(words), "{plan}");
            }
        }
    }
}

#[test]
fn drift_is_what_differs_and_what_would_end_it() {
    let mut geth = docker("geth", NodeKind::Geth);
    geth.limits.cpuset = Cpuset::parse("0-3");
    geth.limits.pids = Some(4096);
    let wanted = geth.limits.clone();
    let with = |change: fn(&mut Limits)| {
        let mut held = wanted.clone();
        change(&mut held);
        held
    };
    let digest = format!("example/geth:v1@sha256:{}", "0a".repeat(32));
    for (what, held, want) in [
        ("example/geth:v1", with(|_| ()), &[][..]),
        (digest.as_str(), with(|_| ()), &[]),
        // The kernel keeps whole pages, and thousandths of cores.
        ("example/geth:v1", with(|held| held.memory = Some(8 * GIB - 1)), &[]),
        ("example/geth:v1", with(|held| held.cpus = Some(1.9999)), &[]),
        ("example/geth:v10", with(|_| ()), &[DriftOf::Image]),
        ("example/geth:v0", with(|held| held.memory = None), &[DriftOf::Image, DriftOf::Memory]),
        ("example/geth:v1", with(|held| held.memory = Some(GIB)), &[DriftOf::Memory]),
        ("example/geth:v1", with(|held| held.cpus = Some(1.5)), &[DriftOf::Cpus]),
        ("example/geth:v1", with(|held| held.cpuset = None), &[DriftOf::Cpuset]),
        ("example/geth:v1", with(|held| held.pids = None), &[DriftOf::Pids]),
    ] {
        let mut looked = using(GIB, held).unwrap();
        looked.what = what.to_owned();
        let found = drifts(&Look { node: &geth, seen: Some(&looked) });
        assert_eq!(found.iter().map(|drift| drift.of).collect::<Vec<_>>(), want, "{what} {found:?}");
    }
    let mut looked = using(GIB, Limits { memory: Some(4 * GIB), ..wanted }).unwrap();
    looked.what = "example/geth:v0".to_owned();
    let words: Vec<String> =
        drifts(&Look { node: &geth, seen: Some(&looked) }).iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "geth runs with image example/geth:v0, the configuration has example/geth:v1: `relaymux nodes down geth` and `relaymux nodes up \
             geth` make it anew from that, with its data",
            "geth runs with memory limit 4 GiB, the configuration has 8 GiB: `relaymux nodes resize geth --memory 8GiB` changes it while it runs",
        ]
    );
    assert_eq!(drifts(&Look { node: &geth, seen: None }), []);
}

fn statuses() -> impl Strategy<Value = ProcessStatus> {
    prop_oneof![
        Just(ProcessStatus::Absent),
        Just(ProcessStatus::Created),
        Just(RUNS),
        Just(ProcessStatus::Paused),
        Just(ProcessStatus::Stopping),
        (any::<bool>(), prop::option::of(any::<i64>()))
            .prop_map(|(oom_killed, code)| ProcessStatus::Exited { code, oom_killed, at: None }),
    ]
}

proptest! {
    /// Whatever is seen of whichever nodes: what was not made here is never removed, nor stopped unless it is named; what nobody can see is left
    /// alone; `up` stops and removes nothing, `down` makes and starts nothing; nobody is acted on who is not named.
    #[test]
    fn no_plan_does_what_was_not_asked(
        seen_of in prop::collection::vec((prop::sample::select(NodeKind::ALL.to_vec()), prop::option::of((statuses(), any::<bool>())), any::<bool>()), 1..6),
        (memory, by_name) in (1_u64..100, any::<bool>()),
    ) {
        let nodes: Vec<NodeSettings> =
            seen_of.iter().enumerate().map(|(index, (kind, _, _))| docker(&format!("n{index}"), *kind)).collect();
        let looked: Vec<Option<Inspection>> = seen_of
            .iter()
            .map(|(_, looked, _)| looked.clone().map(|(status, ours)| seen(status, ours, "")))
            .collect();
        let named: Vec<NodeId> = nodes
            .iter()
            .zip(&seen_of)
            .filter(|(_, (_, _, is_named))| by_name && *is_named)
            .map(|(node, _)| node.id.clone())
            .collect();
        let looks = looks(&nodes, &looked);
        let of = |step: &Step| looks.iter().find(|look| Some(&look.node.id) == step.node.as_ref()).copied();
        let (up, down) = (up(&looks, &named, &fits(&looks, &named, memory)), down(&looks, &named));
        for step in up.steps.iter().chain(&down.steps) {
            let Some(look) = of(step) else {
                prop_assert!(matches!(step.kind, StepKind::CreateNetwork(_)));
                continue;
            };
            prop_assert!(named.is_empty() || named.contains(&look.node.id));
            prop_assert!(look.seen.is_some() || step.kind == StepKind::LeaveAlone, "{}", step);
            let ours = look.seen.is_some_and(|seen| seen.ours);
            prop_assert!(step.kind != StepKind::Remove || ours, "{}", step);
            prop_assert!(!matches!(step.kind, StepKind::Stop(_)) || ours || !named.is_empty(), "{}", step);
        }
        prop_assert!(up.steps.iter().all(|step| !matches!(step.kind, StepKind::Stop(_) | StepKind::Remove)));
        prop_assert!(down.steps.iter().all(|step| !matches!(step.kind, StepKind::Create | StepKind::Start)));
        // Every node that is meant has its word.
        for look in looks.iter().filter(|look| named.is_empty() || named.contains(&look.node.id)) {
            for plan in [&up, &down] {
                prop_assert!(plan.steps.iter().any(|step| step.node.as_ref() == Some(&look.node.id)));
            }
        }
    }
}
