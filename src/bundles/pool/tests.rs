use super::*;
use crate::bundles::bundle::BundleTx;

const SEARCHER: Address = Address::repeat_byte(5);

fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn bundle(transactions: &[u8], blocks: (u64, u64), uuid: Option<&str>) -> Bundle {
    let tx = |n: &u8| BundleTx {
        hash: hash(*n),
        sender: SEARCHER,
        nonce: u64::from(*n),
        max_fee: 100,
        ..BundleTx::default()
    };
    Bundle {
        transactions: transactions.iter().map(tx).collect(),
        blocks: Some(blocks),
        uuid: uuid.map(str::to_owned),
        ..Bundle::default()
    }
}

fn pool() -> BundlePool {
    BundlePool::new(ByteBudget::new(1 << 20), 5, 0)
}

fn admit(pool: &mut BundlePool, bundle: Bundle) -> Result<Admitted, NotAdmitted> {
    admit_of(pool, SEARCHER, bundle, 100)
}

fn admit_of(
    pool: &mut BundlePool,
    searcher: Address,
    bundle: Bundle,
    bytes: usize,
) -> Result<Admitted, NotAdmitted> {
    let (hash, bundle) = (bundle.hash(), Arc::new(bundle));
    let admitted = pool.admit(NewBundle {
        bundle,
        searcher,
        hash,
        builders: vec!["b".to_owned()],
        request: String::new(),
        bytes,
    })?;
    pool.begin_sending(admitted.pooled.id, 9);
    pool.note_answer(admitted.pooled.id, "b", SendOutcome::Accepted, "");
    Ok(admitted)
}

fn block(number: u64, transactions: &[u8]) -> SeenBlock {
    SeenBlock {
        number,
        hash: B256::from(alloy_primitives::U256::from(number)),
        timestamp: number * 12,
        base_fee: 50,
        builder: "someone".to_owned(),
        transactions: transactions.iter().map(|n| (hash(*n), true)).collect(),
        nonces: HashMap::new(),
    }
}

/// Number, state and reason of what a block decides.
fn decided(pool: &mut BundlePool, block: &SeenBlock) -> Vec<(i64, BundleState, String)> {
    let decisions = pool.see(block).into_iter();
    decisions.map(|(pooled, d)| (pooled.id, d.state, d.reason.to_string())).collect()
}

#[test]
fn what_a_block_decides_leaves_the_pool_and_gives_its_room_back() {
    let mut pool = pool();
    let first = admit(&mut pool, bundle(&[1, 2], (10, 12), None)).unwrap().pooled;
    assert_eq!(pool.due(10, 120).len(), 1);
    assert!(decided(&mut pool, &block(10, &[9])).is_empty());
    let decisions = pool.see(&block(11, &[9, 1, 2]));
    assert_eq!(decisions[0].1.state, BundleState::Included);
    assert_eq!((pool.len(), pool.touches([hash(1)]), pool.due(12, 144).len()), (0, false, 0));
    assert!(pool.by_searcher.is_empty() && pool.by_name.is_empty());
    drop((decisions, first.clone()));
    // Block 11 is gone: it is taken up again under its number, and due for the next.
    pool.take_up(first);
    pool.go_back(10);
    assert_eq!(pool.due(11, 132).len(), 1);
    assert!(decided(&mut pool, &block(11, &[9])).is_empty());
    let last = decided(&mut pool, &block(12, &[9]));
    assert!(last[0].2.starts_with("outbid or left out: ") || last[0].2.starts_with("never sent"), "{last:?}");
    assert_eq!(pool.budget.used(), 0);
}

