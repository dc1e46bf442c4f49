//! Three upstreams of one chain, in any interleaving of delays, drops, reconnects and reorganisations, against a model of what a client of one node that
//! never dies would have in the end: every block of the chain once, every log once, and removed logs for exactly what was told and is none any more.
//! No branch that was left comes back in this world, so no head is ever told twice, however late an upstream tells of its past.

use std::collections::{HashMap, HashSet};

use alloy_primitives::{B256, keccak256};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gateway::{
    RawJson,
    subscriptions::{
        logs::{self, LogBook},
        testing::{NOW_S, logger},
    },
};

const ORDER: [usize; 3] = [0, 1, 2];
/// Blocks that both have shown before anything happens: no reorganisation is deeper.
const FIRST: u64 = 20;

/// The chain as it really is, and everything that ever was.
struct World {
    canonical: Vec<B256>,
    all: HashMap<B256, Block>,
    /// What a node that follows it tells, in order.
    heads: Vec<B256>,
    reorganisations: usize,
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { canonical: vec![B256::ZERO], all: HashMap::new(), heads: Vec::new(), reorganisations: 0 };
        (0..FIRST).for_each(|_| world.grow());
        world
    }

    fn grow(&mut self) {
        let number = self.canonical.len() as u64;
        let hash = keccak256(format!("{number} {}", self.all.len()));
        let mut bloom = alloy_primitives::Bloom::ZERO;
        bloom.accrue_raw_log(logger('a'), &[B256::repeat_byte(1)]);
        let header = json!({
            "number": format!("{number:#x}"), "hash": hash, "parentHash": self.canonical.last().unwrap(),
            "timestamp": format!("{NOW_S:#x}"), "logsBloom": bloom,
        });
        self.all.insert(hash, Block::read(&RawJson::from_value(&header)).unwrap());
        self.canonical.push(hash);
        self.heads.push(hash);
    }

    fn reorganise(&mut self, depth: usize) {
        let kept = (self.canonical.len() - depth).max(usize::try_from(FIRST).unwrap() + 1);
        let depth = self.canonical.len() - kept;
        if depth == 0 {
            return self.grow();
        }
        self.canonical.truncate(kept);
        (0..=depth).for_each(|_| self.grow());
        self.reorganisations += 1;
    }

    /// What a call by hash and calls by number bring, as the hub makes them.
    fn blocks_of(&self, gap: &Gap) -> Vec<Block> {
        let by_number = (gap.from..gap.to).filter_map(|number| {
            let hash = self.canonical.get(usize::try_from(number).unwrap())?;
            self.all.get(hash).cloned()
        });
        by_number.chain(self.all.get(&gap.hash).cloned()).collect()
    }

    fn log_of(&self, hash: B256) -> Value {
        json!({
            "address": logger('a'), "topics": [B256::repeat_byte(1)], "data": "0x",
            "blockNumber": format!("{:#x}", self.all[&hash].number()), "blockHash": hash, "logIndex": "0x0",
        })
    }
}

/// The core, and a client that subscribed to heads and logs.
struct Client {
    chain: Chain,
    book: LogBook,
    turn: u64,
    heads: Vec<B256>,
    /// All heads that it was ever told.
    ever: HashSet<B256>,
    logs: Vec<B256>,
    wanted: Vec<Gap>,
    reorganisations: usize,
}

impl Client {
    fn new() -> Self {
        Self {
            chain: Chain::new(15),
            book: LogBook::default(),
            turn: 0,
            heads: Vec::new(),
            ever: HashSet::new(),
            logs: Vec::new(),
            wanted: Vec::new(),
            reorganisations: 0,
        }
    }

    fn tell(&mut self, block: Arc<Block>) {
        if let Some(last) = self.heads.last() {
            assert_eq!(*last, block.head.parent_hash, "what is told hangs together");
        }
        // No branch of this world comes back.
        assert!(self.ever.insert(block.hash()), "no head is told twice, also after a reorganisation");
        self.heads.push(block.hash());
        self.turn += 1;
        self.book.want(self.turn, block);
    }

    /// What the hub does with steps.
    fn carry_out(&mut self, steps: Vec<Step>) {
        self.wanted.clear();
        for step in steps {
            match step {
                Step::Known | Step::Ask => {}
                Step::Future => panic!("nothing is from the future"),
                Step::New(block) => self.tell(block),
                Step::Jump(block) => {
                    assert!(self.heads.is_empty(), "nothing may be left out");
                    self.tell(block);
                }
                Step::Reorg { removed, added } => {
                    self.reorganisations += 1;
                    for block in removed {
                        assert_eq!(self.heads.pop(), Some(block.hash()), "what is removed was told last");
                        if let Some(batch) = self.book.removed(block.hash()) {
                            for log in batch.logs {
                                let log: Value = log.raw.read().unwrap();
                                assert_eq!(log["removed"], json!(true));
                                assert_eq!(
                                    self.logs.pop().map(|hash| json!(hash)),
                                    Some(log["blockHash"].clone())
                                );
                            }
                        }
                    }
                    added.into_iter().for_each(|block| self.tell(block));
                }
                Step::Gap(gap) => self.wanted.push(gap),
            }
        }
    }

    /// What was wanted last comes, if anything is.
    fn fill(&mut self, world: &World) -> bool {
        let Some(gap) = self.wanted.pop() else { return false };
        let steps = self.chain.fill(world.blocks_of(&gap), &ORDER);
        self.carry_out(steps);
        true
    }

