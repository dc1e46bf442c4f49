//! An upstream that takes few blocks of logs at once, made to look like one that takes many: its `eth_getLogs` goes in parts.
//!
//! It is done for each upstream by itself, as each has a limit of its own: what one takes whole, another is asked in parts.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Ask, Asking, Board, CallError, LogsBounds, LogsFailure, LogsLimit, LogsQuery, RpcAnswer, RpcCall, logs,
    own_answer,
};
use crate::jsonrpc::ErrorCode;

/// An upstream whose logs go in parts where they must.
pub(super) struct SplitLogs {
    inner: Arc<dyn Ask>,
    limit: LogsLimit,
    bounds: LogsBounds,
    board: Board,
}

impl SplitLogs {
    /// One that takes so many blocks of logs at once, as far as the configuration says.
    pub(super) fn new(
        inner: Arc<dyn Ask>,
        max_logs_range: Option<u64>,
        bounds: LogsBounds,
        board: Board,
    ) -> Self {
        Self { inner, limit: LogsLimit::new(max_logs_range), bounds, board }
    }

    async fn logs(&self, query: &LogsQuery, deadline: Instant) -> Result<RpcAnswer, CallError> {
        let one = |part: RpcCall| async move { self.inner.call(&part, deadline).await };
        match logs::fetch(query, &self.limit, self.bounds, one).await {
            Ok(answer) => Ok(answer),
            Err(LogsFailure::Call(error)) => Err(error),
            // In words that `verdict` knows: another upstream may take more.
            Err(failure) => {
                Ok(own_answer::error(ErrorCode::LimitExceeded, format!("block range limit: {failure}")))
            }
        }
    }
}

impl Ask for SplitLogs {
    fn call<'a>(&'a self, call: &'a RpcCall, deadline: Instant) -> Asking<'a, RpcAnswer> {
        match LogsQuery::read(call, &self.board.snapshot()) {
            Some(query) => Box::pin(async move { self.logs(&query, deadline).await }),
            None => self.inner.call(call, deadline),
        }
    }

    fn batch<'a>(&'a self, calls: &'a [RpcCall], deadline: Instant) -> Asking<'a, Vec<RpcAnswer>> {
        // Logs never go in batches: `room::batch` sends what is heavy by itself.
        self.inner.batch(calls, deadline)
    }

    fn has_budget(&self) -> bool {
        self.inner.has_budget()
    }

    fn most_at_once(&self) -> usize {
        self.inner.most_at_once()
    }

    fn used_today(&self) -> Option<u64> {
        self.inner.used_today()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gateway::stage::{Act, PRIMARY, Stage, deadline};

    fn ask(stage: &Stage, limit: Option<u64>) -> SplitLogs {
        SplitLogs::new(stage.asks().swap_remove(PRIMARY), limit, LogsBounds::default(), stage.board.clone())
    }

    fn logs(from: &str, to: &str) -> RpcCall {
        RpcCall::new("eth_getLogs", json!([{ "fromBlock": from, "toBlock": to }]).to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn logs_over_more_blocks_than_it_takes_go_in_parts_and_come_in_order() {
        let stage = Stage::new();
        stage.actor(PRIMARY).plays(|call, _| {
            let params: Value = serde_json::from_slice(&call.params).unwrap();
            Act::Say(json!([params[0]["fromBlock"], params[0]["toBlock"]]))
        });
        let answer = ask(&stage, Some(10)).call(&logs("0x1", "0x19"), deadline()).await.unwrap();
        let RpcAnswer::Result(result) = answer else { panic!("{answer:?}") };
        let read: Vec<String> = result.read().unwrap();
        assert_eq!(read, ["0x1", "0xa", "0xb", "0x14", "0x15", "0x19"]);
        assert_eq!(stage.heard(), [3, 0, 0]);
        ask(&stage, None).call(&logs("0x1", "0x19"), deadline()).await.unwrap();
        assert_eq!(stage.heard(), [4, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_part_ends_where_the_client_said_in_its_words() {
        let stage = Stage::new();
        stage.actor(PRIMARY).plays(|call, _| {
            let params: Value = serde_json::from_slice(&call.params).unwrap();
            Act::Say(json!([params[0]["fromBlock"], params[0]["toBlock"]]))
        });
        // The board's tip is 100; the node may have a newer one by now.
        for (filter, end) in [
            (json!({ "fromBlock": "0x51", "toBlock": "latest" }), json!("latest")),
            (json!({ "toBlock": "latest", "fromBlock": "0x51" }), json!("latest")),
            (json!({ "fromBlock": "0x51" }), json!(null)),
            (json!({ "fromBlock": "0x51", "toBlock": "0x64" }), json!("0x64")),
        ] {
            let call = RpcCall::new("eth_getLogs", json!([filter]).to_string());
            let answer = ask(&stage, Some(10)).call(&call, deadline()).await.unwrap();
            let RpcAnswer::Result(result) = answer else { panic!("{answer:?}") };
            let read: Vec<Value> = result.read().unwrap();
            assert_eq!(read, [json!("0x51"), json!("0x5a"), json!("0x5b"), end], "{filter}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_need_too_many_parts_is_for_another_upstream() {
        use crate::gateway::verdict::{self, Reason, Verdict};
        let stage = Stage::new();
        let answer = ask(&stage, Some(1)).call(&logs("0x0", "0xffff"), deadline()).await.unwrap();
        assert_eq!(verdict::of_answer(&answer), Verdict::NextUpstream(Reason::TooMuch));
        assert_eq!(stage.heard(), [0, 0, 0]);
    }
}
