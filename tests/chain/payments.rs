//! Every way a block can pay, on a real EVM: the real watcher, a real ledger, real blocks.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use alloy_primitives::{Address, B256, U256};
use relaymux::{
    consensus::{SlotClock, WallClock},
    ethereum::ExecutionNode,
    events::{
        AuctionRecord, BlockReceived, Conduct, Event, Method, PaymentOutcome, RaceShare, RevealOutcome,
        Ruling, SlotStatus, Spine, SubmissionAnswer, Subscription, Winner,
    },
    ledger::{Ledger, Settled, run_writer},
    profit::{ProfitSettings, Watcher, WatcherParts},
    relay::{
        SharedRelays, TlsRoots, build_http_client,
        health::{AnswerKind, BlockRecord, ChainSight, PaymentSight, RevealAnswer, judge},
    },
    types::{Fork, Label, Labelled, RelayId, Slot, Wei},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    node::{BUILDER, Door, Node, OTHER, US, USER, forwarder},
    stage::{binary, eventually},
};

/// A while ago: what is looked at long after its slot proves less.
static GENESIS: LazyLock<u64> =
    LazyLock::new(|| u64::try_from(WallClock::system().now() / 1000 - 300).unwrap());
const SLOT: u64 = 12;
const CLAIM: u128 = 50_000_000_000_000_000;
const FORWARDER: &str = "0x00000000000000000000000000000000000f0f0f";

pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    spine: Spine,
    events: Subscription,
    watcher: Watcher,
    clock: SlotClock,
    told: BTreeSet<(u64, PaymentOutcome)>,
    _folder: tempfile::TempDir,
}

fn hash_of(block: &Value) -> B256 {
    block["hash"].as_str().unwrap().parse().unwrap()
}

fn relay() -> RelayId {
    RelayId::parse("r0").unwrap()
}

impl Bench {
    pub(crate) async fn new(url: &str, clock: SlotClock) -> Self {
        Self::of_chain(url, clock, None).await
    }

    async fn of_chain(url: &str, clock: SlotClock, chain: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", WallClock::system().now()).await.unwrap();
        let spine = Spine::new();
        let events = spine.subscribe();
        let (wall, stop) = (WallClock::system(), CancellationToken::new());
        tokio::spawn(run_writer(ledger.clone(), wall.clone(), spine.subscribe(), stop));
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let watcher = Watcher::new(WatcherParts {
            ledger: ledger.clone(),
            spine: spine.clone(),
            execution: ExecutionNode::new(http.clone(), url.parse().unwrap()).of_chain(chain),
            beacon: None,
            relays: Arc::new(SharedRelays::new(Vec::new())),
            http,
            slots: clock,
            clock: wall,
            settings: ProfitSettings::default(),
        });
        Self { ledger, spine, events, watcher, clock, told: BTreeSet::new(), _folder: folder }
    }

    /// An auction whose winner promised a block, and its submission.
    pub(crate) async fn promise(&self, slot: u64, parent: B256, block: B256, claim: u128, submitted: bool) {
        let slot = Slot::new(slot);
        self.spine.publish(Event::Auction(AuctionRecord {
            slot,
            parent_hash: parent,
            proposer: Default::default(),
            fork: Fork::Capella,
            requested_at: self.clock.start_of(slot),
            ms_into_slot: 0,
            budget_ms: 950,
            answered_in_us: 1,
            user_agent: String::new(),
            policy: None,
            fee_recipient: Some(US.parse::<Address>().unwrap()),
            winner: Some(Box::new(Winner {
                block_hash: block,
                value: Wei::new(U256::from(claim)),
                relays: vec![relay()],
                builder: "b".to_owned(),
                signed_bid: Default::default(),
            })),
            race: RaceShare::Own,
            no_bid_reason: String::new(),
            answers: Vec::new(),
        }));
        if submitted {
            self.spine.publish(Event::BlockReceived(BlockReceived {
                slot,
                block_hash: block,
                parent_hash: parent,
                proposer_index: 1,
                fork: Fork::Capella,
                version: 1,
                at: self.clock.start_of(slot),
                ms_into_slot: 1,
                offered_by: vec![relay()],
                undecoded: None,
            }));
            self.spine.publish(Event::SubmissionAnswer(SubmissionAnswer {
                slot,
                block_hash: block,
                relay: relay(),
                outcome: RevealOutcome::Accepted,
                message: String::new(),
                http_status: Some(202),
                latency_us: 1,
                attempts: 1,
                at: self.clock.start_of(slot),
            }));
        }
        eventually("the ledger to have it", async || {
            let case = self.ledger.slot_case(slot).await.unwrap();
            let has_answer = !submitted || !case.took_it.is_empty();
            case.promised.filter(|_| has_answer)
        })
        .await;
    }

