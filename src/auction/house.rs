//! The auction's parts in one place.

use std::sync::Arc;

use arc_swap::ArcSwap;
use reqwest::header::HeaderValue;
use tokio_util::task::TaskTracker;

use super::{AuctionSettings, Validators, offers::Offers, verified_cache::VerifiedCache};
use crate::{
    consensus::{ChainSpec, Domain, SlotClock, WallClock},
    events::Spine,
    ledger::Journal,
    relay::SharedRelays,
};

/// What the auction is made of.
#[derive(Debug)]
pub struct AuctionParts {
    /// The chain.
    pub spec: ChainSpec,
    /// How it is held.
    pub settings: AuctionSettings,
    /// Who takes part at the moment.
    pub relays: Arc<SharedRelays>,
    /// Where facts go.
    pub spine: Spine,
    /// Where signed blocks go first.
    pub journal: Journal,
    /// What validators registered.
    pub validators: Arc<Validators>,
}

/// The auction: answers the consensus client's three questions.
#[derive(Debug)]
pub struct Auction {
    pub(super) spec: ChainSpec,
    pub(super) slots: SlotClock,
    pub(super) clock: WallClock,
    pub(super) domain: Domain,
    pub(super) settings: ArcSwap<AuctionSettings>,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) spine: Spine,
    pub(super) journal: Journal,
    pub(super) validators: Arc<Validators>,
    pub(super) offers: Offers,
    pub(super) verified: Arc<VerifiedCache>,
    pub(super) tasks: TaskTracker,
}

impl Auction {
    /// Opens the house.
    pub fn new(parts: AuctionParts) -> Arc<Self> {
        let AuctionParts { spec, settings, relays, spine, journal, validators } = parts;
        Arc::new(Self {
            slots: spec.clock(),
            clock: WallClock,
            domain: spec.builder_domain(),
            settings: ArcSwap::from_pointee(settings),
            offers: Offers::default(),
            verified: Arc::default(),
            tasks: TaskTracker::new(),
            spec,
            relays,
            spine,
            journal,
            validators,
        })
    }

    /// The chain.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Holds auctions by other settings from now on. One under way ends by those it began with.
    pub fn set_settings(&self, settings: AuctionSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Waits until every submission and registration in flight has ended. Each has its own deadline.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// `relaymux/<version> <the client's>`: relays key policy on it. Characters that cannot be in a header are left out.
pub(super) fn user_agent(client: &str) -> HeaderValue {
    const OURS: &str = concat!("relaymux/", env!("CARGO_PKG_VERSION"));
    let client: String = client.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect();
    let both = format!("{OURS} {client}");
    HeaderValue::from_str(both.trim_end()).unwrap_or(HeaderValue::from_static(OURS))
}
