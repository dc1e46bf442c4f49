//! The envelope of what is secret: an `age` file, which whoever has the key can also open without relaymux (`age -d`).
//!
//! In it is a tar of the files, with a list of where each was. It is small, and made and opened in memory: nothing of it is on a disk in the clear.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
    iter,
    path::{Path, PathBuf},
    str::FromStr,
};

use age::secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{BackupError, manifest::MAX_FILE};

/// Most bytes of one secret.
const MAX_SECRET: u64 = 1 << 20;
/// Most secrets.
const MAX_SECRETS: usize = 1_000;
/// The list of where they were, in the tar.
const INDEX: &str = "index.json";
/// Longest key file, in bytes.
const MAX_KEY_FILE: u64 = 64 << 10;
/// Work that a passphrase may ask of us: a power of two. More would take minutes, or all memory.
const MAX_WORK_FACTOR: u8 = 20;

/// How a file of `data_dir` is named in the list.
pub(super) const OF_DATA_DIR: &str = "data_dir/";

/// A file that is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name, if it belongs into `data_dir` wherever that is.
    pub of_data_dir: Option<String>,
}

impl SecretFile {
    /// How it is named in the list.
    pub(super) fn source(&self) -> String {
        match &self.of_data_dir {
            Some(name) => format!("{OF_DATA_DIR}{name}"),
            None => self.path.display().to_string(),
        }
    }
}

/// How secrets are encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum Sealing {
    /// For public keys (`age1…`): whoever has one of the private keys can open it.
    Recipients(Vec<String>),
    /// By a passphrase in a file, read each time.
    PassphraseFile(PathBuf),
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipients(recipients) => f.debug_tuple("Recipients").field(&recipients.len()).finish(),
            Self::PassphraseFile(path) => f.debug_tuple("PassphraseFile").field(path).finish(),
        }
    }
}

impl Sealing {
    /// Whether a text is a public key.
    pub fn is_recipient(text: &str) -> bool {
        age::x25519::Recipient::from_str(text).is_ok()
    }
}

/// What opens an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// A file with private keys (`AGE-SECRET-KEY-1…`), as `age-keygen` writes it.
    IdentityFile(PathBuf),
    /// A file with the passphrase.
    PassphraseFile(PathBuf),
}

/// A secret as it comes out of an envelope.
pub(super) struct OpenedSecret {
    /// Where it was.
    pub(super) source: String,
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for OpenedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedSecret").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Where each file of the tar was.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    sources: BTreeMap<String, String>,
}

/// Puts files into an envelope. Which could not be read, is said.
pub(super) fn seal(files: &[(String, Vec<u8>)], sealing: &Sealing) -> Result<Vec<u8>, BackupError> {
    let failed =
        |error: &dyn fmt::Display| BackupError::Seal(format!("secrets cannot be encrypted: {error}"));
    let plain = pack(files).map_err(|error| failed(&error))?;
    let encryptor = match sealing {
        Sealing::Recipients(texts) => {
            let mut recipients = Vec::new();
            for text in texts {
                recipients.push(age::x25519::Recipient::from_str(text).map_err(|error| failed(&error))?);
            }
            age::Encryptor::with_recipients(
                recipients.iter().map(|recipient| recipient as &dyn age::Recipient),
            )
            .map_err(|error| failed(&error))?
        }
        Sealing::PassphraseFile(path) => age::Encryptor::with_user_passphrase(passphrase(path)?),
    };
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| failed(&error))?;
    writer.write_all(&plain).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(sealed)
}

/// Takes the files out of an envelope.
pub(super) fn open(sealed: &[u8], keys: &Keys) -> Result<Vec<OpenedSecret>, BackupError> {
    let failed =
        |error: &dyn fmt::Display| BackupError::Seal(format!("the secrets cannot be decrypted: {error}"));
    let decryptor = age::Decryptor::new(sealed).map_err(|error| failed(&error))?;
    let reader = match keys {
        Keys::PassphraseFile(path) => {
            let mut identity = age::scrypt::Identity::new(passphrase(path)?);
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity))
        }
        Keys::IdentityFile(path) => {
            let identities = identities(path)?;
            decryptor.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        }
    };
    let mut plain = Vec::new();
    let reader = reader.map_err(|error| failed(&error))?;
    reader.take(MAX_FILE).read_to_end(&mut plain).map_err(|error| failed(&error))?;
    unpack(&plain).map_err(|error| failed(&error))
}

