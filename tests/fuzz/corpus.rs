//! Well-formed inputs: the fixtures of independent implementations, by what they are and of which fork.

use std::path::{Path, PathBuf};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use relaymux::{
    consensus::{Encoding, PresetName},
    types::Fork,
};
use serde_json::Value;

use crate::mutate;

/// An encoded object and what to decode it as.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) fork: Fork,
    pub(crate) preset: PresetName,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Vec<u8>,
}

fn fixtures() -> PathBuf {
    Path::new(crate::REPOSITORY).join("fixtures")
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> Vec<u8> {
    let path = Path::new(crate::REPOSITORY).join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every fixture of that name, of every fork that has it.
pub(crate) fn seeds(name: &str) -> Vec<Seed> {
    let folders = [
        ("generated/mainnet", PresetName::Mainnet),
        ("generated/minimal", PresetName::Minimal),
        ("builder-specs", PresetName::Mainnet),
    ];
    let mut seeds = Vec::new();
    for (folder, preset) in folders {
        for fork in Fork::CLASSIC {
            for (ending, encoding) in [("json", Encoding::Json), ("ssz", Encoding::Ssz)] {
                let path = fixtures().join(folder).join(fork.name()).join(format!("{name}.{ending}"));
                let Ok(bytes) = std::fs::read(path) else { continue };
                seeds.push(Seed { fork, preset, encoding, bytes: unwrapped(encoding, bytes) });
            }
        }
    }
    assert!(!seeds.is_empty(), "{name}");
    seeds
}

/// Examples of builder-specs are wrapped in `{"value": …}`.
fn unwrapped(encoding: Encoding, bytes: Vec<u8>) -> Vec<u8> {
    if encoding == Encoding::Ssz {
        return bytes;
    }
    match serde_json::from_slice::<Value>(&bytes).unwrap() {
        Value::Object(mut map) if map.len() == 1 => map.remove("value").unwrap().to_string().into_bytes(),
        _ => bytes,
    }
}

/// A seed with damage; now and then it is decoded as another fork, or of another preset, than it was.
pub(crate) fn damaged(random: &mut StdRng, seeds: &[Seed]) -> Seed {
    let mut seed = seeds.choose(random).unwrap().clone();
    let others: Vec<&Seed> = seeds.iter().filter(|other| other.encoding == seed.encoding).collect();
    let other = [others.choose(random).unwrap().bytes.clone()];
    seed.bytes = match seed.encoding {
        Encoding::Json => mutate::json(random, &seed.bytes, &other),
        Encoding::Ssz => mutate::bytes(random, &seed.bytes, &other),
    };
    if random.random_ratio(1, 12) {
        seed.fork = *Fork::ALL.choose(random).unwrap();
    }
    if random.random_ratio(1, 12) {
        seed.preset = *[PresetName::Mainnet, PresetName::Minimal].choose(random).unwrap();
    }
    seed
}
