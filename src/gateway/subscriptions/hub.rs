//! The one task that owns the chain, the logs and the clients. What it waits for comes to it; it waits for nothing itself.

mod clients;
mod fetch;
mod notices;
mod transactions;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy_primitives::B256;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use clients::Cut;
pub use notices::{Notice, Notices};

use super::{
    block::Block,
    chain::{Chain, RING, Step},
    logs::LogBook,
    parts::SubscriptionParts,
    seen::Seen,
    topic::{Bodies, SubscriptionId, Topic},
    upstream_socket::{News, UpstreamSocket, Wants},
};
use crate::{
    gateway::{Feedback, RawJson, Snapshot, Tier, UpstreamState},
    jsonrpc::RpcError,
};
use clients::Clients;
use fetch::{Done, GapFiller, LogFetcher};
use transactions::TransactionFetcher;

/// What sockets tell and the hub has not taken yet; the sockets wait then.
const NEWS: usize = 4096;
/// Pending transactions that are remembered: an upstream tells of one within seconds of the others.
const PENDING: usize = 32_768;
/// Shortest and longest time between two looks at the newest block where no websocket tells of it.
const POLL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// Longest time without a head until a socket is opened again, if that is longer than five blocks.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the board may know of a newer block than was told.
const BEHIND: Duration = Duration::from_secs(2);
/// Longest time for an upstream to say what its newest block is, until what it shows is believed to be that.
const ANSWER: Duration = Duration::from_secs(5);
/// Most blocks that a head may lie beyond the board's tip: what is made between two probes, where blocks come seldom.
const BEYOND_TIP: u64 = 16;
/// The same as a time, where blocks come often.
const PROBED_EVERY: Duration = Duration::from_secs(10);

/// What a connection wants of the hub.
#[derive(Debug)]
pub(super) enum Command {
    Join(oneshot::Sender<(u64, Notices, Cut)>),
    Subscribe(u64, Topic, oneshot::Sender<Result<SubscriptionId, RpcError>>),
    Unsubscribe(u64, SubscriptionId, oneshot::Sender<bool>),
}

/// Describes what is counted, and begins it at 0.
pub fn describe_metrics() {
    describe_gauge!("relaymux_rpc_subscriptions", "Subscriptions of websocket clients");
    describe_gauge!(
        "relaymux_rpc_upstream_websockets",
        "Websockets to upstreams that are open and subscribed"
    );
    describe_counter!("relaymux_rpc_heads_total", "Blocks that subscribers were told of");
    describe_counter!(
        "relaymux_rpc_backfilled_blocks_total",
        "Blocks that no websocket told of in time, and that were fetched for subscribers"
    );
    describe_counter!("relaymux_rpc_reorganisations_total", "Reorganisations that subscribers were told of");
    describe_counter!("relaymux_rpc_websocket_cuts_total", "Websocket clients that were cut, by the reason");
    for name in [
        "relaymux_rpc_heads_total",
        "relaymux_rpc_backfilled_blocks_total",
        "relaymux_rpc_reorganisations_total",
    ] {
        counter!(name).increment(0);
    }
    for reason in ["slow", "logs"] {
        counter!("relaymux_rpc_websocket_cuts_total", "reason" => reason).increment(0);
    }
}