/// Reads a secret within bounds.
pub(super) fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(path, MAX_SECRET)
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(io::Error::other(format!("longer than {most} bytes")));
    }
    Ok(bytes)
}

fn key_file(path: &Path) -> Result<String, BackupError> {
    let bytes = read_bounded(path, MAX_KEY_FILE).map_err(BackupError::at(path))?;
    String::from_utf8(bytes).map_err(|_| BackupError::Seal(format!("{} is no text", path.display())))
}

fn passphrase(path: &Path) -> Result<SecretString, BackupError> {
    let text = key_file(path)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(BackupError::Seal(format!("{} has no passphrase in its first line", path.display())));
    }
    Ok(SecretString::from(line.to_owned()))
}

fn identities(path: &Path) -> Result<Vec<age::x25519::Identity>, BackupError> {
    let text = key_file(path)?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found = Vec::new();
    for key in keys {
        // Its own words would say nothing more, and must not say anything of the key.
        found.push(age::x25519::Identity::from_str(key).map_err(|_| {
            BackupError::Seal(format!(
                "{} has a line that is no private key (AGE-SECRET-KEY-1…)",
                path.display()
            ))
        })?);
    }
    if found.is_empty() {
        return Err(BackupError::Seal(format!("{} has no private key", path.display())));
    }
    Ok(found)
}

fn pack(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut index = Index::default();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, bytes)
    };
    let named =
        files.iter().enumerate().map(|(number, (source, bytes))| (format!("{number:04}"), source, bytes));
    for (name, source, _) in named.clone() {
        index.sources.insert(name, source.clone());
    }
    add(INDEX, &serde_json::to_vec(&index)?)?;
    for (name, _, bytes) in named {
        add(&name, bytes)?;
    }
    tar.into_inner()
}

fn unpack(plain: &[u8]) -> io::Result<Vec<OpenedSecret>> {
    let mut tar = tar::Archive::new(plain);
    let mut index = Index::default();
    let mut opened = Vec::new();
    for entry in tar.entries()?.raw(true).take(MAX_SECRETS) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        entry.by_ref().take(MAX_SECRET).read_to_end(&mut bytes)?;
        if name == INDEX {
            index = serde_json::from_slice(&bytes)?;
        } else if let Some(source) = index.sources.get(&name) {
            opened.push(OpenedSecret { source: source.clone(), bytes });
        }
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    fn files() -> Vec<(String, Vec<u8>)> {
        vec![("data/admin.token".to_owned(), b"hush".to_vec()), ("secrets/a".to_owned(), vec![0, 1, 2])]
    }

    #[test]
    fn who_has_the_key_opens_it_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (mine, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let to_file = |name: &str, identity: &age::x25519::Identity| {
            let path = folder.path().join(name);
            let text = format!("# made by a test\n{}\n", identity.to_string().expose_secret());
            std::fs::write(&path, text).unwrap();
            Keys::IdentityFile(path)
        };
        let (mine_file, other_file) = (to_file("mine", &mine), to_file("other", &other));
        let recipient = mine.to_public().to_string();
        assert!(Sealing::is_recipient(&recipient) && !Sealing::is_recipient("age1xyz"));
        let sealed = seal(&files(), &Sealing::Recipients(vec![recipient])).unwrap();
        assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
        let opened = open(&sealed, &mine_file).unwrap();
        let opened: Vec<_> = opened.into_iter().map(|file| (file.source, file.bytes)).collect();
        assert_eq!(opened, files());
        let said = open(&sealed, &other_file).unwrap_err().to_string();
        assert!(said.contains("cannot be decrypted"), "{said}");
        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        open(&damaged, &mine_file).unwrap_err();
    }

    #[test]
    fn a_file_of_keys_that_has_none_is_refused_without_a_word_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for text in ["", "# nothing\n", "hunter2\n"] {
            std::fs::write(&path, text).unwrap();
            let said = identities(&path).map(|_| ()).unwrap_err().to_string();
            assert!(!said.contains("hunter2") && said.contains("keys"), "{said}");
        }
        std::fs::write(&path, "\n").unwrap();
        passphrase(&path).unwrap_err();
    }
}
