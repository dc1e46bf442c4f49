//! Compile-time sizes of the two presets. Source: consensus-specs `presets/{mainnet,minimal}`.

use std::fmt::Debug;

use ssz_types::typenum::{U4, U16, U32, U64, U512, U8192, U131072, Unsigned};

/// Which preset a chain spec names (`PRESET_BASE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetName {
    /// Public networks.
    Mainnet,
    /// Small committees and lists, for development networks.
    Minimal,
}

/// The sizes that differ between presets and appear in the builder API's containers.
pub trait Preset: Clone + Copy + Debug + Default + PartialEq + Eq + Send + Sync + 'static {
    /// `SYNC_COMMITTEE_SIZE`
    type SyncCommitteeSize: Unsigned + Clone + Debug + PartialEq + Eq + Send + Sync + 'static;
    /// `MAX_COMMITTEES_PER_SLOT`
    type MaxCommitteesPerSlot: Unsigned + Clone + Debug + PartialEq + Eq + Send + Sync + 'static;
    /// `MAX_VALIDATORS_PER_COMMITTEE * MAX_COMMITTEES_PER_SLOT`
    type MaxValidatorsPerSlot: Unsigned + Clone + Debug + PartialEq + Eq + Send + Sync + 'static;
    /// `MAX_WITHDRAWALS_PER_PAYLOAD`
    type MaxWithdrawals: Unsigned + Clone + Debug + PartialEq + Eq + Send + Sync + 'static;
}

/// The preset of the public networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mainnet;

/// The preset of development networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minimal;

impl Preset for Mainnet {
    type SyncCommitteeSize = U512;
    type MaxCommitteesPerSlot = U64;
    type MaxValidatorsPerSlot = U131072;
    type MaxWithdrawals = U16;
}

impl Preset for Minimal {
    type SyncCommitteeSize = U32;
    type MaxCommitteesPerSlot = U4;
    type MaxValidatorsPerSlot = U8192;
    type MaxWithdrawals = U4;
}
