//! What explains what: while a cause is told, nobody is told of what follows from it.
//!
//! An alert of P1 or P2 that people are told of hides those of the parts that stand on its own ([`stands_on`]), as long as they are no graver.
//! Hidden alerts are kept and shown; what still lasts when its cause is over is told then. These are never hidden:
//!
//! - an alert that is graver than its cause: a machine that is merely busy does not explain slots that are lost;
//! - an occurrence of P1, and any occurrence of relays or money: it happened and cost something, whatever else was wrong. A withheld payload
//!   is told while the CPU is at its limit.
//!
//! These hide nothing: occurrences, as they say nothing of the present; silenced alerts, as then nobody would be told of anything; and an
//! alert hides none of its own part, so none hides itself, and no two hide each other.

use std::collections::BTreeMap;

use super::alert::Alert;
use crate::events::{Component, Severity};

/// The parts that a part stands on: when one of them is down, it cannot be well. Complete: what those stand on is named, too.
///
/// - `Disk`: a machine without memory or CPU writes slowly. The other way round nothing follows.
/// - `Execution`, `Consensus`, `L2`: each client needs the machine, its database, and the one before: a beacon node without its execution client
///   is optimistic or stuck, a rollup follows the chain by both.
/// - `Nodes`: are on the machine and on its disk. What stands on one of them depends on its kind, which a part does not know: nothing is hidden by it.
/// - `Gateway`: serves what the execution clients and rollups behind it have. It asks no beacon node, and writes nothing that it needs.
/// - `Relays`: are elsewhere; they seem slow or away when this machine is. No client of ours makes a relay fail.
/// - `Money`: proposals need the consensus client, payments are proven with the execution client.
/// - `Relaymux`: the process lives on the machine and writes its ledger to the disk.
/// - `Backup`: is read from a disk and written to one.
/// - `Sla`: is the sum of all that is measured. What burns it is told already. Money has no target there.
/// - `External`: nobody here knows what others' alerts are about.
/// - `Drill`: is about nothing.
pub const fn stands_on(part: Component) -> &'static [Component] {
    match part {
        Component::Host | Component::External | Component::Drill => &[],
        Component::Disk | Component::Relays => &[Component::Host],
        Component::Execution | Component::Nodes | Component::Relaymux => &[Component::Host, Component::Disk],
        Component::Consensus => &[Component::Host, Component::Disk, Component::Execution],
        Component::L2 | Component::Money => {
            &[Component::Host, Component::Disk, Component::Execution, Component::Consensus]
        }
        Component::Gateway => &[Component::Host, Component::Disk, Component::Execution, Component::L2],
        Component::Backup => &[Component::Disk],
        Component::Sla => &[
            Component::Host,
            Component::Disk,
            Component::Execution,
            Component::Consensus,
            Component::L2,
            Component::Gateway,
            Component::Relays,
        ],
    }
}

/// The gravest cause of each part.
#[derive(Clone, Debug, Default)]
pub(super) struct Causes(BTreeMap<Component, (Severity, String)>);

impl Causes {
    /// Causes among alerts of which people are told, those hidden by another cause included.
    pub(super) fn among<'a>(told: impl Iterator<Item = &'a Alert>) -> Self {
        let mut causes: BTreeMap<Component, (Severity, String)> = BTreeMap::new();
        for alert in told {
            let is_grave = match alert.severity {
                Severity::P1 | Severity::P2 => true,
                Severity::P3 | Severity::P4 => false,
            };
            if !is_grave || alert.is_occurrence() || !alert.phase.is_active() {
                continue;
            }
            let cause = (alert.severity, alert.fingerprint.clone());
            let known = causes.entry(alert.component()).or_insert_with(|| cause.clone());
            if cause < *known {
                *known = cause;
            }
        }
        Self(causes)
    }

    /// The fingerprint of what explains an alert.
    pub(super) fn of(&self, effect: &Alert) -> Option<&str> {
        if is_never_hidden(effect) {
            return None;
        }
        let explains =
            |part: &Component| self.0.get(part).filter(|(severity, _)| *severity <= effect.severity);
        stands_on(effect.component()).iter().find_map(explains).map(|(_, fingerprint)| fingerprint.as_str())
    }
}

