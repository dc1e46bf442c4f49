//! Which calls go first when not all can be served.

use crate::types::labelled;

labelled! {
    /// Classes of calls, the one that is shed last first.
    pub enum Class {
        /// Transactions on their way to the chain: late is lost.
        Send = "send",
        /// What wallets and programs read all the time.
        Read = "read",
        /// Logs and traces: one of them costs a node as much as a thousand reads.
        Heavy = "heavy",
    }
}

impl Class {
    /// The class of a method. What is not known is a read.
    pub fn of(method: &str) -> Self {
        /// Beginnings of namespaces that replay transactions.
        const TRACES: [&str; 5] = ["debug_", "trace_", "arbtrace_", "ots_", "erigon_getLogs"];
        match method {
            "eth_sendRawTransaction"
            | "eth_sendRawTransactionSync"
            | "eth_sendRawTransactionConditional"
            | "eth_sendTransaction"
            | "eth_sendUserOperation" => Self::Send,
            "eth_getLogs" | "eth_getFilterLogs" | "eth_simulateV1" | "eth_createAccessList" => Self::Heavy,
            method if TRACES.iter().any(|prefix| method.starts_with(prefix)) => Self::Heavy,
            _ => Self::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_their_class() {
        for (method, class) in [
            ("eth_sendRawTransaction", Class::Send),
            ("eth_getLogs", Class::Heavy),
            ("debug_traceTransaction", Class::Heavy),
            ("eth_call", Class::Read),
            ("eth_getTransactionReceipt", Class::Read),
            ("", Class::Read),
        ] {
            assert_eq!(Class::of(method), class, "{method}");
        }
    }
}
