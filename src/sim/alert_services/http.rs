//! As much of HTTP/1.1 as a client with plain bodies needs.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::parts::{RawRequest, Reply};

const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 4 << 20;

/// Reads a request; none where the client has closed.
pub(super) async fn read_request(stream: &mut TcpStream) -> io::Result<Option<RawRequest>> {
    let mut held = Vec::new();
    let end = loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if held.len() > MAX_HEAD {
            return Err(io::Error::other("the head is too large"));
        }
        if stream.read_buf(&mut held).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(held.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) =
        (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = RawRequest { method, path, headers, body: held.split_off(end + 4) };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    if length > MAX_BODY {
        return Err(io::Error::other("the body is too large"));
    }
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(request))
}

/// Writes an answer.
pub(super) async fn answer(stream: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\ncontent-type: {}\r\n", reply.status, reply.content_type);
    if reply.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(reply.body.as_bytes()).await
}
