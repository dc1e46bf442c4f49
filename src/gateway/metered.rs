//! An upstream as it is asked from outside: within its budget, and with its answers counted.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Ask, Asking, Budget, CallError, Post, RpcAnswer, RpcCall, Transport, TransportFailure, UpstreamSettings,
};
use crate::{
    consensus::WallClock,
    events::{AnswerGrade, AnswerMeter},
    http_client::HttpClients,
};

/// One upstream.
pub struct MeteredUpstream {
    transport: Transport,
    /// The same for probes, which take from another part of the budget.
    probes: Transport,
    budget: Arc<Budget>,
    meter: AnswerMeter,
    clock: WallClock,
}

impl fmt::Debug for MeteredUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredUpstream").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl MeteredUpstream {
    /// By the configuration; `max_answer_bytes` is counted after decompression.
    pub fn new(
        settings: &UpstreamSettings,
        clients: &HttpClients,
        max_answer_bytes: usize,
        meter: AnswerMeter,
        clock: WallClock,
    ) -> Self {
        let budget = Arc::new(Budget::of(settings));
        let transport = {
            let (budget, clock) = (Arc::clone(&budget), clock.clone());
            let take = move |requests: u32| budget.try_take(requests, clock.now());
            Transport::new(settings, clients, Arc::new(take), max_answer_bytes)
        };
        let probes = {
            let (budget, clock) = (Arc::clone(&budget), clock.clone());
            let take = move |requests: u32| budget.try_take_for_probe(requests, clock.now());
            Transport::new(settings, clients, Arc::new(take), max_answer_bytes)
        };
        Self { transport, probes, budget, meter, clock }
    }

    /// Its budget, to be told when it is used up.
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// An upstream that answers at all is there, whatever it says; one that was not asked, says nothing.
    fn count<T>(&self, came: &Result<T, CallError>, asked: Instant) {
        match came {
            Ok(_) => self.meter.note(AnswerGrade::Good, asked.elapsed()),
            Err(CallError::Transport(TransportFailure::OverBudget)) => {}
            Err(CallError::Transport(_) | CallError::Bad(_)) => {
                self.meter.note(AnswerGrade::Bad, asked.elapsed());
            }
        }
    }
}

impl Ask for MeteredUpstream {
    fn call<'a>(&'a self, call: &'a RpcCall, deadline: Instant) -> Asking<'a, RpcAnswer> {
        Box::pin(async move {
            let asked = Instant::now();
            let came = self.transport.call(call, deadline).await;
            self.count(&came, asked);
            came
        })
    }

    fn batch<'a>(&'a self, calls: &'a [RpcCall], deadline: Instant) -> Asking<'a, Vec<RpcAnswer>> {
        Box::pin(async move {
            let asked = Instant::now();
            let came = self.transport.batch(calls, deadline).await;
            self.count(&came, asked);
            came
        })
    }

    fn has_budget(&self) -> bool {
        !self.budget.used(self.clock.now()).is_used_up()
    }

    fn most_at_once(&self) -> usize {
        self.budget.most_at_once(self.clock.now())
    }

    fn used_today(&self) -> Option<u64> {
        let used = self.budget.used(self.clock.now());
        used.per_day.map(|_| used.sent)
    }
}

impl Post for MeteredUpstream {
    fn post(
        &self,
        body: Bytes,
        calls: u32,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, TransportFailure>> {
        Box::pin(async move {
            let asked = Instant::now();
            let came = self.probes.post(body, calls, deadline).await.map_err(CallError::Transport);
            self.count(&came, asked);
            came.map_err(|error| match error {
                CallError::Transport(failure) => failure,
                CallError::Bad(bad) => TransportFailure::Broken(bad.to_string()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::{
        gateway::{Tier, UpstreamId},
        http_client::TlsRoots,
    };

    /// An upstream where nobody listens, as nothing ever may at port 0.
    fn upstream(max_requests_per_second: Option<u32>, max_requests_per_day: Option<u64>) -> MeteredUpstream {
        let settings = UpstreamSettings {
            id: UpstreamId::parse("node").unwrap(),
            node: None,
            url: "http://127.0.0.1:0/".parse().unwrap(),
            ws_url: None,
            tier: Tier::Backup,
            headers: HeaderMap::new(),
            probe_every: Duration::from_secs(15),
            max_requests_per_second,
            max_requests_per_day,
            max_logs_range: None,
            methods: Vec::new(),
            ignore_methods: Vec::new(),
        };
        let clients = HttpClients::build(&TlsRoots::Bundled, None).unwrap();
        let (clock, _hand) = WallClock::manual(0);
        MeteredUpstream::new(&settings, &clients, 1_000, AnswerMeter::default(), clock)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_takes_nothing_from_the_calls_after_it() {
        let upstream = upstream(Some(3), None);
        assert_eq!(upstream.most_at_once(), 3);
        let calls = vec![RpcCall::bare("eth_chainId"); 5];
        let over = Err(CallError::Transport(TransportFailure::OverBudget));
        assert_eq!(upstream.batch(&calls, soon()).await, over);
        let three = upstream.batch(&calls[..3], soon()).await;
        assert!(matches!(three, Err(CallError::Transport(TransportFailure::Connect(_)))), "{three:?}");
        assert_eq!(upstream.budget().used(0).sent, 3);
    }

    #[tokio::test]
    async fn a_probe_of_several_calls_is_as_many_requests_as_providers_count() {
        let upstream = upstream(None, Some(7));
        let body = RpcCall::to_batch(&vec![RpcCall::bare("eth_chainId"); 5]);
        let failure = upstream.post(body.clone(), 5, soon()).await;
        assert!(matches!(failure, Err(TransportFailure::Connect(_))), "{failure:?}");
        assert_eq!(upstream.budget().used(0).sent, 5);
        assert_eq!(upstream.post(body, 5, soon()).await, Err(TransportFailure::OverBudget));
    }

    #[tokio::test]
    async fn calls_that_use_up_a_second_starve_no_probe() {
        let upstream = upstream(Some(1), Some(3));
        let failure = async || match upstream.call(&RpcCall::bare("eth_chainId"), soon()).await {
            Err(CallError::Transport(failure)) => failure,
            other => panic!("{other:?}"),
        };
        assert!(matches!(failure().await, TransportFailure::Connect(_)));
        assert_eq!(failure().await, TransportFailure::OverBudget);
        let probe = async || upstream.post(RpcCall::bare("eth_chainId").to_body(0), 1, soon()).await;
        assert!(matches!(probe().await, Err(TransportFailure::Connect(_))), "it is sent");
        probe().await.unwrap_err();
        assert_eq!(probe().await, Err(TransportFailure::OverBudget), "the day is used up");
    }
}
