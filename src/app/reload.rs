//! Changes of the configuration while the service runs: by the file, by files it includes, by lists of keys kept elsewhere.
//!
//! The files are read again on a signal, and when their contents have changed: the paths are polled, which survives editors that
//! write aside and rename, and Kubernetes' symlink swaps. A file that is wrong changes nothing and is reported with its lines. Relays
//! whose settings stay the same keep their connections and what was learned of them. A request under way goes by the policies it
//! began with. One task does all of it, so that two changes never meet half-way.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    alert_rules::alert_rules,
    alerting::Alerting,
    policies::{Clients, LoadedKeys, build_policies, cache_keys, overlap},
    unwatched::{Watched, end_unwatched},
};
use crate::{
    auction::Auction,
    config::{Config, ConfigError},
    ethereum::{LoaderKind, NodeError, load_keys},
    ledger::SignalBook,
    relay::{HealthMonitorHandle, Relay, SharedRelays},
    tasks::TaskGroup,
    types::BlsPublicKey,
};

/// How often the files are looked at: a change takes effect within 5 seconds without a signal.
const POLL: Duration = Duration::from_secs(2);
/// Between two lines about a list of keys that is still being loaded.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Where the configuration comes from, and what was read there last.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    path: PathBuf,
    environment: Vec<(String, String)>,
    /// Files that the text last read includes, whether or not it was right.
    included: Vec<PathBuf>,
    /// Of that text and these files, as they were then.
    fingerprint: u64,
}

impl ConfigSource {
    /// Reads a configuration, to be followed from exactly this text on.
    ///
    /// # Errors
    /// As [`Config::parse`], and when the file cannot be read.
    pub fn read(path: PathBuf, environment: Vec<(String, String)>) -> Result<(Self, Config), ConfigError> {
        let text = Config::read(&path)?;
        let config = Config::parse(&text, &path, &environment, &alert_rules())?;
        let mut source = Self { path, environment, included: Vec::new(), fingerprint: 0 };
        source.note(&text, &config.included);
        Ok((source, config))
    }

    /// Remembers what was read, so that a change of any of it is one.
    fn note(&mut self, text: &str, included: &[PathBuf]) {
        self.fingerprint = fingerprint(text, included);
        self.included = included.to_vec();
    }

    /// Whether the text or a file that it includes is another one than was read last.
    fn has_changed(&self, text: &str) -> bool {
        fingerprint(text, &self.included) != self.fingerprint
    }
}

/// Of a text and the files it includes, as they are now.
fn fingerprint(text: &str, included: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    for path in included {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// The end of a loading: which set, by which loader, and the keys.
type Loaded = (String, LoaderKind, Result<Vec<BlsPublicKey>, NodeError>);

/// What a reload acts on.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) source: ConfigSource,
    /// A message asks for the file to be read now.
    pub(super) asked: mpsc::Receiver<()>,
    pub(super) running: Config,
    pub(super) auction: Arc<Auction>,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) monitor: HealthMonitorHandle,
    pub(super) clients: Clients,
    pub(super) loaded: LoadedKeys,
    pub(super) due: BTreeMap<String, Instant>,
    /// Hears whom alerts are told to.
    pub(super) alerting: Alerting,
    /// Ends what is said of relays that are gone.
    pub(super) signals: SignalBook,
    pub(super) watched: Watched,
}

impl Reloader {
    /// Follows the files for as long as the group runs.
    pub(super) fn start(self, group: &TaskGroup) {
        group.optional("reload", |stop| self.run(stop));
    }

