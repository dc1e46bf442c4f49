//! HTTP to others: what calls go over, whoever makes them.
//!
//! In: a request. Out: the answer's head, or why there is none; then its body, unpacked and bounded. Connections are hyper's, kept in one pool for
//! all calls. No redirect is followed, no proxy used unless the configuration names one, and no error repeats a URL, which may hold a key.
//!
//! Relays and the nodes behind the gateway are called by [`HttpClients`], the lean way: their calls are many, and somebody waits for each. All others
//! are called by the more convenient client of [`build_http_client`]. Deadlines are for whoever calls: nothing here ends a call that goes on and on,
//! but for the handshakes and a connection that is dead.

mod body;
mod client;
mod connector;
mod dialer;
mod failure;
mod gzip;
mod proxy;
mod reqwest_client;
mod socket;
mod tls;

pub use body::{read_capped, read_start};
pub use client::{Answered, HttpClient, HttpClients, use_pool};
pub use dialer::{Dialer, is_here};
pub use failure::{HttpFailure, failure_of};
pub use reqwest_client::build_http_client;
use tls::{HTTP1, HTTP1_AND_2, Tls};
pub use tls::{HttpClientError, TlsRoots};
