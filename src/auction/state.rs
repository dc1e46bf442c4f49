//! The auction's parts in one place.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    awaited::AwaitedBlocks,
    bid_memory::BidMemory,
    client_activity::ClientActivity,
    drought::BidDrought,
    gas_limits::GasLimits,
    genesis_root::GenesisRoot,
    held::Held,
    load::LoadMeter,
    metrics::begin_relays,
    node_attributes::{NodeAttributes, NodeConflict},
    policy::PolicyTable,
    shared::SharedRaces,
    submit::{copies::SubmissionMemory, quota::RecordQuota},
    validators::Validators,
    verified_cache::VerifiedCache,
    verify::VerifyPool,
};
use crate::{
    consensus::{BlobSchedule, ChainSpec, ClockVerdict, Domain, PayloadAttributes, SlotClock, WallClock},
    ethereum::BeaconNode,
    events::Spine,
    ledger::Journal,
    relay::SharedRelays,
    types::{BlsPublicKey, Slot, UnixMillis},
};

/// Registrations that wait for their check at most: two bodies of the largest operators, some 40 MB. What is beyond it is not taken in, and
/// comes again with the client's next round.
const MAX_UNCHECKED: usize = 200_000;
/// Bodies read at once, each on a blocking thread.
const MAX_READ_AT_ONCE: usize = 2;
/// Rounds of registrations that wait at once. Each holds its body; what comes beyond is sent as in calm.
const MAX_DEFERRED: usize = 16;

/// What the auction is made of.
#[derive(Debug)]
pub struct AuctionParts {
    /// The configured network's schedule, preset and domains.
    pub spec: ChainSpec,
    /// Settings, relays and terms of each proposer, until the next reload.
    pub policies: PolicyTable,
    /// Who is asked at the moment.
    pub relays: Arc<SharedRelays>,
    /// Carries each record to the watchers; publishing never waits.
    pub spine: Spine,
    /// Has a signed block on disk before the first relay sees it.
    pub journal: Journal,
    /// The beacon node, where one is configured.
    pub beacon: Option<BeaconNode>,
    /// Registrations of this and earlier processes.
    pub validators: Arc<Validators>,
    /// The wall clock.
    pub clock: WallClock,
}

/// The auction: answers the consensus client's three questions.
#[derive(Debug)]
pub struct Auction {
    pub(super) spec: ChainSpec,
    pub(super) slots: SlotClock,
    pub(super) clock: WallClock,
    pub(super) domain: Domain,
    pub(super) policies: ArcSwap<PolicyTable>,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) spine: Spine,
    pub(super) journal: Journal,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) genesis_root: GenesisRoot,
    /// Checks the signatures of registrations.
    pub(super) registration_checks: VerifyPool,
    /// Places of registrations that wait for it.
    pub(super) unchecked: Arc<Semaphore>,
    /// Turns of bodies of registrations to be read.
    pub(super) registration_reads: Semaphore,
    pub(super) validators: Arc<Validators>,
    pub(super) bid_memory: BidMemory,
    pub(super) submissions: SubmissionMemory,
    pub(super) record_quota: RecordQuota,
    pub(super) awaited: AwaitedBlocks,
    pub(super) gas_limits: GasLimits,
    pub(super) races: Arc<SharedRaces>,
    pub(super) verified: Arc<VerifiedCache>,
    /// Checks the signatures of bids.
    pub(super) verify: VerifyPool,
    pub(super) load: Arc<LoadMeter>,
    pub(super) tasks: TaskTracker,
    pub(super) deferred: Arc<Semaphore>,
    /// What was last found of this machine's clock: only for words.
    pub(super) clock_verdict: ArcSwap<ClockVerdict>,
    /// Why bids are held back, if they are.
    pub(super) held: ArcSwapOption<Held>,
    /// What the beacon node says of coming payloads.
    pub(super) node_attributes: NodeAttributes,
    /// The beacon node's blob schedule, where it is known to be of this network.
    node_blobs: ArcSwap<BlobSchedule>,
    activity: ClientActivity,
    pub(super) drought: Arc<BidDrought>,
}

