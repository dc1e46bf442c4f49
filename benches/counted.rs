//! What the parts of the hot path cost in instructions, which a busy machine does not change. `scripts/bench --counted` runs it, and CI.
//!
//! Each part runs under `valgrind --tool=callgrind` twice, once with more repetitions; the difference is the part's own, without start and
//! set-up. It is compared with `benches/counted.toml`. More than the tolerance above it fails; as much below it asks for the file to be
//! saved anew (`--save`). valgrind's processor has no newer instructions than any x86-64 machine with AVX2, so that the same build counts
//! the same anywhere. Where valgrind is missing, or on another processor, a line says so and nothing fails.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking and speaks to its user")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use alloy_primitives::{Address, B256, FixedBytes, U256};
use relaymux::{
    auction::{Candidates, Claim},
    consensus::{
        Encoding, Mainnet, Network, Registration, SignedBuilderBid,
        bls::{SigningKey, ValidatedKey},
        containers::{SignedValidatorRegistration, ValidatorRegistration},
        json_from_ssz, signing_root, visit_json, visit_ssz,
    },
    sim::{AnyPayload, PayloadParams},
    types::{Fork, Wei},
};
use ssz::Encode;

/// By how much a count may exceed what is expected, in percent. Compilers and allocators move some; a copy too many moves more.
const TOLERANCE_PERCENT: u64 = 5;

/// A part, and how often it runs the first time.
const PARTS: [(&str, u64); 9] = [
    ("decode_bid_ssz", 200),
    ("decode_bid_json", 100),
    ("encode_bid_ssz", 500),
    ("encode_bid_json", 100),
    ("root_of_bid", 20),
    ("check_bid_signature", 2),
    ("select_among_8", 500),
    ("register_1000_json", 2),
    ("register_1000_ssz", 2),
];

fn main() -> ExitCode {
    // `cargo bench` and `cargo test` add flags of their own.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [part, count] = arguments.as_slice()
        && let Ok(count) = count.parse()
    {
        run(part, count);
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_arch = "x86_64") {
        println!("LEFT OUT: counted instructions, because the expectations are of x86-64.");
        return ExitCode::SUCCESS;
    }
    let found =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!(
            "LEFT OUT: counted instructions, because valgrind is not installed here (apt-get install valgrind)."
        );
        return ExitCode::SUCCESS;
    }
    compare(arguments.iter().any(|argument| argument == "--save"))
}

fn expectations() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/counted.toml")
}

fn compare(save: bool) -> ExitCode {
    let text = std::fs::read_to_string(expectations()).unwrap_or_default();
    let expected: BTreeMap<String, u64> = toml::from_str(&text).unwrap();
    println!("{:<24} {:>14} {:>14}", "instructions", "counted", "expected");
    let (mut saved, mut failed) = (String::new(), false);
    for (part, count) in PARTS {
        let each = instructions(part, count * 2).saturating_sub(instructions(part, count)) / count;
        let limit = expected.get(part).copied();
        let verdict = match limit {
            None => "not in benches/counted.toml: save it",
            Some(limit) if each > limit + limit * TOLERANCE_PERCENT / 100 => {
                failed = true;
                "MORE than the tolerance allows"
            }
            Some(limit) if each < limit - limit * TOLERANCE_PERCENT / 100 => {
                "fewer: `scripts/bench --counted --save` keeps it so"
            }
            Some(_) => "",
        };
        let shown = limit.map_or_else(String::new, |limit| limit.to_string());
        println!("{part:<24} {each:>14} {shown:>14} {verdict}");
        saved.push_str(&format!("{part} = {each}\n"));
    }
    if save {
        let head = "# Instructions of one run of each part, `release` profile, under valgrind. `scripts/bench --counted --save` writes this file.\n";
        std::fs::write(expectations(), format!("{head}{saved}")).unwrap();
        println!("saved");
        return ExitCode::SUCCESS;
    }
    if failed {
        println!(
            "a part takes more instructions than before: find out why, or, where it is worth it, save the new number and say so"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// All instructions of this program when it runs a part so often.
fn instructions(part: &str, count: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([part, &count.to_string()])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    let line = words.lines().find_map(|line| line.split_once("Collected :")).unwrap().1;
    line.trim().parse().unwrap()
}

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
    let bid = payload.bid(Fork::Fulu, Wei::new(U256::from(5_u64)), 6, key.public_key(), &key, domain);
    (bid, ValidatedKey::new(key.public_key()).unwrap())
}

/// A thousand registrations in SSZ. Their signatures are nobody's: here they are only read.
fn registrations() -> Vec<u8> {
    let one = |n: u16| SignedValidatorRegistration {
        message: ValidatorRegistration {
            fee_recipient: Address::repeat_byte(0xee),
            gas_limit: 60_000_000,
            timestamp: 1_700_000_000,
            pubkey: FixedBytes::left_padding_from(&n.to_be_bytes()),
        },
        signature: FixedBytes::repeat_byte(0xaa),
    };
    (0..1000).flat_map(|n| one(n).as_ssz_bytes()).collect()
}

fn run(part: &str, count: u64) {
    let (bid, key) = bid();
    let decode = |encoding| {
        let bytes = bid.encode(encoding);
        for _ in 0..count {
            black_box(SignedBuilderBid::decode(Fork::Fulu, encoding, black_box(&bytes)).unwrap());
        }
    };
    let encode = |encoding| {
        for _ in 0..count {
            black_box(black_box(&bid).encode(encoding));
        }
    };
    match part {
        "decode_bid_ssz" => decode(Encoding::Ssz),
        "decode_bid_json" => decode(Encoding::Json),
        "encode_bid_ssz" => encode(Encoding::Ssz),
        "encode_bid_json" => encode(Encoding::Json),
        "root_of_bid" => {
            for _ in 0..count {
                black_box(black_box(&bid).message_root());
            }
        }
        "check_bid_signature" => {
            let root = signing_root(bid.message_root(), Network::Mainnet.spec().builder_domain());
            for _ in 0..count {
                assert!(key.has_signed(black_box(root), black_box(bid.signature())));
            }
        }
        "select_among_8" => {
            for _ in 0..count {
                let mut candidates = Candidates::default();
                for relay in 0..8_usize {
                    let value = Wei::new(U256::from(relay));
                    let claim = Claim { score: value, value, block_hash: B256::repeat_byte(1), relay };
                    candidates.add(claim, ()).unwrap();
                }
                let (best, _, ()) = candidates.next_to_verify().unwrap();
                candidates.holds(best);
                black_box(candidates.winner());
            }
        }
        "register_1000_ssz" => {
            let body = registrations();
            for _ in 0..count {
                visit_ssz(black_box(&body), |signed| _ = black_box(Registration::from(signed))).unwrap();
            }
        }
        "register_1000_json" => {
            let body = json_from_ssz(&registrations()).unwrap();
            for _ in 0..count {
                visit_json(black_box(&body), |signed| _ = black_box(Registration::from(signed))).unwrap();
            }
        }
        other => panic!("no such part: {other}"),
    }
}
