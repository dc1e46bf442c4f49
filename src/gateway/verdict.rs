//! What an upstream's answer means: whether it is the answer to the call, or only says something of the upstream, so that the next one is asked.
//!
//! Nodes and providers number alike things differently, so words decide first. They are those of go-ethereum (`core/error.go`,
//! `rpc/errors.go`, `eth/filters`), reth (`crates/rpc/rpc-eth-types/src/error/mod.rs`), Nethermind (`Nethermind.JsonRpc/ErrorCodes.cs`), Erigon,
//! and of providers as others had to learn them: alloy (`crates/json-rpc/src/response/error.rs`) and eRPC
//! (`architecture/evm/error_normalizer.go`, `architecture/evm/common.go`).
//!
//! What has no known words is an answer, unless its number says that the node failed inside: a call that fails everywhere must not be asked
//! everywhere.

use super::{CallError, NodeError, RpcAnswer, TransportFailure};
use crate::types::labelled;

labelled! {
    /// Why another upstream is asked.
    pub enum Reason {
        /// There was no connection to it.
        Unreachable = "unreachable",
        /// It did not answer in time.
        TimedOut = "timeout",
        /// The connection broke, or it answered with an HTTP error.
        Broken = "broken",
        /// What it answered is no answer to the call.
        BadAnswer = "bad_answer",
        /// It has too much to do, or we asked it more often than it allows.
        RateLimited = "rate_limited",
        /// Our own budget of requests to it is used up.
        OverBudget = "over_budget",
        /// The call asks for more than it gives at once.
        TooMuch = "too_much",
        /// It does not have the block yet, or not any more.
        MissingBlock = "missing_block",
        /// It does not have the state of that block any more.
        MissingState = "missing_state",
        /// It does not serve the method.
        UnknownMethod = "unknown_method",
        /// It says that it is not there yet.
        Syncing = "syncing",
        /// It does not let us in: a key is wrong or a plan ended.
        Unauthorized = "unauthorized",
        /// The call came back to a gateway that it had come through.
        Loop = "loop",
        /// It failed inside.
        Internal = "internal",
        /// It has nothing where another, which is further, may have something.
        Absent = "absent",
        /// It shows an older head than the client was told of.
        OlderHead = "older_head",
        /// It shows a head far beyond what anybody else has seen.
        AbsurdHead = "absurd_head",
    }
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A result.
    Answer,
    /// An error that every upstream would give: it is the client's.
    Final,
    /// An error that says something of the upstream alone.
    NextUpstream(Reason),
}

/// What an answer means.
pub(super) fn of_answer(answer: &RpcAnswer) -> Verdict {
    match answer {
        RpcAnswer::Result(_) => Verdict::Answer,
        RpcAnswer::Error(error) => of_error(error),
    }
}

/// Why an upstream that gave no answer gave none.
pub(super) fn of_failure(error: &CallError) -> Reason {
    match error {
        CallError::Bad(_) => Reason::BadAnswer,
        CallError::Transport(failure) => match failure {
            TransportFailure::Connect(_) => Reason::Unreachable,
            TransportFailure::TimedOut => Reason::TimedOut,
            TransportFailure::Status { status: 401..=403, .. } => Reason::Unauthorized,
            TransportFailure::Status { status: 429, .. } => Reason::RateLimited,
            TransportFailure::Broken(_) | TransportFailure::Status { .. } => Reason::Broken,
            TransportFailure::TooLarge { .. } => Reason::TooMuch,
            TransportFailure::OverBudget => Reason::OverBudget,
        },
    }
}

