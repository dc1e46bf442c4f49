//! `[bundles]`: who may send, which builders there are, and the limits, checked.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use alloy_primitives::Address;
use url::Url;

use super::{
    dialect::{Auth, Dialect},
    identity::BundleKey,
};

/// The value of an `Authorization` header. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(pub String);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

/// One of `[[bundles.builders]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderEndpoint {
    /// Its name in records, metrics and the configuration.
    pub id: String,
    /// The builder's JSON-RPC address. It may hold an account: not for logs.
    pub url: Url,
    /// The methods, fields and signature that the builder understands.
    pub dialect: &'static Dialect,
    /// How it knows us: the dialect's way, unless configured.
    pub auth: Auth,
    /// `Authorization`, for those that want one.
    pub bearer: Option<Bearer>,
    /// Most requests a second.
    pub rate: u32,
    /// Whether only bundles that name it go there.
    pub on_request: bool,
}

/// Whom a bundle goes to that does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FanOut {
    /// Everybody who is not `on_request`.
    All,
    /// Everybody; but bundles that ask for a refund to this one alone: its refunds shrink for those who send elsewhere, too.
    RefundsTo(String),
}

/// How bundles are taken and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSettings {
    /// Address and port of the JSON-RPC listener for searchers; none: they are taken on the gateway's.
    pub listen: Option<SocketAddr>,
    /// The key that requests to builders are signed with.
    pub key: BundleKey,
    /// Searchers' own keys towards builders, by their address here.
    pub searcher_keys: BTreeMap<Address, BundleKey>,
    /// Who may send; everybody who signs, where nobody is named.
    pub searchers: Vec<Address>,
    /// Builders that bundles are sent to; at least one.
    pub builders: Vec<BuilderEndpoint>,
    /// Whom a bundle goes to that does not say.
    pub fan_out: FanOut,
    /// Most calls of one searcher in a second, each call of a batch counted; 0: no limit.
    pub rate_per_searcher: u32,
    /// Most bundles of one searcher that no block has decided; 0: no limit.
    pub max_open_per_searcher: usize,
    /// Most memory that open bundles and requests which wait for builders may hold, in bytes.
    pub max_open_bytes: usize,
    /// Addresses whose ether and WETH is the profit; the sender of a bundle's last transaction, where none is named.
    pub watch: Vec<Address>,
    /// The WETH contract, whose transfers count as profit like ETH.
    pub weth: Address,
    /// Whether every bundle is tried on our own node, for the reason if it is missed.
    pub simulate: bool,
    /// Between two looks at the chain's head.
    pub poll: Duration,
    /// Longest wait for the first builder's word before the searcher is answered.
    pub answer_within: Duration,
    /// Names it may be called by beside addresses and names that nobody else can own.
    pub allowed_hosts: Vec<String>,
}
