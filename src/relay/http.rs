//! HTTP to relays' builder API: what a call goes over, and what every call to one relay has in common.
//!
//! In: a call's path, its own headers and its body. Out: the answer's head, or why there is none; then its body, unpacked and bounded.
//! Connections are hyper's, kept in one pool for all calls, so that a status call leaves a warm one for the header. What does not change
//! between calls is made once ([`Endpoint`]). No redirect is followed, and no proxy used unless the configuration names one.

mod body;
mod client;
mod connector;
mod endpoint;
mod failure;
mod gzip;
mod proxy;
mod socket;
mod tls;

pub(super) use body::{read_capped, read_error_text};
pub use client::RelayClients;
pub(super) use client::{Answered, HttpClient};
pub(super) use endpoint::{Call, Endpoint};
pub(super) use failure::failure_of;
pub(super) use tls::{HTTP1, HTTP1_AND_2, Tls};
pub use tls::{HttpClientError, TlsRoots};
