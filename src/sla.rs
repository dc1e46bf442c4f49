//! Availability: how each part did, minute by minute, and what is left of the error budget.
//!
//! An indicator (the builder API as the consensus client saw it, each node, each relay, all relays together) has a bucket for each minute:
//! good, bad, slow, maintenance or unknown. `bucket` is filled from what rooms publish, `window` makes availability, coverage and budget of
//! buckets over 30 days or a calendar month, and `burn` says when a budget goes so fast that somebody must know. All of them are pure, with
//! `now` as an argument.
//!
//! It promises: a minute that nobody watched is unknown and never good; what was written down survives a `kill -9`; a clock that jumps back
//! counts no minute twice. Every figure has its denominator beside it, and where there is none, the reason.
//!
//! It never pages anybody: burning budgets are signals for `alerts`.
