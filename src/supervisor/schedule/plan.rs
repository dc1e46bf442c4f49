//! Decides which task runs when: a pure step over all tasks, from what is known to what is to be done.
//!
//! Of each task it is known up to which time what was planned is dealt with (`mark`), and which planned times were served (`served`). A planned
//! time is due once it has passed the mark, and is served once: a clock that is set back moves the mark back with it, and what was served by then
//! is not served again. Of several that have passed at once the newest is served, for all of them. A task that runs is not begun a second time, and
//! heavy ones wait for each other. Nothing begins near a proposal of our own.

mod due;
#[cfg(test)]
mod properties;
mod remembered;
mod run;
mod served;
#[cfg(test)]
mod table;
mod task;
mod whole;

pub(super) use remembered::Remembered;
pub use run::RunRefused;
pub(super) use run::{Effect, Run};
pub(super) use task::{Phase, Task};
pub(super) use whole::Plan;
