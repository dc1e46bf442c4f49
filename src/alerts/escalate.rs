//! Who is told next, until somebody acknowledges.
//!
//! The first contact is told with the first message. Each time that nobody acknowledged in time, the next one is told, and those before are
//! told again; after the last the first alone, and so on, until somebody acknowledges or it is over. Nothing else ends it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// Where an incident is on its way through the contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Escalation {
    /// Nobody has to be asked.
    #[default]
    Quiet,
    /// Somebody has to acknowledge.
    Asking {
        /// How many contacts, from the first, were told in this round. At least 1.
        contacts: usize,
        /// Since when nobody has acknowledged.
        since: Moment,
        /// When the next reminder is due.
        next: Moment,
    },
}

impl Escalation {
    /// Asks, unless it does: the first contact was told just now.
    pub(super) fn begin(&mut self, now: Moment, respond_within: Duration) {
        if *self == Self::Quiet {
            *self = Self::Asking { contacts: 1, since: now, next: now.plus(respond_within) };
        }
    }

    /// Somebody takes care, or it is over.
    pub(super) fn end(&mut self) {
        *self = Self::Quiet;
    }

    /// How many contacts, from the first, are told of what is new.
    pub(super) const fn contacts(self) -> usize {
        match self {
            Self::Asking { contacts, .. } if contacts > 1 => contacts,
            Self::Quiet | Self::Asking { .. } => 1,
        }
    }

    /// A reminder that is due: how many contacts, from the first, get it, and since when nobody acknowledged. It is taken: the next one is
    /// due after `respond_within`.
    pub(super) fn take_due(
        &mut self,
        now: Moment,
        of_contacts: usize,
        respond_within: Duration,
    ) -> Option<(usize, Moment)> {
        match *self {
            Self::Asking { contacts, since, next } if next.has_come(now) => {
                let contacts = if contacts >= of_contacts { 1 } else { contacts + 1 };
                *self = Self::Asking { contacts, since, next: now.plus(respond_within) };
                Some((contacts, since))
            }
            Self::Quiet | Self::Asking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(300);

    fn at(secs: i64) -> Moment {
        Moment { at: secs * 1000, watched_ms: secs * 1000 }
    }

    /// When reminders come in an hour, looked at every ten seconds, and to how many contacts.
    fn reminders(of_contacts: usize) -> Vec<(i64, usize)> {
        let mut escalation = Escalation::Quiet;
        escalation.begin(at(0), WITHIN);
        (0..360)
            .filter_map(|step| {
                let due = escalation.take_due(at(step * 10), of_contacts, WITHIN)?;
                Some((step * 10, due.0))
            })
            .take(4)
            .collect()
    }

    #[test]
    fn the_next_is_told_and_those_before_again() {
        assert_eq!(reminders(3), [(300, 2), (600, 3), (900, 1), (1200, 2)]);
        assert_eq!(reminders(1), [(300, 1), (600, 1), (900, 1), (1200, 1)]);
        // Contacts that were taken out of the configuration meanwhile.
        let mut escalation = Escalation::Asking { contacts: 3, since: at(0), next: at(5) };
        assert_eq!(escalation.take_due(at(5), 2, WITHIN), Some((1, at(0))));
    }

    #[test]
    fn acknowledged_is_quiet_until_asked_again() {
        let mut escalation = Escalation::Quiet;
        assert_eq!(escalation.take_due(at(9999), 2, WITHIN), None);
        escalation.begin(at(0), WITHIN);
        escalation.end();
        assert_eq!(escalation.take_due(at(9999), 2, WITHIN), None);
        escalation.begin(at(20_000), WITHIN);
        // It asks already.
        escalation.begin(at(20_100), WITHIN);
        assert_eq!(escalation.take_due(at(20_299), 2, WITHIN), None);
        assert_eq!(escalation.take_due(at(20_300), 2, WITHIN), Some((2, at(20_000))));
    }

    proptest! {
        /// However the looks fall, reminders are never closer than they should be, and everybody is told in time.
        #[test]
        fn reminders_keep_their_distance(steps in prop::collection::vec(1_i64..60, 1..400), of_contacts in 1_usize..6) {
            let mut escalation = Escalation::Quiet;
            escalation.begin(at(0), WITHIN);
            let (mut now, mut last, mut told) = (0, 0, 1);
            for step in steps {
                now += step;
                if let Some((contacts, _)) = escalation.take_due(at(now), of_contacts, WITHIN) {
                    prop_assert!(now - last >= 300);
                    prop_assert!(contacts <= of_contacts);
                    told = told.max(contacts);
                    last = now;
                }
                prop_assert!(now - last < 360);
            }
            let rounds = usize::try_from(now / 360).unwrap();
            prop_assert!(told >= of_contacts.min(rounds + 1));
        }
    }
}
