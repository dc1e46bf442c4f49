//! The task of this room: looks at everything, lets the board decide, writes down what follows, and wakes whoever delivers.
//!
//! What follows from a look is written down before the next one, and nothing is sent that is not. When the ledger cannot be written, it is
//! tried again with each look; meanwhile pages of P1 and P2 go to delivery by hand, as a full disk is a thing to be paged about. The same
//! where what was written down cannot be read: then a board that begins empty goes by what is live and writes nothing, until it can be read.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::{
    sync::{Mutex, Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    alert::Alert,
    alertmanagers::Reach,
    board::Board,
    desk::{AckTarget, AlertView, Command, Counter, Desk, DeskError, Snapshot},
    digest::{DigestSource, DigestText, DueDigest},
    drill::{Drill, DrillStep, DrillView},
    engine::{Absence, ChangeKind},
    group::GroupKey,
    maintenance,
    message::MessageKind,
    moment::Moment,
    settings_escalation::AlertSettings,
    silence::{MAX_SILENCES, Silence},
    silence_rows::{read_silence, silence_row},
    source::TroubleSource,
    surplus::{self, source_away, unreadable},
    trouble::Trouble,
};
use crate::{
    consensus::WallClock,
    events::Severity,
    ledger::{AlertWrite, EvidenceRow, Ledger, LedgerError, QueuedMessage, SilenceRow, StoredAlerts},
    tasks::TaskGroup,
    types::{DAY_MS, UnixMillis},
};

/// Looks are at least this far apart, but for those that somebody waits for.
const SOONEST: Duration = Duration::from_secs(1);
/// And at most this far.
const LATEST: Duration = Duration::from_secs(5);
/// How long a source has to answer.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 1_000 } else { 5_000 });
/// How long a digest may take to be made: over weeks of minutes on a slow disk.
const DIGEST_PATIENCE: Duration = Duration::from_secs(60);
/// How long after a ledger that could not be read it is read again.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });
/// How long what was written down may take to be read before looks begin without it.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Most messages that are kept while they cannot be written down.
const MAX_UNSAVED: usize = 1_000;
/// Most occurrences whose sources are told in one look that they are over.
const MAX_ENDED: u32 = 50;
/// How long alerts and signals that are over and messages that were sent are kept, in milliseconds: 90 days.
const KEPT_MS: i64 = 90 * DAY_MS;
/// How often older ones are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Hears what becomes of alerts. Must not block.
pub type Observer = Arc<dyn Fn(&Alert, ChangeKind) + Send + Sync>;

/// What this room works with.
#[derive(Clone)]
pub struct AlertParts {
    /// Where everything is written down.
    pub ledger: Ledger,
    /// The time.
    pub clock: WallClock,
    /// Who is told what; followed when it changes.
    pub settings: watch::Receiver<Arc<AlertSettings>>,
    /// Who knows of troubles.
    pub sources: Vec<Arc<dyn TroubleSource>>,
    /// Woken when there is something to be sent.
    pub queued: Arc<Notify>,
    /// Takes pages that cannot be written down.
    pub by_hand: Option<mpsc::Sender<QueuedMessage>>,
    /// Says what a day or a week came to; without it, digests are of P4 alone.
    pub digests: Option<Arc<dyn DigestSource>>,
    /// Whether Alertmanagers take what they are told.
    pub reach: Arc<Reach>,
    /// Hears of changes once they are written down.
    pub observer: Observer,
}

impl fmt::Debug for AlertParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertParts").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

/// Starts looking. What the desk is asked is done as long as the group runs.
pub fn start(parts: AlertParts, group: &TaskGroup) -> Desk {
    let (desk, counter) = Desk::new();
    let counter = Arc::new(Mutex::new(counter));
    group.restarting("alerts", move |stop| {
        let (parts, counter) = (parts.clone(), Arc::clone(&counter));
        async move {
            let mut counter = counter.lock().await;
            run(parts, &mut counter, stop).await;
        }
    });
    desk
}