fn is_never_hidden(effect: &Alert) -> bool {
    let costs = matches!(effect.component(), Component::Relays | Component::Money);
    effect.is_occurrence() && (effect.severity == Severity::P1 || costs)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            alert::{Phase, made},
            moment::Moment,
        },
        *,
    };
    use crate::events::{AlertRule, Persistence};

    fn condition(severity: Severity, part: Component) -> Alert {
        made::firing(made::rule("r", severity, part), part.label())
    }

    fn occurrence(severity: Severity, part: Component) -> Alert {
        let rule = made::rule("o", severity, part);
        made::firing(AlertRule { persistence: Persistence::Occurrence, ..rule }, part.label())
    }

    #[test]
    fn causes_hide_what_follows_from_them() {
        use Component as C;
        use Severity::{P1, P2, P3};
        for (name, cause, effect, hidden) in [
            ("the machine explains a client", condition(P1, C::Host), condition(P2, C::Execution), true),
            ("along the whole tree", condition(P2, C::Host), condition(P2, C::Sla), true),
            ("not upwards", condition(P1, C::Execution), condition(P2, C::Host), false),
            ("not its own part", condition(P1, C::Execution), condition(P2, C::Execution), false),
            ("not what is graver", condition(P2, C::Host), condition(P1, C::Execution), false),
            ("only what is grave explains", condition(P3, C::Host), condition(P3, C::Execution), false),
            ("a client explains no relay", condition(P1, C::Execution), condition(P2, C::Relays), false),
            (
                "a client explains no lack of money",
                condition(P1, C::Consensus),
                condition(P2, C::Money),
                true,
            ),
            ("occurrences explain nothing", occurrence(P1, C::Host), condition(P2, C::Execution), false),
            ("a withheld payload is told", condition(P1, C::Host), occurrence(P1, C::Relays), false),
            ("an underpayment is told", condition(P1, C::Host), occurrence(P2, C::Money), false),
            ("other occurrences wait", condition(P1, C::Host), occurrence(P2, C::Execution), true),
            ("others' alerts are their own", condition(P1, C::Host), condition(P3, C::External), false),
            ("and explain nothing", condition(P1, C::External), condition(P3, C::Sla), false),
        ] {
            let causes = Causes::among([&cause, &effect].into_iter());
            assert_eq!(causes.of(&effect), hidden.then_some(cause.fingerprint.as_str()), "{name}");
        }
    }

    #[test]
    fn what_is_over_explains_nothing() {
        let at = Moment::default();
        let effect = condition(Severity::P2, Component::Disk);
        for (phase, explains) in [
            (Phase::Pending { since: at }, false),
            (Phase::Firing { since: at }, true),
            (Phase::Clearing { since: at, over_since: at }, true),
            (Phase::Resolved { since: at, at }, false),
        ] {
            let mut cause = condition(Severity::P2, Component::Host);
            cause.phase = phase;
            assert_eq!(Causes::among([cause].iter()).of(&effect).is_some(), explains, "{phase:?}");
        }
    }

    /// Nobody explains himself, by however many steps, and the table names whatever follows.
    #[test]
    fn the_tree_has_no_circle_and_is_complete() {
        for part in Component::ALL {
            assert!(!stands_on(part).contains(&part), "{part}");
            for below in stands_on(part) {
                assert!(!stands_on(*below).contains(&part), "{part} and {below} explain each other");
                for deeper in stands_on(*below) {
                    let known = stands_on(part).contains(deeper);
                    // A backup needs its disk to work, not to be fast. The gateway needs rollups to answer, not what they follow.
                    let exceptions =
                        [(Component::Backup, Component::Host), (Component::Gateway, Component::Consensus)];
                    assert!(known || exceptions.contains(&(part, *deeper)), "{part} stands on {deeper}, too");
                }
            }
        }
    }
}
