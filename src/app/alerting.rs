//! What alerts work with, made of the configuration: who is told, by which channels, and what is wrong by which rules.

use std::{net::SocketAddr, path::Path, sync::Arc};

use alloy_primitives::hex;
use tokio::sync::watch;
use tracing::warn;

use super::files::write_whole;
use crate::{
    alerts::{
        AckLinks, AlertSettings, ForeignSettings, ForeignSource,
        ack_link::AckKey,
        channels::{Channel, ChannelKind},
    },
    config::{AlertsConfig, Config},
    consensus::WallClock,
    ledger::Ledger,
};

/// What signs links that acknowledge: 32 bytes in hex, for the owner alone.
pub(super) const KEY_FILE: &str = "acknowledge.key";

/// What alerts share with the ops API and with reloads.
#[derive(Clone, Debug)]
pub(super) struct Alerting {
    pub(super) key: AckKey,
    /// Others' alerts: the hook fills it, and alerts look at it.
    pub(super) foreign: Arc<ForeignSource>,
    settings: Arc<watch::Sender<Arc<AlertSettings>>>,
    /// Where the ops API listens: where pages are, unless the configuration knows better.
    ops: SocketAddr,
}

impl Alerting {
    pub(super) fn new(config: &Config, ledger: Ledger, clock: WallClock, ops: SocketAddr) -> Self {
        let key = ensure_key(&config.data_dir);
        let settings =
            ForeignSettings { source: config.alerts.settings.source.clone(), ..Default::default() };
        let foreign = Arc::new(ForeignSource::new(ledger, clock, settings));
        let settings = Arc::new(watch::channel(Arc::new(settings_of(&config.alerts, &key, ops))).0);
        Self { key, foreign, settings, ops }
    }

    /// Tells people as a new configuration says, from now on.
    pub(super) fn adopt(&self, config: &AlertsConfig) {
        self.foreign.rename(&config.settings.source);
        let new = settings_of(config, &self.key, self.ops);
        self.settings.send_if_modified(|running| {
            let is_new = **running != new;
            if is_new {
                *running = Arc::new(new);
            }
            is_new
        });
    }

    /// Who is told what, followed when it changes.
    pub(super) fn settings(&self) -> watch::Receiver<Arc<AlertSettings>> {
        self.settings.subscribe()
    }
}

fn settings_of(config: &AlertsConfig, key: &AckKey, ops: SocketAddr) -> AlertSettings {
    let mut settings = config.settings.clone();
    // A port that was free is known only now.
    let is_somewhere = !ops.ip().is_unspecified();
    settings.pages = settings.pages.or_else(|| is_somewhere.then(|| format!("http://{ops}")));
    let is_alertmanager = |channel: &&Channel| channel.settings.kind() == ChannelKind::Alertmanager;
    settings.delegated = config.channels.iter().any(|channel| is_alertmanager(&channel));
    let own = config.channels.iter().filter(|channel| !is_alertmanager(channel));
    settings.in_its_stead = own.map(|channel| channel.id.clone()).collect();
    settings.ack_links = settings.pages.as_ref().map(|pages| AckLinks {
        prefix: format!("{}/alerts/acknowledge?token=", pages.trim_end_matches('/')),
        key: key.clone(),
        valid_for: config.ack_link_valid_for,
    });
    settings
}

/// Reads the key of a folder, or makes it. Where it cannot be kept, links of this run are not valid after it.
fn ensure_key(data_dir: &Path) -> AckKey {
    let path = data_dir.join(KEY_FILE);
    let kept = std::fs::read_to_string(&path).ok();
    let bytes = kept.and_then(|text| hex::decode(text.trim()).ok()).and_then(|bytes| bytes.try_into().ok());
    if let Some(bytes) = bytes {
        return AckKey::new(bytes);
    }
    let key = AckKey::random();
    if let Err(error) = write_whole(&path, hex::encode(key.bytes()).as_bytes(), 0o600) {
        warn!(path = %path.display(), %error,
            "the key of links that acknowledge alerts cannot be kept: links in messages are not valid after a restart");
    }
    key
}
