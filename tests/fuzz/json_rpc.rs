//! Calls of searchers.

use rand::{Rng, seq::IndexedRandom};
use relaymux::{
    bundles,
    jsonrpc::{FramingLimits, Incoming, read_body},
};

use crate::{
    harness::run,
    mutate,
    targets::json_rpc::{LIMITS, check, seeds},
};

#[test]
fn the_calls_are_well_formed() {
    for seed in seeds() {
        let calls = match read_body(&seed, LIMITS).unwrap() {
            Incoming::One(call) => vec![call],
            Incoming::Batch(calls) => calls,
        };
        for call in calls {
            let call = call.unwrap();
            bundles::read(&call, 16).unwrap_or_else(|error| panic!("{}: {error}", call.method));
        }
    }
}

#[test]
fn json_rpc() {
    let seeds = seeds();
    run("JSON-RPC", |random| {
        let seed = seeds.choose(random).unwrap();
        let body = mutate::json(random, seed, &seeds);
        let next = *[0, 1, 16, u64::MAX].choose(random).unwrap();
        let limits =
            FramingLimits { batch: *[1, 100].choose(random).unwrap(), depth: random.random_range(1..=32) };
        check(&body, next, limits)
    });
}