/// What a contract or a transaction came to. First of all: a contract chooses the words of its revert.
const EXECUTION: &[&str] = &[
    // geth, reth, anvil; "VM execution error." is Nethermind's and OpenEthereum's; "VM Exception while processing transaction" Hardhat's.
    "revert",
    "vm execution error",
    "vm exception",
    "out of gas",
    "gas required exceeds",
    "invalid opcode",
    "invalid jump",
    "stack underflow",
    // core/error.go and core/txpool/errors.go of geth
    "nonce too low",
    "nonce too high",
    "nonce is too low",
    "insufficient funds",
    "insufficient balance",
    "intrinsic gas",
    "exceeds block gas limit",
    "underpriced",
    "fee cap",
    "fee too low",
    "max priority fee",
    "max fee per gas",
    "already known",
    "known transaction",
    "already imported",
    "already exists",
    "already_exists",
    "invalid sender",
    "invalid signature",
    "invalid chain id",
    "oversized data",
    "transaction type not supported",
    "rlp:",
];

const RATE_LIMITED: &[&str] = &[
    // Alchemy: "Your app has exceeded its compute units per second capacity", "Your IP has exceeded its requests per second capacity"
    "has exceeded its",
    // Infura: "daily request count exceeded, request rate limited"; "project ID request rate exceeded"
    "request count exceeded",
    "rate limit",
    "rate exceeded",
    // QuickNode: "credits limited to 6000/sec", "100/second request limit reached - reduce calls per second"
    "credits limited",
    "request limit",
    "requests limited to",
    "too many requests",
    "exceeded the quota",
    "reached the quota",
    "monthly capacity limit",
    "limit for your current plan",
    "under too much load",
    "upgrade your tier",
    "compute units",
    // geth's and Nethermind's own limits of what they do at once
    "too many pending requests",
    "server is busy",
    "try again later",
];

const TOO_MUCH: &[&str] = &[
    // Infura and geth: "query returned more than 10000 results"; Alchemy: "Log response size exceeded. … this block range should work"
    "returned more than",
    "response size",
    "block range should work",
    "try with this block range",
    "range is too",
    "range too large",
    "range limit",
    "block range limit",
    "maximum block range",
    "max block range",
    "exceed maximum block range",
    "exceeds the range",
    "exceeds max results",
    "query exceeds limit",
    "response too large",
    "limit the query to",
    "eth_getlogs is limited",
    "limited to a",
    "limit exceeded",
];

const MISSING_BLOCK: &[&str] = &[
    // geth and reth; Infura's for one of its nodes that is behind: MetaMask/metamask-extension#7234
    "header not found",
    "header for hash not found",
    "block not found",
    "unknown block",
    "could not find block",
    "cannot find block",
    "block is not available",
    "height is not available",
    "receipts not found",
    "header range not found",
    "unknown block or tx index",
    // geth, eth/filters: a range that ends beyond its head
    "block range extends beyond",
    "beyond current head",
    "one of the blocks specified in filter",
    "pending block is not available",
    "safe block not found",
    "finalized block not found",
    "pending block not found",
    "genesis is not traceable",
];

const MISSING_STATE: &[&str] = &[
    "missing trie node",
    // geth, path scheme: "historical state … is not available"; "required historical state unavailable (reexec=128)"
    "state is not available",
    "historical state",
    "state not available",
    "no state available",
    "state unavailable",
    "state histories haven't been fully indexed",
    // reth, EIP-4444, with the number 4444
    "pruned history",
    "history has been pruned",
    "has been pruned",
    "state already pruned",
    "state at block",
    "old data not available",
    "distance to target block exceeds",
    "archive",
];

const UNKNOWN_METHOD: &[&str] = &[
    // geth: "the method trace_block does not exist/is not available"
    "does not exist/is not available",
    "method not found",
    "method not supported",
    "unsupported method",
    "method is not supported",
    "method is not available",
    "method is disabled",
    "not whitelisted",
    "not included in your current plan",
    "module is disabled",
    "is not a supported",
];

const SYNCING: &[&str] =
    &["is syncing", "still syncing", "not synced", "not yet synced", "initial sync", "node is behind"];

const UNAUTHORIZED: &[&str] = &[
    "unauthorized",
    "invalid api key",
    "must be authenticated",
    "key is inactive",
    "invalid project id",
    "/billing",
];

