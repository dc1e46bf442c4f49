//! The checking of signatures, on threads of its own.
//!
//! A check costs a millisecond of a core, and a relay that forges can have many of them made: on the threads of the runtime they would
//! hold up everybody's answers, and on as many threads as somebody asks for they would starve it. So there are as many threads as
//! there are cores to spare, and one bounded queue before them, the earliest deadline first. Who asks for a check always gets an
//! answer: what was found, or why nothing was looked at. What cannot end in time is not begun.
//!
//! Never waits for anything but work, and a check that panics takes nothing along but its own answer.

mod cost;
mod pool;
mod queue;

pub(super) use self::{
    pool::{Pending, VerifyPool},
    queue::NotChecked,
};
