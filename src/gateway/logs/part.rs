//! A stretch of blocks.

/// Blocks from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first.
    pub from: u64,
    /// The last, not below the first.
    pub to: u64,
}

impl Part {
    /// How many blocks it has.
    pub const fn blocks(self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}