struct Hub {
    parts: SubscriptionParts,
    chain: Chain,
    book: LogBook,
    clients: Clients,
    /// Blocks told so far.
    turn: u64,
    /// Upstreams whose socket is subscribed.
    live: BTreeSet<usize>,
    hashes: Seen,
    bodies: Seen,
    /// Upstreams that tell whole transactions, and not only their hashes.
    give_bodies: BTreeSet<usize>,
    wants: watch::Sender<Wants>,
    gaps: GapFiller,
    logs: LogFetcher,
    transactions: TransactionFetcher,
    is_polling: bool,
    /// When upstreams were last asked for their newest blocks.
    asked: Option<Instant>,
    behind_since: Option<Instant>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// Serves subscriptions until the stop.
pub(super) async fn run(
    parts: SubscriptionParts,
    commands: Arc<Mutex<mpsc::Receiver<Command>>>,
    stop: CancellationToken,
) {
    let mut commands = commands.lock().await;
    let (news_in, mut news) = mpsc::channel(NEWS);
    let wants = watch::Sender::new(Wants::default());
    // Aborted with this task, so that one that begins anew has its own.
    let mut sockets = JoinSet::new();
    for feed in &parts.feeds {
        let socket = UpstreamSocket {
            feed: feed.clone(),
            dial: Arc::clone(&parts.dial),
            news: news_in.clone(),
            wants: wants.subscribe(),
            silence: SILENCE.max(parts.block_time * 5),
        };
        sockets.spawn(socket.run());
    }
    drop(news_in);
    let mut tick = interval((parts.block_time / 4).clamp(POLL.0, POLL.1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hub = Hub::new(parts, wants);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            command = commands.recv() => match command {
                Some(command) => hub.obey(command),
                // Nobody can subscribe any more: the service is going away.
                None => return stop.cancelled().await,
            },
            Some(told) = news.recv() => hub.hear(told),
            Some(done) = hub.under_way.next() => hub.take(done),
            _ = tick.tick() => hub.look_around(),
            // A socket ends by a panic alone: with it this task begins anew.
            Some(_) = sockets.join_next() => return,
        }
    }
}

impl Hub {
    fn new(parts: SubscriptionParts, wants: watch::Sender<Wants>) -> Self {
        Self {
            chain: Chain::new(parts.max_future.as_secs()),
            book: LogBook::default(),
            clients: Clients::new(parts.limits.max_subscriptions, parts.limits.max_waiting),
            turn: 0,
            live: BTreeSet::new(),
            hashes: Seen::new(PENDING),
            bodies: Seen::new(PENDING),
            give_bodies: BTreeSet::new(),
            wants,
            gaps: GapFiller::default(),
            logs: LogFetcher::default(),
            transactions: TransactionFetcher::default(),
            is_polling: false,
            asked: None,
            behind_since: None,
            under_way: FuturesUnordered::new(),
            parts,
        }
    }

    fn obey(&mut self, command: Command) {
        // Whoever asked and is gone has dropped its line, which the next look around sees.
        match command {
            Command::Join(reply) => {
                let _ = reply.send(self.clients.join());
            }
            Command::Subscribe(client, topic, reply) => {
                let polls = !self.clients.want_blocks() && self.live.is_empty();
                let subscribed = self.clients.subscribe(client, topic, self.turn);
                if polls && self.clients.want_blocks() {
                    // Nobody looked while nobody wanted to know: what has happened since is not news.
                    self.chain = Chain::new(self.parts.max_future.as_secs());
                    self.poll();
                }
                let _ = reply.send(subscribed);
                self.say_what_is_wanted();
            }
            Command::Unsubscribe(client, id, reply) => {
                let _ = reply.send(self.clients.unsubscribe(client, id));
                self.say_what_is_wanted();
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Up(place) => {
                self.live.insert(place);
            }
            News::Down(place) => {
                self.live.remove(&place);
                self.give_bodies.remove(&place);
                let (_, order) = self.believed();
                let steps = self.chain.gone(place, &order);
                self.carry_out(steps);
            }
            News::Head(place, block) => self.hear_head(place, *block, None),
            News::Answer(place, question, Some(block)) => self.hear_head(place, *block, Some(question)),
            News::Answer(place, question, None) => {
                let (_, order) = self.believed();
                let steps = self.chain.take_refusal(place, question, &order);
                self.carry_out(steps);
            }
            News::Pending(place, hash, body) => self.hear_pending(place, hash, body),
        }
        self.say_what_is_wanted();
    }

    fn hear_head(&mut self, place: usize, block: Block, answers: Option<u64>) {
        self.parts.board.observed(place, Feedback::Head(block.head));
        let (believed, order) = self.believed();
        if believed.contains(&place) && !self.is_absurd(&block) {
            // One step for both, so that nothing is told in between.
            self.chain.withdraw(self.polled());
            let steps = self.show(place, block, answers, &order);
            self.carry_out(steps);
        }
    }

    fn show(&mut self, place: usize, block: Block, answers: Option<u64>, order: &[usize]) -> Vec<Step> {
        let now_s = self.now_s();
        match answers {
            Some(question) => self.chain.take_answer(place, block, question, now_s, order),
            None => self.chain.take_in(place, block, now_s, order),
        }
    }

    fn hear_pending(&mut self, place: usize, hash: B256, body: Option<RawJson>) {
        let is_new = self.hashes.is_new(hash);
        if is_new {
            let text = RawJson::from_value(&hash.to_string().into());
            self.clients.tell_pending(Bodies::Hashes, &text);
        }
        match body {
            Some(body) => {
                self.give_bodies.insert(place);
                self.tell_body(hash, &body);
            }
            // It gives hashes alone. Another that gives the whole of it tells of it, too.
            None if is_new && self.give_bodies.is_empty() && self.want_bodies() => {
                self.transactions.want(hash);
                self.under_way.extend(self.transactions.fetch(&self.parts.backfill));
            }
            None => {}
        }
    }

    fn tell_body(&mut self, hash: B256, body: &RawJson) {
        if self.bodies.is_new(hash) {
            self.clients.tell_pending(Bodies::Full, body);
        }
    }

    /// Whether anybody wants whole transactions, as sockets were told last.
    fn want_bodies(&self) -> bool {
        self.wants.borrow().pending == Some(Bodies::Full)
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Filled(gap, blocks, is_answered) => {
                counter!("relaymux_rpc_backfilled_blocks_total")
                    .increment(u64::try_from(blocks.len()).unwrap_or(u64::MAX));
                let gives_up = self.gaps.ended(&gap, &blocks, is_answered);
                let (_, order) = self.believed();
                let mut steps = self.chain.fill(blocks, &order);
                if gives_up {
                    warn!(number = gap.to, "no upstream has a block that a newer one names as its parent");
                    steps.extend(self.chain.give_up(&gap, &order));
                }
                self.carry_out(steps);
            }
            Done::Logs(block, answer) => {
                if let Some(logs) = self.logs.ended(&block, answer) {
                    let Self { book, clients, .. } = self;
                    if let Some(batch) = book.fetched(block.hash(), logs, |log| clients.want_log(log)) {
                        clients.tell_logs(&batch);
                    }
                }
                self.fetch_logs();
            }
            Done::Transaction(hash, body) => {
                self.transactions.ended();
                // Who did not want it any more may want others by now: it is not told late.
                if let Some(body) = body.filter(|_| self.want_bodies()) {
                    self.tell_body(hash, &body);
                }
                self.under_way.extend(self.transactions.fetch(&self.parts.backfill));
            }
            Done::Polled(block, question) => {
                self.is_polling = false;
                let Some(block) = block.filter(|block| !self.is_absurd(block)) else { return };
                let is_first = self.chain.tip().is_none();
                let (_, order) = self.believed();
                let mut steps = self.show(self.polled(), *block, question, &order);
                if is_first {
                    // It was there before whoever subscribed.
                    steps.retain(|step| !matches!(step, Step::Jump(_)));
                }
                self.carry_out(steps);
            }
        }
    }

