//! The JSON-RPC gateway: the operator's nodes behind one address, so that a client never sees one of them die.
//!
//! Upstreams stand in tiers (primary, replica, backup). `health` says of each whether it may serve, from what probes and traffic observed;
//! `order` says in which order they are tried. A call goes through `policy` (is it served, of which class), `cache` (is the answer known for
//! ever), `flight` (is the same call under way), and `dispatch`, which tries upstreams until one of them answers, all within one deadline.
//! `verdict` says which answers are a node's fault, so that the next one is tried, and which are answers. Writes go to several upstreams at
//! once; filters stay with the upstream that made them; subscriptions are made of all upstreams' streams.
//!
//! It promises: a call that any upstream can answer within the deadline is answered. Nothing that may have an effect twice is sent twice:
//! what is repeated is read-only, or a raw transaction, which is the same however often it is sent. Nothing is served by an upstream that never
//! showed a head, and one upstream's absurd claim takes no other out. What one client was told of the chain's head never goes backwards.
//!
//! It never shows a provider's URL or key, never opens an address that the configuration does not name, and knows no server: who listens is
//! `rpc_api`.

pub mod answer;
pub mod ask;
mod belief;
pub mod block_need;
pub mod board;
pub mod budget;
pub mod cache;
pub mod call;
pub mod call_error;
mod dispatch;
mod failovers;
mod filters;
pub mod flight;
pub mod head;
pub mod health;
mod hedge;
mod hops;
mod lane;
mod lanes;
pub mod logs;
pub mod metered;
mod methods;
mod metrics;
mod own_answer;
mod pattern;
mod policy;
pub mod probe;
mod pruned;
mod retry_budget;
mod room;
pub(crate) mod rules;
mod select;
mod send;
mod served;
pub mod session;
pub mod settings;
mod shown;
mod signals;
mod split_logs;
#[cfg(test)]
mod stage;
pub mod subscriptions;
pub mod transport;
pub mod transport_failure;
mod troubles;
pub mod upstream;
mod usual;
mod verdict;
mod view;

pub use answer::{BadAnswer, NodeError, RawJson, RpcAnswer, read_answer, read_answers};
pub use ask::{Ask, Asking};
pub use block_need::{BlockNeed, Bound};
pub use board::{Board, Feedback, Snapshot, Standing, Switchover, UpstreamState};
pub use budget::{Budget, BudgetUse};
pub use cache::Cache;
pub use call::RpcCall;
pub use call_error::CallError;
pub use failovers::Failover;
pub use flight::{Boarding, Flights, Flown};
pub use head::Head;
pub use health::HealthRules;
pub use hops::{HOP, Hops};
pub use logs::{LogsBounds, LogsFailure, LogsLimit, LogsQuery};
pub use metered::MeteredUpstream;
pub use methods::{Method, MethodClass};
pub use metrics::describe_call_metrics;
pub use policy::{Refusal, admit};
pub use probe::{Post, ProbeParts, Probed, new_board, start_probes};
pub use room::{Gateway, GatewayParts};
pub use served::{Served, ServedBy};
pub use session::{ClientId, Session};
pub use settings::{CacheSettings, ClientLimits, HealthPolicy, MethodPolicy, RpcSettings, UpstreamSettings};
pub use transport::{TakeBudget, Transport};
pub use transport_failure::TransportFailure;
pub use upstream::{Tier, UpstreamId};
pub use view::{RpcView, UpstreamView};
