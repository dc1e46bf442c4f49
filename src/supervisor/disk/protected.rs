//! What is never deleted, whatever a class says: keys, slashing protection, chain data, and relaymux's own files, known by their names.
//!
//! Names are compared without regard to case. They say more than is needed rather than less: a file that is wrongly taken for a key costs a line
//! in a report, a key that is deleted costs a validator.

use super::glob::Glob;
use crate::types::labelled;

labelled! {
    /// Why something is never deleted.
    pub enum Protected {
        /// Keys of validators, or what they are unlocked with.
        Keystore = "keystore",
        /// What keeps a validator from signing twice: without it, it may be slashed.
        SlashingProtection = "slashing protection",
        /// A chain's database.
        ChainData = "chain data",
        /// The key that a node is known by to its peers, or shares with another client.
        NodeKey = "node key or JWT",
        /// Keys to money.
        Wallet = "wallet",
        /// What keeps a Solana validator from voting twice.
        Tower = "tower file",
        /// Other keys.
        Secret = "secret",
        /// relaymux's ledger, journals, token and locks.
        Own = "a file of relaymux's own",
        /// Named under `protect`, or a file or data folder that the configuration names.
        Named = "named in the configuration",
    }
}

/// How a name is compared.
#[derive(Clone, Copy)]
enum Fits {
    Is(&'static str),
    Begins(&'static str),
    Ends(&'static str),
    Has(&'static str),
}

use Fits::{Begins, Ends, Has, Is};

/// Names of files and folders.
const NAMES: [(Fits, Protected); 68] = [
    (Begins("keystore"), Protected::Keystore),
    (Begins("utc--"), Protected::Keystore),
    (Has("voting-keystore"), Protected::Keystore),
    (Has("validator_keys"), Protected::Keystore),
    (Has("validator-keys"), Protected::Keystore),
    (Begins("validator_definitions"), Protected::Keystore),
    (Begins("deposit_data"), Protected::Keystore),
    (Begins("deposit-data"), Protected::Keystore),
    (Is("api-token.txt"), Protected::Keystore),
    (Is("web3signer"), Protected::Keystore),
    (Has("slashing_protection"), Protected::SlashingProtection),
    (Has("slashing-protection"), Protected::SlashingProtection),
    (Has("slashprotection"), Protected::SlashingProtection),
    (Has("slashing_prot"), Protected::SlashingProtection),
    (Is("validator.db"), Protected::SlashingProtection),
    (Is("validators.db"), Protected::SlashingProtection),
    // LevelDB, RocksDB and Pebble.
    (Is("current"), Protected::ChainData),
    (Is("lock"), Protected::ChainData),
    (Is("identity"), Protected::ChainData),
    (Begins("manifest-"), Protected::ChainData),
    (Ends(".ldb"), Protected::ChainData),
    (Ends(".sst"), Protected::ChainData),
    // libmdbx and LMDB.
    (Begins("mdbx."), Protected::ChainData),
    (Is("data.mdb"), Protected::ChainData),
    (Is("lock.mdb"), Protected::ChainData),
    // geth's freezer, and reth's static files.
    (Ends(".cdat"), Protected::ChainData),
    (Ends(".rdat"), Protected::ChainData),
    (Ends(".cidx"), Protected::ChainData),
    (Ends(".ridx"), Protected::ChainData),
    (Begins("static_file_"), Protected::ChainData),
    (Is("beaconchain.db"), Protected::ChainData),
    (Is("nodekey"), Protected::NodeKey),
    (Is("jwt"), Protected::NodeKey),
    (Is("jwtsecret"), Protected::NodeKey),
    (Begins("jwt."), Protected::NodeKey),
    (Begins("jwt-secret"), Protected::NodeKey),
    (Begins("jwt_secret"), Protected::NodeKey),
    (Ends(".jwt"), Protected::NodeKey),
    (Is("discovery-secret"), Protected::NodeKey),
    (Is("enr.dat"), Protected::NodeKey),
    (Is("network-keys"), Protected::NodeKey),
    (Is("key"), Protected::NodeKey),
    (Begins("wallet"), Protected::Wallet),
    (Ends(".wallet"), Protected::Wallet),
    (Ends(".seed"), Protected::Wallet),
    (Has("mnemonic"), Protected::Wallet),
    (Ends("-keypair.json"), Protected::Wallet),
    (Is("identity.json"), Protected::Wallet),
    (Is("id.json"), Protected::Wallet),
    (Begins("vote-account"), Protected::Wallet),
    (Begins("authorized-withdrawer"), Protected::Wallet),
    (Begins("tower-"), Protected::Tower),
    (Ends(".key"), Protected::Secret),
    (Ends(".pem"), Protected::Secret),
    (Ends(".p12"), Protected::Secret),
    (Ends(".gpg"), Protected::Secret),
    (Begins("id_rsa"), Protected::Secret),
    (Begins("id_ed25519"), Protected::Secret),
    (Is("secrets"), Protected::Secret),
    (Is(".ssh"), Protected::Secret),
    (Is(".gnupg"), Protected::Secret),
    (Begins("ledger.db"), Protected::Own),
    (Begins("journal.db"), Protected::Own),
    (Is("admin.token"), Protected::Own),
    (Is("relaymux.lock"), Protected::Own),
    (Begins("cleanings.jsonl"), Protected::Own),
    (Begins("relays.toml"), Protected::Own),
    (Begins(".relaymux-ballast"), Protected::Own),
];

/// Names of folders, with all that is in them.
const FOLDERS: [(&str, Protected); 22] = [
    ("keystores", Protected::Keystore),
    ("validators", Protected::Keystore),
    ("chaindata", Protected::ChainData),
    ("lightchaindata", Protected::ChainData),
    ("beaconchaindata", Protected::ChainData),
    ("ancient", Protected::ChainData),
    ("triedb", Protected::ChainData),
    ("chain_db", Protected::ChainData),
    ("freezer_db", Protected::ChainData),
    ("blobs_db", Protected::ChainData),
    ("beacondata", Protected::ChainData),
    ("rocksdb", Protected::ChainData),
    ("static_files", Protected::ChainData),
    ("arbitrumdata", Protected::ChainData),
    ("l2chaindata", Protected::ChainData),
    ("classic-msg", Protected::ChainData),
    ("nitro", Protected::ChainData),
    ("accounts_index", Protected::ChainData),
    ("accounts_run", Protected::ChainData),
    ("overlay2", Protected::ChainData),
    ("volumes", Protected::ChainData),
    ("wallets", Protected::Wallet),
];

/// Names that protected files really have: a pattern that fits one of them is a mistake, whatever lies in its root now.
const EXAMPLES: [&str; 35] = [
    "keystore-m_12381_3600_0_0_0-1700000000.json",
    "keystore.json",
    "voting-keystore.json",
    "UTC--2024-01-01T00-00-00.000000000Z--00000000219ab540356cbb839cbe05303d7705fa",
    "validator_definitions.yml",
    "deposit_data-1700000000.json",
    "slashing_protection.sqlite",
    "slashing_protection.sqlite-journal",
    "slashing-protection.yml",
    "validator.db",
    "CURRENT",
    "LOCK",
    "IDENTITY",
    "MANIFEST-000123",
    "000123.ldb",
    "000123.sst",
    "mdbx.dat",
    "mdbx.lck",
    "data.mdb",
    "bodies.0000.cdat",
    "headers.0000.rdat",
    "bodies.cidx",
    "static_file_headers_0_499999",
    "beaconchain.db",
    "nodekey",
    "jwt.hex",
    "jwtsecret",
    "wallet.dat",
    "validator-keypair.json",
    "identity.json",
    "tower-1_9-7Np41oeYqPefeNQEHSv1UDhYrehxin3NStELsSKCT4K2.bin",
    "ledger.db",
    "journal.db",
    "admin.token",
    "relays.toml",
];

/// Why a file or folder of this name is never deleted; none: its name does not protect it.
pub fn protected_name(name: &[u8]) -> Option<Protected> {
    let name = name.to_ascii_lowercase();
    let fits = |fits: &Fits| match fits {
        Is(want) => name == want.as_bytes(),
        Begins(want) => name.starts_with(want.as_bytes()),
        Ends(want) => name.ends_with(want.as_bytes()),
        Has(want) => name.windows(want.len()).any(|part| part == want.as_bytes()),
    };
    NAMES.iter().find(|(want, _)| fits(want)).map(|(_, why)| *why)
}

/// Why nothing in a folder of this name is ever deleted.
pub fn protected_folder(name: &[u8]) -> Option<Protected> {
    let of_folders = FOLDERS.iter().find(|(want, _)| name.eq_ignore_ascii_case(want.as_bytes()));
    // Files of databases have names that folders of deployments have as well: `current`.
    let by_name = || protected_name(name).filter(|why| *why != Protected::ChainData);
    of_folders.map(|(_, why)| *why).or_else(by_name)
}

/// A name of a protected file that a pattern fits, and why that is protected; none: it fits none of those that are known.
pub fn reaches_protected(glob: &Glob) -> Option<(&'static str, Protected)> {
    let example = EXAMPLES.into_iter().find(|example| glob.matches(example.as_bytes()))?;
    Some((example, protected_name(example.as_bytes()).unwrap_or(Protected::Named)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_protected_by_its_name() {
        for example in EXAMPLES {
            assert!(protected_name(example.as_bytes()).is_some(), "{example}");
            assert_eq!(
                protected_name(example.to_uppercase().as_bytes()),
                protected_name(example.as_bytes()),
                "{example}"
            );
        }
    }

    #[test]
    fn what_people_want_to_be_rid_of_is_not() {
        for name in [
            "geth.log.1",
            "geth.log-20241101.gz",
            "core.1234",
            "core",
            "snapshot-250000000-8Nd.tar.zst",
            "pruned.tar.part",
            "relaymux-2026-11-01.backup",
            "000012.log",
            "a\nb\"c'.log.1",
        ] {
            assert_eq!(protected_name(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn folders_protect_what_is_in_them() {
        for (name, want) in [
            ("chaindata", Some(Protected::ChainData)),
            ("Ancient", Some(Protected::ChainData)),
            ("keystore", Some(Protected::Keystore)),
            ("validator_keys", Some(Protected::Keystore)),
            ("overlay2", Some(Protected::ChainData)),
            ("logs", None),
            ("current", None),
        ] {
            assert_eq!(protected_folder(name.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn patterns_that_fit_a_protected_name_are_told_by_it() {
        for (glob, want) in [
            ("*.json", Some("keystore-m_12381_3600_0_0_0-1700000000.json")),
            ("*.db", Some("validator.db")),
            ("*.dat", Some("mdbx.dat")),
            ("*key*", Some("keystore-m_12381_3600_0_0_0-1700000000.json")),
            ("*.sst", Some("000123.sst")),
            ("tower*", Some("tower-1_9-7Np41oeYqPefeNQEHSv1UDhYrehxin3NStELsSKCT4K2.bin")),
            ("*.log.*", None),
            ("core.*", None),
            ("*.tar.zst", None),
        ] {
            let found = reaches_protected(&Glob::parse(glob).unwrap()).map(|(example, _)| example);
            assert_eq!(found, want, "{glob}");
        }
    }
}
