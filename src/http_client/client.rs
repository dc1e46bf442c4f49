//! The clients that many hosts share: one pool, one TLS set-up, no redirects, no proxy unless asked for.

use std::{cell::Cell, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    HTTP1, HTTP1_AND_2, HttpClientError, HttpFailure, Tls, TlsRoots,
    connector::Connector,
    failure::{failure_of, was_not_begun},
    proxy::Proxy,
};

/// Most connections kept to one host. Arbitrary: more than are in use at once but for a moment.
const MAX_IDLE_PER_HOST: usize = 256;
/// How often an HTTP/2 connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Most headers of an answer.
const MAX_HEADERS: usize = 64;
/// How often a call is made again that the far side refused to begin with. Arbitrary.
const MAX_NOT_BEGUN: u32 = 2;

thread_local! {
    /// Which pool this thread's calls use.
    static POOL: Cell<usize> = const { Cell::new(0) };
}

/// Has this thread's calls use a pool of their own, where a client has so many: a connection that is used on the thread which opened it wakes no
/// other one.
pub fn use_pool(number: usize) {
    POOL.set(number);
}

/// An answer whose head is there.
pub type Answered = Response<Incoming>;

/// What calls are made by. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClients {
    /// For everything: connections are kept.
    pub kept: HttpClient,
    /// Keeps no connection: every call opens its own, so none goes into one that died unnoticed.
    pub fresh: HttpClient,
    /// For streams: HTTP/1.1 only, as websockets begin with it.
    pub http1: HttpClient,
    /// What opens the proxy, for calls that it is told in clear.
    pub proxy_authorization: Option<HeaderValue>,
}

impl HttpClients {
    /// Builds them. Costs milliseconds: once per start.
    ///
    /// # Errors
    /// When the roots or the proxy are unusable.
    pub fn build(roots: &TlsRoots, proxy: Option<&str>) -> Result<Self, HttpClientError> {
        Self::build_pools(roots, proxy, 1)
    }

    /// The same, with so many pools of connections that are kept: threads choose theirs by [`use_pool`], others share the first.
    ///
    /// # Errors
    /// When the roots or the proxy are unusable.
    pub fn build_pools(roots: &TlsRoots, proxy: Option<&str>, pools: usize) -> Result<Self, HttpClientError> {
        let tls = Tls::new(roots)?;
        let proxy = proxy.map(Proxy::parse).transpose()?;
        let connector = |protocols| Connector::new(&tls, protocols, proxy.as_ref());
        Ok(Self {
            kept: HttpClient::new(&connector(HTTP1_AND_2)?, MAX_IDLE_PER_HOST, pools),
            fresh: HttpClient::new(&connector(HTTP1_AND_2)?, 0, 1),
            http1: HttpClient::new(&connector(HTTP1)?, MAX_IDLE_PER_HOST, 1),
            proxy_authorization: proxy.and_then(|proxy| proxy.authorization),
        })
    }
}

type Pool = Client<Connector, Full<Bytes>>;

/// Pools of connections, and how they are opened.
#[derive(Clone, Debug)]
pub struct HttpClient {
    first: Pool,
    /// Those of threads that have their own.
    others: Arc<[Pool]>,
}

impl HttpClient {
    fn new(connector: &Connector, max_idle_per_host: usize, pools: usize) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // The far side closes idle connections (mev-boost-relay after 3 s); on our side there is no reason to.
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(max_idle_per_host)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_while_idle(true)
            .http1_max_headers(MAX_HEADERS);
        let pool = || builder.build(connector.clone());
        Self { first: pool(), others: (1..pools).map(|_| pool()).collect() }
    }

    /// The pool of this thread.
    fn pool(&self) -> &Pool {
        POOL.get().checked_sub(1).and_then(|number| self.others.get(number)).unwrap_or(&self.first)
    }

    /// Makes a call, until its answer's head is there. One that died with a kept connection before a byte of it left is made again, and so
    /// is one that the far side refused to begin with, as HTTP/2 can say.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answered, HttpFailure> {
        for _ in 0..MAX_NOT_BEGUN {
            let again = request.clone();
            match self.pool().request(request).await {
                Err(error) if was_not_begun(&error) => request = again,
                answered => return finish(answered),
            }
        }
        finish(self.pool().request(request).await)
    }
}

fn finish(answered: Result<Answered, Error>) -> Result<Answered, HttpFailure> {
    answered.map_err(|error| failure_of(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_the_pool_that_it_chose_and_all_others_share_the_first() {
        let clients = HttpClients::build_pools(&TlsRoots::Bundled, None, 3).unwrap();
        let client = clients.kept;
        let chosen = |number: usize| {
            let client = client.clone();
            let choose = move || {
                use_pool(number);
                client.others.iter().position(|pool| std::ptr::eq(pool, client.pool()))
            };
            std::thread::spawn(choose).join().unwrap()
        };
        for (number, want) in [(0, None), (1, Some(0)), (2, Some(1)), (3, None), (99, None)] {
            assert_eq!(chosen(number), want, "{number}");
        }
        assert!(std::ptr::eq(client.pool(), &raw const client.first), "who chose none");
    }
}
