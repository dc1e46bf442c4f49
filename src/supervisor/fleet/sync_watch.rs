//! What is said of a node's sync: how long it will take, whether it goes on, and when that is worth a line of its history.

use std::time::Duration;

use serde::Serialize;

use super::watched::{WatchedMs, millis};
use crate::supervisor::{
    Ready, Sight,
    eta::{Outlook, OutlookKind, Progress, Sample},
};

/// Between two lines of history about a sync that goes on: what it says changes back and forth.
const TOLD_APART: Duration = Duration::from_secs(10 * 60);
/// A sync of which nothing new is to be said is told of so often.
const TOLD_ANEW: Duration = Duration::from_secs(6 * 3600);

/// Watches the sync of one run of a node, by the time that was watched: a clock that leaps changes no pace.
#[derive(Debug, Default)]
pub(super) struct SyncWatch {
    progress: Progress,
    told: Option<(OutlookKind, WatchedMs)>,
}

impl SyncWatch {
    /// Takes what a probe saw. Once the node is there the sync is over, and another one is counted anew.
    pub(super) fn see(&mut self, sight: &Sight, at: WatchedMs) {
        if sight.ready == Ready::Yes {
            *self = Self::default();
        } else {
            self.progress.note(Sample::of(sight, at.0));
        }
    }

    /// What is shown of it, where no progress for `stall_after` is a stall.
    pub(super) fn view(&self, at: WatchedMs, stall_after: Duration) -> SyncView {
        let outlook = self.progress.outlook(at.0, stall_after);
        let (mut soonest_secs, mut latest_secs, mut standing_secs, mut eta_secs) = (None, None, None, None);
        match outlook {
            Outlook::Nearing { eta, soonest, latest } => {
                (eta_secs, soonest_secs) = (Some(eta.as_secs()), Some(soonest.as_secs()));
                latest_secs = latest.map(|latest| latest.as_secs());
            }
            Outlook::Stalled { standing } => standing_secs = Some(standing.as_secs()),
            Outlook::TooEarly | Outlook::Working | Outlook::FallingBehind => {}
        }
        SyncView { outlook: outlook.kind(), eta_secs, soonest_secs, latest_secs, standing_secs }
    }

    /// Why it will not be there like this, as a sentence for people; none while it may.
    pub(super) fn trouble(&self, at: WatchedMs, stall_after: Duration) -> Option<String> {
        let outlook = self.progress.outlook(at.0, stall_after);
        matches!(outlook, Outlook::Stalled { .. } | Outlook::FallingBehind).then(|| words(outlook)).flatten()
    }

    /// Whether it stands for longer than it may.
    pub(super) fn is_stalled(&self, at: WatchedMs, stall_after: Duration) -> bool {
        matches!(self.progress.outlook(at.0, stall_after), Outlook::Stalled { .. })
    }

    /// A line for its history, where there is something new to say.
    pub(super) fn news(&mut self, at: WatchedMs, stall_after: Duration) -> Option<String> {
        let outlook = self.progress.outlook(at.0, stall_after);
        let (kind, words) = (outlook.kind(), words(outlook)?);
        if let Some((told, when)) = self.told {
            let is_stall = told == OutlookKind::Stalled || kind == OutlookKind::Stalled;
            let apart = if kind == told {
                TOLD_ANEW
            } else if is_stall {
                Duration::ZERO
            } else {
                TOLD_APART
            };
            if at.since(when) < millis(apart) {
                return None;
            }
        }
        self.told = Some((kind, at));
        Some(words)
    }
}

/// What is shown of a sync, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncView {
    /// What can be said of it.
    pub outlook: OutlookKind,
    /// How long it will take, in seconds; none: no number is worth giving.
    #[serde(skip)]
    pub eta_secs: Option<u64>,
    /// The same at the pace of its better quarter.
    pub soonest_secs: Option<u64>,
    /// The same at the pace of its worse quarter; none: at that pace it does not get there.
    pub latest_secs: Option<u64>,
    /// For how long it has not come any further, in seconds, where it is stalled.
    pub standing_secs: Option<u64>,
}