    /// Watches until told to stop.
    async fn run(mut self, stop: CancellationToken) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut loading: JoinSet<Loaded> = JoinSet::new();
        self.start_loading(&mut loading);
        loop {
            let by_signal = tokio::select! {
                _ = poll.tick() => false,
                request = self.asked.recv() => match request {
                    Some(()) => true,
                    None => return,
                },
                Some(Ok((id, kind, keys))) = loading.join_next() => {
                    self.take_keys(&id, &kind, keys);
                    continue;
                }
                () = stop.cancelled() => return,
            };
            match Config::read(&self.source.path) {
                Ok(text) if by_signal || self.source.has_changed(&text) => self.reload(&text).await,
                // A file that is gone for a moment is being replaced; a request by signal says so if it is gone then.
                Err(error) if by_signal => error!("configuration not changed: {error}"),
                Ok(_) | Err(_) => {}
            }
            self.start_loading(&mut loading);
        }
    }

    async fn reload(&mut self, text: &str) {
        let parsed = Config::parse(text, &self.source.path, &self.source.environment, &alert_rules());
        let new = match parsed {
            Ok(new) => new,
            Err(mistakes) => {
                // By the files that the wrong one includes: the mistake may be in one of them, and end there.
                let included = match &mistakes {
                    ConfigError::Wrong { included, .. } => included.as_slice(),
                    ConfigError::Read { .. } => &[],
                };
                self.source.note(text, included);
                error!("configuration not changed, the file is wrong:\n{mistakes}");
                return;
            }
        };
        self.source.note(text, &new.included);
        for warning in &new.warnings {
            warn!("{warning}");
        }
        let fixed = self.running.needs_restart(&new);
        if !fixed.is_empty() {
            warn!(
                sections = fixed.join(", "),
                "these sections are read at start only: restart to apply their change"
            );
        }
        let relays = self.relays_of(&new);
        self.adopt(new);
        self.auction.set_policies(build_policies(&self.running, &relays, &self.loaded));
        self.relays.replace(relays);
        self.monitor.configure(self.running.monitor.clone()).await;
        self.watched.adopt_relays(&self.running);
        end_unwatched(&self.signals, &self.watched).await;
        info!(
            relays = self.relays.all().len(),
            asked = self.relays.active().len(),
            proposer_sets = self.running.proposers.len(),
            "configuration reloaded"
        );
    }

    /// The relays of a new configuration: those whose settings stay the same are the same.
    fn relays_of(&self, new: &Config) -> Vec<Arc<Relay>> {
        let known = self.relays.all();
        new.relays
            .iter()
            .map(|settings| {
                let same = known.iter().find(|relay| relay.settings() == settings);
                same.cloned().unwrap_or_else(|| self.clients.relay(settings, &self.running))
            })
            .collect()
    }

    /// Runs by a new configuration from now on, save for what is read at start only.
    fn adopt(&mut self, new: Config) {
        // A set that has another loader now does not keep the old one's keys.
        let loader_of = |config: &Config, id: &str| {
            config.proposers.iter().find(|set| set.id == id).and_then(|set| set.loader.clone())
        };
        self.loaded.retain(|id, _| loader_of(&self.running, id) == loader_of(&new, id));
        self.due.retain(|id, _| loader_of(&self.running, id) == loader_of(&new, id));
        self.running = Config {
            // These stay as they are until a restart.
            spec: self.running.spec.clone(),
            data_dir: self.running.data_dir.clone(),
            builder_api: self.running.builder_api.clone(),
            ops: self.running.ops.clone(),
            tls_roots: self.running.tls_roots.clone(),
            proxy: self.running.proxy.clone(),
            beacon: self.running.beacon.clone(),
            follows_attributes: self.running.follows_attributes,
            execution: self.running.execution.clone(),
            execution_by_gateway: self.running.execution_by_gateway,
            rpc: self.running.rpc.clone(),
            nodes: self.running.nodes.clone(),
            alerts: self.running.alerts.reloaded(&new.alerts),
            sla: self.running.sla,
            backup: self.running.backup.clone(),
            retention: self.running.retention,
            ..new
        };
        self.alerting.adopt(&self.running.alerts);
    }

    /// Loads the keys of every set that is due.
    fn start_loading(&mut self, loading: &mut JoinSet<Loaded>) {
        let now = Instant::now();
        for set in &self.running.proposers {
            let Some(loader) = &set.loader else { continue };
            if self.due.get(&set.id).is_some_and(|due| *due > now) {
                continue;
            }
            self.due.insert(set.id.clone(), now + Duration::from_secs(loader.refresh_secs));
            let (id, kind, http) = (set.id.clone(), loader.kind.clone(), self.clients.http.clone());
            loading.spawn(async move {
                let mut said = Instant::now();
                let keys = load_keys(&http, &kind, &mut |keys| {
                    if said.elapsed() >= SAID_EVERY {
                        said = Instant::now();
                        info!(
                            proposers = id,
                            loaded = keys.loaded,
                            total = keys.total,
                            "keys are being loaded"
                        );
                    }
                })
                .await;
                (id, kind, keys)
            });
        }
    }

    fn take_keys(&mut self, id: &str, kind: &LoaderKind, keys: Result<Vec<BlsPublicKey>, NodeError>) {
        let asked =
            self.running.proposers.iter().find(|set| set.id == id).and_then(|set| set.loader.as_ref());
        if asked.is_none_or(|loader| loader.kind != *kind) {
            return;
        }
        let kept = self.loaded.get(id).map_or(0, Vec::len);
        let keys = match keys {
            Ok(keys) => keys,
            Err(failure) => {
                warn!(proposers = id, kept, error = %failure, "keys not loaded, the ones known stay");
                return;
            }
        };
        if let Some((key, other)) = overlap(&self.running, &self.loaded, id, &keys) {
            error!(proposers = id, kept, %key, other, "keys not taken, one of them is in another set: the ones known stay");
            return;
        }
        if self.loaded.get(id) == Some(&keys) {
            return;
        }
        info!(proposers = id, keys = keys.len(), before = kept, "keys loaded");
        if let Err(failure) = cache_keys(&self.running.data_dir, id, kind, &keys) {
            warn!(proposers = id, error = %failure, "loaded keys not kept for the next start");
        }
        self.loaded.insert(id.to_owned(), keys);
        self.auction.set_policies(build_policies(&self.running, &self.relays.all(), &self.loaded));
    }
}