async fn run(parts: AlertParts, counter: &mut Counter, stop: CancellationToken) {
    let mut reading = read(parts.ledger.clone(), parts.clock.clone(), Duration::ZERO);
    let first = tokio::select! {
        first = timeout(READ_WITHIN, &mut reading) => first,
        () = stop.cancelled() => return,
    };
    let mut watcher = Watcher::new(parts);
    match first {
        Ok(Ok(written)) => watcher.restore(written),
        Ok(Err(error)) => {
            watcher.note_unread(error.to_string());
            reading = watcher.read_again();
        }
        // It goes on.
        Err(_) => watcher.note_unread("the ledger did not answer within ten seconds".to_owned()),
    }
    loop {
        watcher.look(counter).await;
        let last = Instant::now();
        let wake = Arc::clone(&counter.wake);
        let woken = async {
            sleep_until(last + SOONEST).await;
            wake.notified().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            found = &mut reading, if watcher.unread.is_some() => match found {
                Ok(written) => watcher.take_up(written),
                Err(error) => {
                    watcher.note_unread(error.to_string());
                    reading = watcher.read_again();
                }
            },
            () = woken => {}
            () = sleep_until(last + LATEST) => {}
            Some(command) = counter.commands.recv() => watcher.obey(command, counter).await,
        }
    }
}

/// What was written down.
struct Written {
    alerts: StoredAlerts,
    silences: Vec<SilenceRow>,
}

/// Reads what was written down, after a pause.
fn read(
    ledger: Ledger,
    clock: WallClock,
    pause: Duration,
) -> BoxFuture<'static, Result<Written, LedgerError>> {
    async move {
        sleep(pause).await;
        let alerts = ledger.stored_alerts().await?;
        Ok(Written { alerts, silences: ledger.silences_after(clock.now()).await? })
    }
    .boxed()
}

struct Watcher {
    parts: AlertParts,
    board: Board,
    silences: Vec<Silence>,
    /// Why what was written down cannot be read, while it cannot.
    unread: Option<String>,
    /// What could not be written down yet.
    unsaved: AlertWrite,
    not_saved: Option<String>,
    nobody: Vec<GroupKey>,
    /// The drill that is under way, or the last one.
    drill: Option<Drill>,
    /// The digest that is being made.
    digest: Option<(DueDigest, JoinSet<Option<DigestText>>)>,
    /// What a drill came to, until it is written down.
    evidence: Option<EvidenceRow>,
    /// When what was over long ago was last forgotten.
    forgot: Option<Instant>,
}

impl Watcher {
    /// Knows of nothing yet.
    fn new(parts: AlertParts) -> Self {
        let most = parts.settings.borrow().most_alerts;
        Self {
            parts,
            board: Board::restore(&StoredAlerts::default(), most).0,
            silences: Vec::new(),
            unsaved: AlertWrite::default(),
            unread: None,
            not_saved: None,
            nobody: Vec::new(),
            digest: None,
            drill: None,
            evidence: None,
            forgot: None,
        }
    }

    /// Goes on from what was written down.
    fn restore(&mut self, written: Written) {
        let most = self.parts.settings.borrow().most_alerts;
        let (board, unreadable) = Board::restore(&written.alerts, most);
        let rows = written.silences;
        self.board = board;
        self.silences = rows.iter().filter_map(read_silence).collect();
        let unreadable = unreadable + rows.len() - self.silences.len();
        if unreadable > 0 {
            warn!(
                unreadable,
                "alerts or silences of another version of relaymux cannot be read, and begin anew"
            );
        }
    }

    /// What was written down can be read at last: goes on from there, with all that came meanwhile.
    fn take_up(&mut self, written: Written) {
        info!("what is known of alerts can be read again");
        let most = self.parts.settings.borrow().most_alerts;
        let empty = Board::restore(&StoredAlerts::default(), most).0;
        let blind = std::mem::replace(&mut self.board, empty);
        self.restore(written);
        let settings = self.settings();
        let closing = self.board.take_over(&blind, &settings);
        self.unsaved.extend(self.board.write_of(&closing));
        self.unread = None;
        self.not_saved = None;
    }

