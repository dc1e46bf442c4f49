//! The sum, and what follows from it.

use super::{
    super::{Layer, NodeKind, NodeSettings, Reserve},
    need::need,
    profile::Profile,
};
use crate::{
    host::HostSize,
    types::{ByteSize, NodeId},
};

/// What a node is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// Its own limit.
    Limit,
    /// Its own limit, below which nodes of its kind are known to fail.
    TooSmall,
    /// What its kind is said to need: it has no limit.
    Need,
}

/// A node in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Memory that is counted, in bytes.
    pub memory: u64,
    /// By what.
    pub memory_by: CountedBy,
    /// Cores that are counted.
    pub cpus: f64,
    /// By what.
    pub cpus_by: CountedBy,
}

/// Whether nodes fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// They do.
    Fits,
    /// They do not: none is started that does not run already.
    DoesNotFit {
        /// Memory that is missing, in bytes.
        short_memory: u64,
        /// Cores that are missing.
        short_cpus: f64,
        /// The largest set that would fit; none: not even the smallest.
        profile: Option<Profile>,
    },
}

/// How nodes were counted, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// A row for each node.
    pub rows: Vec<NodeRow>,
    /// What is kept.
    pub reserve: Reserve,
    /// The machine.
    pub host: HostSize,
    /// Whether they fit.
    pub verdict: Verdict,
}

/// Rounding errors of sums of such numbers as 0.1 are no shortage.
const CPU_ROUNDING: f64 = 1e-6;

/// Counts nodes against a machine.
pub fn admit<'a>(
    host: HostSize,
    reserve: Reserve,
    nodes: impl IntoIterator<Item = &'a NodeSettings>,
) -> Admission {
    let rows: Vec<NodeRow> = nodes.into_iter().map(row).collect();
    let (memory, cpus) = sum(&rows, reserve);
    let short_memory = memory.saturating_sub(host.memory);
    let short_cpus = (cpus - host.cpus).max(0.0);
    let verdict = if rows.is_empty() || (short_memory == 0 && short_cpus < CPU_ROUNDING) {
        Verdict::Fits
    } else {
        let kinds: Vec<NodeKind> = rows.iter().map(|row| row.kind).collect();
        let left = (host.memory.saturating_sub(reserve.memory), host.cpus - reserve.cpus);
        let profile = Profile::largest(left.0, left.1, &kinds);
        Verdict::DoesNotFit { short_memory, short_cpus, profile }
    };
    Admission { rows, reserve, host, verdict }
}

fn row(node: &NodeSettings) -> NodeRow {
    let need = need(node.kind);
    let (memory, memory_by) = match node.limits.memory {
        Some(limit) if limit < need.least => (limit, CountedBy::TooSmall),
        Some(limit) => (limit, CountedBy::Limit),
        None => (need.memory, CountedBy::Need),
    };
    let (cpus, cpus_by) = match node.limits.cpus {
        Some(limit) => (limit, CountedBy::Limit),
        None => (need.cpus, CountedBy::Need),
    };
    NodeRow { node: node.id.clone(), kind: node.kind, memory, memory_by, cpus, cpus_by }
}

fn sum(rows: &[NodeRow], reserve: Reserve) -> (u64, f64) {
    rows.iter().fold((reserve.memory, reserve.cpus), |(memory, cpus), row| {
        (memory.saturating_add(row.memory), cpus + row.cpus)
    })
}

impl Admission {
    /// Whether the nodes fit.
    pub const fn fits(&self) -> bool {
        matches!(self.verdict, Verdict::Fits)
    }

    /// Memory in bytes and cores of all nodes and the reserve.
    pub fn total(&self) -> (u64, f64) {
        sum(&self.rows, self.reserve)
    }

    /// The verdict in sentences: what fits, what is short, and what a second layer needs.
    pub fn words(&self) -> String {
        let (memory, cpus) = self.total();
        let host = format!("{} and {} CPUs", ByteSize(self.host.memory), cores(self.host.cpus));
        let Verdict::DoesNotFit { short_memory, short_cpus, profile } = &self.verdict else {
            return format!(
                "These nodes fit: with the reserve they take {} and {} CPUs of this machine's {host}.",
                ByteSize(memory),
                cores(cpus)
            );
        };
        let short = match (*short_memory > 0, *short_cpus >= CPU_ROUNDING) {
            (true, true) => format!("{} of memory and {} CPUs", ByteSize(*short_memory), cores(*short_cpus)),
            (true, false) => format!("{} of memory", ByteSize(*short_memory)),
            (false, _) => format!("{} CPUs", cores(*short_cpus)),
        };
        let mut words = vec![format!("These nodes do not fit this machine of {host}: {short} are missing.")];
        words.push(match profile {
            Some(profile) => {
                format!("The largest set that fits is {} ({}).", profile.label(), profile.words())
            }
            None => "Not even the smallest set would fit.".to_owned(),
        });
        if self.rows.iter().any(|row| row.memory_by == CountedBy::Need || row.cpus_by == CountedBy::Need) {
            words.push(
                "Nodes without limits are counted with what their makers say that they need: give `limits` to those that do with less."
                    .to_owned(),
            );
        }
        words.extend(second_layers(&self.rows));
        words.join(" ")
    }
}

/// What second layers need, to whoever asks for one.
fn second_layers(rows: &[NodeRow]) -> Vec<String> {
    let asks = |layer| rows.iter().any(|row| row.kind.layer() == layer);
    let mut words = Vec::new();
    if asks(Layer::L2) {
        let pair = Profile::L1Only.needs().0;
        let of = |kind| ByteSize(need(kind).memory);
        words.push(format!(
            "A second layer needs a machine with more memory, or one of its own: beside the {} of an execution and consensus pair, Arbitrum \
             needs {} and 8 cores, an OP Stack pair {} and 700 GB of disk.",
            ByteSize(pair),
            of(NodeKind::Nitro),
            ByteSize(need(NodeKind::OpReth).memory + need(NodeKind::OpNode).memory),
        ));
    }
    if rows.iter().any(|row| row.kind == NodeKind::Agave) {
        words.push(
            "A Solana validator needs 256 GB of memory and 12 cores, an RPC node 512 GB; for tests, solana-test-validator does with 4."
                .to_owned(),
        );
    }
    words
}

/// Cores as people write them: 8, 1.5, 0.25.
pub(super) fn cores(cpus: f64) -> String {
    let text = format!("{cpus:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
