//! Whole backups: made, damaged, killed, brought back.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tokio_util::sync::CancellationToken;

use super::{
    BackupError, ConfigFile, ConfigFiles, CreateParts, Keys, Pace, RestoreParts, Sealing, SecretFile,
    SettingsFile, VerdictKind,
    archive::hash_bytes,
    create::create_on,
    disk::Disk,
    list_backups,
    manifest::{MANIFEST, Manifest, Member, MemberKind},
    restore::{restore_on, resume_on},
    verify::verify_on,
};
use crate::{
    consensus::WallClock,
    events::SlotStatus,
    ledger::{Journal, Ledger, Settled},
};

const NOW: i64 = 1_796_000_000_000;
const TOKEN: &str = "hush-hush-token";

fn pace() -> Pace {
    Pace::new(100, CancellationToken::new())
}

/// A ledger with a slot of that number and no other, and an empty journal.
async fn make_data(folder: &Path, slot: u64) {
    fs::create_dir_all(folder).unwrap();
    let ledger = Ledger::open(folder, "mainnet", 0).await.unwrap();
    let row = Settled { slot, status: SlotStatus::Final.into(), ..Settled::default() };
    ledger.save_settlements(&[row]).await.unwrap();
    Journal::open(folder, 0).await.unwrap().shut().await;
    ledger.shut().await;
}

/// The slot that a ledger has.
async fn slot_of(folder: &Path) -> Option<u64> {
    let ledger = Ledger::open(folder, "mainnet", 0).await.unwrap();
    let slot = ledger.last_slot().await.unwrap().map(|slot| slot.as_u64());
    ledger.shut().await;
    slot
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        make_data(&place.data(), 7).await;
        fs::write(place.data().join("admin.token"), TOKEN).unwrap();
        fs::write(place.at("relays.toml"), "# hush-hush-token\nnetwork = \"mainnet\"\n").unwrap();
        fs::write(place.at("keys.txt"), "0xab\n").unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.at("data")
    }

    fn backups(&self) -> PathBuf {
        self.at("backups")
    }

    fn parts(&self, now: i64, sealing: Option<Sealing>) -> CreateParts {
        let settings = SettingsFile {
            path: self.at("relays.toml"),
            without_secrets: Some(("network = \"mainnet\"\n".to_owned(), vec!["relays.url".to_owned()])),
        };
        CreateParts {
            data_dir: self.data(),
            network: "mainnet".to_owned(),
            files: ConfigFiles {
                settings: Some(settings),
                plain: vec![
                    ConfigFile { path: self.at("keys.txt") },
                    ConfigFile { path: self.at("gone.txt") },
                ],
                secret: vec![SecretFile {
                    path: self.data().join("admin.token"),
                    of_data_dir: Some("admin.token".to_owned()),
                }],
            },
            sealing,
            directory: self.backups(),
            now,
            pace: pace(),
        }
    }

    async fn create(&self) -> PathBuf {
        create_on(self.parts(NOW, None), &Disk::default()).await.unwrap().path
    }

    async fn verify(&self, path: &Path) -> Result<(), BackupError> {
        verify_on(path, Some(&self.folder.path().join("backups")), NOW, &pace(), &Disk::default())
            .await
            .map(|_| ())
    }

    fn restore_parts(&self, archive: &Path, to: &Path, keys: Option<Keys>) -> RestoreParts {
        RestoreParts {
            archive: archive.to_owned(),
            data_dir: to.to_owned(),
            network: None,
            keys,
            data_files: vec!["admin.token".to_owned()],
            now: NOW,
            pace: pace(),
        }
    }
}

