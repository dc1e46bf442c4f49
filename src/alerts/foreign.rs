//! Others' alerts: what came in at the hook, and lasts until its sender says that it is over, or says nothing any more.
//!
//! Alertmanager sends what lasts again and again (`repeat_interval`, four hours unless it is set), so an alert that is not sent again for long is
//! over: its rule was removed, or the machine that sent it. Only time in which it could have been sent is counted. What lasts is in memory and in
//! the ledger: what was sent while the ledger could not be written counts all the same, and the sender is told to send it again.
//!
//! What relaymux itself told an Alertmanager may come back by the hook. It is left out: two that pass each other's alerts on would keep them
//! alive for ever.

mod kept;

use std::{collections::BTreeMap, time::Duration};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, future::BoxFuture};
use serde::Serialize;
use tokio::sync::Mutex;
use tracing::warn;

use self::kept::Kept;
use super::{
    engine::Absence,
    hook::{ForeignAlert, ForeignStatus, HookBody},
    moment::Moment,
    source::{Collected, TroubleSource},
    trouble::{Trouble, fingerprint},
};
use crate::{
    consensus::WallClock,
    events::{Component, Severity},
    ledger::{ForeignRow, Ledger, LedgerError},
    types::UnixMillis,
};

/// Most alerts that are held; beyond, the least grave are left out.
const MAX_HELD: usize = 5000;
/// Former names of this machine that are remembered, with the present one.
const MAX_NAMES: usize = 8;
/// How long after a start a sender has at least to send again what lasts: longer than Alertmanager's `repeat_interval` is by itself.
const GRACE: Duration = Duration::from_secs(6 * 3600);

/// How others' alerts are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignSettings {
    /// The name of this machine or sidecar, as in messages: by it, what comes back is known.
    pub source: String,
    /// What is not sent again for so long is over. Default: 24 hours.
    pub lasts: Duration,
}

impl Default for ForeignSettings {
    fn default() -> Self {
        Self { source: "relaymux".to_owned(), lasts: Duration::from_secs(24 * 3600) }
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Alerts that last.
    pub firing: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Alerts that relaymux itself had told, and that are left out.
    pub own: usize,
    /// Alerts for which there was no place.
    pub left_out: usize,
}

#[derive(Debug)]
struct HeldAlert {
    kept: Kept,
    trouble: Trouble,
    heard_at: UnixMillis,
    /// Watched time for which it was not sent again, in milliseconds.
    quiet_ms: i64,
}

/// Everything that lasts, by fingerprint.
#[derive(Debug, Default)]
struct Held {
    alerts: BTreeMap<String, HeldAlert>,
    /// When it was looked at last.
    looked: Option<Moment>,
}

/// What is to be written down.
#[derive(Debug, Default)]
struct Unwritten {
    firing: BTreeMap<String, ForeignRow>,
    over: Vec<String>,
}

impl Held {
    /// As it was written down. What this version cannot read is sent again by who sent it.
    fn restore(rows: Vec<ForeignRow>, now: UnixMillis, lasts: Duration) -> Self {
        let most = millis(lasts.saturating_sub(GRACE));
        let read = rows.into_iter().filter_map(|row| {
            let kept: Kept = serde_json::from_str(&row.alert).ok()?;
            let quiet_ms = now.saturating_sub(row.heard_at).clamp(0, most);
            let trouble = kept.trouble();
            Some((row.fingerprint, HeldAlert { kept, trouble, heard_at: row.heard_at, quiet_ms }))
        });
        Self { alerts: read.collect(), looked: None }
    }

    fn take(&mut self, body: &HookBody, names: &[String], now: UnixMillis) -> (Taken, Unwritten) {
        let (mut taken, mut unwritten) = (Taken::default(), Unwritten::default());
        for alert in &body.alerts {
            if is_from_relaymux(alert, names) {
                taken.own += 1;
                continue;
            }
            let name = fingerprint("", "", &alert.labels);
            match alert.status {
                ForeignStatus::Resolved => {
                    taken.resolved += 1;
                    // Sent late: it began anew since.
                    let is_old = self
                        .alerts
                        .get(&name)
                        .is_some_and(|held| alert.ends_at.is_some_and(|ends_at| ends_at < held.kept.since));
                    if !is_old && self.alerts.remove(&name).is_some() {
                        unwritten.firing.remove(&name);
                        unwritten.over.push(name);
                    }
                }
                ForeignStatus::Firing => {
                    let kept = Kept::of(alert, now);
                    if !self.alerts.contains_key(&name) && !self.has_place(kept.severity, &mut unwritten) {
                        taken.left_out += 1;
                        continue;
                    }
                    taken.firing += 1;
                    unwritten.over.retain(|over| *over != name);
                    unwritten.firing.insert(name.clone(), kept.row(&name, now));
                    let trouble = kept.trouble();
                    self.alerts.insert(name, HeldAlert { kept, trouble, heard_at: now, quiet_ms: 0 });
                }
            }
        }
        (taken, unwritten)
    }