    pub(crate) async fn row(&self, slot: u64) -> Settled {
        self.ledger.settlement(Slot::new(slot)).await.unwrap().unwrap()
    }

    /// One round, and then the row of a slot.
    pub(crate) async fn settled(&self, slot: u64) -> Settled {
        self.watcher.round().await.unwrap();
        self.row(slot).await
    }

    /// What follows for a relay that took the block, by the rule that relays are judged by, and did not follow before.
    fn told(&mut self) -> Vec<(u64, PaymentOutcome)> {
        let mut told = Vec::new();
        while let Some(event) = self.events.try_next() {
            let Event::SlotSettled(settled) = &*event else { continue };
            let mut record =
                BlockRecord::new(settled.slot, settled.block_hash.unwrap_or_default(), settled.at);
            record.promised(&relay(), settled.promised, true);
            let answer = RevealAnswer {
                kind: AnswerKind::Revealed,
                http_status: Some(202),
                message: String::new(),
                sent_ms_into_slot: 0,
                waited_ms: 0,
                at: settled.at,
            };
            record.answered(&relay(), answer);
            record.chain = Some(ChainSight {
                outcome: settled.outcome,
                has_other_block: settled.has_other_block,
                is_final: settled.status == SlotStatus::Final,
                absence: settled.evidence.confidence,
            });
            record.payment =
                settled.received.map(|received| PaymentSight { received, evidence: settled.evidence });
            for verdict in judge(&record, settled.at) {
                let is_proven =
                    verdict.conduct == Conduct::PaidAsPromised || verdict.ruling() == Some(Ruling::Guilty);
                let Some(outcome) = verdict.conduct.payment().filter(|_| is_proven) else { continue };
                let found = (settled.slot.as_u64(), outcome);
                if self.told.insert(found) {
                    told.push(found);
                }
            }
        }
        told
    }
}

/// What a row says, as its table has it.
fn said<T: Labelled>(label: &Option<Label<T>>) -> Option<&str> {
    label.as_ref().map(Label::as_str)
}

fn clock() -> SlotClock {
    SlotClock::new(*GENESIS, SLOT * 1000)
}

fn at(slot: u64) -> u64 {
    *GENESIS + slot * SLOT
}