#[test]
fn the_best_known_reason_is_given() {
    let last = |change: &dyn Fn(&mut PooledBundle), block: SeenBlock| {
        let mut pool = pool();
        let id = admit(&mut pool, bundle(&[1, 2], (10, 10), None)).unwrap().pooled.id;
        change(pool.by_id.get_mut(&id).unwrap());
        let decisions = decided(&mut pool, &block);
        (decisions[0].1, decisions[0].2.clone())
    };
    let none = |_: &mut PooledBundle| {};
    let used = SeenBlock { nonces: HashMap::from([((SEARCHER, 2), hash(77))]), ..block(10, &[]) };
    assert!(last(&none, used).1.starts_with("conflicting nonce: nonce 2"));
    assert!(last(&none, SeenBlock { base_fee: 101, ..block(10, &[]) }).1.starts_with("base fee 101"));
    let tried = |pooled: &mut PooledBundle| pooled.failed_trial = Some("x".to_owned());
    assert!(last(&tried, block(10, &[])).1.contains("reverted in simulation: x"));
    let refuse = |pooled: &mut PooledBundle| {
        pooled.taken_by.clear();
        pooled.refused.insert("b".to_owned(), "too many txs".to_owned());
    };
    assert_eq!(
        last(&refuse, block(10, &[])),
        (BundleState::Failed, "no builder took it: b: too many txs".to_owned())
    );
    assert!(last(&|p| p.taken_by.clear(), block(10, &[])).1.starts_with("sent too late"));
    assert!(last(&|p| p.sent_for.clear(), block(10, &[])).1.starts_with("never sent"));
    assert_eq!(last(&|p| p.delivery = Delivery::CancelRequested, block(10, &[])).0, BundleState::Cancelled);
    assert_eq!(last(&none, block(10, &[2])).0, BundleState::PartlyIncluded);
    assert_eq!(last(&none, block(10, &[2, 1])).0, BundleState::Unbundled);
    assert!(last(&none, block(11, &[1, 2])).1.contains("was not asked for"));
    assert!(
        last(&none, block(10, &[])).1.starts_with("outbid or left out: b took it, block 10 is by someone")
    );
    let expire = |pooled: &mut PooledBundle| {
        let expired = Bundle { blocks: Some((10, 20)), max_timestamp: Some(110), ..(*pooled.bundle).clone() };
        pooled.bundle = Arc::new(expired);
    };
    assert!(last(&expire, block(10, &[])).1.starts_with("expired"));
}

#[test]
fn what_was_taken_back_or_replaced_and_lands_all_the_same_is_included_and_says_so() {
    let mut pool = pool();
    let cancelled = admit(&mut pool, bundle(&[1], (10, 12), Some("a"))).unwrap().pooled;
    pool.withdraw(cancelled.id, Delivery::CancelRequested);
    assert!(cancelled.withdrawn.is_cancelled(), "requests that wait see it");
    let old = admit(&mut pool, bundle(&[2], (10, 12), Some("b"))).unwrap().pooled;
    let new = admit(&mut pool, bundle(&[3], (10, 12), Some("b"))).unwrap();
    assert_eq!(new.replaced.map(|before| (before.id, before.delivery)), Some((old.id, Delivery::Active)));
    assert_eq!((new.pooled.sequence, old.withdrawn.is_cancelled()), (1, true));
    assert_eq!(pool.due(10, 120).len(), 1);
    let landed = decided(&mut pool, &block(10, &[1, 2]));
    assert_eq!(
        landed,
        [
            (1, BundleState::Included, "taken back, and landed all the same".to_owned()),
            (2, BundleState::Included, "replaced by number 3, and landed all the same".to_owned()),
        ]
    );
    // What does not land ends as what it was, with its last block.
    let again = admit(&mut pool, bundle(&[4], (10, 12), Some("b"))).unwrap().pooled;
    assert!(decided(&mut pool, &block(11, &[])).is_empty());
    let ends = decided(&mut pool, &block(12, &[]));
    assert_eq!((ends[0].0, ends[0].1), (3, BundleState::Replaced));
    assert_eq!((ends[1].0, ends[1].1), (again.id, BundleState::Missed));
}

#[test]
fn a_replacement_with_the_same_transactions_is_the_one_that_landed() {
    let mut pool = pool();
    admit(&mut pool, bundle(&[1], (10, 10), Some("u"))).unwrap();
    admit(&mut pool, bundle(&[1, 2], (10, 10), Some("u"))).unwrap();
    let both = decided(&mut pool, &block(10, &[1, 2]));
    assert_eq!((both[0].1, both[1].1), (BundleState::Replaced, BundleState::Included));
    // The old one alone: it landed, and of the new one only a part is there.
    admit(&mut pool, bundle(&[1], (10, 10), Some("u"))).unwrap();
    admit(&mut pool, bundle(&[1, 2], (10, 10), Some("u"))).unwrap();
    let old = decided(&mut pool, &block(10, &[1]));
    assert_eq!((old[0].1, old[1].1), (BundleState::Included, BundleState::PartlyIncluded));
}

