//! What a connection is doing, and how long it may: waiting between two requests, sending the head of one, or being served.
//!
//! hyper's own head timeout counts from the end of the last answer, so that a client which asks once a slot would lose its connection
//! between any two slots. Here the time for a head begins with its first byte, and a connection that waits is kept much longer: the
//! socket says when bytes come, the service when a head is complete and when its answer is given away.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time from the first byte of a request's head to its last.
    pub(super) head: Duration,
    /// Longest time between two requests, and from the connection to its first. Go's HTTP client, which most consensus clients are,
    /// gives its own end up after 90 seconds: ours must live longer, or requests meet a closed door.
    pub(super) waiting: Duration,
    /// Longest time that a write may wait without any progress: its client does not read.
    pub(super) stalled: Duration,
    /// Most connections of one listener.
    pub(super) connections: usize,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests.
    Waiting {
        /// When that began, by the clock of whoever asks.
        since: Instant,
        /// Whether it was of use before.
        served: bool,
    },
    /// Some of a request's head has come.
    Head {
        /// When that began, by the clock of whoever asks.
        since: Instant,
    },
    /// A request is being read, answered, or its answer written.
    Busy,
}

impl Phase {
    /// When it has lasted too long; never while a request is served, which has limits of its own.
    pub(super) fn deadline(self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Waiting { since, .. } => Some(since + limits.waiting),
            Self::Head { since } => Some(since + limits.head),
            Self::Busy => None,
        }
    }
}

/// Says what a connection is doing. Nobody is woken by it: whoever watches looks when the time would be up.
#[derive(Clone, Debug)]
pub(super) struct PhaseTeller(Arc<Mutex<Doing>>);

/// Shows what a connection is doing.
#[derive(Clone, Debug)]
pub(super) struct PhaseWatch(Arc<Mutex<Doing>>);

#[derive(Debug)]
struct Doing {
    phase: Phase,
    /// Since when a write waits for the client; none where nothing is to be sent, or it goes out.
    blocked: Option<Instant>,
}

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing came for too long.
    Silent(Phase),
    /// Nothing could be sent for too long.
    Stalled,
}

impl PhaseTeller {
    /// A connection that was just opened, and what shows its phases.
    pub(super) fn new() -> (Self, PhaseWatch) {
        let phase = Phase::Waiting { since: Instant::now(), served: false };
        let doing = Arc::new(Mutex::new(Doing { phase, blocked: None }));
        (Self(Arc::clone(&doing)), PhaseWatch(doing))
    }

    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        let blocked = &mut self.0.lock().blocked;
        match polled {
            Poll::Pending => *blocked = blocked.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => *blocked = None,
        }
    }

    fn bytes_came(&self) {
        let phase = &mut self.0.lock().phase;
        if matches!(phase, Phase::Waiting { .. }) {
            *phase = Phase::Head { since: Instant::now() };
        }
    }

    /// The head of a request is complete. Until what this returns is dropped, the request is being served.
    pub(super) fn serving(&self) -> Serving {
        self.0.lock().phase = Phase::Busy;
        Serving(self.clone())
    }
}

impl PhaseWatch {
    /// The phase of this moment.
    pub(super) fn now(&self) -> Phase {
        self.0.lock().phase
    }

    fn blocked(&self) -> Option<Instant> {
        self.0.lock().blocked
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Serving(PhaseTeller);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.lock().phase = Phase::Waiting { since: Instant::now(), served: true };
    }
}

/// Waits until a phase has lasted too long, or a write has waited too long, and says which. Looks often enough to be in time for whatever begins
/// meanwhile, and no oftener: a connection that waits costs nothing, and one that is served is not woken for it. Cancel-safe.
pub(super) async fn overdue(phases: &PhaseWatch, limits: &Limits) -> Overdue {
    let shortest = limits.head.min(limits.waiting).min(limits.stalled);
    loop {
        let (now, phase) = (Instant::now(), phases.now());
        let (silent, stalled) =
            (phase.deadline(limits), phases.blocked().map(|since| since + limits.stalled));
        if stalled.is_some_and(|deadline| deadline <= now) {
            return Overdue::Stalled;
        }
        if silent.is_some_and(|deadline| deadline <= now) {
            return Overdue::Silent(phase);
        }
        let next = silent.into_iter().chain(stalled).fold(now + shortest, Instant::min);
        sleep_until(next).await;
    }
}

/// A socket that says when bytes come, and when none can go out.
#[derive(Debug)]
pub(super) struct WatchedStream {
    pub(super) stream: TcpStream,
    pub(super) phase: PhaseTeller,
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.phase.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.phase.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.phase.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The body of an answer: as long as it lives, its request is being served.
struct ServedBody {
    inner: Body,
    _serving: Serving,
}

/// Ties the end of a request to the end of its answer's body.
pub(super) fn until_given_away(body: Body, serving: Serving) -> Body {
    Body::new(ServedBody { inner: body, _serving: serving })
}

impl HttpBody for ServedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
