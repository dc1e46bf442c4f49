//! The far side of a call to a relay, byte by byte: a server, with TLS and HTTP/2 where a test wants them, that keeps what it was sent and
//! answers by a script. The simulated relays speak only plain HTTP/1.1, and never show the bytes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `http/1.1` or `h2`, where TLS agreed on one.
    pub(crate) protocol: Option<String>,
    /// `GET /path`, the target as it was written.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the script does with a request.
pub(crate) enum Reply {
    /// A whole answer; the connection stays.
    Answer(http::Response<Vec<u8>>),
    /// These bytes and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, for as long as the client waits.
    Silence,
    /// 200, and from then on the bytes of another port.
    Tunnel(u16),
}

impl Reply {
    /// 200 without a body.
    pub(crate) fn ok() -> Self {
        Self::Answer(http::Response::new(Vec::new()))
    }

    /// A body with these headers.
    pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let mut answer = http::Response::new(body.into());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            let name = http::HeaderName::try_from(*name).unwrap();
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        Self::Answer(answer)
    }
}

type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// A running server. Stops when dropped, its connections too.
pub(crate) struct FarSide {
    pub(crate) port: u16,
    state: Arc<State>,
    /// The folder of the certificate that its clients have to trust.
    folder: tempfile::TempDir,
    _accepting: AbortOnDropHandle<()>,
}

struct State {
    script: Box<Script>,
    tls: Option<TlsAcceptor>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// Whether it speaks TLS, and what it offers there.
pub(crate) enum Speaks<'a> {
    Plain,
    Tls(&'a [&'a str]),
}

impl FarSide {
    /// Starts one on a free port of loopback. The script gets the number of requests before this one, and the request.
    pub(crate) async fn start(
        speaks: Speaks<'_>,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1", speaks, script).await
    }

    /// As [`FarSide::start`], at another address of this machine.
    pub(crate) async fn start_at(
        host: &str,
        speaks: Speaks<'_>,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = match speaks {
            Speaks::Plain => None,
            Speaks::Tls(protocols) => Some(acceptor(folder.path().join("roots.pem"), protocols)),
        };
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            script: Box::new(script),
            tls,
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connections.spawn(connection(tcp, Arc::clone(&serving)));
            }
        });
        Self { port, state, folder, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Its certificate, as `[tls] roots_file` wants it.
    pub(crate) fn roots_file(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }

    /// Everything it was sent, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// Connections that were opened to it.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

pub(crate) fn acceptor(roots: PathBuf, protocols: &[&str]) -> TlsAcceptor {
    let made =
        rcgen::generate_simple_self_signed(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).unwrap();
    std::fs::write(roots, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn connection(tcp: TcpStream, state: Arc<State>) {
    state.connections.fetch_add(1, Ordering::SeqCst);
    let _ = tcp.set_nodelay(true);
    let Some(tls) = &state.tls else { return http1(tcp, None, &state).await };
    let Ok(stream) = tls.accept(tcp).await else { return };
    let protocol = stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    if protocol.as_deref() == Some("h2") {
        let service = hyper::service::service_fn(|request| http2(request, Arc::clone(&state)));
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    } else {
        http1(stream, protocol, &state).await;
    }
}

/// Keeps a request and asks the script about it.
fn note(state: &State, seen: Seen) -> Reply {
    let before = {
        let mut all = state.seen.lock();
        all.push(seen.clone());
        all.len() - 1
    };
    (state.script)(before, &seen)
}

async fn http2(
    request: http::Request<hyper::body::Incoming>,
    state: Arc<State>,
) -> Result<http::Response<Full<bytes::Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let seen = Seen {
        protocol: Some("h2".to_owned()),
        line: format!("{} {}", parts.method, parts.uri),
        headers: headers.collect(),
        body: body.collect().await?.to_bytes().to_vec(),
    };
    match note(&state, seen) {
        Reply::Answer(answer) => Ok(answer.map(|body| Full::new(body.into()))),
        Reply::Raw(_) | Reply::Silence | Reply::Tunnel(_) => std::future::pending().await,
    }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, protocol: Option<String>, state: &State) {
    let mut held = Vec::new();
    loop {
        let Some(end) = head_end(&mut stream, &mut held).await else { return };
        let head = String::from_utf8(held.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while held.len() < length {
            if stream.read_buf(&mut held).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = held.drain(..length).collect();
        let seen = Seen { protocol: protocol.clone(), line, headers, body };
        match note(state, seen) {
            Reply::Answer(answer) => {
                if stream.write_all(&written(answer)).await.is_err() {
                    return;
                }
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Silence => std::future::pending().await,
            Reply::Tunnel(port) => {
                let mut other = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
                return;
            }
        }
    }
}

/// Reads until a head is whole, and says where it ends; `None` at the connection's end.
async fn head_end<S: AsyncRead + Unpin>(stream: &mut S, held: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(held).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn written(answer: http::Response<Vec<u8>>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", answer.body().len()).as_bytes());
    bytes.extend_from_slice(answer.body());
    bytes
}
