//! What a node says to a raw transaction.

use crate::gateway::{
    RpcAnswer,
    verdict::{self, Verdict},
};

/// What a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It took it.
    Taken,
    /// It has it already.
    Known,
    /// Its sender's nonce is beyond: it, or another one, is in a block.
    NonceTooLow,
    /// It does not take it.
    Refused,
    /// Something of itself alone.
    OwnFault,
}

/// In small letters. geth's and reth's "already known", older geth's "known transaction: …", Nethermind's "AlreadyKnown", Erigon's
/// "ALREADY_EXISTS: already known" and "existing tx with same hash", Besu's "Known transaction", anvil's "transaction already imported".
const KNOWN: &[&str] = &[
    "already known",
    "alreadyknown",
    "already_exists",
    "existing tx with same hash",
    "already imported",
    "already in mempool",
    "already in the mempool",
    "already exists in mempool",
    "transaction already exists",
    "already have transaction",
];

/// geth's and reth's "nonce too low", OpenEthereum's "Transaction nonce is too low", Nethermind's "OldNonce".
const NONCE_TOO_LOW: &[&str] =
    &["nonce too low", "nonce is too low", "nonce has already been used", "oldnonce"];

/// What a node says.
pub(super) fn of_answer(answer: &RpcAnswer) -> Said {
    let RpcAnswer::Error(error) = answer else { return Said::Taken };
    let words = error.message.to_ascii_lowercase();
    let has = |list: &[&str]| list.iter().any(|known| words.contains(known));
    if has(KNOWN) || words.starts_with("known transaction") {
        return Said::Known;
    }
    if has(NONCE_TOO_LOW) {
        return Said::NonceTooLow;
    }
    match verdict::of_answer(answer) {
        Verdict::NextUpstream(_) => Said::OwnFault,
        Verdict::Answer | Verdict::Final => Said::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{NodeError, RawJson};

    #[test]
    fn each_nodes_words_are_known() {
        for (code, message, want) in [
            (-32000, "already known", Said::Known),
            (-32000, "ALREADY_EXISTS: already known", Said::Known),
            (-32000, "known transaction: 0xabc", Said::Known),
            (-32000, "Known transaction", Said::Known),
            (-32010, "AlreadyKnown", Said::Known),
            (-32603, "INTERNAL_ERROR: existing tx with same hash", Said::Known),
            (-32003, "transaction already imported", Said::Known),
            (-32000, "unknown transaction type", Said::Refused),
            (-32000, "nonce too low: next nonce 5, tx nonce 4", Said::NonceTooLow),
            (-32010, "OldNonce, Current nonce: 3, nonce of rejected tx: 2", Said::NonceTooLow),
            (-32000, "replacement transaction underpriced", Said::Refused),
            (-32000, "insufficient funds for gas * price + value", Said::Refused),
            (-32005, "daily request count exceeded, request rate limited", Said::OwnFault),
            (-32601, "the method eth_sendRawTransaction does not exist/is not available", Said::OwnFault),
            (-32603, "Internal error", Said::OwnFault),
        ] {
            let raw = RawJson::from_value(&serde_json::json!({}));
            let answer = RpcAnswer::Error(NodeError { code, message: message.into(), raw });
            assert_eq!(of_answer(&answer), want, "{code} {message}");
        }
        assert_eq!(of_answer(&RpcAnswer::Result(RawJson::from_value(&serde_json::json!("0x")))), Said::Taken);
    }
}
