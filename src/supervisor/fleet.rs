//! The decision: a pure step over all nodes, from what was observed and ordered, to states and to what is to be done.
//!
//! Level by level: facts of each node are taken in (`observe`, `ending`), its state follows from them (`judge`), a restart follows from the
//! state (`restart`), and what people order comes as steps (`orders`). Nothing else decides, so whatever is missed, the next look makes up for.
//!
//! It promises: at most one restart in flight, and beside it at most one start of what has ended; never two of a group taken down together; none
//! of a node that a person stopped, that is worked on or of which nothing is known; none for a lag; never more within the window than the policy's
//! burst; each with its reason. Time is what was watched (`watched`): a clock that leaps brings no restart nearer than a minute.

mod about;
mod acted;
mod cut_short;
mod ending;
mod go_on;
mod hold_bounds;
mod input;
mod judge;
mod node;
mod observe;
mod orders;
mod pressure;
#[cfg(test)]
mod properties;
mod restart;
mod step;
mod sync_watch;
#[cfg(test)]
mod table;
#[cfg(test)]
mod table_orders;
#[cfg(test)]
mod table_restored;
#[cfg(test)]
mod table_sync;
#[cfg(test)]
mod testing;
mod troubles;
mod view;
mod watched;
mod whole;

pub use about::RuntimeKind;
pub use hold_bounds::LONGEST_HOLD;
pub use input::{LimitsChange, Order, OrderDone, OrderKind, OrderRefused};
pub use sync_watch::SyncView;
pub use view::NodeView;

pub(super) use about::About;
pub(super) use input::{Act, Effect, Input, Memory, Remembered, UnderWay};
pub(super) use troubles::Trouble;
pub(super) use whole::Fleet;