/// Everything in a folder that is not of a database's own or a lock.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_backed_up_comes_back() {
    let place = Place::new().await;
    // Beside a service that writes.
    let ledger = Ledger::open(&place.data(), "mainnet", 0).await.unwrap();
    let created = create_on(place.parts(NOW, None), &Disk::default()).await.unwrap();
    ledger.shut().await;
    let data = fs::metadata(&created.path).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777, 0o600);
    assert_eq!(names(&place.backups()).len(), 1, "{:?}", names(&place.backups()));
    assert_eq!(list_backups(&place.backups(), "mainnet").unwrap()[0].known(), None);
    place.verify(&created.path).await.unwrap();
    assert_eq!(list_backups(&place.backups(), "mainnet").unwrap()[0].known(), Some(VerdictKind::Verified));
    assert_eq!(names(&place.backups()).len(), 2, "{:?}", names(&place.backups()));
    let left_out: Vec<&str> =
        created.manifest.left_out.iter().map(|left| left.what.rsplit('/').next().unwrap()).collect();
    assert_eq!(left_out, ["relays.toml", "gone.txt", "admin.token"]);

    let to = place.at("other");
    let done = restore_on(place.restore_parts(&created.path, &to, None), &Disk::default()).await.unwrap();
    assert_eq!(slot_of(&to).await, Some(7));
    assert!(to.join("journal.db").exists() && !to.join("admin.token").exists());
    let config = done.config.unwrap();
    assert_eq!(fs::read_to_string(config.join("relays.toml")).unwrap(), "network = \"mainnet\"\n");
    assert_eq!(fs::read_to_string(config.join("001-keys.txt")).unwrap(), "0xab\n");
    assert_eq!((done.kept.len(), done.missing.len()), (0, 3));
    assert!(
        !names(&to).iter().any(|name| name.starts_with(".restore") || name == "restore.json"),
        "{:?}",
        names(&to)
    );
}

/// The bytes of the tar within.
fn tar_of(path: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut zip = flate2::read::GzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_end(&mut zip, &mut tar).unwrap();
    tar
}

#[tokio::test]
async fn secrets_are_in_it_only_when_they_are_encrypted() {
    let place = Place::new().await;
    let has_token = |path: &Path| tar_of(path).windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes());
    assert!(!has_token(&place.create().await));
    let passphrase = place.at("pass");
    fs::write(&passphrase, "correct horse\n").unwrap();
    let sealing = Some(Sealing::PassphraseFile(passphrase.clone()));
    let created = create_on(place.parts(NOW + 5000, sealing), &Disk::default()).await.unwrap();
    assert!(!has_token(&created.path));
    assert_eq!(created.manifest.sealed.len(), 2);
    place.verify(&created.path).await.unwrap();

    let to = place.at("other");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("admin.token"), "the one before").unwrap();
    let keys = Some(Keys::PassphraseFile(passphrase));
    let done = restore_on(place.restore_parts(&created.path, &to, keys), &Disk::default()).await.unwrap();
    assert_eq!(fs::read_to_string(to.join("admin.token")).unwrap(), TOKEN);
    assert_eq!(done.kept.len(), 1);
    assert_eq!(fs::read_to_string(&done.kept[0]).unwrap(), "the one before");
    let config = done.config.unwrap();
    let sources: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(config.join("sources.json")).unwrap()).unwrap();
    let whole =
        sources.iter().find(|(name, source)| name.starts_with("secret") && source.ends_with("relays.toml"));
    assert!(fs::read_to_string(config.join(whole.unwrap().0)).unwrap().contains(TOKEN));

    // Without a key all else comes back, and the envelope is kept as it is.
    let closed = place.at("closed");
    let done = restore_on(place.restore_parts(&created.path, &closed, None), &Disk::default()).await.unwrap();
    assert!(done.config.unwrap().join("secrets.age").exists() && !closed.join("admin.token").exists());
    assert!(done.missing.iter().any(|left| left.why.contains("--identity")), "{:?}", done.missing);
    // With another one nothing does.
    let wrong = place.at("wrong");
    fs::write(&wrong, "battery staple\n").unwrap();
    let (none, keys) = (place.at("none"), Some(Keys::PassphraseFile(wrong)));
    restore_on(place.restore_parts(&created.path, &none, keys), &Disk::default()).await.unwrap_err();
    assert_eq!(names(&none), Vec::<String>::new());
}

#[tokio::test]
async fn a_flipped_byte_and_a_file_that_was_cut_off_are_known() {
    let place = Place::new().await;
    let original = place.create().await;
    let (whole, contents) = (fs::read(&original).unwrap(), tar_of(&original));
    let path = place.at("backups/relaymux-mainnet-20270101T000000Z.tar.gz");
    let mut said = Vec::new();
    for at in (10..whole.len()).step_by(whole.len() / 60).chain([whole.len() - 1, whole.len() - 6]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let verdict = place.verify(&path).await;
        // In a long row of zeros it does not matter from where they are copied: what comes back is the same, byte for byte.
        if verdict.is_ok() {
            assert!(tar_of(&path) == contents, "damage at {at} of {} is not seen", whole.len());
            continue;
        }
        said.push((at, verdict));
    }
    assert!(said.len() > 50, "{}", said.len());
    for at in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1, whole.len() - 8]) {
        fs::write(&path, &whole[..at]).unwrap();
        said.push((at, place.verify(&path).await));
    }
    let behind = [whole.as_slice(), b"more"].concat();
    fs::write(&path, behind).unwrap();
    said.push((whole.len(), place.verify(&path).await));
    for (at, verdict) in said {
        let error = verdict.expect_err(&format!("damage at {at} of {} is not seen", whole.len()));
        assert!(error.is_of_the_backup(), "{at}: {error}");
    }
    let known = list_backups(&place.backups(), "mainnet").unwrap();
    assert_eq!(known[0].known(), Some(VerdictKind::Failed));
    assert_eq!(names(&place.backups()).len(), 3, "{:?}", names(&place.backups()));
    fs::write(&path, &whole).unwrap();
    place.verify(&path).await.unwrap();
}

