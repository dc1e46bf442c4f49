//! `[ledger]` as it is written.

use serde::Deserialize;

use super::raw_text::Span;

/// `[ledger]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLedger {
    pub(super) keep_bids: Option<Span>,
    pub(super) keep_slots: Option<Span>,
    pub(super) keep_events: Option<Span>,
    pub(super) keep_money: Option<Span>,
}
