//! Whether the nodes fit the machine, before any of them is started.
//!
//! In: the machine, what is kept for the rest of it, and each node's limits. Out: it fits, or what is short and the largest profile that would fit.
//! A limit counts as it is written: whoever limits a node promises that it does with that. A node without one counts with what its
//! makers say that it needs, and the table says so. Pure: no look at what is in use now, which is less than what is needed on the day
//! that matters.

mod need;
mod profile;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use need::{Need, need};
pub use profile::Profile;
pub use verdict::{Admission, CountedBy, NodeRow, Verdict, admit};