/// Builders that order by number ignore what is not above what they have seen, whatever became of it here.
#[test]
fn numbers_of_a_name_rise_over_cancellations_refusals_and_ends() {
    let mut pool = pool();
    let next = |pool: &mut BundlePool, n: u8| admit(pool, bundle(&[n], (10, 10), Some("u"))).unwrap().pooled;
    assert_eq!(next(&mut pool, 1).sequence, 0);
    let (cancelled, sequence) = pool.cancel(SEARCHER, "u").unwrap();
    assert_eq!((cancelled.sequence, sequence), (0, 1));
    let refused = next(&mut pool, 2);
    assert_eq!(refused.sequence, 2, "above the cancellation");
    pool.withdraw(refused.id, Delivery::Refused);
    assert!(pool.named(SEARCHER, "u").is_none());
    assert_eq!(next(&mut pool, 3).sequence, 3, "above the one that nobody took");
    pool.see(&block(10, &[]));
    assert_eq!(pool.len(), 0);
    let last = admit(&mut pool, bundle(&[4], (11, 11), Some("u"))).unwrap().pooled;
    assert_eq!(last.sequence, 4, "for later blocks, too");
    // Another process takes up what is open: one that was taken back.
    let mut after = BundlePool::new(ByteBudget::new(1 << 20), 5, 0);
    after.take_up(PooledBundle { delivery: Delivery::CancelRequested, ..last });
    assert_eq!(admit(&mut after, bundle(&[5], (11, 11), Some("u"))).unwrap().pooled.sequence, 6);
}

#[test]
fn names_are_the_searchers_own() {
    let mut pool = pool();
    let first = admit(&mut pool, bundle(&[1], (10, 10), Some("u"))).unwrap().pooled;
    assert_eq!(pool.named(SEARCHER, "u").map(|pooled| pooled.id), Some(first.id));
    assert!(pool.named(Address::ZERO, "u").is_none());
    let same = admit(&mut pool, bundle(&[1], (10, 10), Some("u")));
    assert_eq!(same.unwrap_err(), NotAdmitted::SameAgain);
    let later = Bundle { min_timestamp: Some(1), ..bundle(&[1], (10, 10), Some("u")) };
    let second = admit(&mut pool, later).unwrap().pooled;
    assert_eq!(pool.named(SEARCHER, "u").map(|pooled| pooled.id), Some(second.id));
    // The replaced one, taken up again after a reorganisation, does not take the name back.
    pool.take_up(PooledBundle { delivery: Delivery::Replaced { by: second.id }, ..first });
    assert_eq!(pool.named(SEARCHER, "u").map(|pooled| pooled.id), Some(second.id));
}

#[test]
fn one_searcher_does_not_fill_the_pool_nor_its_memory() {
    let mut pool = pool();
    for n in 1..=5 {
        admit(&mut pool, bundle(&[n], (10, 10), None)).unwrap();
    }
    let full = admit(&mut pool, bundle(&[6], (10, 10), None)).unwrap_err();
    assert!(full.to_string().contains("bundles.max_open_per_searcher"), "{full}");
    let other = Address::repeat_byte(6);
    admit_of(&mut pool, other, bundle(&[6], (10, 10), None), 100).unwrap();
    let heavy = admit_of(&mut pool, other, bundle(&[7], (10, 10), None), 1 << 20).unwrap_err();
    assert_eq!(heavy, NotAdmitted::MemoryIsFull { limit_mib: 1 });
    // With the block that decides them there is room again.
    assert_eq!(pool.see(&block(10, &[])).len(), 6);
    admit_of(&mut pool, other, bundle(&[7], (11, 11), None), 1 << 20).unwrap();
}

#[test]
fn windows_of_time_are_kept_here() {
    let mut pool = pool();
    let timed = Bundle { min_timestamp: Some(130), max_timestamp: Some(140), ..bundle(&[1], (10, 12), None) };
    let id = admit(&mut pool, timed).unwrap().pooled.id;
    let due = |pool: &BundlePool, block, time| pool.get(id).unwrap().is_due(block, time);
    assert_eq!([120, 132, 144].map(|time| due(&pool, 11, time)), [false, true, false]);
    assert!(pool.begin_sending(id, 11));
    assert!(!due(&pool, 11, 132) && !due(&pool, 9, 132));
    pool.withdraw(id, Delivery::CancelRequested);
    assert!(!pool.begin_sending(id, 12) && !due(&pool, 12, 132));
}
