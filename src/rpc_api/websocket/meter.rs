//! What has come of messages and was not taken up yet: how much, charged to the budget of the listener's bodies, and since when.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::frames::Frames;
use crate::serve::{ByteBudget, ByteShare};

/// Bytes that are read at once, allocated for each connection: calls are small, and larger ones are read in parts.
pub(super) const READ_BUFFER: usize = 1 << 10;
/// Bytes of a connection that cost nothing of the budget: what its buffer for reading takes anyway, and most calls fit in.
const FREE: usize = READ_BUFFER;
/// Bytes that are read at once once the client was told that it is cut.
const FORGOTTEN: usize = 4 << 10;

/// Why a connection is cut for what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A message is not complete in time.
    Slow,
    /// There is no room for what came.
    NoRoom,
}

/// Measures one connection.
#[derive(Debug)]
pub(super) struct Meter {
    state: Mutex<State>,
    /// Something began, or there is no room.
    changed: Notify,
    within: Duration,
    budget: ByteBudget,
}

#[derive(Debug)]
struct State {
    frames: Frames,
    /// When the message began that is not complete.
    since: Option<Instant>,
    /// Bytes of messages that came and were not taken up.
    held: usize,
    share: ByteShare,
    has_room: bool,
    /// Nothing is measured any more.
    is_over: bool,
}

impl Meter {
    /// Each message must be complete within a time.
    pub(super) fn new(budget: ByteBudget, within: Duration) -> Arc<Self> {
        let share = budget.share();
        let state =
            State { frames: Frames::default(), since: None, held: 0, share, has_room: true, is_over: false };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), within, budget })
    }

    fn came(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        let fed = state.frames.feed(bytes);
        if state.is_over {
            return;
        }
        let was_incomplete = state.since.is_some() && !fed.has_ended;
        if !state.frames.is_incomplete() {
            state.since = None;
        } else if !was_incomplete {
            state.since = Some(Instant::now());
            self.changed.notify_one();
        }
        state.held = state.held.saturating_add(fed.data);
        state.charge(&self.changed);
    }

    /// A message of so many bytes is taken up: it keeps its share until the last of it is dropped.
    pub(super) fn take(&self, message: Bytes) -> Bytes {
        let mut state = self.state.lock();
        state.held = state.held.saturating_sub(message.len());
        let share = std::mem::replace(&mut state.share, self.budget.share());
        state.charge(&self.changed);
        share.keep(message)
    }

    /// Nothing was read for a while, which was not the client's choice: its time is as much longer.
    pub(super) fn paused(&self, pause: Duration) {
        let mut state = self.state.lock();
        state.since = state.since.map(|since| since + pause);
    }

    /// Waits until the connection is to be cut. Cancel-safe.
    pub(super) async fn trouble(&self) -> Trouble {
        loop {
            let (has_room, since) = {
                let state = self.state.lock();
                (state.has_room, state.since)
            };
            if !has_room {
                return Trouble::NoRoom;
            }
            let Some(since) = since else {
                self.changed.notified().await;
                continue;
            };
            let until = since + self.within;
            if until <= Instant::now() {
                return Trouble::Slow;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

impl State {
    fn charge(&mut self, changed: &Notify) {
        if self.has_room && !self.share.grow_to(self.held.saturating_sub(FREE)) {
            self.has_room = false;
            changed.notify_one();
        }
    }
}

/// A connection that is measured.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    pub(super) meter: Arc<Meter>,
}

impl<S: AsyncRead + Unpin> Metered<S> {
    pub(super) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }

    /// Takes off the line what still comes, and forgets it, until the client has closed: a connection that is closed with bytes unread is reset,
    /// and the reset may take along what the client was told.
    pub(super) async fn forget_the_rest(&mut self) {
        {
            let mut state = self.meter.state.lock();
            state.is_over = true;
            state.share = self.meter.budget.share();
        }
        let mut buffer = vec![0; FORGOTTEN];
        while !self.meter.state.lock().frames.is_closed() {
            if !self.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        {
            let state = self.meter.state.lock();
            if !state.has_room && !state.is_over {
                // Whoever waits for trouble is told, and nothing more is taken.
                return Poll::Pending;
            }
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.meter.came(bytes);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