    /// Whether there is a place for one more; a less grave one makes it.
    fn has_place(&mut self, severity: Severity, unwritten: &mut Unwritten) -> bool {
        if self.alerts.len() < MAX_HELD {
            return true;
        }
        let least = self.alerts.iter().max_by_key(|(_, held)| (held.kept.severity, -held.heard_at));
        let Some((name, _)) = least.filter(|(_, held)| held.kept.severity > severity) else { return false };
        let name = name.clone();
        self.alerts.remove(&name);
        unwritten.firing.remove(&name);
        unwritten.over.push(name);
        true
    }

    /// Ends what was not sent again. Their fingerprints.
    fn expire(&mut self, now: Moment, lasts: Duration) -> Vec<String> {
        let before = self.looked.replace(now).unwrap_or(now);
        let (watched, lasts) = (now.watched_ms.saturating_sub(before.watched_ms).max(0), millis(lasts));
        let mut over = Vec::new();
        self.alerts.retain(|name, held| {
            held.quiet_ms = held.quiet_ms.saturating_add(watched);
            let is_over = held.quiet_ms >= lasts;
            if is_over {
                over.push(name.clone());
            }
            !is_over
        });
        over
    }
}

/// Whether relaymux told this to an Alertmanager: this one, or another that was only passing it on.
fn is_from_relaymux(alert: &ForeignAlert, names: &[String]) -> bool {
    let label = |name: &str| alert.labels.get(name).map(String::as_str);
    let is_told_by_one = label("priority").is_some_and(|text| Severity::parse(text).is_some())
        && label("component").is_some_and(|text| Component::parse(text).is_some())
        && alert.annotations.contains_key("done");
    is_told_by_one
        && (names.iter().any(|name| label("instance") == Some(name))
            || label("component") == Some(Component::External.label()))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Holds others' alerts, and shows them to the engine.
#[derive(Debug)]
pub struct ForeignSource {
    ledger: Ledger,
    clock: WallClock,
    /// Names that this machine has in messages: those before, and the present one last.
    names: ArcSwap<Vec<String>>,
    lasts: Duration,
    /// None until they were read back.
    held: Mutex<Option<Held>>,
}

impl ForeignSource {
    /// Holds what a ledger holds.
    pub fn new(ledger: Ledger, clock: WallClock, settings: ForeignSettings) -> Self {
        let ForeignSettings { source, lasts } = settings;
        Self { ledger, clock, names: ArcSwap::from_pointee(vec![source]), lasts, held: Mutex::new(None) }
    }

    /// This machine has another name from now on. What was told by a former one may still come back, and is left out as before.
    pub fn rename(&self, source: &str) {
        if self.names.load().last().is_some_and(|name| name == source) {
            return;
        }
        self.names.rcu(|names| {
            let former = names.iter().filter(|name| *name != source).cloned();
            let mut names: Vec<String> = former.chain([source.to_owned()]).collect();
            let surplus = names.len().saturating_sub(MAX_NAMES);
            names.drain(..surplus);
            names
        });
    }

    /// Takes in what came at the hook. It is written down once this answers.
    ///
    /// # Errors
    /// When the ledger cannot be read or written: it is to be sent again. What could not be written counts until the process ends.
    pub async fn take(&self, body: &HookBody) -> Result<Taken, LedgerError> {
        let now = self.clock.now();
        let mut held = self.held.lock().await;
        let (taken, unwritten) = self.restored(&mut held).await?.take(body, &self.names.load(), now);
        let firing: Vec<ForeignRow> = unwritten.firing.into_values().collect();
        self.ledger.save_foreign_alerts(&firing, &unwritten.over).await?;
        Ok(taken)
    }

    async fn restored<'a>(&self, held: &'a mut Option<Held>) -> Result<&'a mut Held, LedgerError> {
        if held.is_none() {
            let rows = self.ledger.foreign_alerts(u32::try_from(MAX_HELD).unwrap_or(u32::MAX)).await?;
            *held = Some(Held::restore(rows, self.clock.now(), self.lasts));
        }
        Ok(held.get_or_insert_default())
    }

    async fn look(&self, now: Moment) -> Result<Vec<Trouble>, LedgerError> {
        let mut held = self.held.lock().await;
        let held = self.restored(&mut held).await?;
        let over = held.expire(now, self.lasts);
        if let Err(error) = self.ledger.save_foreign_alerts(&[], &over).await {
            warn!(%error, "alerts of others that are over cannot be removed; after a restart they may come back for hours");
        }
        Ok(held.alerts.values().map(|held| held.trouble.clone()).collect())
    }
}

impl TroubleSource for ForeignSource {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        let found = self.look(now);
        let found = found.map(|troubles| match troubles {
            Ok(troubles) => Ok(Collected { troubles, absence: Absence::Over }),
            Err(error) => Err(error.to_string()),
        });
        found.boxed()
    }
}

#[cfg(test)]
mod tests;
