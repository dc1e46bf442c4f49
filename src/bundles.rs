//! Searchers' bundles: taken in, checked, sent to builders each in its own way, and followed until the chain has them or has not.
//!
//! In: signed JSON-RPC on a listener of its own. Out: the same bundles at builders, a record of each one's life in the ledger, profit when
//! a block is final. Off unless `[bundles]` is there. It shares no thread with the path to the consensus client: it runs on a runtime of its
//! own, its queues are bounded, and what does not fit is dropped and counted. It never reads a payload of the proposer's, and never tells one
//! searcher's bundles to another.
//!
//! Pure: `bundle` (reading and checks), `wire` (what is asked for), `hash`, `identity`, `dialect` (a table of builders' ways), `pool` (open
//! bundles and what a block decides), `reason`, `inclusion`, `profit`. Around them: `intake` (what the searchers' server calls) and `validate`,
//! `pool::task` (owns the open bundles), `dispatch` and `fanout` (queues to builders), `tracker` (the chain), `booking` (final blocks),
//! `recorder` (the way to the ledger), `start` (the thread). What is held at once is bounded by `budget`; what a block decided is in the
//! ledger and nowhere else.

mod booking;
mod budget;
mod bundle;
mod dialect;
mod dispatch;
mod fanout;
mod hash;
mod identity;
mod inclusion;
mod intake;
mod metrics;
mod pool;
mod precheck;
mod profit;
mod reason;
mod recorder;
mod settings;
mod simulate;
mod start;
mod stored;
mod tracker;
mod validate;
mod wire;

pub use bundle::{Bundle, BundleTx, MevShareBody, Refund, check, read_transaction};
pub use dialect::{Auth, Cancel, DIALECTS, Dialect, Refunds, Unsupported, read_answer};
pub use hash::{UuidParts, bundle_hash, bundle_uuid, mev_bundle_hash, upstream_uuid};
pub use identity::{BUILDERNET_HEADER, BundleKey, HEADER, IdentityError, Signed, verify, verify_body};
pub use inclusion::{Disorder, Presence, Sighting, presence};
pub use intake::BundleIntake;
pub use metrics::describe_metrics;
pub use profit::{BundleProfit, bundle_profit};
pub use settings::{Bearer, BuilderEndpoint, BundleSettings, FanOut};
pub use start::{BundleParts, start};
pub use wire::{BUNDLE_METHODS, BundleCommand, read};
