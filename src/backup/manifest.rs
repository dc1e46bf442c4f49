//! The first file of an archive: what is in it, and how it can be known to be whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::{
    ledger::Store,
    types::{UnixMillis, labelled},
};

/// Its name in the archive.
pub(super) const MANIFEST: &str = "manifest.json";
/// Name of the envelope with what is secret.
pub(super) const SEALED: &str = "secrets.age";
/// Folder of what is of the configuration.
pub(super) const CONFIG: &str = "config/";

/// The form of archives that this version writes and reads.
const FORMAT: u32 = 1;
const PROGRAM: &str = "relaymux";

/// Largest manifest, in bytes.
pub(super) const MAX_MANIFEST: u64 = 1 << 20;
/// Most files of one archive.
const MAX_MEMBERS: usize = 1_000;
/// Longest name in an archive: what the plainest form of a tar holds.
const MAX_NAME: usize = 99;
/// Largest database: far above what decades come to.
const MAX_DATABASE: u64 = 1 << 40;
/// Largest other file.
pub(super) const MAX_FILE: u64 = 64 << 20;

labelled! {
    /// What a file of an archive is.
    pub enum MemberKind {
        /// A copy of `ledger.db`.
        Ledger = "ledger",
        /// A copy of `journal.db`.
        Journal = "journal",
        /// A file of the configuration.
        Config = "config",
        /// What is secret, encrypted.
        Sealed = "sealed",
    }
}

impl MemberKind {
    /// The database that it is a copy of.
    pub const fn store(self) -> Option<Store> {
        match self {
            Self::Ledger => Some(Store::Ledger),
            Self::Journal => Some(Store::Journal),
            Self::Config | Self::Sealed => None,
        }
    }
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the archive.
    pub name: String,
    /// What it is.
    pub kind: MemberKind,
    /// Its length in bytes.
    pub bytes: u64,
    /// Hex, of its contents.
    pub sha256: String,
    /// Where it was, of configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Number of the last change of its schema, of databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<i64>,
    /// Rows by table, of databases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
}

/// Something that is not in the archive, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The file or key.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The archive's form.
    pub format: u32,
    /// `relaymux`
    pub program: String,
    /// The program's version.
    pub version: String,
    /// The network that it is of.
    pub network: String,
    /// When it was made, Unix milliseconds.
    pub created_at: UnixMillis,
    /// The files that follow, in their order.
    pub members: Vec<Member>,
    /// Where the secrets were that are in the envelope. No hash and no length: both would help to guess.
    #[serde(default)]
    pub sealed: Vec<String>,
    /// What is not in it.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

impl Manifest {
    /// Of this version, now, with nothing in it yet.
    pub(super) fn new(network: &str, now: UnixMillis) -> Self {
        Self {
            format: FORMAT,
            program: PROGRAM.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: network.to_owned(),
            created_at: now,
            members: Vec::new(),
            sealed: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Reads one that nobody vouches for: every name, length and number in it is within bounds afterwards.
    ///
    /// # Errors
    /// When it is not ours, newer, or says something absurd.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BackupError> {
        /// What every version's has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            program: String,
            #[serde(default)]
            version: String,
        }
        let damaged = |reason: String| BackupError::Damaged(format!("its manifest {reason}"));
        let head: Head =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        if head.program != PROGRAM {
            return Err(BackupError::damaged("it is an archive of another program"));
        }
        if head.format > FORMAT {
            let version = head.version.chars().filter(char::is_ascii_graphic).take(40).collect();
            return Err(BackupError::Newer { version, what: format!("archives of form {}", head.format) });
        }
        let read: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), BackupError> {
        let damaged = |reason: String| Err(BackupError::Damaged(format!("its manifest {reason}")));
        if self.members.len() > MAX_MEMBERS {
            return damaged(format!("names {} files", self.members.len()));
        }
        let mut names = BTreeSet::new();
        for member in &self.members {
            let name = &member.name;
            let is_right = is_plain(name)
                && match member.kind {
                    MemberKind::Ledger => name == Store::Ledger.file(),
                    MemberKind::Journal => name == Store::Journal.file(),
                    MemberKind::Sealed => name == SEALED,
                    MemberKind::Config => name.starts_with(CONFIG),
                };
            if !is_right {
                return damaged(format!("names a file {name:?}, which no backup has"));
            }
            if !names.insert(name.as_str()) {
                return damaged(format!("names {name} twice"));
            }
            let most = if member.kind.store().is_some() { MAX_DATABASE } else { MAX_FILE };
            if member.bytes > most {
                return damaged(format!("says that {name} has {} bytes", member.bytes));
            }
        }
        if !names.contains(Store::Ledger.file()) {
            return damaged("names no ledger".to_owned());
        }
        Ok(())
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.bytes))
    }

    /// The copy of a database.
    pub fn store(&self, store: Store) -> Option<&Member> {
        self.members.iter().find(|member| member.kind.store() == Some(store))
    }
}

