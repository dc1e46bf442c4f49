//! Tables of machines and nodes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    host::HostSize,
    supervisor::{Limits, NodeKind, NodeSettings, Reserve, RestartPolicy, RuntimeSettings, SystemdSettings},
    types::NodeId,
};

const GIB: u64 = 1 << 30;

fn node(id: &str, kind: NodeKind, memory: Option<u64>, cpus: Option<f64>) -> NodeSettings {
    NodeSettings {
        id: NodeId::parse(id).unwrap(),
        kind,
        group: kind.layer().label().to_owned(),
        runtime: RuntimeSettings::Systemd(SystemdSettings { unit: format!("{id}.service") }),
        limits: Limits { memory: memory.map(|gib| gib * GIB), cpus, ..Limits::default() },
        probe: None,
        restart: RestartPolicy::default(),
        stop_grace: Duration::from_secs(60),
    }
}

/// A machine of 32 GB, as its kernel counts it.
fn roadmap_box() -> HostSize {
    HostSize { memory: 32_768_000 * 1024, cpus: 8.0 }
}

/// Everything that the roadmap wants to run, with the limits that it writes.
fn roadmap_wish() -> Vec<NodeSettings> {
    vec![
        node("ethereum-primary", NodeKind::Geth, Some(8), Some(3.0)),
        node("beacon-primary", NodeKind::Beacon, None, None),
        node("ethereum-replica", NodeKind::Geth, None, None),
        node("beacon-replica", NodeKind::Beacon, None, None),
        node("arbitrum-node", NodeKind::Nitro, Some(3), Some(1.0)),
        node("optimism-node", NodeKind::OpNode, Some(3), Some(1.0)),
        node("optimism-execution", NodeKind::OpReth, None, None),
        node("solana", NodeKind::SolanaTestValidator, None, None),
    ]
}

#[test]
fn the_roadmap_s_whole_wish_is_refused_with_the_table_and_what_fits() {
    let admission = admit(roadmap_box(), Reserve::default(), &roadmap_wish());
    let Verdict::DoesNotFit { short_memory, short_cpus, profile } = &admission.verdict else {
        panic!("{admission}")
    };
    assert_eq!(*profile, Some(Profile::L2Remote));
    assert!(*short_memory > 40 * GIB && *short_cpus > 6.0, "{admission}");
    says(
        &admission.to_string(),
        &[
            "ethereum-primary      geth                    8 GiB      3      its limit",
            "arbitrum-node         nitro                   3 GiB      1      its limit, below the 16 GiB that such a node takes",
            "ethereum-replica      geth                    16 GiB     2      no memory limit: EIP-7870",
            "kept for the system",
            "all together",
            "this machine has                              31.2 GiB   8",
            "These nodes do not fit this machine of 31.2 GiB and 8 CPUs: ",
            "The largest set that fits is l2-remote (one execution client with its beacon node; second layers through a provider",
            "Arbitrum needs 64 GiB and 8 cores, an OP Stack pair 18 GiB and 700 GB of disk.",
        ],
    );
}

/// Each text is in one, in their order but for blanks.
#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = plain(text);
    for part in parts {
        assert!(whole.contains(plain(part).trim()), "`{}` is not in\n{text}", plain(part));
    }
}

