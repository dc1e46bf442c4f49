//! HTTP/2 lets a relay say that it has not begun with a call: such a call is made again.

use std::sync::Arc;

use h2::Reason;
use parking_lot::Mutex;
use relaymux::relay::{CallFailure, Relay, TlsRoots};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{context, relay, settings};
use crate::far_side::acceptor;

/// How a call is turned away.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// Its stream is.
    Stream,
    /// The whole connection ends in good order.
    Connection,
}

/// Turns its first calls away, and answers 200 to the others. Keeps the number of calls.
struct Refusing {
    first: usize,
    how: Refusal,
    tls: TlsAcceptor,
    calls: Mutex<usize>,
}

impl Refusing {
    async fn start(first: usize, how: Refusal) -> (Arc<Self>, Relay) {
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("roots.pem");
        let tls = acceptor(roots.clone(), &["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("localhost:{}", listener.local_addr().unwrap().port());
        let refusing = Arc::new(Self { first, how, tls, calls: Mutex::default() });
        let serving = Arc::clone(&refusing);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(tcp).await });
            }
        });
        let relay = relay(settings("https", &host), &TlsRoots::File(roots), None);
        (refusing, relay)
    }

    /// Counts a call, and says whether it is one to be turned away.
    fn refuses(&self) -> bool {
        let mut calls = self.calls.lock();
        *calls += 1;
        *calls <= self.first
    }

    async fn serve(&self, tcp: TcpStream) {
        let mut stream = self.tls.accept(tcp).await.unwrap();
        if let Refusal::Connection = self.how
            && self.refuses()
        {
            return turn_away(&mut stream).await;
        }
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut answer))) = connection.accept().await {
            if let Refusal::Stream = self.how
                && self.refuses()
            {
                answer.send_reset(Reason::REFUSED_STREAM);
            } else {
                answer.send_response(http::Response::new(()), true).unwrap();
            }
        }
    }
}

/// Says, once a call is there, that the connection ends and that none was begun with.
async fn turn_away(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The last stream begun with: 0. The error: 0, which is none.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            break;
        }
    }
    stream.write_all(&GOAWAY).await.unwrap();
    stream.flush().await.unwrap();
    // Until the client closes: a connection that breaks says nothing of what was begun.
    while stream.read_u8().await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_begun_is_made_again_twice() {
    for how in [Refusal::Stream, Refusal::Connection] {
        let (far, relay) = Refusing::start(2, how).await;
        relay.status(&context()).await.unwrap_or_else(|failure| panic!("{how:?}: {failure}"));
        assert_eq!(*far.calls.lock(), 3, "{how:?}");
        let (far, relay) = Refusing::start(3, how).await;
        let failure = relay.status(&context()).await.unwrap_err();
        assert!(
            matches!(failure, CallFailure::Transport(_)) && failure.should_retry(),
            "{how:?}: {failure:?}"
        );
        assert_eq!(*far.calls.lock(), 3, "{how:?}");
    }
}
