//! How often each service may be written to: we keep to its limits rather than be told.
//!
//! A service may have several at once (Telegram: one a second, and twenty a minute), which `governor` does not know; so these are windows that
//! remember when it was written to.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::channels::ChannelKind;

/// The limits of a service, and when it was written to.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    windows: &'static [(usize, Duration)],
    sent: VecDeque<Instant>,
}

const SECOND: Duration = Duration::from_secs(1);
const TWO_SECONDS: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

impl Limits {
    /// The limits of a kind of channel.
    pub(super) const fn of(kind: ChannelKind) -> Self {
        let windows: &'static [(usize, Duration)] = match kind {
            // One a second for each webhook. Source: Slack's documentation of rate limits.
            ChannelKind::Slack => &[(1, SECOND)],
            // Five in two seconds for each webhook.
            ChannelKind::Discord => &[(5, TWO_SECONDS)],
            // One a second for each chat, twenty a minute for a group.
            ChannelKind::Telegram => &[(1, SECOND), (20, MINUTE)],
            // Not published; 120 a minute for each key is what users were told.
            ChannelKind::PagerDuty => &[(10, SECOND), (120, MINUTE)],
            // ntfy.sh: 60 at once, then one in five seconds.
            ChannelKind::Ntfy => &[(5, SECOND), (60, FIVE_MINUTES)],
            // Mail servers throttle senders that they do not know.
            ChannelKind::Email => &[(1, SECOND), (30, MINUTE)],
            ChannelKind::Webhook | ChannelKind::Alertmanager => &[(10, SECOND)],
        };
        Self { windows, sent: VecDeque::new() }
    }

    /// How long until it may be written to; none where it may be now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = self.windows.iter().filter_map(|(most, span)| {
            let oldest = self.sent.len().checked_sub(*most)?;
            let wait = (*self.sent.get(oldest)? + *span).saturating_duration_since(now);
            (!wait.is_zero()).then_some(wait)
        });
        waits.max()
    }

    /// It was written to.
    pub(super) fn note(&mut self, now: Instant) {
        let most = self.windows.iter().map(|(most, _)| *most).max().unwrap_or(0);
        self.sent.push_back(now);
        while self.sent.len() > most {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// When messages leave that are all there from the beginning.
    fn leaving(kind: ChannelKind, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let (mut now, mut limits, mut left) = (start, Limits::of(kind), Vec::new());
        for _ in 0..count {
            while let Some(wait) = limits.wait(now) {
                now += wait;
            }
            limits.note(now);
            left.push(now - start);
        }
        left
    }

    #[test]
    fn both_limits_of_telegram_are_kept() {
        let left = leaving(ChannelKind::Telegram, 22);
        assert_eq!(left[..3], [0, 1, 2].map(Duration::from_secs));
        assert_eq!(left[19..], [19, 60, 61].map(Duration::from_secs));
    }

    #[test]
    fn a_few_may_leave_at_once_where_the_service_lets_them() {
        let left = leaving(ChannelKind::Discord, 7);
        assert_eq!(left, [0, 0, 0, 0, 0, 2, 2].map(Duration::from_secs));
    }

    proptest! {
        #[test]
        fn no_window_ever_has_too_many(kind in proptest::sample::select(ChannelKind::ALL.to_vec()), count in 1usize..200) {
            let left = leaving(kind, count);
            for (most, span) in Limits::of(kind).windows {
                for pair in left.windows(most + 1) {
                    prop_assert!(pair[*most] - pair[0] >= *span);
                }
            }
        }
    }
}