#[test]
fn what_fits_and_what_does_not() {
    use NodeKind::{Agave, Beacon, Geth, Nitro, OpNode, OpReth, SolanaTestValidator};
    let big = HostSize { memory: 128 * GIB, cpus: 32.0 };
    let tiny = HostSize { memory: 2 * GIB, cpus: 2.0 };
    let pair = || vec![node("el", Geth, None, None), node("cl", Beacon, None, None)];
    let and = |mut nodes: Vec<NodeSettings>, more: Vec<NodeSettings>| {
        nodes.extend(more);
        nodes
    };
    for (name, host, nodes, want) in [
        ("one pair by need", roadmap_box(), pair(), None),
        (
            "one pair by limits, and a test validator",
            roadmap_box(),
            vec![
                node("el", Geth, Some(12), Some(3.0)),
                node("cl", Beacon, Some(8), Some(2.0)),
                node("solana", SolanaTestValidator, Some(4), Some(1.0)),
            ],
            None,
        ),
        ("nothing", tiny, vec![], None),
        (
            "two pairs",
            roadmap_box(),
            and(pair(), vec![node("el2", Geth, None, None), node("cl2", Beacon, None, None)]),
            Some(Some(Profile::L1Only)),
        ),
        (
            "arbitrum",
            roadmap_box(),
            and(pair(), vec![node("arb", Nitro, None, None)]),
            Some(Some(Profile::L2Remote)),
        ),
        ("arbitrum on a big one", big, and(pair(), vec![node("arb", Nitro, None, None)]), None),
        (
            "arbitrum and agave on a big one",
            big,
            and(pair(), vec![node("arb", Nitro, None, None), node("sol", Agave, None, None)]),
            Some(Some(Profile::L1Arbitrum)),
        ),
        (
            "an OP Stack pair and agave",
            big,
            and(
                pair(),
                vec![
                    node("op", OpNode, None, None),
                    node("op-el", OpReth, None, None),
                    node("sol", Agave, None, None),
                ],
            ),
            Some(Some(Profile::L1OpStack)),
        ),
        ("more memory than there is", tiny, vec![node("el", Geth, Some(8), Some(0.1))], Some(None)),
        (
            "more cores than there are",
            big,
            vec![node("el", Geth, Some(8), Some(31.6))],
            Some(Some(Profile::L1LightReplica)),
        ),
        ("all but the reserve", big, vec![node("el", Geth, Some(126), Some(31.5))], None),
    ] {
        let admission = admit(host, Reserve::default(), &nodes);
        let got = match &admission.verdict {
            Verdict::Fits => None,
            Verdict::DoesNotFit { profile, .. } => Some(*profile),
        };
        assert_eq!(got, want, "{name}\n{admission}");
        assert_eq!(admission.fits(), want.is_none());
    }
}

#[test]
fn what_is_short_is_named_and_nothing_else() {
    let host = HostSize { memory: 64 * GIB, cpus: 4.0 };
    for (nodes, has, lacks) in [
        (vec![node("el", NodeKind::Geth, Some(8), Some(6.0))], "2.5 CPUs are missing", "of memory"),
        (
            vec![node("el", NodeKind::Geth, Some(100), Some(1.0))],
            "38 GiB of memory are missing",
            "CPUs are missing",
        ),
        (
            vec![node("el", NodeKind::Geth, Some(100), Some(6.0))],
            "38 GiB of memory and 2.5 CPUs",
            "second layer",
        ),
        (vec![node("arb", NodeKind::Nitro, Some(100), Some(1.0))], "A second layer needs", "without limits"),
        (vec![node("sol", NodeKind::Agave, None, Some(1.0))], "256 GB", "second layer"),
    ] {
        let words = admit(host, Reserve::default(), &nodes).words();
        assert!(words.contains(has) && !words.contains(lacks), "{words}");
    }
}

#[test]
fn a_larger_profile_never_needs_less() {
    let needs: Vec<_> = Profile::ALL.map(Profile::needs).into();
    assert!(needs.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1), "{needs:?}");
}

proptest! {
    /// One more node never makes room, and a larger machine never makes less of it.
    #[test]
    fn more_nodes_fit_less_and_more_machine_fits_more(
        limits in prop::collection::vec((0_u64..100, 0.0_f64..8.0), 1..8),
        (memory, cpus) in (0_u64..256, 1.0_f64..64.0),
    ) {
        let nodes: Vec<_> = limits
            .iter()
            .enumerate()
            .map(|(index, (memory, cpus))| node(&format!("n{index}"), NodeKind::Generic, Some(*memory), Some(*cpus)))
            .collect();
        let host = HostSize { memory: memory * GIB, cpus };
        let all = admit(host, Reserve::default(), &nodes);
        if all.fits() {
            prop_assert!(admit(host, Reserve::default(), nodes.iter().skip(1)).fits());
            let larger = HostSize { memory: host.memory + GIB, cpus: host.cpus + 1.0 };
            prop_assert!(admit(larger, Reserve::default(), &nodes).fits());
            prop_assert!(all.total().0 <= host.memory);
        }
    }
}