/// Whether a name leads nowhere but into the folder that it is put into.
pub(super) fn is_plain(name: &str) -> bool {
    let is_sound = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.len() <= MAX_NAME && name.split('/').count() <= 2 && name.split('/').all(is_sound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(name: &str, kind: MemberKind) -> Member {
        Member {
            name: name.to_owned(),
            kind,
            bytes: 5,
            sha256: String::new(),
            source: None,
            schema: None,
            rows: BTreeMap::new(),
        }
    }

    fn manifest(members: Vec<Member>) -> Manifest {
        Manifest { members, ..Manifest::new("mainnet", 5) }
    }

    fn read(manifest: &Manifest) -> Result<Manifest, String> {
        Manifest::read(&serde_json::to_vec(manifest).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_lead_nowhere_else() {
        for (name, want) in [
            ("ledger.db", true),
            ("config/relays.toml", true),
            ("config/0001-keys_a.txt", true),
            ("/etc/passwd", false),
            ("../x", false),
            ("config/../x", false),
            ("config/.hidden", false),
            ("config//x", false),
            ("config/a/b", false),
            ("a\\b", false),
            ("a\0b", false),
            ("a b", false),
            ("", false),
            (".", false),
        ] {
            assert_eq!(is_plain(name), want, "{name:?}");
        }
        assert!(!is_plain(&"a".repeat(200)));
    }

    #[test]
    fn what_no_backup_has_is_refused() {
        let ledger = || member("ledger.db", MemberKind::Ledger);
        let sound = manifest(vec![ledger(), member("config/relays.toml", MemberKind::Config)]);
        assert_eq!(read(&sound), Ok(sound.clone()));
        let huge = Member { bytes: u64::MAX, ..ledger() };
        for (members, want) in [
            (vec![], "names no ledger"),
            (vec![ledger(), ledger()], "twice"),
            (vec![member("../../etc/ledger.db", MemberKind::Ledger)], "which no backup has"),
            (vec![member("journal.db", MemberKind::Ledger)], "which no backup has"),
            (vec![ledger(), member("admin.token", MemberKind::Config)], "which no backup has"),
            (vec![huge], "bytes"),
        ] {
            let said = read(&manifest(members)).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
        let newer = Manifest { format: 9, version: "7.0.0\n".to_owned(), ..sound.clone() };
        let said = read(&newer).unwrap_err();
        assert!(said.contains("relaymux 7.0.0,") && said.contains("form 9"), "{said}");
        let other = Manifest { program: "geth".to_owned(), ..sound };
        assert!(read(&other).unwrap_err().contains("another program"));
        Manifest::read(b"{}").unwrap_err();
    }

    proptest! {
        #[test]
        fn a_plain_name_stays_in_its_folder(name in ".{0,40}") {
            if is_plain(&name) {
                let path = std::path::Path::new("/folder").join(&name);
                prop_assert!(path.starts_with("/folder"));
                prop_assert!(path.components().all(|part| part != std::path::Component::ParentDir));
            }
        }
    }
}
