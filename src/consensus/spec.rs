//! Networks: genesis, slot length, fork schedule.
//!
//! Figures of the named networks are facts of eth-clients' configurations, as gathered in the project's reference.

use alloy_primitives::{B256, b256};

use super::{BlobSchedule, Domain, NamedFork, PresetName, SlotClock, builder_domain};
use crate::types::{Epoch, Fork, Slot};

/// A network that has a name in `relays.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Chain id 1.
    Mainnet,
    /// Chain id 11155111. On Gloas since 2026-10-06.
    Sepolia,
    /// Chain id 560048.
    Hoodi,
    /// Chain id 17000; retired.
    Holesky,
}

/// When a fork starts and under which version it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkActivation {
    /// The fork that is in force from `epoch` on.
    pub fork: Fork,
    /// Its first epoch; [`Epoch::NEVER`] when not scheduled.
    pub epoch: Epoch,
    /// The fork version that domains of its signatures have.
    pub version: [u8; 4],
}

/// What a chain is, as far as a builder endpoint must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// `mainnet`, …, or `CONFIG_NAME` of a spec file.
    pub name: String,
    /// Number of its execution chain (EIP-155), where known: a node of another one is not believed.
    pub chain_id: Option<u64>,
    /// Start of slot 0, Unix seconds.
    pub genesis_time: u64,
    /// Length of a slot in milliseconds.
    pub slot_ms: u64,
    /// 32, or 8 in the minimal preset.
    pub slots_per_epoch: u64,
    /// Fork version at genesis: goes into the builder domain.
    pub genesis_fork_version: [u8; 4],
    /// Root of the genesis validators, where known: goes into the proposer domain.
    pub genesis_validators_root: Option<B256>,
    /// Sizes of containers.
    pub preset: PresetName,
    /// All forks of [`Fork::ALL`], oldest first.
    pub forks: [ForkActivation; 6],
    /// Scheduled forks of a chain spec file that this version has never heard of.
    pub other_forks: Vec<NamedFork>,
    /// How many blobs a block may have. A named network's schedule is that of its configuration when this version was made, and may be
    /// out of date.
    pub blobs: BlobSchedule,
}

impl Network {
    /// Every named network.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Sepolia, Self::Hoodi, Self::Holesky];

