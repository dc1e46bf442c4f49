//! Which methods are served.
//!
//! Reads and raw transactions are. What shows or changes the inside of a node (`admin_`, `debug_`, `personal_`, `engine_`, `miner_`, `txpool_`),
//! acts with keys that a node holds, or is not known at all, is refused unless the configuration allows it.

use super::{
    MethodPolicy, RpcAnswer,
    methods::{Access, Method},
    own_answer, pattern,
};
use crate::jsonrpc::ErrorCode;

/// Namespaces that control a node. `*` or `a*` in `[rpc] allow_methods` does not mean them: they must be named.
const CONTROL: [&str; 6] = ["admin_", "debug_", "engine_", "miner_", "personal_", "txpool_"];

/// What the service's own watchers ask beside the usual: who paid whom inside a block.
const OWN: [&str; 2] = ["debug_traceBlockByHash", "trace_block"];

/// Why a method is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `[rpc] deny_methods` has it.
    Denied,
    /// Its namespace controls or shows the inside of a node.
    Control,
    /// It needs an account in a node.
    Accounts,
    /// It is a subscription's, and there is no connection to send it over.
    Subscription,
    /// It is known, and served only where it is asked for.
    OnRequest,
    /// Nobody knows it.
    Unknown,
}

/// What is known of a method that is served.
///
/// # Errors
/// When it is not served.
pub fn admit(name: &str, policy: &MethodPolicy) -> Result<Method, Refusal> {
    if pattern::matches(&policy.deny, name) {
        return Err(Refusal::Denied);
    }
    let (method, known) = (Method::of(name), Method::known(name).is_some());
    match method.access {
        Access::Usual => Ok(method),
        Access::Accounts if policy.allow.iter().any(|allowed| allowed == name) => Ok(method),
        Access::Accounts => Err(Refusal::Accounts),
        Access::OnRequest if name == "eth_subscribe" || name == "eth_unsubscribe" => {
            Err(Refusal::Subscription)
        }
        Access::OnRequest => match CONTROL.iter().find(|space| name.starts_with(**space)) {
            Some(space) if is_named(policy, name, space) => Ok(method),
            Some(_) => Err(Refusal::Control),
            None if pattern::matches(&policy.allow, name) => Ok(method),
            None if known => Err(Refusal::OnRequest),
            None => Err(Refusal::Unknown),
        },
    }
}

/// The same for the service itself, which reads traces of blocks for its accounts: what it asks, the operator has turned on elsewhere.
///
/// # Errors
/// When it is not served.
pub(super) fn admit_own(name: &str, policy: &MethodPolicy) -> Result<Method, Refusal> {
    let method = Method::of(name);
    match method.access {
        Access::OnRequest if OWN.contains(&name) => Ok(method),
        Access::Usual | Access::OnRequest | Access::Accounts => admit(name, policy),
    }
}

fn is_named(policy: &MethodPolicy, name: &str, space: &str) -> bool {
    policy.allow.iter().any(|allowed| allowed.starts_with(space) && pattern::is_match(allowed, name))
}

impl Refusal {
    /// The answer that says so. `-32601`, as a node has it for a method that it does not serve: clients know what to do with it.
    pub fn answer(self, name: &str) -> RpcAnswer {
        // A name is a client's text: it is bounded before it is repeated.
        let name: String = name.chars().take(64).collect();
        let why = match self {
            Self::Denied => "the configuration of this gateway refuses it ([rpc] deny_methods)",
            Self::Control => {
                "its namespace shows or controls the inside of a node; [rpc] allow_methods can name it"
            }
            Self::Accounts => {
                "it needs an account in a node; sign in the client and use eth_sendRawTransaction, or name the method in [rpc] allow_methods"
            }
            Self::Subscription => "subscriptions need a websocket connection",
            Self::OnRequest => "it is not served unless [rpc] allow_methods names it",
            Self::Unknown => "it is not known; [rpc] allow_methods can name it",
        };
        own_answer::error(ErrorCode::MethodNotFound, format!("the method {name} is not served: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> MethodPolicy {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        MethodPolicy { allow: owned(allow), deny: owned(deny) }
    }

    #[test]
    fn each_method_is_served_or_refused_for_its_reason() {
        let none: &[&str] = &[];
        for (name, allow, deny, want) in [
            ("eth_call", none, none, None),
            ("eth_sendRawTransaction", none, none, None),
            ("eth_newFilter", none, none, None),
            ("eth_call", &[], &["eth_call"], Some(Refusal::Denied)),
            ("eth_call", &["eth_call"], &["eth_*"], Some(Refusal::Denied)),
            ("debug_traceTransaction", none, none, Some(Refusal::Control)),
            ("debug_traceTransaction", &["debug_trace*"], none, None),
            ("debug_setHead", &["debug_trace*"], none, Some(Refusal::Control)),
            ("admin_addPeer", &["*"], none, Some(Refusal::Control)),
            ("admin_addPeer", &["a*"], none, Some(Refusal::Control)),
            ("admin_addPeer", &["admin_*"], none, None),
            ("txpool_content", none, none, Some(Refusal::Control)),
            ("engine_newPayloadV4", none, none, Some(Refusal::Control)),
            ("miner_start", none, none, Some(Refusal::Control)),
            ("personal_sign", none, none, Some(Refusal::Control)),
            ("eth_sendTransaction", none, none, Some(Refusal::Accounts)),
            ("eth_sendTransaction", &["eth_*"], none, Some(Refusal::Accounts)),
            ("eth_sendTransaction", &["eth_sendTransaction"], none, None),
            ("eth_accounts", none, none, Some(Refusal::Accounts)),
            ("trace_block", none, none, Some(Refusal::OnRequest)),
            ("trace_block", &["trace_*"], none, None),
            ("optimism_syncStatus", &["*"], none, None),
            ("eth_newThing", none, none, Some(Refusal::Unknown)),
            ("eth_newThing", &["eth_*"], none, None),
            ("eth_subscribe", &["*"], none, Some(Refusal::Subscription)),
            ("", none, none, Some(Refusal::Unknown)),
            ("ETH_CALL", none, none, Some(Refusal::Unknown)),
        ] {
            assert_eq!(admit(name, &policy(allow, deny)).err(), want, "{name} {allow:?} {deny:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_and_repeats_no_endless_name() {
        let RpcAnswer::Error(error) = Refusal::Control.answer("debug_traceCall") else { panic!() };
        assert_eq!(error.code, -32601);
        assert!(error.message.contains("debug_traceCall") && error.message.contains("[rpc] allow_methods"));
        let RpcAnswer::Error(error) = Refusal::Unknown.answer(&"x".repeat(10_000)) else { panic!() };
        assert!(error.message.len() < 300);
    }
}