    /// What time brings.
    fn look_around(&mut self) {
        self.clients.sweep();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and there are fewer than 2^53")]
        {
            gauge!("relaymux_rpc_subscriptions").set(self.clients.subscriptions() as f64);
            gauge!("relaymux_rpc_upstream_websockets").set(self.live.len() as f64);
        }
        let (believed, order) = self.believed();
        let not_any_more: Vec<usize> = self
            .chain
            .claimants()
            .filter(|place| *place != self.polled() && !believed.contains(place))
            .collect();
        for place in not_any_more {
            let steps = self.chain.gone(place, &order);
            self.carry_out(steps);
        }
        if self.chain.question().is_some() && self.asked.is_some_and(|asked| asked.elapsed() >= ANSWER) {
            self.asked = None;
            let steps = self.chain.give_up_asking(&order);
            self.carry_out(steps);
        }
        let told = self.chain.tip().map(|block| block.number());
        let is_behind = self.parts.board.snapshot().tip.is_some_and(|tip| Some(tip.number) > told);
        self.behind_since = is_behind.then(|| self.behind_since.unwrap_or_else(Instant::now));
        let for_long = self.behind_since.is_some_and(|since| since.elapsed() >= BEHIND);
        if for_long || !believed.iter().any(|place| self.live.contains(place)) {
            self.poll();
        }
        self.say_what_is_wanted();
    }

    /// Asks for the newest block, while somebody wants to know of it.
    fn poll(&mut self) {
        if !self.is_polling && self.clients.want_blocks() {
            self.is_polling = true;
            self.under_way.push(fetch::newest(Arc::clone(&self.parts.backfill), self.chain.question()));
        }
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        let mut wanted = Vec::new();
        for step in steps {
            match step {
                Step::Known | Step::Future => {}
                Step::New(block) => self.tell(block),
                Step::Jump(block) => {
                    info!(number = block.number(), "subscribers are told of the chain from here on");
                    self.tell(block);
                }
                Step::Reorg { removed, added } => {
                    counter!("relaymux_rpc_reorganisations_total").increment(1);
                    for block in removed {
                        if let Some(batch) = self.book.removed(block.hash()) {
                            self.clients.tell_logs(&batch);
                        }
                    }
                    for block in added {
                        self.tell(block);
                    }
                }
                Step::Gap(gap) => wanted.push(gap),
                Step::Ask => self.ask(),
            }
        }
        self.under_way.extend(self.gaps.fill(&wanted, &self.parts.backfill));
        self.fetch_logs();
    }