    /// Its name in `relays.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Sepolia => "sepolia",
            Self::Hoodi => "hoodi",
            Self::Holesky => "holesky",
        }
    }

    /// Number of its execution chain.
    const fn chain_id(self) -> u64 {
        match self {
            Self::Mainnet => 1,
            Self::Sepolia => 11_155_111,
            Self::Hoodi => 560_048,
            Self::Holesky => 17_000,
        }
    }

    /// Its chain spec.
    pub fn spec(self) -> ChainSpec {
        const NEVER: u64 = u64::MAX;
        let (genesis_time, genesis, root, epochs, versions) = match self {
            Self::Mainnet => (
                1_606_824_023,
                0x0000_0000,
                b256!("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
                [144_896, 194_048, 269_568, 364_032, 411_392, NEVER],
                [0x0200_0000, 0x0300_0000, 0x0400_0000, 0x0500_0000, 0x0600_0000, 0x0700_0000],
            ),
            Self::Sepolia => (
                1_655_733_600,
                0x9000_0069,
                b256!("d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
                [100, 56_832, 132_608, 222_464, 272_640, 353_024],
                [0x9000_0071, 0x9000_0072, 0x9000_0073, 0x9000_0074, 0x9000_0075, 0x9000_0076],
            ),
            Self::Hoodi => (
                1_742_213_400,
                0x1000_0910,
                b256!("212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
                [0, 0, 0, 2048, 50_688, NEVER],
                [0x3000_0910, 0x4000_0910, 0x5000_0910, 0x6000_0910, 0x7000_0910, 0x8000_0910],
            ),
            Self::Holesky => (
                1_695_902_400,
                0x0101_7000_u32,
                b256!("9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1"),
                [0, 256, 29_696, 115_968, 165_120, NEVER],
                [0x0301_7000, 0x0401_7000, 0x0501_7000, 0x0601_7000, 0x0701_7000, 0x0801_7000],
            ),
        };
        // eth-clients' configurations of these networks: MAX_BLOBS_PER_BLOCK, MAX_BLOBS_PER_BLOCK_ELECTRA, BLOB_SCHEDULE.
        let blobs = match self {
            Self::Mainnet => [(269_568, 6), (364_032, 9), (412_672, 15), (419_072, 21)],
            Self::Sepolia => [(132_608, 6), (222_464, 9), (274_176, 15), (275_712, 21)],
            Self::Hoodi => [(0, 6), (2048, 9), (52_480, 15), (54_016, 21)],
            Self::Holesky => [(29_696, 6), (115_968, 9), (166_400, 15), (167_936, 21)],
        };
        let mut forks = [ForkActivation { fork: Fork::Bellatrix, epoch: Epoch::NEVER, version: [0; 4] }; 6];
        for (activation, ((fork, epoch), version)) in
            forks.iter_mut().zip(Fork::ALL.into_iter().zip(epochs).zip(versions))
        {
            *activation =
                ForkActivation { fork, epoch: Epoch::new(epoch), version: u32::to_be_bytes(version) };
        }
        ChainSpec {
            name: self.name().to_owned(),
            chain_id: Some(self.chain_id()),
            genesis_time,
            slot_ms: 12_000,
            slots_per_epoch: 32,
            genesis_fork_version: u32::to_be_bytes(genesis),
            genesis_validators_root: Some(root),
            preset: PresetName::Mainnet,
            forks,
            other_forks: Vec::new(),
            blobs: BlobSchedule::new(blobs.map(|(epoch, max)| (Epoch::new(epoch), max))),
        }
    }
}

impl ChainSpec {
    /// The slot clock.
    pub const fn clock(&self) -> SlotClock {
        SlotClock::new(self.genesis_time, self.slot_ms)
    }

    /// The fork in force at a slot; slots before Bellatrix count as Bellatrix.
    pub fn fork_at(&self, slot: Slot) -> Fork {
        let epoch = slot.epoch(self.slots_per_epoch);
        let in_force = |f: &&ForkActivation| f.epoch != Epoch::NEVER && f.epoch <= epoch;
        self.forks.iter().rev().find(in_force).map_or(Fork::Bellatrix, |activation| activation.fork)
    }

    /// The version that a fork signs under.
    pub fn fork_version(&self, fork: Fork) -> [u8; 4] {
        self.forks.iter().find(|f| f.fork == fork).map_or(self.genesis_fork_version, |f| f.version)
    }

    /// The domain of registrations and builder bids.
    pub fn builder_domain(&self) -> Domain {
        builder_domain(self.genesis_fork_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_follow_the_schedule() {
        let spec = Network::Mainnet.spec();
        for (epoch, max) in
            [(0, None), (269_568, Some(6)), (412_671, Some(9)), (412_672, Some(15)), (1 << 40, Some(21))]
        {
            assert_eq!(spec.blobs.max_at(Epoch::new(epoch)), max, "{epoch}");
        }
    }

    #[test]
    fn forks_change_at_their_first_slot() {
        let spec = Network::Mainnet.spec();
        for (slot, fork) in [
            (0, Fork::Bellatrix),
            (194_048 * 32 - 1, Fork::Bellatrix),
            (194_048 * 32, Fork::Capella),
            (13_164_543, Fork::Electra),
            (13_164_544, Fork::Fulu),
            (u64::MAX, Fork::Fulu),
        ] {
            assert_eq!(spec.fork_at(Slot::new(slot)), fork, "slot {slot}");
        }
        assert_eq!(Network::Sepolia.spec().fork_at(Slot::new(353_024 * 32)), Fork::Gloas);
        assert_eq!(Network::Hoodi.spec().fork_at(Slot::new(0)), Fork::Deneb);
    }
}
