//! libFuzzer on the targets of `tests/fuzz`: what is asserted of an input is the same code; coverage guides what the inputs are.
//!
//! An input is two bytes that say what the rest is decoded as, and the rest. Half of the mutations are libFuzzer's own, half the damage
//! to structure that the tests do. The first inputs are the repository's fixtures: no corpus is needed to begin.

use std::sync::OnceLock;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use relaymux::{
    consensus::{Encoding, PresetName},
    jsonrpc::FramingLimits,
    types::Fork,
};

use corpus::Seed;
use targets::{
    bids, blocks,
    config::{self, Reader},
    json_rpc, payloads, registrations, relay_streams,
};

#[allow(dead_code)]
#[path = "../../tests/fuzz/corpus.rs"]
mod corpus;
#[path = "../../tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/targets"]
mod targets {
    pub(crate) mod bids;
    pub(crate) mod blocks;
    pub(crate) mod config;
    pub(crate) mod fate;
    pub(crate) mod json_rpc;
    pub(crate) mod payloads;
    pub(crate) mod registrations;
    pub(crate) mod relay_streams;
}

#[doc(hidden)]
pub use libfuzzer_sys;

/// Where fixtures and the shipped configuration are.
pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Bytes that say what the rest is.
const HEAD: usize = 2;
/// Every so many mutations begin anew with a fixture.
const FRESH: u32 = 64;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Bids,
    Blocks,
    Payloads,
    Registrations,
    JsonRpc,
    Config,
    RelayStreams,
}

/// Makes a program of a [`Target`].
#[macro_export]
macro_rules! fuzz {
    ($target:expr) => {
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::check($target, input));
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate_input($target, data, size, max_size, seed)
        });
    };
}

/// Decodes an input and asserts what must hold of it.
pub fn check(target: Target, input: &[u8]) {
    let Some((head, body)) = input.split_first_chunk::<HEAD>() else { return };
    match target {
        Target::Bids => bids::check(&object(*head, body)),
        Target::Blocks => blocks::check(&object(*head, body)),
        Target::Payloads => payloads::check(&object(*head, body)),
        Target::Registrations => registrations::check(object(*head, body).encoding, body),
        Target::RelayStreams => relay_streams::check(object(*head, body).fork, body),
        Target::JsonRpc => {
            let next = [0, 1, 16, u64::MAX][usize::from(head[0] & 3)];
            let batch = if head[0] & 4 == 0 { 100 } else { 1 };
            json_rpc::check(body, next, FramingLimits { batch, depth: usize::from(head[1] % 32) + 1 })
        }
        Target::Config => {
            let text = String::from_utf8_lossy(body);
            config::check(&reader(*head, &text), &text)
        }
    };
}

/// The object that an input says it is.
fn object([fork, form]: [u8; HEAD], body: &[u8]) -> Seed {
    let encoding = if form & 1 == 0 { Encoding::Json } else { Encoding::Ssz };
    let preset = if form & 2 == 0 { PresetName::Mainnet } else { PresetName::Minimal };
    Seed { fork: Fork::ALL[usize::from(fork) % Fork::ALL.len()], preset, encoding, bytes: body.to_vec() }
}

fn packed_object(seed: &Seed) -> Vec<u8> {
    let fork = Fork::ALL.iter().position(|fork| *fork == seed.fork).unwrap();
    let form = u8::from(seed.encoding == Encoding::Ssz) + 2 * u8::from(seed.preset == PresetName::Minimal);
    [&[u8::try_from(fork).unwrap(), form], &seed.bytes[..]].concat()
}

/// What a text is read as; a variable of the environment has the text's first line as its value.
fn reader([kind, variable]: [u8; HEAD], text: &str) -> Reader {
    match kind % 8 {
        0 => Reader::Spec,
        1 => Reader::Keys,
        2 => Reader::CommitBoost,
        3 => Reader::Vouch,
        _ => Reader::Own(config::VARIABLES.get(usize::from(variable)).map(|name| {
            let value = text.lines().next().unwrap_or_default();
            ((*name).to_owned(), value.trim_start_matches("# ").replace('\0', ""))
        })),
    }
}

/// The fixtures of a target, as inputs. A process has one target.
fn fixtures(target: Target) -> &'static [Vec<u8>] {
    static FIXTURES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let objects = |seeds: Vec<Seed>| seeds.iter().map(packed_object).collect();
    let texts = |kind: u8, texts: Vec<Vec<u8>>| {
        texts.into_iter().map(move |text| [&[kind, u8::MAX], &text[..]].concat())
    };
    FIXTURES.get_or_init(|| match target {
        Target::Bids => objects(bids::seeds()),
        Target::Blocks => objects(blocks::seeds()),
        Target::Payloads => objects(payloads::seeds()),
        Target::Registrations => objects(registrations::seeds()),
        Target::RelayStreams => {
            let seed =
                |(fork, bytes)| Seed { fork, preset: PresetName::Mainnet, encoding: Encoding::Ssz, bytes };
            objects(relay_streams::seeds().into_iter().map(seed).collect())
        }
        Target::JsonRpc => texts(0, json_rpc::seeds()).collect(),
        Target::Config => texts(0, vec![config::SPEC.into()])
            .chain(texts(1, vec![config::KEY.into(), format!("[\"{}\"]", config::KEY).into()]))
            .chain(texts(2, config::commit_boost()))
            .chain(texts(3, config::vouch()))
            .chain(texts(4, config::texts()))
            .collect(),
    })
}

/// One mutation in place, of at most `max_size` bytes; returns the new size.
pub fn mutate_input(target: Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = StdRng::seed_from_u64(seed.into());
    let fixtures = fixtures(target);
    let is_fresh = size <= HEAD || random.random_ratio(1, FRESH);
    let input = if is_fresh { fixtures.choose(&mut random).unwrap().clone() } else { data[..size].to_vec() };
    if !is_fresh && random.random() {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let (head, body) = input.split_at(HEAD);
    let others = [fixtures.choose(&mut random).unwrap()[HEAD..].to_vec()];
    let is_json = match target {
        Target::Bids | Target::Blocks | Target::Payloads | Target::Registrations => head[1] & 1 == 0,
        Target::JsonRpc => true,
        Target::Config => matches!(head[0] % 8, 1 | 3),
        Target::RelayStreams => false,
    };
    let body = match target {
        _ if is_json => mutate::json(&mut random, body, &others),
        Target::Config => mutate::lines(&mut random, &String::from_utf8_lossy(body), &others).into_bytes(),
        _ => mutate::bytes(&mut random, body, &others),
    };
    let mutated = [head, &body[..]].concat();
    let size = mutated.len().min(max_size);
    data[..size].copy_from_slice(&mutated[..size]);
    size
}