    /// Asks all upstreams that show something for their newest blocks.
    fn ask(&mut self) {
        self.asked = Some(Instant::now());
        self.say_what_is_wanted();
        if self.chain.claimants().any(|place| place == self.polled()) {
            self.poll();
        }
    }

    fn tell(&mut self, block: Arc<Block>) {
        counter!("relaymux_rpc_heads_total").increment(1);
        self.turn += 1;
        self.clients.tell_head(&block);
        if self.clients.may_want(block.bloom.as_ref()) {
            self.book.want(self.turn, block);
        }
    }

    fn fetch_logs(&mut self) {
        if self.book.waiting() > RING {
            // Better an end that the client sees than logs that it does not.
            warn!(
                blocks = self.book.waiting(),
                "logs could not be fetched, those who subscribed to them are cut"
            );
            counter!("relaymux_rpc_websocket_cuts_total", "reason" => "logs").increment(1);
            self.book.give_up_waiting();
            self.clients.cut_log_subscribers("logs could not be fetched from any upstream: subscribe anew");
        }
        if let Some(block) = self.book.next() {
            self.under_way.extend(self.logs.fetch(block, &self.parts.backfill));
        }
    }

    fn say_what_is_wanted(&mut self) {
        let snapshot = self.parts.board.snapshot();
        let is_own_live = self.parts.feeds.iter().any(|feed| {
            feed.tier != Tier::Backup && self.live.contains(&feed.place) && is_believed(&snapshot, feed.place)
        });
        let wants = Wants {
            backups: !is_own_live && self.clients.subscriptions() > 0,
            pending: self.clients.want_pending(),
            question: self.chain.question(),
        };
        if wants.pending.is_none() {
            self.hashes.clear();
            self.bodies.clear();
        }
        if wants.pending != Some(Bodies::Full) {
            self.transactions.forget();
            self.give_bodies.clear();
        }
        self.wants.send_if_modified(|now| std::mem::replace(now, wants) != wants);
    }

    /// Whether a block is further than the chain can be, by what those who serve show: one upstream alone leads nobody far away.
    fn is_absurd(&self, block: &Block) -> bool {
        let snapshot = self.parts.board.snapshot();
        let Some(tip) = snapshot.tip.filter(|_| !snapshot.order.is_empty()) else { return false };
        let made = PROBED_EVERY.as_millis().checked_div(self.parts.block_time.as_millis()).unwrap_or(0);
        let most = u64::try_from(made).unwrap_or(u64::MAX).max(BEYOND_TIP);
        block.number() > tip.number.saturating_add(most)
    }

    /// The place under which polled blocks count.
    fn polled(&self) -> usize {
        usize::MAX
    }

    fn now_s(&self) -> u64 {
        u64::try_from(self.parts.clock.now() / 1000).unwrap_or_default()
    }

    /// The upstreams whose heads count, and the order of preference.
    fn believed(&self) -> (Vec<usize>, Vec<usize>) {
        let snapshot = self.parts.board.snapshot();
        let places = self.parts.feeds.iter().map(|feed| feed.place);
        let believed: Vec<usize> = places.filter(|place| is_believed(&snapshot, *place)).collect();
        let mut order = snapshot.order.clone();
        // Before the first probes the board has no order: it is the configuration's then.
        order.extend(believed.iter().filter(|place| !snapshot.order.contains(place)));
        order.push(self.polled());
        (believed, order)
    }
}

/// Whether an upstream's heads count: it serves, or nobody does and it is not known to be of another chain.
fn is_believed(snapshot: &Snapshot, place: usize) -> bool {
    if !snapshot.order.is_empty() {
        return snapshot.order.contains(&place);
    }
    snapshot
        .upstreams
        .get(place)
        .is_none_or(|standing| !matches!(standing.state, UpstreamState::WrongChain | UpstreamState::Forked))
}

#[cfg(test)]
mod tests;
