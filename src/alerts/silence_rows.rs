//! Silences as the ledger has them.

use super::silence::{Silence, SilenceKind};
use crate::ledger::SilenceRow;

/// A silence to be written down.
pub(super) fn silence_row(silence: &Silence) -> SilenceRow {
    SilenceRow {
        id: silence.id.clone(),
        kind: silence.kind.label().to_owned(),
        // Matchers are plain texts.
        matchers: serde_json::to_string(&silence.matchers).unwrap_or_default(),
        starts_at: silence.starts_at,
        ends_at: silence.ends_at,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        made_at: silence.made_at,
    }
}

/// A silence that was written down; none where this version does not understand it: what it hid is told then.
pub(super) fn read_silence(row: &SilenceRow) -> Option<Silence> {
    Some(Silence {
        id: row.id.clone(),
        kind: SilenceKind::parse(&row.kind)?,
        matchers: serde_json::from_str(&row.matchers).ok()?,
        starts_at: row.starts_at,
        ends_at: row.ends_at,
        created_by: row.created_by.clone(),
        comment: row.comment.clone(),
        made_at: row.made_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_comes_back() {
        let silence = Silence {
            id: "s".to_owned(),
            kind: SilenceKind::Maintenance,
            matchers: vec!["alertname=~\"disk.*\"".parse().unwrap()],
            starts_at: 1,
            ends_at: 2,
            created_by: "anna".to_owned(),
            comment: "disk".to_owned(),
            made_at: 0,
        };
        assert_eq!(read_silence(&silence_row(&silence)), Some(silence.clone()));
        let row = SilenceRow { kind: "newer".to_owned(), ..silence_row(&silence) };
        assert_eq!(read_silence(&row), None);
    }
}
