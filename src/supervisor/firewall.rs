//! One nftables table, `inet relaymux`, that closes RPC to everybody but the operator's networks, also where Docker forwards a port past other firewalls.
//!
//! In: `[firewall]`. Out: a ruleset (`ruleset`, a pure function), a table in the kernel (`nft`), and for a new one a trial (`trial`): it goes back by
//! itself unless somebody says within a minute that they still get in. The one who takes it back is a process of its own, so that neither a
//! dropped connection nor the end of ours keeps a wrong ruleset in place.
//!
//! It only ever closes: its chains accept what they do not name, so that another firewall's word still counts, and it touches no other table. Rules
//! are gone after a restart of the machine unless they are put into nftables' own configuration (`relaymux firewall plan --ruleset`).

mod nft;
mod ruleset;
mod settings;
mod ssh;
mod trial;

pub use nft::{Nft, NftError};
pub use ruleset::{REMOVE, TABLE, restore, ruleset, words};
pub use settings::{DEFAULT_CLOSED, DEFAULT_PEERS, FirewallSettings, Net, PeerPorts, Ports};
pub use ssh::SshConnection;
pub use trial::{Outcome, Trial, TrialError};
