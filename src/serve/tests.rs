//! Connections over real sockets, with limits short enough to wait for.

use axum::routing::{get, post};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(limits: Limits) -> Running {
    let mut listener = Listener::bind("test", ([127, 0, 0, 1], 0).into()).unwrap();
    listener.limits = limits;
    let address = listener.address();
    let stop = CancellationToken::new();
    let echo = post(|body: bytes::Bytes| async move { body });
    // What never ends, and what never begins.
    let endless = get(async || Body::from_stream(endless()));
    let quiet = get(async || Body::from_stream(stream::pending::<std::io::Result<bytes::Bytes>>()));
    let router = Router::new()
        .route("/", get(async || "well"))
        .route("/echo", echo)
        .route("/endless", endless)
        .route("/quiet", quiet);
    let task = tokio::spawn(listener.serve(router, stop.clone(), Duration::from_secs(5)));
    Running { address, stop, task }
}

fn endless() -> impl stream::Stream<Item = std::io::Result<bytes::Bytes>> {
    stream::repeat_with(|| Ok(bytes::Bytes::from_static(&[b'x'; 64 << 10])))
}

fn limits(head_ms: u64, waiting_ms: u64) -> Limits {
    Limits {
        head: Duration::from_millis(head_ms),
        waiting: Duration::from_millis(waiting_ms),
        stalled: Duration::from_secs(60),
        connections: 100,
    }
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// Asks once and reads the answer, whose end is known.
async fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nwell") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Who accepts a connection hands it on, and takes it back when it ends.
#[tokio::test]
async fn connections_are_served_by_the_runtimes_that_they_are_spread_over() {
    let runtimes = [1, 2]
        .map(|_| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    let ids = runtimes.each_ref().map(|runtime| runtime.handle().id().to_string());
    let listener = Listener::bind("test", ([127, 0, 0, 1], 0).into())
        .unwrap()
        .spread_over(runtimes.iter().map(|runtime| runtime.handle().clone()).collect());
    let (address, stop) = (listener.address(), CancellationToken::new());
    let router = Router::new().route("/", get(async || tokio::runtime::Handle::current().id().to_string()));
    let task = tokio::spawn(listener.serve(router, stop.clone(), Duration::from_secs(5)));
    let mut served = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        let by = loop {
            stream.read_buf(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, id)) = text.split_once("\r\n\r\n").filter(|(_, id)| !id.is_empty()) {
                break id.to_owned();
            }
        };
        served.push(ids.iter().position(|id| *id == by));
        kept.push(stream);
    }
    assert_eq!(served, [0, 1, 0, 1].map(Some));
    stop.cancel();
    task.await.unwrap();
    for stream in &mut kept {
        closed(stream).await;
    }
    runtimes.into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
}

/// Waits for the other end to close.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    let _ = end.expect("the connection is still open");
}

/// Nimbus and Prysm ask once in 12 seconds, on the connection they have.
#[tokio::test]
async fn a_connection_that_waits_longer_than_a_head_may_take_is_kept() {
    let running = serve(limits(200, 60_000)).await;
    let mut stream = connect(&running).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        ask(&mut stream).await.unwrap();
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut() {
    let running = serve(limits(300, 60_000)).await;
    for served_before in [false, true] {
        let mut stream = connect(&running).await;
        if served_before {
            ask(&mut stream).await.unwrap();
        }
        // A byte every now and then does not buy time.
        let (mut read, mut write) = stream.into_split();
        let trickle = tokio::spawn(async move {
            for byte in REQUEST.iter().cycle().filter(|byte| **byte != b'\n') {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut rest = Vec::new();
        let end = timeout(Duration::from_secs(20), read.read_to_end(&mut rest)).await;
        let _ = end.expect("the connection is still open");
        trickle.abort();
    }
}

#[tokio::test]
async fn a_connection_that_waits_for_ever_is_closed() {
    let running = serve(limits(60_000, 200)).await;
    let mut unused = connect(&running).await;
    let mut used = connect(&running).await;
    ask(&mut used).await.unwrap();
    closed(&mut unused).await;
    closed(&mut used).await;
}

/// Its head is long complete; the body has a limit of its own, where it is read.
#[tokio::test]
async fn a_slow_body_is_not_a_slow_head() {
    let running = serve(limits(200, 200)).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nwe").await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    stream.write_all(b"ll").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nwell") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "cut");
    }
}

#[tokio::test]
async fn a_full_house_closes_the_one_that_waits_longest() {
    let mut limits = limits(60_000, 60_000);
    limits.connections = 2;
    let running = serve(limits).await;
    let (mut first, mut second) = (connect(&running).await, connect(&running).await);
    ask(&mut first).await.unwrap();
    ask(&mut second).await.unwrap();
    ask(&mut first).await.unwrap();
    let mut third = connect(&running).await;
    ask(&mut third).await.unwrap();
    closed(&mut second).await;
    ask(&mut first).await.unwrap();
    ask(&mut third).await.unwrap();
}

#[tokio::test]
async fn a_stop_closes_connections_that_wait() {
    let running = serve(limits(60_000, 60_000)).await;
    let mut stream = connect(&running).await;
    ask(&mut stream).await.unwrap();
    running.stop.cancel();
    closed(&mut stream).await;
    timeout(Duration::from_secs(20), running.task).await.expect("it did not stop").unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_one_that_is_told_nothing_is_not() {
    let mut limits = limits(60_000, 60_000);
    limits.stalled = Duration::from_millis(500);
    let running = serve(limits).await;
    let (mut stalled, mut quiet, mut slow) =
        (connect(&running).await, connect(&running).await, connect(&running).await);
    stalled.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    slow.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    quiet.write_all(b"GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    // Who takes what comes is served on, however long it takes.
    let mut buffer = vec![0; 1 << 20];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert!(slow.read(&mut buffer).await.unwrap() > 0);
    }
    // What was sent before comes still; then the connection is gone.
    closed(&mut stalled).await;
    assert!(quiet.read(&mut buffer).await.unwrap() > 0);
    let rest = timeout(Duration::from_millis(300), quiet.read(&mut buffer)).await;
    assert!(rest.is_err(), "a stream on which nothing is told is kept: {rest:?}");
}