/// An archive with a manifest that names a file, and whatever entries.
fn forge(path: &Path, manifest: &[u8], entries: &[(tar::EntryType, &str, &[u8])]) {
    let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
    let all = [(tar::EntryType::Regular, MANIFEST, manifest)];
    for (kind, name, contents) in all.iter().chain(entries) {
        let mut header = tar::Header::new_ustar();
        let room = &mut header.as_old_mut().name;
        room[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_entry_type(*kind);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_mode(0o777);
        header.set_cksum();
        tar.append(&header, *contents).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().flush().unwrap();
}

#[tokio::test]
async fn nothing_in_an_archive_leads_anywhere_else() {
    use tar::EntryType::{Directory, GNULongName, Link, Regular, Symlink, XHeader};

    let place = Place::new().await;
    fs::create_dir_all(place.backups()).unwrap();
    let path = place.at("backups/relaymux-mainnet-20270101T000000Z.tar.gz");
    let (bytes, sha256) = hash_bytes(b"x");
    let member = |name: &str| Member {
        name: name.to_owned(),
        kind: MemberKind::Ledger,
        bytes,
        sha256: sha256.clone(),
        source: None,
        schema: None,
        rows: BTreeMap::new(),
    };
    let manifest = Manifest { members: vec![member("ledger.db")], ..Manifest::new("mainnet", NOW) };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let outside = place.at("outside");
    for (name, entries) in [
        ("a link", vec![(Symlink, "ledger.db", &b""[..])]),
        ("a hard link", vec![(Link, "ledger.db", b"")]),
        ("a folder", vec![(Directory, "ledger.db", b"")]),
        ("an absolute path", vec![(Regular, "/ledger.db", b"x")]),
        ("a path upwards", vec![(Regular, "../outside", b"x")]),
        ("a long name", vec![(GNULongName, "ledger.db", b"x")]),
        ("an extension", vec![(XHeader, "ledger.db", b"x")]),
        ("another file", vec![(Regular, "journal.db", b"x")]),
        ("one file too many", vec![(Regular, "ledger.db", b"x"), (Regular, "extra", b"x")]),
        ("a longer file", vec![(Regular, "ledger.db", b"xx")]),
        ("other contents", vec![(Regular, "ledger.db", b"y")]),
        ("a missing file", vec![]),
        ("no database", vec![(Regular, "ledger.db", b"x")]),
    ] {
        forge(&path, &manifest, &entries);
        let error = place.verify(&path).await.expect_err(name);
        assert!(error.is_of_the_backup(), "{name}: {error}");
        let to = place.at("to");
        let restored = restore_on(place.restore_parts(&path, &to, None), &Disk::default()).await;
        restored.expect_err(name);
        assert!(!outside.exists() && names(&to).is_empty(), "{name}");
    }
    forge(&path, b"{}", &[]);
    assert!(place.verify(&path).await.unwrap_err().is_of_the_backup());
    fs::write(&path, "not even an archive").unwrap();
    assert!(place.verify(&path).await.unwrap_err().is_of_the_backup());
}

#[tokio::test]
async fn another_network_and_a_newer_schema_are_refused_and_nothing_changes() {
    let place = Place::new().await;
    let path = place.create().await;
    let to = place.at("to");
    make_data(&to, 3).await;
    let before = names(&to);
    let parts = RestoreParts { network: Some("hoodi".to_owned()), ..place.restore_parts(&path, &to, None) };
    let error = restore_on(parts, &Disk::default()).await.unwrap_err();
    assert!(matches!(error, BackupError::OtherNetwork { .. }), "{error}");

    let ledger = Ledger::open(&place.data(), "mainnet", 0).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', TRUE, x'00', 0)";
    ledger.change_for_test(newer).await;
    ledger.shut().await;
    let path = create_on(place.parts(NOW + 5000, None), &Disk::default()).await.unwrap().path;
    let error = restore_on(place.restore_parts(&path, &to, None), &Disk::default()).await.unwrap_err();
    assert!(matches!(error, BackupError::Newer { .. }), "{error}");
    let error = place.verify(&path).await.unwrap_err();
    // Nothing is wrong with it: no verdict.
    assert!(matches!(error, BackupError::Newer { .. }), "{error}");
    assert_eq!((names(&to), slot_of(&to).await), (before, Some(3)));
}

/// Killed after any step of making one: there is a whole backup or none, and the next one is made.
#[tokio::test]
async fn who_is_killed_while_making_one_leaves_none_or_a_whole_one() {
    let place = Place::new().await;
    let mut steps = 0;
    loop {
        let killed = create_on(place.parts(NOW, None), &Disk::that_ends_after(steps)).await;
        let left = list_backups(&place.backups(), "mainnet").unwrap();
        for backup in &left {
            place.verify(&backup.path).await.unwrap();
        }
        if killed.is_ok() && left.len() == 1 {
            break;
        }
        let next = create_on(place.parts(NOW + 5000, None), &Disk::default()).await.unwrap();
        place.verify(&next.path).await.unwrap();
        fs::remove_dir_all(place.backups()).unwrap();
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(slot_of(&place.data()).await, Some(7));
}

/// Killed after any step of bringing one back: everything is as it was, or the next one finishes it; what was there before is there in either case.
#[tokio::test]
async fn who_is_killed_while_bringing_one_back_loses_nothing() {
    let place = Place::new().await;
    let path = place.create().await;
    let (mut steps, mut old, mut new) = (0, 0, 0);
    loop {
        let to = place.at(&format!("to-{steps}"));
        make_data(&to, 3).await;
        let killed = restore_on(place.restore_parts(&path, &to, None), &Disk::that_ends_after(steps)).await;
        // Whoever finishes it is killed, too, now and then.
        let _ = resume_on(&to, &Disk::that_ends_after(steps % 4));
        let resumed = resume_on(&to, &Disk::default()).unwrap();
        assert_eq!(resume_on(&to, &Disk::default()).unwrap(), None);
        assert!(to.join("journal.db").exists());
        match slot_of(&to).await {
            Some(3) => {
                assert!(killed.is_err() && resumed.is_none(), "{steps}");
                old += 1;
            }
            Some(7) => {
                let kept = names(&to).into_iter().find(|name| {
                    name.starts_with("ledger.db.before-restore-")
                        && !name.ends_with("-wal")
                        && !name.ends_with("-shm")
                });
                let kept_in = place.at(&format!("kept-{steps}"));
                fs::create_dir(&kept_in).unwrap();
                fs::copy(to.join(kept.unwrap()), kept_in.join("ledger.db")).unwrap();
                assert_eq!(slot_of(&kept_in).await, Some(3), "{steps}");
                new += 1;
            }
            other => panic!("after {steps} steps: {other:?}"),
        }
        // And it can be restored once more.
        let again = RestoreParts { now: NOW + 60_000, ..place.restore_parts(&path, &to, None) };
        restore_on(again, &Disk::default()).await.unwrap();
        assert_eq!(slot_of(&to).await, Some(7));
        let left = names(&to).into_iter().filter(|name| name.starts_with(".restore")).count();
        assert_eq!(left, 0);
        fs::remove_dir_all(&to).unwrap();
        if killed.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(old > 3 && new > 5, "{old} {new}");
}

#[tokio::test]
async fn who_is_told_to_stop_leaves_nothing() {
    let place = Place::new().await;
    let stop = CancellationToken::new();
    stop.cancel();
    let parts =
        CreateParts { pace: Pace::new(100, stop), ..place.parts(WallClock::manual(NOW).0.now(), None) };
    // So little is not even asked; if it is, it ends.
    let done = create_on(parts, &Disk::default()).await;
    let left = list_backups(&place.backups(), "mainnet").unwrap();
    assert_eq!(left.len(), usize::from(done.is_ok()));
    let gone = CreateParts { data_dir: place.at("none"), ..place.parts(NOW, None) };
    let error = create_on(gone, &Disk::default()).await.unwrap_err();
    assert!(matches!(error, BackupError::NothingThere(_)), "{error}");
}
