//! Slots and epochs.

use std::fmt;

/// Number of a 12-second (on the public networks) proposal window since genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u64);

/// Number of a group of slots (32 on the public networks) since genesis; forks happen at epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Slot {
    /// The slot with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The epoch this slot belongs to; `slots_per_epoch` of 0 is read as 1.
    pub fn epoch(self, slots_per_epoch: u64) -> Epoch {
        Epoch(self.0.checked_div(slots_per_epoch.max(1)).unwrap_or(self.0))
    }
}

impl Epoch {
    /// The far future: a fork with this epoch never happens (2^64-1).
    pub const NEVER: Self = Self(u64::MAX);

    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for Slot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Slot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

impl From<u64> for Slot {
    fn from(number: u64) -> Self {
        Self(number)
    }
}
