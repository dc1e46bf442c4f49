//! What people write.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;

use crate::{
    harness::run,
    mutate,
    targets::{
        config::{KEY, Reader, SPEC, VARIABLES, check, commit_boost, texts, vouch},
        fate::Fate,
    },
};

/// A variable of the environment for every fourth file.
fn variable(random: &mut StdRng, others: &[Vec<u8>]) -> Option<(String, String)> {
    if !random.random_ratio(1, 4) {
        return None;
    }
    let value = mutate::bytes(random, b"127.0.0.1:18551", others);
    let value = String::from_utf8_lossy(&value).replace('\0', "");
    Some(((*VARIABLES.choose(random).unwrap()).to_owned(), value))
}

#[test]
fn config() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (own, commit_boost, vouch) = (texts(), commit_boost(), vouch());
    // Seeds that do not read would make every case a refusal.
    assert_eq!(check(&Reader::CommitBoost, &text(&commit_boost[0])), Fate::Decoded);
    assert_eq!(check(&Reader::Vouch, &text(&vouch[0])), Fate::Decoded);
    assert_eq!(check(&Reader::Spec, SPEC), Fate::Decoded);
    for file in &own {
        assert_eq!(check(&Reader::Own(None), &text(file)), Fate::Decoded);
    }
    run("config", |random| match random.random_range(0..8) {
        0 => check(&Reader::Spec, &mutate::lines(random, SPEC, &[])),
        1 => {
            let list = json!([KEY, KEY.trim_start_matches("0x")]).to_string().into_bytes();
            let list = if random.random() {
                mutate::json(random, &list, &own)
            } else {
                mutate::lines(random, &format!("{KEY} # first\n\n{KEY}\n"), &own).into_bytes()
            };
            check(&Reader::Keys, &text(&list))
        }
        2 => check(&Reader::CommitBoost, &mutate::lines(random, &text(&commit_boost[0]), &own)),
        3 => check(&Reader::Vouch, &text(&mutate::json(random, &vouch[0], &vouch))),
        _ => {
            let seed = text(own.choose(random).unwrap());
            let file = mutate::lines(random, &seed, &own);
            check(&Reader::Own(variable(random, &own)), &file)
        }
    });
}
