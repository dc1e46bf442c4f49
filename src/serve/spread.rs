//! Which runtime serves a connection, where a listener has several: the one that has the fewest.
//!
//! A runtime of one thread wakes no other one: a request that is read, passed on and answered there never waits for a thread to be woken, which
//! costs more than all that is computed for it. On a runtime of several, tokio wakes another thread with nearly every step.

use std::{io, sync::Arc};

use tokio::{net::TcpStream, runtime::Handle};

/// The runtimes that connections are spread over; none: the listener's own serves them.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Its holders are the connections that it has, and this.
    open: Arc<()>,
}

/// A place at a runtime; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) runtime: Handle,
    _open: Arc<()>,
}

impl Spread {
    /// Over these.
    pub(super) fn over(runtimes: Vec<Handle>) -> Self {
        Self(runtimes.into_iter().map(|runtime| Worker { runtime, open: Arc::default() }).collect())
    }

    /// A place at whichever has the fewest connections.
    pub(super) fn seat(&self) -> Option<Seat> {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.open))?;
        Some(Seat { runtime: worker.runtime.clone(), _open: Arc::clone(&worker.open) })
    }
}

/// Takes a connection to the runtime that this is called on: whoever accepted it lets go of it.
///
/// # Errors
/// When the system does not let it be watched here.
pub(super) fn moved_here(stream: io::Result<std::net::TcpStream>) -> io::Result<TcpStream> {
    TcpStream::from_std(stream?)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn each_connection_goes_to_whoever_has_the_fewest() {
        assert!(Spread::default().seat().is_none());
        let runtimes = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        let spread = Spread::over(runtimes.iter().map(|runtime| runtime.handle().clone()).collect());
        let place = |seat: &Seat| {
            runtimes.iter().position(|runtime| runtime.handle().id() == seat.runtime.id()).unwrap()
        };
        let mut seats: Vec<Seat> = (0..4).map(|_| spread.seat().unwrap()).collect();
        assert_eq!(seats.iter().map(place).collect::<Vec<_>>(), [0, 1, 0, 1]);
        seats.retain(|seat| place(seat) == 0);
        let more: Vec<Seat> = (0..3).map(|_| spread.seat().unwrap()).collect();
        assert_eq!(more.iter().map(place).collect::<Vec<_>>(), [1, 1, 0]);
    }
}
