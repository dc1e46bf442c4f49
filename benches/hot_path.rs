//! What one bid costs on the hot path: decode, root, signature, selection, encode. `cargo bench --bench hot_path`.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use alloy_primitives::{Address, B256, U256};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use relaymux::{
    auction::{Candidates, Claim},
    consensus::{
        Encoding, Mainnet, Network, SignedBuilderBid,
        bls::{SigningKey, ValidatedKey},
        signing_root,
    },
    events::{BidOutcome, CallFault},
    relay::health::{
        Contender, Eligibility, Observation, Ranking, Reputation, TrustPolicy, chosen, place_all,
    },
    sim::{AnyPayload, PayloadParams},
    types::{Fork, Wei},
};

fn bid() -> (SignedBuilderBid, ValidatedKey) {
    let key = SigningKey::from_seed(&[1; 32]).unwrap();
    let params = PayloadParams {
        parent_hash: B256::repeat_byte(1),
        parent_root: B256::repeat_byte(2),
        fee_recipient: Address::repeat_byte(3),
        timestamp: 1_700_000_000,
        prev_randao: B256::repeat_byte(0x53),
        block_number: 1,
        gas_limit: 60_000_000,
        transactions: vec![vec![2; 200]],
        withdrawals: Vec::new(),
    };
    let payload = AnyPayload::<Mainnet>::build(Fork::Fulu, &params);
    let domain = Network::Mainnet.spec().builder_domain();
    let value = Wei::new(U256::from(5_u64));
    (
        payload.bid(Fork::Fulu, value, 6, key.public_key(), &key, domain),
        ValidatedKey::new(key.public_key()).unwrap(),
    )
}

fn hot_path(c: &mut Criterion) {
    let (bid, key) = bid();
    let domain = Network::Mainnet.spec().builder_domain();
    for encoding in [Encoding::Ssz, Encoding::Json] {
        let bytes = bid.encode(encoding);
        let name = format!("{encoding:?}").to_lowercase();
        c.bench_function(&format!("decode a bid, {name} of {} bytes", bytes.len()), |b| {
            b.iter(|| SignedBuilderBid::decode(Fork::Fulu, encoding, black_box(&bytes)).unwrap());
        });
        c.bench_function(&format!("encode a bid, {name}"), |b| b.iter(|| black_box(&bid).encode(encoding)));
    }
    c.bench_function("hash tree root of a bid", |b| b.iter(|| black_box(&bid).message_root()));
    let root = signing_root(bid.message_root(), domain);
    c.bench_function("verify a bid's signature", |b| {
        b.iter(|| assert!(key.has_signed(black_box(root), black_box(bid.signature()))));
    });
    c.bench_function("select among 8 candidates", |b| {
        b.iter_batched(
            Candidates::default,
            |mut candidates| {
                for relay in 0..8_usize {
                    let value = Wei::new(U256::from(relay));
                    let claim = Claim { score: value, value, block_hash: B256::repeat_byte(1), relay };
                    candidates.add(claim, ()).unwrap();
                }
                let (best, _, ()) = candidates.next_to_verify().unwrap();
                candidates.holds(best);
                candidates.winner().map(|(_, relay, ())| relay)
            },
            BatchSize::SmallInput,
        );
    });
}

/// What an auction of 8 relays costs the monitor: every outcome into its reputation, everybody placed anew.
fn scoring(c: &mut Criterion) {
    let policy = TrustPolicy::default();
    let mut reputations = vec![Reputation::default(); 8];
    let observation = |n: usize| Observation {
        outcome: if n == 7 { BidOutcome::Failed(CallFault::TimedOut) } else { BidOutcome::Bid },
        http_status: None,
        message: "offered a usable bid".to_owned(),
        is_corroborated: false,
        at: 1,
    };
    for reputation in &mut reputations {
        for n in 0..64 {
            reputation.record.raced(true, n % 8 == 0, Some(20_000 + n));
        }
    }
    c.bench_function("score an auction of 8 relays", |b| {
        b.iter(|| {
            for (n, reputation) in reputations.iter_mut().enumerate() {
                reputation.step(&observation(n), &policy);
                reputation.record.raced(true, n == 0, Some(25_000));
            }
        });
    });
    c.bench_function("place 8 relays", |b| {
        b.iter(|| {
            let contender = |reputation| Contender { enabled: true, pinned: false, reputation, shed: None };
            let contenders: Vec<_> = reputations.iter().map(contender).collect();
            place_all(black_box(&contenders), 2, 1, &policy)
        });
    });
    let rankings = [Ranking { eligibility: Eligibility::Fit, rank: 0.5, bids_lately: true }; 8];
    c.bench_function("choose who of 8 is asked (on the hot path)", |b| {
        b.iter(|| chosen(black_box(&rankings), 2));
    });
}

criterion_group!(benches, hot_path, scoring);
criterion_main!(benches);
