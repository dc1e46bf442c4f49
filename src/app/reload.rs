//! Changes of the configuration while the service runs.
//!
//! The file is read again on a signal, and when its contents have changed: the path is polled, which survives editors that write
//! aside and rename, and Kubernetes' symlink swaps. A file that is wrong changes nothing and is reported with its lines. Relays whose
//! settings stay the same keep their connections and what was learned of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    auction::Auction,
    config::{Config, ConfigError},
    relay::{KeeperHandle, Relay, SharedRelays},
};

/// How often the file is looked at: a change takes effect within 5 seconds without a signal.
const POLL: Duration = Duration::from_secs(2);

/// Where the configuration comes from, and what was read there last.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    path: PathBuf,
    environment: Vec<(String, String)>,
    /// The text that the running configuration was read from, or the last wrong one.
    text: String,
}

impl ConfigSource {
    /// Reads a configuration, to be followed from exactly this text on.
    ///
    /// # Errors
    /// As [`Config::parse`], and when the file cannot be read.
    pub fn read(path: PathBuf, environment: Vec<(String, String)>) -> Result<(Self, Config), ConfigError> {
        let text = Config::read(&path)?;
        let config = Config::parse(&text, &path, &environment)?;
        Ok((Self { path, environment, text }, config))
    }
}

/// What a reload acts on.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) source: ConfigSource,
    pub(super) running: Config,
    pub(super) auction: Arc<Auction>,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) keeper: KeeperHandle,
    pub(super) http: Client,
}

impl Reloader {
    /// Watches until told to stop; a message on `asked` is a wish to read the file now.
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<()>, stop: CancellationToken) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let by_signal = tokio::select! {
                _ = poll.tick() => false,
                wish = asked.recv() => match wish {
                    Some(()) => true,
                    None => return,
                },
                () = stop.cancelled() => return,
            };
            match Config::read(&self.source.path) {
                Ok(text) if by_signal || text != self.source.text => self.reload(text).await,
                // A file that is gone for a moment is being replaced; a wish by signal says so if it is gone then.
                Err(error) if by_signal => error!("configuration not changed: {error}"),
                Ok(_) | Err(_) => {}
            }
        }
    }

    async fn reload(&mut self, text: String) {
        let parsed = Config::parse(&text, &self.source.path, &self.source.environment);
        self.source.text = text;
        let new = match parsed {
            Ok(new) => new,
            Err(mistakes) => {
                error!("configuration not changed, the file is wrong:\n{mistakes}");
                return;
            }
        };
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
        let known = self.relays.all();
        let relays: Vec<Arc<Relay>> = new
            .relays
            .iter()
            .map(|settings| {
                let same = known.iter().find(|relay| relay.settings() == settings);
                same.cloned().unwrap_or_else(|| {
                    Arc::new(Relay::new(settings.clone(), self.running.spec.preset, self.http.clone()))
                })
            })
            .collect();
        self.auction.set_settings(new.auction.clone());
        self.relays.replace(relays);
        self.keeper.configure(new.keeper.clone()).await;
        info!(relays = self.relays.active().len(), "configuration reloaded");
        self.running.auction = new.auction;
        self.running.relays = new.relays;
        self.running.keeper = new.keeper;
    }
}
