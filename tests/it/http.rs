//! The server itself: routes, methods, limits.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::stage::{Stage, assert_error, honest, stage};

/// [S4] And unknown routes and methods in the API's error shape.
#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods() {
    let stage = stage().relay(honest()).start().await;
    let root = stage.http.get(&stage.builder).send().await.unwrap();
    assert_eq!((root.status().as_u16(), root.text().await.unwrap().as_str()), (200, "{}"));
    for base in [&stage.builder, &stage.ops] {
        assert_error(stage.http.get(format!("{base}/no/such/path")).send().await.unwrap(), 404).await;
    }
    for path in
        ["/eth/v1/builder/validators", "/eth/v1/builder/blinded_blocks", "/eth/v2/builder/blinded_blocks"]
    {
        assert_error(stage.http.get(format!("{}{path}", stage.builder)).send().await.unwrap(), 405).await;
    }
    assert_error(
        stage.http.post(format!("{}/eth/v1/builder/status", stage.builder)).send().await.unwrap(),
        405,
    )
    .await;
    let bundles = stage.http.get(format!("{}/eth/v1/builder/bundles", stage.builder)).send().await.unwrap();
    let bundles: serde_json::Value = serde_json::from_slice(&bundles.bytes().await.unwrap()).unwrap();
    assert_eq!((&bundles["included"], &bundles["profit_wei"]), (&0.into(), &"0".into()));
}
/// [S5]
#[tokio::test(flavor = "multi_thread")]
async fn too_many_header_bytes_are_431() {
    let stage = stage().relay(honest()).start().await;
    let url = format!("{}/eth/v1/builder/status", stage.builder);
    assert_eq!(stage.http.get(&url).header("x-a", "a".repeat(3000)).send().await.unwrap().status(), 200);
    assert_error(stage.http.get(&url).header("x-a", "a".repeat(4001)).send().await.unwrap(), 431).await;
    assert_eq!(stage.http.get(&url).header("x-a", "a".repeat(100_000)).send().await.unwrap().status(), 431);
}

fn raw(stage: &Stage, request: &str) -> String {
    let mut stream = TcpStream::connect(stage.builder.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Nimbus closes its connections.
#[tokio::test(flavor = "multi_thread")]
async fn connection_close_is_honoured() {
    let stage = stage().relay(honest()).start().await;
    let answer = raw(&stage, "GET /eth/v1/builder/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_http_get_400_and_the_service_lives() {
    let stage = stage().relay(honest()).start().await;
    let answer = raw(&stage, "\x16\x03\x01\x02\x00 this is TLS, or nothing at all\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(stage.header().await.is_some());
}
