//! The words everybody uses: slots, days, amounts, keys, names.
//!
//! Each type is parsed once, at the door, and is right for ever after: a [`RelayId`] is safe as a metric label, a [`Wei`] never
//! was a float, a [`BlsPublicKey`] has 48 bytes. This room decides nothing and imports nothing of ours.

mod amount;
mod fork;
mod id;
mod key;
mod label;
mod node_id;
mod secret;
mod size;
mod slot;
mod time;
mod utc_day;

pub use amount::{AmountError, Wei};
pub use fork::{Fork, UnknownFork};
pub use id::{IdError, RelayId};
pub use key::{BlsPublicKey, BlsSignature, HexError, parse_hash};
pub(crate) use label::labelled;
pub use label::{Label, Labelled};
pub use node_id::NodeId;
pub use secret::{Secret, SecretUrl, SecretUrlError};
pub use size::ByteSize;
pub use slot::{Epoch, Slot};
pub use time::{UnixMillis, micros};
pub use utc_day::{DAY_MS, UtcDay};