    /// The logs of the block whose turn it is come.
    fn fetch_logs(&mut self, world: &World) -> bool {
        let Some(block) = self.book.next().cloned() else { return false };
        let answer = RawJson::from_value(&json!([world.log_of(block.hash())]));
        let logs = logs::read(&answer, &block).unwrap();
        let batch = self.book.fetched(block.hash(), logs, |_| true).unwrap();
        for _ in batch.logs {
            assert!(!self.logs.contains(&block.hash()), "no log is told twice");
            self.logs.push(block.hash());
        }
        true
    }
}

/// An upstream's websocket.
#[derive(Clone, Copy, Default)]
struct Socket {
    /// How much it has told.
    told: usize,
    is_open: bool,
    /// The last question that it was asked, and has answered or not.
    question: Option<u64>,
    /// Its answer, behind so much that it tells before.
    answer: Option<(usize, B256)>,
}

impl Socket {
    fn open(told: usize) -> Self {
        Self { told, is_open: true, ..Self::default() }
    }

    /// The upstream hears of an open question, and says what its newest block is at that time.
    fn is_asked(&mut self, client: &Client, world: &World) {
        let question = client.chain.question();
        if self.is_open && question.is_some() && question != self.question {
            self.question = question;
            self.answer = world.heads.last().map(|newest| (world.heads.len(), *newest));
        }
    }

    /// The next thing that it tells comes, if there is any.
    fn tells(&mut self, client: &mut Client, world: &World, place: usize) -> bool {
        if !self.is_open {
            return false;
        }
        if let (Some((_, newest)), Some(question)) =
            (self.answer.filter(|(behind, _)| *behind <= self.told), self.question)
        {
            self.answer = None;
            let block = world.all[&newest].clone();
            let steps = client.chain.take_answer(place, block, question, NOW_S, &ORDER);
            client.carry_out(steps);
            return true;
        }
        if self.told >= world.heads.len() {
            return false;
        }
        self.told += 1;
        shows(client, world, place, self.told - 1);
        true
    }
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Grow,
    Reorganise(usize),
    /// It tells the next head.
    Tells(usize),
    /// It leaves out heads, as when what it sends is lost.
    Drops(usize, usize),
    Breaks(usize),
    /// It is there again, and tells what comes from then on.
    Returns(usize),
    /// It hears what it is asked.
    IsAsked(usize),
    Fill,
    Logs,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => Just(Turn::Grow),
        1 => (1..=5_usize).prop_map(Turn::Reorganise),
        8 => (0..3_usize).prop_map(Turn::Tells),
        1 => (0..3_usize, 1..4_usize).prop_map(|(place, count)| Turn::Drops(place, count)),
        1 => (0..3_usize).prop_map(Turn::Breaks),
        2 => (0..3_usize).prop_map(Turn::Returns),
        2 => (0..3_usize).prop_map(Turn::IsAsked),
        3 => Just(Turn::Fill),
        3 => Just(Turn::Logs),
    ];
    proptest::collection::vec(turn, 1..120)
}

fn shows(client: &mut Client, world: &World, place: usize, at: usize) {
    let block = world.all[&world.heads[at]].clone();
    let steps = client.chain.take_in(place, block, NOW_S, &ORDER);
    client.carry_out(steps);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_client_has_the_chain_and_its_logs_whatever_its_upstreams_do(turns in turns()) {
        let (mut world, mut client) = (World::new(), Client::new());
        let first = world.heads.len() - 1;
        let mut sockets = [Socket::open(first); 3];
        for (place, socket) in sockets.iter_mut().enumerate() {
            shows(&mut client, &world, place, socket.told);
            socket.told += 1;
        }
        for turn in turns {
            match turn {
                Turn::Grow => world.grow(),
                Turn::Reorganise(depth) => world.reorganise(depth),
                Turn::Tells(place) => drop(sockets[place].tells(&mut client, &world, place)),
                Turn::IsAsked(place) => sockets[place].is_asked(&client, &world),
                Turn::Drops(place, count) => {
                    sockets[place].told = (sockets[place].told + count).min(world.heads.len());
                }
                Turn::Breaks(place) => {
                    sockets[place] = Socket::default();
                    let steps = client.chain.gone(place, &ORDER);
                    client.carry_out(steps);
                }
                Turn::Returns(place) if !sockets[place].is_open => {
                    sockets[place] = Socket::open(world.heads.len());
                }
                Turn::Returns(_) => {}
                Turn::Fill => drop(client.fill(&world)),
                Turn::Logs => drop(client.fetch_logs(&world)),
            }
        }
        // Whoever is away returns, and all are told of what comes next.
        world.grow();
        for (place, socket) in sockets.iter_mut().enumerate() {
            if !socket.is_open {
                *socket = Socket::open(world.heads.len() - 1);
            }
            while socket.tells(&mut client, &world, place) {}
        }
        // All that is wanted, and answers to all that is asked, come.
        let mut goes_on = true;
        while goes_on {
            goes_on = client.fill(&world);
            for (place, socket) in sockets.iter_mut().enumerate() {
                socket.is_asked(&client, &world);
                goes_on |= socket.tells(&mut client, &world, place);
            }
        }
        prop_assert_eq!(client.chain.question(), None, "nothing is in doubt in the end");
        while client.fetch_logs(&world) {}
        let told = world.canonical.iter().skip_while(|hash| **hash != client.heads[0]);
        let told: Vec<B256> = told.copied().collect();
        prop_assert_eq!(&client.heads, &told, "every block of the chain, once, in order");
        prop_assert_eq!(&client.logs, &told, "every log of it, once, in order");
        prop_assert!(world.reorganisations > 0 || client.reorganisations == 0);
    }
}