/// What a gateway like this one says of a call that it has passed on itself.
const LOOP: &[&str] = &["leads back to it"];

const INTERNAL: &[&str] = &[
    "internal error",
    "internal server error",
    "internal eth error",
    "internal blocking task",
    "request timed out",
    "execution timeout",
    "context deadline exceeded",
    "database closed",
    "no server available",
    "no backends available",
    "service unavailable",
    "bad gateway",
    "upstream",
];

fn of_error(error: &NodeError) -> Verdict {
    let words = error.message.to_ascii_lowercase();
    let has = |list: &[&str]| list.iter().any(|known| words.contains(known));
    let next = Verdict::NextUpstream;
    // 3: geth's number of a revert. -32015: Nethermind's and OpenEthereum's. -32003, -32010: a transaction is refused.
    if matches!(error.code, 3 | -32015 | -32003 | -32010) || has(EXECUTION) {
        return Verdict::Final;
    }
    // 429: Alchemy. -32007, -32012: QuickNode. -32016 of Alchemy has words; Nethermind's is a timeout. -32097: others.
    if matches!(error.code, 429 | -32007 | -32012 | -32029 | -32097) || has(RATE_LIMITED) {
        return next(Reason::RateLimited);
    }
    if has(TOO_MUCH) {
        return next(Reason::TooMuch);
    }
    if has(MISSING_BLOCK) {
        return next(Reason::MissingBlock);
    }
    if error.code == 4444 || has(MISSING_STATE) {
        return next(Reason::MissingState);
    }
    if matches!(error.code, -32601 | -32004) || has(UNKNOWN_METHOD) {
        return next(Reason::UnknownMethod);
    }
    if has(LOOP) {
        return next(Reason::Loop);
    }
    if has(SYNCING) {
        return next(Reason::Syncing);
    }
    if matches!(error.code, 401..=403) || has(UNAUTHORIZED) {
        return next(Reason::Unauthorized);
    }
    match error.code {
        // EIP-1474: limit exceeded.
        -32005 => next(Reason::RateLimited),
        // EIP-1474: resource not found, resource unavailable. reth's for a block it lacks; geth's -32002 is "request timed out".
        -32001 => next(Reason::MissingBlock),
        -32002 | -32016 | -32603 => next(Reason::Internal),
        // A bare text, or the number of an HTTP status.
        0 | 500..=599 => next(Reason::Internal),
        _ if has(INTERNAL) => next(Reason::Internal),
        _ => Verdict::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::RawJson;

    fn judge(code: i64, message: &str) -> Verdict {
        let raw = RawJson::from_value(&serde_json::json!({ "code": code, "message": message }));
        of_answer(&RpcAnswer::Error(NodeError { code, message: message.into(), raw }))
    }

    #[test]
    fn what_every_node_would_say_is_the_answer() {
        for (code, message) in [
            (3, "execution reverted: ERC20: transfer amount exceeds balance"),
            (-32000, "execution reverted"),
            (-32015, "VM execution error."),
            (-32603, "VM Exception while processing transaction: reverted with reason string 'x'"),
            // A contract chooses its words.
            (3, "execution reverted: rate limit exceeded, header not found, missing trie node"),
            (-32000, "execution reverted: too many requests"),
            (-32602, "invalid argument 0: hex string has length 2, want 40 for common.Address"),
            (-32602, "missing value for required argument 0"),
            (-32600, "invalid request"),
            (-32700, "parse error"),
            (-32000, "nonce too low: next nonce 5, tx nonce 4"),
            (-32000, "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1"),
            (-32000, "intrinsic gas too low: gas 1, minimum needed 21000"),
            (-32000, "replacement transaction underpriced"),
            (-32000, "max fee per gas less than block base fee"),
            (-32000, "gas required exceeds allowance (30000000)"),
            (-32003, "transaction rejected"),
            (-32010, "OldNonce, Current nonce: 3, nonce of rejected tx: 2"),
            (-32000, "rlp: expected input list for types.LegacyTx"),
            (-32000, "filter not found"),
            (-32000, "something that nobody has heard of"),
        ] {
            assert_eq!(judge(code, message), Verdict::Final, "{code} {message}");
        }
    }

    #[test]
    fn what_says_something_of_the_upstream_alone_is_asked_of_the_next() {
        for (code, message, want) in [
            (-32000, "header not found", Reason::MissingBlock),
            (-32001, "block not found: 0x1b", Reason::MissingBlock),
            (-32001, "", Reason::MissingBlock),
            (-32000, "unknown block", Reason::MissingBlock),
            (-32602, "block range extends beyond current head block", Reason::MissingBlock),
            (-39001, "Unknown block", Reason::MissingBlock),
            (-32000, "missing trie node 5c0ee75d9dd668 (path ) <nil>", Reason::MissingState),
            (-32000, "historical state 5c0e is not available", Reason::MissingState),
            (-32000, "required historical state unavailable (reexec=128)", Reason::MissingState),
            (4444, "pruned history unavailable", Reason::MissingState),
            (-32002, "No state available for block 0x12", Reason::MissingState),
            (-32601, "the method trace_block does not exist/is not available", Reason::UnknownMethod),
            (-32601, "Method not found", Reason::UnknownMethod),
            (-32004, "Method not supported", Reason::UnknownMethod),
            (-32005, "daily request count exceeded, request rate limited", Reason::RateLimited),
            (-32005, "", Reason::RateLimited),
            (429, "Your app has exceeded its compute units per second capacity.", Reason::RateLimited),
            (-32016, "Your IP has exceeded its requests per second capacity.", Reason::RateLimited),
            (-32012, "credits limited to 6000/sec", Reason::RateLimited),
            (-32007, "100/second request limit reached - reduce calls per second", Reason::RateLimited),
            (-32005, "query returned more than 10000 results", Reason::TooMuch),
            (-32602, "Log response size exceeded. this block range should work: [0x0, 0x1]", Reason::TooMuch),
            (-32614, "eth_getLogs is limited to a 10,000 range", Reason::TooMuch),
            (-32603, "Internal error", Reason::Internal),
            (-32603, "whatever", Reason::Internal),
            (-32002, "request timed out", Reason::Internal),
            (0, "Service Unavailable", Reason::Internal),
            (-32000, "context deadline exceeded", Reason::Internal),
            (-32000, "node is still syncing", Reason::Syncing),
            (-32000, "Must be authenticated!", Reason::Unauthorized),
            (-32000, "this call has come back: one of [[rpc.upstreams]] leads back to it", Reason::Loop),
        ] {
            assert_eq!(judge(code, message), Verdict::NextUpstream(want), "{code} {message}");
        }
    }

    #[test]
    fn a_transport_that_brought_nothing_has_its_reason() {
        let status = |status| TransportFailure::Status { status, retry_after: None };
        for (failure, want) in [
            (TransportFailure::Connect("refused".to_owned()), Reason::Unreachable),
            (TransportFailure::TimedOut, Reason::TimedOut),
            (status(429), Reason::RateLimited),
            (status(503), Reason::Broken),
            (status(401), Reason::Unauthorized),
            (TransportFailure::OverBudget, Reason::OverBudget),
            (TransportFailure::TooLarge { limit: 1 }, Reason::TooMuch),
        ] {
            assert_eq!(of_failure(&CallError::Transport(failure)), want);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_revert_is_an_answer_whatever_its_words(words in ".{0,80}", code in -40_000_i64..40_000) {
            proptest::prop_assert_eq!(judge(code, &format!("execution reverted: {words}")), Verdict::Final);
            proptest::prop_assert_eq!(judge(3, &words), Verdict::Final);
        }
    }
}