/// A sentence for people; none where there is nothing to say yet.
fn words(outlook: Outlook) -> Option<String> {
    Some(match outlook {
        Outlook::TooEarly => return None,
        Outlook::Nearing { eta, soonest, latest } => {
            let (eta, soonest) = (span(eta), span(soonest));
            match latest.map(span) {
                Some(latest) if latest == soonest => format!("It is expected to be there in {eta}."),
                Some(latest) => format!("It is expected to be there in {eta}, {soonest} to {latest} by its pace."),
                None => format!("It is expected to be there in {eta}, {soonest} at the soonest; its pace is unsteady."),
            }
        }
        Outlook::Working => {
            "Its head stands while it works on its state or stages, and it does not say how much of that is left: no time can be told."
                .to_owned()
        }
        Outlook::FallingBehind => {
            "It is falling behind: its chain grows as fast as it syncs, so that at this pace it would never be there.".to_owned()
        }
        Outlook::Stalled { standing } => format!("Its sync has not come any further for {}.", span(standing)),
    })
}

/// A time as people say it.
fn span(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} minutes", secs / 60),
        secs @ 7200..172_800 => format!("{} hours", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(1800);

    fn sight(head: u64, behind: u64) -> Sight {
        let ready = Ready::Syncing("It syncs.".to_owned());
        Sight { head: Some(head), behind: Some(behind), ..Sight::only(ready) }
    }

    /// Looks each 20 s, from second to second: so many blocks done at each.
    fn look(watch: &mut SyncWatch, secs: std::ops::Range<i64>, head: &mut u64, blocks: u64) -> Vec<String> {
        let mut told = Vec::new();
        for at in secs.step_by(20) {
            *head += blocks;
            watch.see(&sight(*head, 1_000_000 - *head), WatchedMs(at * 1000));
            told.extend(watch.news(WatchedMs(at * 1000), STALL));
        }
        told
    }

    #[test]
    fn a_sync_is_shown_and_told_of_where_something_changes() {
        let (mut watch, mut head) = (SyncWatch::default(), 0);
        let view = |watch: &SyncWatch, secs: i64| watch.view(WatchedMs(secs * 1000), STALL);
        assert_eq!(view(&watch, 0).outlook, OutlookKind::TooEarly);
        let told = look(&mut watch, 0..3600, &mut head, 200);
        let want = "It is expected to be there in 27 hours.";
        assert_eq!(told, [want], "once, however many looks");
        let shown = view(&watch, 3580);
        assert_eq!((shown.outlook, shown.eta_secs), (OutlookKind::Nearing, Some(96_400)));
        assert_eq!(watch.trouble(WatchedMs(3_580_000), STALL), None);
        // It stands.
        let told = look(&mut watch, 3600..7200, &mut head, 0);
        assert_eq!(told.last().unwrap(), "Its sync has not come any further for 30 minutes.");
        assert_eq!(
            (view(&watch, 7180).outlook, view(&watch, 7180).standing_secs),
            (OutlookKind::Stalled, Some(3600))
        );
        assert!(watch.is_stalled(WatchedMs(7_180_000), STALL));
        // It goes on, which is told at once; and it is there.
        let told = look(&mut watch, 7200..14_400, &mut head, 200);
        assert!(told.len() == 1 && told[0].starts_with("It is expected"), "{told:?}");
        watch.see(&Sight { ready: Ready::Yes, ..sight(head, 0) }, WatchedMs(14_400_000));
        assert_eq!(view(&watch, 14_400).outlook, OutlookKind::TooEarly, "the next sync is another one");
    }

    #[test]
    fn one_that_falls_behind_is_said_to_and_has_no_number() {
        let mut watch = SyncWatch::default();
        for at in (0_u32..1200).step_by(20) {
            let done = u64::from(at);
            watch.see(&sight(done, 1000 + done / 4), WatchedMs(i64::from(at) * 1000));
        }
        let at = WatchedMs(1_200_000);
        let shown = watch.view(at, STALL);
        assert_eq!(
            (shown.outlook, shown.eta_secs, shown.latest_secs),
            (OutlookKind::FallingBehind, None, None)
        );
        assert!(watch.trouble(at, STALL).unwrap().starts_with("It is falling behind"));
        assert!(!watch.is_stalled(at, STALL), "it does go on");
    }
}
