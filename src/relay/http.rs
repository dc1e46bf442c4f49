//! What every call to one relay's builder API has in common, made once ([`Endpoint`]), and what an error body says.
//!
//! Calls go over `http_client`, whose connections all relays share, so that a status call leaves a warm one for the header.

mod endpoint;
mod error_text;

pub(super) use endpoint::{Call, Endpoint};
pub(super) use error_text::read_error_text;
