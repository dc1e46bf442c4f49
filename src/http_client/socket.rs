//! A connection, whichever way it was made: what hyper reads and writes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::net::TcpStream;

/// To a host or to a proxy, with TLS or without.
pub(super) type Direct = MaybeHttpsStream<TokioIo<TcpStream>>;
/// The same with TLS inside, which a host speaks behind a proxy's tunnel.
pub(super) type Tunnelled = MaybeHttpsStream<Direct>;

/// An open connection.
pub(super) struct Socket {
    stream: Tunnelled,
    /// The far end is a proxy that is told the whole URL.
    is_forwarded: bool,
}

impl Socket {
    /// To the host itself.
    pub(super) fn direct(stream: Direct) -> Self {
        Self { stream: MaybeHttpsStream::Http(stream), is_forwarded: false }
    }

    /// To the host, through a proxy that sees what TLS leaves to see.
    pub(super) fn tunnelled(stream: Tunnelled) -> Self {
        Self { stream, is_forwarded: false }
    }

    /// To a proxy that asks the host itself.
    pub(super) fn forwarded(stream: Direct) -> Self {
        Self { stream: MaybeHttpsStream::Http(stream), is_forwarded: true }
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        // Not the stream's own: it has addresses that each answer would carry, and nobody reads.
        let connected = Connected::new().proxy(self.is_forwarded);
        if self.stream.connected().is_negotiated_h2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