/// A way to pay: name, transactions (from, to, wei), the block's fee recipient, what should be found to have arrived, how it compares.
type Row = (&'static str, Vec<(&'static str, &'static str, u128)>, &'static str, u128, &'static str);

fn rows() -> Vec<Row> {
    let user = || (USER, OTHER, 7);
    vec![
        ("in the last transaction", vec![user(), (BUILDER, US, CLAIM)], BUILDER, CLAIM, "exact"),
        ("from another address", vec![user(), (OTHER, US, CLAIM)], BUILDER, CLAIM, "exact"),
        ("through a contract", vec![user(), (BUILDER, FORWARDER, CLAIM)], BUILDER, CLAIM, "exact"),
        (
            "not last",
            vec![(BUILDER, US, CLAIM), user(), user(), user(), user(), user()],
            BUILDER,
            CLAIM,
            "exact",
        ),
        ("a deposit beside it", vec![(USER, US, 9 * CLAIM), (BUILDER, US, CLAIM)], BUILDER, CLAIM, "exact"),
        ("underpaid by one wei", vec![user(), (BUILDER, US, CLAIM - 1)], BUILDER, CLAIM - 1, "under"),
        (
            "a deposit after too little",
            vec![(BUILDER, US, CLAIM - 1), (USER, US, CLAIM)],
            BUILDER,
            CLAIM - 1,
            "under",
        ),
        ("more than promised", vec![(BUILDER, US, CLAIM + 5)], BUILDER, CLAIM + 5, "over"),
        ("the recipient spends", vec![(US, OTHER, CLAIM / 3), (BUILDER, US, CLAIM)], BUILDER, CLAIM, "exact"),
        ("nothing", vec![user()], BUILDER, 0, "unpaid"),
    ]
}

/// Anvil with rich accounts and the forwarding contract; and a door before it.
async fn chain(hardfork: &str) -> (Node, Door) {
    let node =
        Node::anvil(i64::try_from(*GENESIS).unwrap(), &["--hardfork", hardfork, "--slots-in-an-epoch", "2"])
            .await;
    node.rpc("anvil_setCode", json!([FORWARDER, forwarder(US)])).await;
    node.rpc("anvil_setBalance", json!([US, "0x8ac7230489e80000"])).await;
    let door = Door::before(&node).await;
    (node, door)
}

async fn run_rows(hardfork: &str, refused: &[&'static str], expected_method: &[&str]) {
    let (node, door) = chain(hardfork).await;
    door.refuse(refused);
    let bench = Bench::new(&door.url, clock()).await;
    let mut parent = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    for (slot, (name, transactions, coinbase, arrived, payment)) in (1..).zip(rows()) {
        let before = node.balance(US, "latest").await;
        for (from, to, wei) in transactions {
            node.pay(from, to, wei).await;
        }
        let block = node.mine(at(slot), coinbase).await;
        let gained = node.balance(US, "latest").await.wrapping_sub(before);
        bench.promise(slot, parent, hash_of(&block), CLAIM, true).await;
        let row = bench.settled(slot).await;
        let (method, got) = (row.method.clone().unwrap(), row.received_wei.clone());
        assert_eq!(said(&row.outcome), Some("ours"), "{name}: {row:?}");
        let can_see = expected_method.contains(&method.as_str());
        assert!(can_see, "{name}: by {method}: {row:?}");
        if method == Method::None {
            assert_eq!((said(&row.payment), got), (Some("unknown"), None), "{name}");
        } else {
            assert_eq!(got, Some(arrived.to_string()), "{name} (balance {gained}): {row:?}");
            assert_eq!(said(&row.payment), Some(payment), "{name}");
        }
        parent = hash_of(&block);
        println!("{name:<28} {:<8} by {method:<13} {}", row.payment.unwrap(), row.confidence.unwrap());
    }
}

/// [M1]
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_traces_proves_every_payment() {
    run_rows("osaka", &[], &["trace"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_other_trace_namespace_does_too() {
    run_rows("cancun", &["debug_traceBlockByHash"], &["trace"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_traces_has_transactions_and_balances() {
    run_rows("osaka", &["debug_traceBlockByHash", "trace_block"], &["transactions", "balance"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_node_without_traces_says_what_it_cannot_know() {
    let (node, door) = chain("osaka").await;
    door.refuse(&["debug_traceBlockByHash", "trace_block", "eth_getBalance"]);
    let bench = Bench::new(&door.url, clock()).await;
    let parent = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    node.pay(BUILDER, FORWARDER, CLAIM).await;
    let hidden = node.mine(at(1), BUILDER).await;
    bench.promise(1, parent, hash_of(&hidden), CLAIM, true).await;
    let row = bench.settled(1).await;
    assert_eq!((said(&row.outcome), said(&row.payment)), (Some("ours"), Some("unknown")));
    assert!(row.message.contains("neither traces nor"), "{}", row.message);
    node.pay(BUILDER, US, CLAIM).await;
    let plain = node.mine(at(2), BUILDER).await;
    bench.promise(2, hash_of(&hidden), hash_of(&plain), CLAIM, true).await;
    let row = bench.settled(2).await;
    assert_eq!((said(&row.payment), said(&row.method)), (Some("exact"), Some("transactions")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fees_are_the_payment_where_the_recipient_is_the_blocks() {
    for refused in [&[][..], &["debug_traceBlockByHash", "trace_block"][..]] {
        let (node, door) = chain("osaka").await;
        door.refuse(refused);
        let bench = Bench::new(&door.url, clock()).await;
        let parent = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
        let before = node.balance(US, "latest").await;
        node.pay(USER, OTHER, 5).await;
        node.pay(OTHER, US, 1234).await;
        let block = node.mine(at(1), US).await;
        let gained = node.balance(US, "latest").await - before;
        bench.promise(1, parent, hash_of(&block), gained, true).await;
        let row = bench.settled(1).await;
        // Two transfers of 21,000 gas with a tip of 1 gwei, and 1234 wei.
        assert_eq!(gained, 2 * 21_000 * 1_000_000_000 + 1234);
        assert_eq!(
            (row.received_wei.clone(), said(&row.payment)),
            (Some(gained.to_string()), Some("exact")),
            "{refused:?}"
        );
    }
}

/// [M2] A deposit into the recipient that is the block's own fee recipient: an exchange's withdrawal says nothing of what a block was worth.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_into_the_blocks_own_recipient_is_no_income() {
    const DEPOSIT: u128 = 32 * 1_000_000_000_000_000_000;
    const TIP: u128 = 21_000 * 1_000_000_000;
    // Two tips are the fees. What is promised (nothing: built locally), what counts, how that compares, how sure it is with traces.
    let rows = [
        ("as promised", Some(2 * TIP), 2 * TIP, Some("exact"), "high"),
        ("built locally", None, 2 * TIP, None, "high"),
        ("more than promised", Some(TIP), 2 * TIP, Some("over"), "high"),
        ("the deposit may be the rest", Some(CLAIM), 2 * TIP, Some("under"), "low"),
        ("the deposit is the rest", Some(2 * TIP + DEPOSIT), 2 * TIP + DEPOSIT, Some("exact"), "high"),
    ];
    for refused in [&[][..], &["debug_traceBlockByHash", "trace_block"][..]] {
        let (node, door) = chain("osaka").await;
        door.refuse(refused);
        let bench = Bench::new(&door.url, clock()).await;
        let mut parent = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
        for (slot, (name, promised, received, payment, confidence)) in (1..).zip(rows) {
            let before = node.balance(US, "latest").await;
            node.pay(USER, OTHER, 5).await;
            node.pay(OTHER, US, DEPOSIT).await;
            let block = node.mine(at(slot), US).await;
            assert_eq!(node.balance(US, "latest").await - before, 2 * TIP + DEPOSIT, "{name}");
            match promised {
                Some(promised) => bench.promise(slot, parent, hash_of(&block), promised, true).await,
                None => bench.promise(slot, parent, B256::repeat_byte(0x99), CLAIM, false).await,
            }
            let row = bench.settled(slot).await;
            assert_eq!(said(&row.outcome), Some(if promised.is_some() { "ours" } else { "local" }));
            assert_eq!(said(&row.payment), payment, "{name} {refused:?}: {row:?}");
            assert_eq!(row.received_wei, Some(received.to_string()), "{name} {refused:?}: {row:?}");
            let others = 2 * TIP + DEPOSIT - received;
            assert_eq!(row.other_inflows_wei, Some(others.to_string()), "{name} {refused:?}: {row:?}");
            // Without traces the balance could hide a contract's payment: sure only where it is just what was promised.
            let expected = match (refused.is_empty(), payment) {
                (true, _) => confidence,
                (false, Some("exact")) => "high",
                (false, _) => "low",
            };
            assert_eq!(said(&row.confidence), Some(expected), "{name} {refused:?}: {row:?}");
            parent = hash_of(&block);
        }
    }
}

/// [M3]
#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_makes_a_slot_anew_and_trust_hears_of_finality_once() {
    let (node, door) = chain("osaka").await;
    let mut bench = Bench::new(&door.url, clock()).await;
    let genesis = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    let snapshot = node.rpc("evm_snapshot", json!([])).await;
    node.pay(BUILDER, US, CLAIM).await;
    let first = node.mine(at(1), BUILDER).await;
    bench.promise(1, genesis, hash_of(&first), CLAIM, true).await;
    let row = bench.settled(1).await;
    assert_eq!((row.status.as_str(), said(&row.payment)), ("provisional", Some("exact")));
    assert_eq!(bench.told(), [], "nothing is told before it is final");
    // After one block: the slot has another block.
    node.rpc("evm_revert", json!([snapshot])).await;
    let other = node.mine(at(1), OTHER).await;
    assert_ne!(hash_of(&other), hash_of(&first));
    let row = bench.settled(1).await;
    assert_eq!((said(&row.outcome), said(&row.payment)), (Some("orphaned"), None), "{}", row.message);
    // After several: there are three blocks on it when the chain goes back behind it.
    let second = node.rpc("evm_snapshot", json!([])).await;
    node.pay(BUILDER, US, CLAIM).await;
    let block = node.mine(at(2), BUILDER).await;
    bench.promise(2, hash_of(&other), hash_of(&block), CLAIM, true).await;
    for slot in 3..=5 {
        node.mine(at(slot), OTHER).await;
    }
    assert_eq!(said(&bench.settled(2).await.payment), Some("exact"));
    node.rpc("evm_revert", json!([second])).await;
    let empty = node.mine(at(3), OTHER).await;
    assert_eq!(said(&bench.settled(2).await.outcome), Some("orphaned"));
    assert_eq!(bench.told(), [], "an orphaned block is nobody's fault");
    // What stays becomes final, is told once, and never changes.
    node.pay(BUILDER, US, CLAIM).await;
    let block = node.mine(at(4), BUILDER).await;
    bench.promise(4, hash_of(&empty), hash_of(&block), CLAIM, true).await;
    for slot in 5..=12 {
        node.mine(at(slot), OTHER).await;
    }
    let row = bench.settled(4).await;
    assert_eq!((row.status.as_str(), said(&row.payment)), ("final", Some("exact")));
    assert_eq!(bench.row(1).await.status.as_str(), "final");
    assert_eq!(bench.told(), [(4, PaymentOutcome::PaidAsPromised)]);
    assert_eq!(bench.settled(4).await, row);
    assert_eq!(bench.told(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_without_the_promised_block_have_their_names() {
    let (node, door) = chain("osaka").await;
    let mut bench = Bench::new(&door.url, clock()).await;
    let genesis = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    let never = B256::repeat_byte(0x99);
    // 1: built locally. 2: signed, taken by the relay, never there. 3: no block, none signed. 4: too little, told at once.
    node.pay(USER, OTHER, 5).await;
    let local = node.mine(at(1), US).await;
    bench.promise(1, genesis, never, CLAIM, false).await;
    bench.promise(2, hash_of(&local), never, CLAIM, true).await;
    bench.promise(3, hash_of(&local), never, CLAIM, false).await;
    node.pay(BUILDER, US, CLAIM - 1).await;
    let short = node.mine(at(4), BUILDER).await;
    bench.promise(4, hash_of(&local), hash_of(&short), CLAIM, true).await;
    let row = bench.settled(1).await;
    assert_eq!((said(&row.outcome), said(&row.payment)), (Some("local"), None));
    assert_eq!(row.received_wei.unwrap(), (21_000_u64 * 1_000_000_000).to_string());
    assert_eq!(said(&bench.row(2).await.outcome), Some("not_delivered"));
    assert_eq!(said(&bench.row(3).await.outcome), Some("missed"));
    assert_eq!(bench.told(), [(4, PaymentOutcome::PaidLess)]);
    let notices = bench.ledger.signals(10).await.unwrap();
    assert_eq!(
        (notices.len(), notices[0].rule.as_str(), notices[0].subject.as_str()),
        (1, "payment_missing", "slot 4")
    );
    assert!(
        notices[0].message.contains("promised 0.05 ETH and 0.049999999999999999 ETH arrived"),
        "{}",
        notices[0].message
    );
    for slot in 5..=12 {
        node.mine(at(slot), OTHER).await;
    }
    bench.settled(1).await;
    assert_eq!(bench.told(), [(2, PaymentOutcome::NotOnChain)]);
    assert!(bench.ledger.signals(10).await.unwrap().iter().any(|notice| notice.rule == "not_delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_did_not_have_at_the_head_is_asked_for_again_at_the_end() {
    let (node, door) = chain("osaka").await;
    let bench = Bench::new(&door.url, clock()).await;
    let genesis = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    node.pay(BUILDER, FORWARDER, CLAIM).await;
    let block = node.mine(at(1), BUILDER).await;
    bench.promise(1, genesis, hash_of(&block), CLAIM, true).await;
    door.refuse(&["eth_getBlockReceipts"]);
    let row = bench.settled(1).await;
    assert_eq!((row.status.as_str(), said(&row.payment)), ("provisional", Some("unknown")), "{row:?}");
    door.refuse(&[]);
    for slot in 2..=10 {
        node.mine(at(slot), OTHER).await;
    }
    let row = bench.settled(1).await;
    assert_eq!((row.status.as_str(), said(&row.payment)), ("final", Some("exact")), "{row:?}");
    // And what was seen well at the head is not lost when the node has forgotten it by the end.
    node.pay(BUILDER, FORWARDER, CLAIM).await;
    let block = node.mine(at(11), BUILDER).await;
    let parent = block["parentHash"].as_str().unwrap().parse().unwrap();
    bench.promise(11, parent, hash_of(&block), CLAIM, true).await;
    assert_eq!(said(&bench.settled(11).await.payment), Some("exact"));
    door.refuse(&["eth_getBlockReceipts", "debug_traceBlockByHash", "trace_block", "eth_getBalance"]);
    for slot in 12..=20 {
        node.mine(at(slot), OTHER).await;
    }
    let row = bench.settled(11).await;
    assert_eq!((row.status.as_str(), said(&row.payment)), ("final", Some("exact")), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_says_nothing_of_anybody() {
    let (node, door) = chain("osaka").await;
    let mut bench = Bench::of_chain(&door.url, clock(), Some(1)).await;
    // On its chain this block never was: believed, it would be a theft.
    bench.promise(1, B256::ZERO, B256::repeat_byte(0x99), CLAIM, true).await;
    for slot in 2..=12 {
        node.mine(at(slot), OTHER).await;
    }
    let error = bench.watcher.round().await.unwrap_err().to_string();
    assert!(error.contains("a node of chain 31337, the configured network is chain 1"), "{error}");
    assert_eq!((bench.row(1).await.status.as_str(), bench.told()), ("open", vec![]));
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "network = \"hoodi\"\n[execution]\nurl = \"{}\"\n[[relays]]\nid = \"a\"\nenabled = false\nurl = \"http://0x{1}@127.0.0.1:1\"\n\
         [[relays]]\nid = \"b\"\nurl = \"http://0x{1}@127.0.0.1:2\"\n",
        node.url,
        "ac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae"
    );
    std::fs::write(folder.path().join("relays.toml"), config).unwrap();
    let output = binary().current_dir(folder.path()).arg("check").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains("the configured network is chain 560048"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_is_caught_up_with() {
    let (node, door) = chain("osaka").await;
    let bench = Bench::new(&door.url, clock()).await;
    let mut parent = hash_of(&node.rpc("eth_getBlockByNumber", json!(["latest", true])).await);
    door.shut(true);
    // An hour of slots.
    for slot in 1..=300 {
        node.pay(BUILDER, US, CLAIM).await;
        let block = node.mine(at(slot), BUILDER).await;
        bench.promise(slot, parent, hash_of(&block), CLAIM, true).await;
        parent = hash_of(&block);
    }
    assert!(bench.watcher.round().await.is_err());
    assert_eq!(bench.row(150).await.status.as_str(), "open");
    door.shut(false);
    bench.watcher.round().await.unwrap();
    let rows = bench.ledger.settlements(Slot::new(0), Slot::new(1000)).await.unwrap();
    let exact = rows.iter().filter(|row| said(&row.payment) == Some("exact")).count();
    assert_eq!(exact, 300);
    assert_eq!(bench.row(290).await.status.as_str(), "final");
    assert_eq!(bench.row(300).await.status.as_str(), "provisional");
}

#[tokio::test(flavor = "multi_thread")]
async fn geth_says_the_same_with_a_withdrawal_in_the_same_block() {
    let Some(node) = Node::geth().await else {
        println!("LEFT OUT: geth could not be installed here");
        return;
    };
    let account = node.rpc("eth_accounts", json!([])).await[0].as_str().unwrap().to_owned();
    let genesis = node.rpc("eth_getBlockByNumber", json!(["0x0", false])).await;
    for (refused, method) in [(&[][..], "trace"), (&["debug_traceBlockByHash", "trace_block"][..], "balance")]
    {
        // A wei too little: it is the balance that has to tell, as the plain transfer does not add up to the promise. Both wait for the
        // next block, unless that comes just between them: then again.
        let (block, gained) = eventually("payment and withdrawal in one block", async || {
            let withdrawal =
                json!({"index": "0x1", "validatorIndex": "0x1", "address": US, "amount": "0x77359400"});
            node.rpc("dev_addWithdrawal", json!([withdrawal])).await;
            let hash = node.pay(&account, US, CLAIM - 1).await;
            let receipt = eventually("the transaction to be mined", async || {
                // Right after its start geth still makes its index, and says so.
                let receipt = node.try_rpc("eth_getTransactionReceipt", json!([hash])).await.ok()?;
                (!receipt.is_null()).then_some(receipt)
            })
            .await;
            let block = node.rpc("eth_getBlockByHash", json!([receipt["blockHash"], false])).await;
            let number = u64::from_str_radix(block["number"].as_str()?.trim_start_matches("0x"), 16).unwrap();
            let before = node.balance(US, &format!("{:#x}", number - 1)).await;
            let gained = node.balance(US, block["number"].as_str()?).await - before;
            (block["withdrawals"].as_array()?.len() == 1).then_some((block, gained))
        })
        .await;
        assert_eq!(
            gained,
            CLAIM - 1 + 2_000_000_000 * 1_000_000_000,
            "the withdrawal and the payment: {block}"
        );
        let parent: B256 = block["parentHash"].as_str().unwrap().parse().unwrap();
        let number = |block: &Value, key: &str| {
            u64::from_str_radix(block[key].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
        };
        let clock = SlotClock::new(number(&genesis, "timestamp"), 1000);
        let slot = number(&block, "timestamp") - number(&genesis, "timestamp");
        let door = Door::before(&node).await;
        door.refuse(refused);
        let bench = Bench::new(&door.url, clock).await;
        bench.promise(slot, parent, hash_of(&block), CLAIM, true).await;
        let row = bench.settled(slot).await;
        assert_eq!((said(&row.outcome), said(&row.method)), (Some("ours"), Some(method)), "{row:?}");
        assert_eq!(
            (row.received_wei.clone(), said(&row.payment)),
            (Some((CLAIM - 1).to_string()), Some("under"))
        );
        assert_eq!(row.withdrawals_gwei, Some(2_000_000_000));
    }
}
