//! Silences: alerts that nobody is told of for a time, because somebody said so.
//!
//! A silence hides messages, never alerts: they are kept, shown and counted, and what still lasts when the silence ends is told then. What was
//! told before is told to be over all the same, so that no pager stays open.
//!
//! P1 is hidden only by a silence that names its rule: by `alertname="…"`, exactly. A silence over a severity, a component or everything,
//! such as a maintenance window, was not meant for the payload that a relay withholds meanwhile.

use serde::{Deserialize, Serialize};

use super::{alert::Alert, matcher::Matcher};
use crate::{
    events::Severity,
    types::{UnixMillis, labelled},
};

/// Most silences that are kept.
pub const MAX_SILENCES: usize = 1000;
/// Most matchers of one.
pub const MAX_MATCHERS: usize = 20;
/// Longest silence: 90 days. What is to be hidden for ever is a rule to be turned off.
const LONGEST_MS: i64 = 90 * 86_400_000;
/// Longest name and comment, in bytes.
const MAX_TEXT_BYTES: usize = 1000;

labelled! {
    /// Where a silence comes from.
    pub enum SilenceKind {
        /// Somebody made it.
        Silence = "silence",
        /// A window of the configuration.
        Maintenance = "maintenance",
    }
}

/// Alerts that nobody is told of for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name in the API.
    pub id: String,
    /// Where it comes from.
    pub kind: SilenceKind,
    /// All of them must fit; none at all fit everything but P1.
    pub matchers: Vec<Matcher>,
    /// From when, by the clock, in Unix milliseconds.
    pub starts_at: UnixMillis,
    /// Until when.
    pub ends_at: UnixMillis,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made.
    pub made_at: UnixMillis,
}

/// Why a silence is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SilenceError {
    /// It ends before it begins.
    #[error("a silence must end after it begins")]
    EndsFirst,
    /// It lasts too long.
    #[error("a silence lasts 90 days at most: turn the rule off instead")]
    TooLong,
    /// It has too many conditions.
    #[error("a silence has {MAX_MATCHERS} matchers at most")]
    TooManyMatchers,
    /// A text is too long.
    #[error("name and comment of a silence have {MAX_TEXT_BYTES} bytes at most")]
    TextTooLong,
}

impl Silence {
    /// Whether it can be kept.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), SilenceError> {
        if self.ends_at <= self.starts_at {
            Err(SilenceError::EndsFirst)
        } else if self.ends_at.saturating_sub(self.starts_at) > LONGEST_MS {
            Err(SilenceError::TooLong)
        } else if self.matchers.len() > MAX_MATCHERS {
            Err(SilenceError::TooManyMatchers)
        } else if self.created_by.len().max(self.comment.len()).max(self.id.len()) > MAX_TEXT_BYTES {
            Err(SilenceError::TextTooLong)
        } else {
            Ok(())
        }
    }

    /// Whether it holds now.
    pub const fn is_active(&self, now: UnixMillis) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it hides an alert while it holds. Nothing hides a drill: somebody waits for it.
    pub fn hides(&self, alert: &Alert) -> bool {
        if alert.is_drill() {
            return false;
        }
        let names_the_rule = || {
            self.matchers.iter().any(|matcher| matcher.exact_value_of("alertname") == Some(&*alert.rule.name))
        };
        self.matchers.iter().all(|matcher| matcher.matches(|label| alert.label(label)))
            && (alert.severity != Severity::P1 || names_the_rule())
    }
}

/// The silence that hides an alert now: the one that lasts longest.
pub fn silence_of<'a>(silences: &'a [Silence], alert: &Alert, now: UnixMillis) -> Option<&'a Silence> {
    let hiding = silences.iter().filter(|silence| silence.is_active(now) && silence.hides(alert));
    hiding.max_by(|a, b| (a.ends_at, &b.id).cmp(&(b.ends_at, &a.id)))
}

#[cfg(test)]
mod tests {
    use super::{super::alert::made, *};
    use crate::events::Component;

    fn silence(matchers: &[&str]) -> Silence {
        Silence {
            id: "1".to_owned(),
            kind: SilenceKind::Silence,
            matchers: matchers.iter().map(|matcher| matcher.parse().unwrap()).collect(),
            starts_at: 100,
            ends_at: 200,
            created_by: "anna".to_owned(),
            comment: String::new(),
            made_at: 50,
        }
    }

    #[test]
    fn p1_is_hidden_only_by_its_name() {
        let alert = |severity| made::firing(made::rule("node_down", severity, Component::Execution), "geth");
        for (matchers, hides_p2, hides_p1) in [
            (&[][..], true, false),
            (&["alertname=node_down"][..], true, true),
            (&["alertname=node_down", "subject=geth"][..], true, true),
            (&["alertname=node_down", "subject=reth"][..], false, false),
            (&["alertname=~\"node_.*\""][..], true, false),
            (&["alertname!=\"disk_full\""][..], true, false),
            (&["severity=P1"][..], false, false),
            (&["component=execution"][..], true, false),
        ] {
            let silence = silence(matchers);
            assert_eq!(silence.hides(&alert(Severity::P2)), hides_p2, "P2 {matchers:?}");
            assert_eq!(silence.hides(&alert(Severity::P1)), hides_p1, "P1 {matchers:?}");
        }
    }

    #[test]
    fn a_silence_holds_from_its_start_until_its_end() {
        let silences = [silence(&[])];
        let alert = made::firing(made::rule("r", Severity::P3, Component::Host), "");
        for (now, hidden) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(silence_of(&silences, &alert, now).is_some(), hidden, "{now}");
        }
    }

    #[test]
    fn silences_have_bounds() {
        let good = silence(&["a=b"]);
        assert_eq!(good.check(), Ok(()));
        let bad = [
            (Silence { ends_at: 100, ..good.clone() }, SilenceError::EndsFirst),
            (Silence { ends_at: 100 + LONGEST_MS + 1, ..good.clone() }, SilenceError::TooLong),
            (silence(&["a=b"; 21]), SilenceError::TooManyMatchers),
            (Silence { comment: "x".repeat(1001), ..good.clone() }, SilenceError::TextTooLong),
        ];
        for (silence, error) in bad {
            assert_eq!(silence.check(), Err(error));
        }
    }
}
