//! The forks that changed what a builder and a proposer say to each other.

use std::{fmt, str::FromStr};

/// A consensus fork, by the name that `Eth-Consensus-Version` carries. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fork {
    /// The merge: the first fork with an execution payload. Earlier forks are folded into it, as no builder served them.
    Bellatrix,
    /// Withdrawals.
    Capella,
    /// Blobs.
    Deneb,
    /// Execution requests.
    Electra,
    /// Cell proofs, and `blinded_blocks` v2.
    Fulu,
    /// Enshrined proposer-builder separation: the classic builder API ends here.
    Gloas,
}

/// A fork name that is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fork `{0}`, expected bellatrix, capella, deneb, electra or fulu")]
pub struct UnknownFork(String);

impl Fork {
    /// Every fork, oldest first.
    pub const ALL: [Self; 6] =
        [Self::Bellatrix, Self::Capella, Self::Deneb, Self::Electra, Self::Fulu, Self::Gloas];

    /// The forks whose bids are relays' signed builder bids.
    pub const CLASSIC: [Self; 5] = [Self::Bellatrix, Self::Capella, Self::Deneb, Self::Electra, Self::Fulu];

    /// The name on the wire, lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bellatrix => "bellatrix",
            Self::Capella => "capella",
            Self::Deneb => "deneb",
            Self::Electra => "electra",
            Self::Fulu => "fulu",
            Self::Gloas => "gloas",
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Fork {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Fork {
    type Err = UnknownFork;

    fn from_str(text: &str) -> Result<Self, UnknownFork> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|fork| fork.name().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownFork(wanted.chars().take(32).collect()))
    }
}
