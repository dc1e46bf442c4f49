//! A call that upstreams are asked anew, each in its turn, but for some of them: for whoever has a reason to doubt the answers that came.

use tokio::time::{Instant, timeout_at};

use super::Gateway;
use crate::{
    gateway::{
        RpcCall, Served, Session, UpstreamId,
        dispatch::{Heard, Race},
    },
    jsonrpc::ErrorCode,
};

impl Gateway {
    /// Answers a read by one of the upstreams that are not to be avoided: no answer that is kept, or under way for somebody else, counts, and this
    /// one is not kept. `None` where all that could be asked are to be avoided.
    pub async fn call_fresh(
        &self,
        call: RpcCall,
        session: &Session,
        deadline: Instant,
        avoid: &[UpstreamId],
    ) -> Option<Served> {
        let method = match self.admit(&call.method, session) {
            Ok(method) => method,
            Err(refusal) => return Some(Served::own(refusal.answer(&call.method))),
        };
        let lanes = &self.lanes;
        let race = Race::new(lanes, &call, method, session, deadline);
        let (mut asked, mut last) = (false, None);
        let candidates = lanes.candidates(&call, session);
        for candidate in &candidates {
            let Some(lane) = lanes.at(candidate.place).filter(|lane| !avoid.contains(&lane.id)) else {
                continue;
            };
            let started = Instant::now();
            if asked && started >= deadline {
                break;
            }
            asked = true;
            lane.note_asked(1);
            let until = deadline.min(started + lanes.attempt());
            let Ok(Ok(answer)) = timeout_at(until, lane.ask.call(&call, until)).await else { continue };
            lane.note_answer(method.class, started.elapsed(), Instant::now());
            match race.judge(*candidate, answer, started.elapsed()) {
                Heard::Good(answer) => return Some(Served::upstream(lane.id.clone(), answer)),
                Heard::Doubtful(answer, _) => last = Some(Served::upstream(lane.id.clone(), answer)),
                Heard::Bad { answer, .. } => {
                    last = last.or_else(|| Some(Served::upstream(lane.id.clone(), answer?)));
                }
            }
        }
        if !asked && !candidates.is_empty() {
            return None;
        }
        Some(last.unwrap_or_else(|| {
            Served::error(ErrorCode::Internal, "no upstream that could be asked has answered")
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        consensus::WallClock,
        gateway::{
            CacheSettings, GatewayParts, RpcAnswer,
            stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, deadline},
        },
    };

    fn value(served: Option<Served>) -> Option<Value> {
        match served?.answer {
            RpcAnswer::Result(result) => Some(result.read().unwrap()),
            RpcAnswer::Error(error) => Some(json!(error.code)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_anew_and_of_nobody_who_is_to_be_avoided() {
        let mut stage = Stage::new();
        stage.settings.cache = CacheSettings { max_bytes: 1 << 20 };
        let gateway = Gateway::new(GatewayParts {
            settings: stage.settings.clone(),
            upstreams: stage.asks(),
            board: stage.board.clone(),
            clock: WallClock::manual(0).0,
        });
        let code = RpcCall::new(
            "eth_getCode",
            r#"["0x00000000000000000000000000000000000000aa",{"blockHash":"0x1111111111111111111111111111111111111111111111111111111111111111"}]"#,
        );
        for _ in 0..2 {
            gateway.call(code.clone(), &stage.session, deadline()).await;
        }
        assert_eq!(stage.heard(), [1, 0, 0], "it is kept");
        let ids: Vec<UpstreamId> = stage.settings.upstreams.iter().map(|one| one.id.clone()).collect();
        let ask = |avoid: &[usize]| {
            let avoid: Vec<UpstreamId> = avoid.iter().map(|place| ids[*place].clone()).collect();
            let (gateway, session, code) = (&gateway, &stage.session, code.clone());
            async move { value(gateway.call_fresh(code, session, deadline(), &avoid).await) }
        };
        assert_eq!(ask(&[]).await, Some(json!(PRIMARY)));
        assert_eq!(ask(&[PRIMARY]).await, Some(json!(REPLICA)));
        stage.actor(REPLICA).plays(|_, _| Act::Hang);
        assert_eq!(ask(&[PRIMARY]).await, Some(json!(BACKUP)));
        assert_eq!(stage.heard(), [2, 2, 1]);
        assert_eq!(ask(&[PRIMARY, REPLICA, BACKUP]).await, None);
        stage.actor(PRIMARY).plays(|_, _| Act::refused());
        assert_eq!(ask(&[REPLICA, BACKUP]).await, Some(json!(-32603)));
        stage.serve(&[]);
        assert_eq!(
            ask(&[PRIMARY]).await,
            Some(json!(-32603)),
            "nobody serves: that says nothing of an answer"
        );
    }
}