    fn note_unread(&mut self, error: String) {
        if self.unread.is_none() {
            error!(
                error,
                "what is known of alerts cannot be read: only what is live is watched, and nothing is kept until it can"
            );
        }
        self.unread = Some(error);
    }

    fn read_again(&self) -> BoxFuture<'static, Result<Written, LedgerError>> {
        read(self.parts.ledger.clone(), self.parts.clock.clone(), PAUSE)
    }

    /// Who is told what now: with our own channels in the place of an Alertmanager that takes nothing.
    fn settings(&self) -> Arc<AlertSettings> {
        let settings = Arc::clone(&self.parts.settings.borrow());
        match self.alertmanager_away(&settings) {
            Some(_) => Arc::new(settings.instead_of_alertmanager()),
            None => settings,
        }
    }

    /// For how long no Alertmanager has taken anything, where that is longer than anybody can wait.
    fn alertmanager_away(&self, settings: &AlertSettings) -> Option<Duration> {
        let away = self.parts.reach.away_for(Instant::now()).filter(|_| settings.delegated)?;
        (away >= settings.patience_with_alertmanager()).then_some(away)
    }

    /// Looks at everything once.
    async fn look(&mut self, counter: &Counter) {
        let (mut troubles, absence) = self.collect().await;
        let settings = self.settings();
        troubles.extend(self.own_troubles());
        for (fingerprint, message) in self.parts.sources.iter().flat_map(|source| source.ends()) {
            self.board.note_end(&fingerprint, &message);
        }
        let now = self.parts.clock.now();
        self.silences.retain(|silence| silence.ends_at > now);
        // Which digests were sent is among what cannot be read.
        if self.unread.is_none() {
            self.prepare_digest(now, &settings);
        }
        let silences = self.all_silences(now);
        let look = self.board.look(now, &troubles, &absence, &silences, &settings);
        if look.nobody != self.nobody {
            for group in look.nobody.iter().filter(|_| !settings.delegated) {
                error!(%group, "there is an alert, and nobody to be told: name contacts in [[alerts.escalation]]");
            }
            self.nobody = look.nobody;
        }
        self.unsaved.extend(look.write);
        self.save().await;
        self.follow_drill().await;
        if self.not_saved.is_none() {
            self.end_occurrences(&troubles).await;
            self.forget().await;
        }
        for change in &look.changes {
            if let Some(alert) = self.board.alerts().find(|alert| alert.fingerprint == change.fingerprint) {
                (self.parts.observer)(alert, change.kind);
            }
        }
        self.show(counter);
    }

    /// Has the digest that is due made beside the looks, as that takes a while, and gives it to the board once it is there.
    fn prepare_digest(&mut self, now: UnixMillis, settings: &AlertSettings) {
        let Some(due) = self.board.digest_due(now, settings) else {
            self.digest = None;
            return;
        };
        let Some(source) = &self.parts.digests else {
            self.board.digest_made(due, None);
            return;
        };
        let is_begun = self.digest.as_ref().is_some_and(|(begun, _)| *begun == due);
        if let (true, Some((_, making))) = (is_begun, &mut self.digest) {
            if let Some(made) = making.try_join_next() {
                self.board.digest_made(due, made.ok().flatten());
                self.digest = None;
            }
            return;
        }
        let making = source.make(due.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let made = timeout(DIGEST_PATIENCE, making).await;
            let made = made.unwrap_or_else(|_| Err("it took longer than a minute".to_owned()));
            made.inspect_err(
                |error| warn!(%error, "what a digest is to say could not be read: it is sent without"),
            )
            .ok()
        });
        self.digest = Some((due, task));
    }

    /// What this task itself finds wrong.
    fn own_troubles(&self) -> Vec<Trouble> {
        let now = self.parts.clock.now();
        let unread = self.unread.as_ref().map(|why| unreadable(why, now));
        let away = self.alertmanager_away(&self.parts.settings.borrow());
        unread.into_iter().chain(away.map(|_| surplus::alertmanager_away(now))).collect()
    }

    /// Tells whoever still shows an occurrence that it is over, so that the next one is news to them.
    async fn end_occurrences(&self, troubles: &[Trouble]) {
        let over: BTreeMap<&str, &Alert> = self
            .board
            .alerts()
            .filter(|alert| alert.is_occurrence() && alert.phase.is_resolved())
            .map(|alert| (alert.fingerprint.as_str(), alert))
            .collect();
        if over.is_empty() {
            return;
        }
        let mut ended = 0;
        for trouble in troubles {
            let alert = over.get(trouble.fingerprint().as_str()).filter(|alert| alert.since == trouble.since);
            if let Some(alert) = alert {
                let told = self.parts.sources.iter().map(|source| timeout(PATIENCE, source.end(alert)));
                join_all(told).await;
                ended += 1;
            }
            // The rest with the next looks: no page waits for what is over.
            if ended == MAX_ENDED {
                return;
            }
        }
    }

    /// Forgets, now and then, what was over and told long ago.
    async fn forget(&mut self) {
        if self.forgot.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return;
        }
        self.forgot = Some(Instant::now());
        let before = self.parts.clock.now().saturating_sub(KEPT_MS);
        let ledger = &self.parts.ledger;
        let done = async {
            Ok::<_, LedgerError>((
                ledger.forget_alerts(before).await?,
                ledger.forget_deliveries(before).await?,
                ledger.forget_signals(before).await?,
            ))
        };
        match timeout(PATIENCE, done).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(%error, "alerts of long ago are not forgotten"),
            Err(_) => {
                warn!("alerts of long ago are not forgotten: the ledger did not answer within five seconds")
            }
        }
    }

    async fn collect(&self) -> (Vec<Trouble>, Absence) {
        // Sources count by watched time, too.
        let now: Moment = self.board.now().next(self.parts.clock.now());
        let asked = self.parts.sources.iter().map(|source| async move {
            let answer = timeout(PATIENCE, source.collect(now)).await;
            let answer = answer.unwrap_or_else(|_| Err("it did not answer within five seconds".to_owned()));
            (source.name(), answer)
        });
        let mut troubles: Vec<Trouble> = self.drill.as_ref().and_then(Drill::trouble).into_iter().collect();
        let mut absence = Absence::Over;
        for (name, answer) in join_all(asked).await {
            match answer {
                Ok(collected) => {
                    troubles.extend(collected.troubles);
                    absence = absence.and(collected.absence);
                }
                Err(why) => {
                    troubles.push(source_away(name, &why, now.at));
                    absence = Absence::Unknown;
                }
            }
        }
        (troubles, absence)
    }

    async fn save(&mut self) {
        if let Some(why) = &self.unread {
            // Its numbers are those of episodes in the file. What is to be sent is kept, and all else once the two are one.
            self.not_saved = Some(format!("what was written down cannot be read: {why}"));
            self.unsaved.alerts.clear();
            self.unsaved.withdrawn.clear();
            self.unsaved.groups.clear();
            self.unsaved.messages.retain(|message| message.kind != MessageKind::Digest.label());
            self.unsaved.notifications.retain(|told| told.kind != MessageKind::Digest.label());
            self.hand_over();
            return;
        }
        // A disk that hangs is as bad as one that refuses, and neither keeps a page back. What is written twice is written once.
        let saving = timeout(PATIENCE, self.parts.ledger.save_alerts(&self.unsaved));
        let saved = match saving.await {
            Ok(saved) => saved.map_err(|error| error.to_string()),
            Err(_) => Err("the ledger did not answer within five seconds".to_owned()),
        };
        match saved {
            Ok(()) => {
                if self.not_saved.take().is_some() {
                    info!("alerts are written down again");
                }
                if !self.unsaved.messages.is_empty() {
                    self.parts.queued.notify_one();
                }
                self.unsaved = AlertWrite::default();
            }
            Err(error) => {
                if self.not_saved.is_none() {
                    error!(%error, "alerts cannot be written down; only pages of P1 and P2 are sent until they can");
                }
                self.not_saved = Some(error);
                self.hand_over();
            }
        }
    }

    /// Gives what cannot wait to delivery by hand; the rest waits until it can be written down.
    fn hand_over(&mut self) {
        let by_hand = self.parts.by_hand.as_ref();
        self.unsaved.messages.retain(|message| {
            let cannot_wait = matches!(message.severity, Severity::P1 | Severity::P2);
            let is_taken =
                cannot_wait && by_hand.is_some_and(|by_hand| by_hand.try_send(message.clone()).is_ok());
            !is_taken
        });
        let surplus = self.unsaved.messages.len().saturating_sub(MAX_UNSAVED);
        if surplus > 0 {
            self.unsaved.messages.sort_by_key(|message| (message.severity, message.made_at));
            self.unsaved.messages.truncate(MAX_UNSAVED);
        }
        let surplus = self.unsaved.notifications.len().saturating_sub(MAX_UNSAVED);
        self.unsaved.notifications.drain(..surplus);
    }

    async fn obey(&mut self, command: Command, counter: &Counter) {
        match command {
            Command::Acknowledge { target, by, answer } => {
                let count = match target {
                    AckTarget::Alert(fingerprint) => usize::from(self.board.acknowledge(&fingerprint, &by)),
                    AckTarget::Incident(incident) => self.board.acknowledge_incident(&incident, &by),
                };
                // Whoever asked has gone away: it is done all the same.
                let _ = if count == 0 {
                    answer.send(Err(DeskError::Unknown))
                } else {
                    self.look(counter).await;
                    answer.send(self.saved().map(|()| count))
                };
            }
            Command::Silence { silence, answer } => {
                let done = self.silence(silence).await;
                self.look(counter).await;
                let _ = answer.send(done);
            }
            Command::EndSilence { id, answer } => {
                let done = self.end_silence(&id).await;
                self.look(counter).await;
                let _ = answer.send(done);
            }
            Command::StartDrill { severity, wait, answer } => {
                let begun = self.start_drill(severity, wait);
                if begun.is_ok() {
                    self.look(counter).await;
                }
                let view = self.drill.as_ref().map(|drill| drill.view.clone()).ok_or(DeskError::NoDrill);
                let _ = answer.send(begun.and(view));
            }
            Command::FollowDrill { id, answer } => {
                let now = self.board.now().next(self.parts.clock.now());
                if let Some(drill) = self.drill.as_mut().filter(|drill| drill.view.id == id) {
                    drill.hear_of(now);
                }
                self.follow_drill().await;
                let _ = answer.send(self.view_of_drill(&id));
            }
            Command::EndDrill { id, answer } => {
                let now = self.board.now();
                if let Some(drill) = self.drill.as_mut().filter(|drill| drill.view.id == id) {
                    drill.interrupt("The drill was ended", now);
                    self.look(counter).await;
                }
                let _ = answer.send(self.view_of_drill(&id));
            }
        }
    }

    fn start_drill(&mut self, severity: Severity, wait: Duration) -> Result<(), DeskError> {
        if self.drill.as_ref().is_some_and(|drill| !drill.view.state.is_over()) {
            return Err(DeskError::DrillUnderWay);
        }
        let settings = self.parts.settings.borrow();
        let now = self.board.now().next(self.parts.clock.now());
        if settings.channels_of_first(usize::MAX, severity, now.at).is_empty() {
            return Err(DeskError::ReachesNobody(severity));
        }
        info!(%severity, "a drill of alerts begins");
        self.board.drill_begins();
        self.drill = Some(Drill::new(severity, wait, &settings.source, now));
        Ok(())
    }

    fn view_of_drill(&self, id: &str) -> Result<DrillView, DeskError> {
        let drill = self.drill.as_ref().filter(|drill| drill.view.id == id);
        drill.map(|drill| drill.view.clone()).ok_or(DeskError::NoDrill)
    }

    /// Looks how far the drill is, and writes down what it came to.
    async fn follow_drill(&mut self) {
        let now = self.board.now();
        let Some(drill) = self.drill.as_mut().filter(|drill| !drill.is_past(now)) else { return };
        let label = |alert: &&Alert| alert.is_drill() && alert.label("drill") == Some(drill.view.id.as_str());
        let alert = self.board.alerts().find(label);
        let told = alert.and_then(|alert| alert.told.as_ref()).map(|told| told.incident.clone());
        let rows = match told.as_ref().or(drill.incident.as_ref()) {
            Some(incident) => timeout(PATIENCE, self.parts.ledger.incident_messages(incident)).await,
            None => Ok(Ok(Vec::new())),
        };
        // What cannot be read now is with the next look.
        let rows = rows.ok().and_then(Result::ok).unwrap_or_default();
        let settings = self.parts.settings.borrow().clone();
        let steps = rows.into_iter().map(|row| DrillStep {
            who: settings.reached_by(drill.view.severity, &row.channel, row.made_at),
            message: row.id,
            kind: row.kind,
            made_at: row.made_at,
            took_ms: row.sent_at.map(|at| at.saturating_sub(row.made_at).max(0)),
            state: Some(row.state),
            attempts: row.attempts,
            error: row.last_error,
            channel: row.channel,
        });
        if let Some(evidence) = drill.follow(now, alert, steps.collect()) {
            info!(ok = evidence.ok, "a drill of alerts is over: {}", evidence.summary);
            self.evidence = Some(evidence);
        }
        if let Some(evidence) = &self.evidence {
            match timeout(PATIENCE, self.parts.ledger.save_evidence(evidence)).await {
                Ok(Ok(())) => {
                    drill.view.recorded = true;
                    self.evidence = None;
                }
                Ok(Err(error)) => warn!(%error, "what a drill came to cannot be written down yet"),
                Err(_) => warn!("what a drill came to cannot be written down yet: the ledger did not answer"),
            }
        }
    }

    async fn silence(&mut self, silence: Silence) -> Result<(), DeskError> {
        silence.check()?;
        let is_new = self.silences.iter().all(|known| known.id != silence.id);
        if is_new && self.silences.len() >= MAX_SILENCES {
            return Err(DeskError::TooManySilences);
        }
        let saved = self.parts.ledger.save_silence(&silence_row(&silence)).await;
        saved.map_err(|error| DeskError::NotSaved(error.to_string()))?;
        self.silences.retain(|known| known.id != silence.id);
        self.silences.push(silence);
        Ok(())
    }

    async fn end_silence(&mut self, id: &str) -> Result<(), DeskError> {
        if self.silences.iter().all(|known| known.id != id) {
            return Err(DeskError::Unknown);
        }
        let ended = self.parts.ledger.end_silence(id, self.parts.clock.now()).await;
        ended.map_err(|error| DeskError::NotSaved(error.to_string()))?;
        self.silences.retain(|known| known.id != id);
        Ok(())
    }

    /// Those that people made, and the windows of the configuration.
    fn all_silences(&self, now: UnixMillis) -> Vec<Silence> {
        let windows = maintenance::silences(&self.parts.settings.borrow().maintenance, now);
        self.silences.iter().cloned().chain(windows).collect()
    }

    fn saved(&self) -> Result<(), DeskError> {
        self.not_saved.as_ref().map_or(Ok(()), |error| Err(DeskError::NotSaved(error.clone())))
    }

    fn show(&self, counter: &Counter) {
        let silences = self.all_silences(self.board.now().at);
        let mut hidden = self.board.hidden(&silences);
        let mut alerts: Vec<AlertView> = self
            .board
            .alerts()
            .map(|alert| AlertView { hidden: hidden.remove(&alert.fingerprint), alert: alert.clone() })
            .collect();
        alerts.sort_by_key(|view| (view.alert.severity, view.alert.began.watched_ms, view.alert.id));
        counter.snapshot.store(Arc::new(Snapshot {
            at: self.board.now().at,
            alerts,
            silences,
            not_saved: self.not_saved.clone(),
        }));
    }
}

#[cfg(test)]
mod tests;