impl Auction {
    /// An auction of these parts, which holds nothing yet.
    pub fn new(parts: AuctionParts) -> Arc<Self> {
        let AuctionParts { spec, policies, relays, spine, journal, beacon, validators, clock } = parts;
        begin_relays(policies.relays.iter().map(|relay| relay.id()));
        Arc::new(Self {
            slots: spec.clock(),
            clock,
            domain: spec.builder_domain(),
            policies: ArcSwap::from_pointee(policies),
            bid_memory: BidMemory::default(),
            submissions: SubmissionMemory::default(),
            record_quota: RecordQuota::default(),
            awaited: AwaitedBlocks::default(),
            gas_limits: GasLimits::default(),
            races: Arc::default(),
            verified: Arc::default(),
            verify: VerifyPool::for_bids(),
            load: Arc::default(),
            genesis_root: GenesisRoot::default(),
            registration_checks: VerifyPool::for_registrations(),
            unchecked: Arc::new(Semaphore::new(MAX_UNCHECKED)),
            registration_reads: Semaphore::new(MAX_READ_AT_ONCE),
            tasks: TaskTracker::new(),
            deferred: Arc::new(Semaphore::new(MAX_DEFERRED)),
            clock_verdict: ArcSwap::from_pointee(ClockVerdict::NotKnown),
            held: ArcSwapOption::empty(),
            node_attributes: NodeAttributes::default(),
            node_blobs: ArcSwap::default(),
            activity: ClientActivity::default(),
            drought: Arc::default(),
            spec,
            relays,
            spine,
            journal,
            beacon,
            validators,
        })
    }

    /// Waits while headers or blocks are under way that the machine can hardly serve, a second at most: for what can wait.
    pub async fn stand_back(&self) {
        self.load.stand_back().await;
    }

    /// The configured network's schedule, preset and domains.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Holds auctions by other policies from now on. One under way ends by the one it began with.
    pub fn set_policies(&self, policies: PolicyTable) {
        begin_relays(policies.relays.iter().map(|relay| relay.id()));
        self.policies.store(Arc::new(policies));
    }

    /// Holds bids back from now on, or not any more.
    pub fn hold_bids(&self, held: Option<Held>) {
        self.held.store(held.map(Arc::new));
    }

    /// Why bids are held back at a time; none: they are not.
    pub fn held(&self, now: UnixMillis) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| held.holds(now))
    }

    /// Takes in what was found of this machine's clock: a request at the wrong time is explained with it.
    pub fn note_clock(&self, verdict: ClockVerdict) {
        self.clock_verdict.store(Arc::new(verdict));
    }

    /// Takes in what the beacon node says of a slot's payload: bids that differ are not returned.
    pub fn note_attributes(&self, attributes: PayloadAttributes) {
        self.node_attributes.publish(attributes);
    }

    /// Believes nothing any more of what the beacon node said of payloads.
    pub fn forget_attributes(&self) {
        self.node_attributes.clear();
    }

    /// The last auction whose bids could be compared with the beacon node's attributes, if none agreed with it.
    pub fn node_conflict(&self) -> Option<NodeConflict> {
        self.node_attributes.conflict()
    }

    /// Takes in the blob schedule of a beacon node that is of this network. It raises limits and lowers none.
    pub fn note_blob_schedule(&self, schedule: BlobSchedule) {
        self.node_blobs.store(Arc::new(schedule));
    }

    /// Most blobs of a block in a slot, where that is known.
    pub(super) fn max_blobs_in(&self, slot: Slot) -> Option<u64> {
        let epoch = slot.epoch(self.spec.slots_per_epoch);
        self.spec.blobs.max_raised_by(&self.node_blobs.load(), epoch)
    }

    /// The policies that a request goes by if it comes now.
    pub fn policies(&self) -> Arc<PolicyTable> {
        self.policies.load_full()
    }

    /// Whether a validator registered with us.
    pub fn is_registered(&self, pubkey: &BlsPublicKey) -> bool {
        self.validators.get(pubkey).is_some()
    }

    /// Since when a validator is ours, Unix milliseconds: a client of ours registers it still, or a set names it. 0: since before this process
    /// began. `None`: it is not, or has moved.
    pub fn ours_since(&self, pubkey: &BlsPublicKey) -> Option<UnixMillis> {
        let is_listed = self.policies.load().set_of.contains_key(pubkey);
        self.validators.ours_since(pubkey).or(is_listed.then_some(0))
    }

    /// When the client last asked for anything.
    pub fn client_activity(&self) -> &ClientActivity {
        &self.activity
    }

    /// Whether any validator has registered with us.
    pub fn has_validators(&self) -> bool {
        !self.validators.is_empty()
    }
}

/// `relaymux/<version> <the client's>`: relays key policy on it. Characters that cannot be in a header are left out.
pub(super) fn user_agent(client: &str) -> HeaderValue {
    const OURS: &str = concat!("relaymux/", env!("CARGO_PKG_VERSION"));
    let client: String = client.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect();
    let both = format!("{OURS} {client}");
    HeaderValue::from_str(both.trim_end()).unwrap_or(HeaderValue::from_static(OURS))
}
