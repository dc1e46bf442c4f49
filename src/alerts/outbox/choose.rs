//! Which of a channel's waiting messages leaves next.

use std::collections::HashMap;

use crate::{alerts::message::MessageKind, ledger::OutboxRow, types::UnixMillis};

/// What a channel does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// Sends this.
    Send(&'a OutboxRow),
    /// Nothing before this time.
    WaitUntil(UnixMillis),
    /// Nothing waits.
    Nothing,
}

/// Chooses among rows that are ordered gravest first: the first that is due. `groups` says which messages are about the same.
///
/// The end of something never overtakes its beginning: PagerDuty would open an incident that nothing ends.
pub(super) fn choose<'a>(
    rows: &'a [OutboxRow],
    groups: &HashMap<String, String>,
    now: UnixMillis,
) -> Next<'a> {
    // By group, the earliest message of each class.
    let mut earliest: HashMap<(&str, Class), (UnixMillis, Class)> = HashMap::new();
    for row in rows {
        if let Some(group) = groups.get(&row.id) {
            let at = earliest.entry((group, class(row))).or_insert((row.made_at, class(row)));
            *at = (*at).min((row.made_at, class(row)));
        }
    }
    let is_held_up = |row: &OutboxRow| {
        let Some(group) = groups.get(&row.id) else { return false };
        let own = class(row);
        let others = Class::ALL.into_iter().filter(|class| *class != own);
        others.filter_map(|class| earliest.get(&(group.as_str(), class))).any(|at| *at < (row.made_at, own))
    };
    let free = || rows.iter().filter(|row| !is_held_up(row));
    if let Some(row) = free().find(|row| is_due(row, now)) {
        return Next::Send(row);
    }
    free().map(|row| row.not_before).min().map_or(Next::Nothing, Next::WaitUntil)
}

/// Whether a message may leave: it is time, or its time is over, or a clock was set back since it was tried.
fn is_due(row: &OutboxRow, now: UnixMillis) -> bool {
    row.not_before <= now || row.expires_at <= now || row.last_attempt_at.is_some_and(|last| last > now)
}

/// What messages do to what they are about, in the order of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Class {
    Opens,
    Acknowledges,
    Closes,
}

impl Class {
    const ALL: [Self; 3] = [Self::Opens, Self::Acknowledges, Self::Closes];
}

fn class(row: &OutboxRow) -> Class {
    match MessageKind::parse(&row.kind) {
        Some(MessageKind::Acknowledged) => Class::Acknowledges,
        Some(MessageKind::Resolved) => Class::Closes,
        Some(MessageKind::Firing | MessageKind::Reminder | MessageKind::Digest | MessageKind::Test)
        | None => Class::Opens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::Severity, ledger::OutboxState, types::Label};

    fn row(id: &str, kind: MessageKind, made_at: UnixMillis, not_before: UnixMillis) -> OutboxRow {
        OutboxRow {
            id: id.to_owned(),
            channel: "ops".to_owned(),
            severity: Label::from(Severity::P1),
            kind: kind.label().to_owned(),
            state: Label::from(OutboxState::Queued),
            attempts: 0,
            not_before,
            expires_at: 1_000_000,
            made_at,
            last_attempt_at: None,
            sent_at: None,
            last_error: None,
        }
    }

    #[track_caller]
    fn check(rows: &[OutboxRow], now: UnixMillis, want: &str) {
        let groups = rows.iter().map(|row| (row.id.clone(), row.id.chars().take(1).collect())).collect();
        let got = match choose(rows, &groups, now) {
            Next::Send(row) => row.id.clone(),
            Next::WaitUntil(at) => format!("wait {at}"),
            Next::Nothing => "nothing".to_owned(),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn the_first_that_is_due_leaves() {
        use MessageKind::{Firing, Reminder};
        check(&[], 5, "nothing");
        check(&[row("a1", Firing, 1, 9), row("b1", Firing, 2, 5)], 5, "b1");
        check(&[row("a1", Firing, 1, 9), row("b1", Firing, 2, 7)], 5, "wait 7");
        check(&[row("a2", Reminder, 2, 5), row("a1", Firing, 1, 9)], 5, "a2");
    }

    #[test]
    fn an_end_never_overtakes_its_beginning() {
        use MessageKind::{Acknowledged, Firing, Resolved};
        check(&[row("a1", Firing, 1, 9), row("a2", Resolved, 2, 2)], 5, "wait 9");
        check(&[row("a2", Resolved, 2, 2), row("a1", Firing, 2, 2)], 5, "a1");
        check(&[row("a2", Resolved, 3, 3), row("a1", Acknowledged, 2, 2)], 5, "a1");
        check(&[row("a2", Firing, 3, 3), row("a1", Resolved, 2, 9)], 5, "wait 9");
        check(&[row("a2", Resolved, 2, 2), row("b1", Firing, 1, 9)], 5, "a2");
    }

    #[test]
    fn what_is_over_or_was_tried_in_the_future_is_due() {
        let over = OutboxRow { expires_at: 5, ..row("a1", MessageKind::Firing, 1, 99) };
        check(&[over], 5, "a1");
        let ahead = OutboxRow { last_attempt_at: Some(50), ..row("a1", MessageKind::Firing, 1, 99) };
        check(std::slice::from_ref(&ahead), 5, "a1");
        check(&[ahead], 60, "wait 99");
    }
}
