//! Opening both files at start, whatever state they are in.
//!
//! Nothing that the consensus client asks for needs them: a full disk, a damaged file, one of a newer version or a folder that nobody can
//! write to must not keep a validator from its bids. A damaged file is moved aside and a new one begun; a file that is another version's is left
//! alone, as is one that cannot be written, and memory takes its place until the next start. What such a file still tells is read all the same:
//! blocks without a fate, whom the validators want to be paid, and what relays did. Not so of a ledger that is another chain's: its validators,
//! relays and bundles are not this one's.

use std::path::{Path, PathBuf};

use tracing::{error, info};

use super::{
    Journal, Ledger, LedgerError, UnsettledBlock,
    database::{Unusable, open_as_it_is},
    journal::read_unsettled,
    query::{read_registrations, read_reputations},
    remembered::RememberedValidator,
};

/// Both files, and what they remember.
#[derive(Debug)]
pub struct Stores {
    /// The database of everything that happened.
    pub ledger: Ledger,
    /// Signed blocks.
    pub journal: Journal,
    /// Blocks without a fate.
    pub unsettled: Vec<UnsettledBlock>,
    /// Registrations that earlier processes took, the newest of each validator.
    pub registrations: Vec<RememberedValidator>,
    /// What is known of relays: name and JSON.
    pub reputations: Vec<(String, String)>,
    /// The records of blocks by which relays are judged, oldest first.
    pub block_records: Vec<String>,
    /// What was wrong with the files, and what was done about it.
    pub troubles: Vec<StoreTrouble>,
}

/// What was wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTrouble {
    /// `ledger` or `journal`.
    pub part: &'static str,
    /// Whether memory takes its place, so that records end with the process; otherwise a new file has begun.
    pub in_memory: bool,
    /// What happened and what to do.
    pub message: String,
}

impl Stores {
    /// Opens both files of a folder, or what takes their place. Blocks of the journal with a fate that are older than `keep_since` (Unix
    /// milliseconds) are forgotten; `now` names files that are moved aside.
    ///
    /// # Errors
    /// When not even memory can be had.
    pub async fn open(data_dir: &Path, chain: &str, now: i64, keep_since: i64) -> Result<Self, LedgerError> {
        let mut troubles = Vec::new();
        let (journal, unsettled) = open_journal(data_dir, now, keep_since, &mut troubles).await?;
        journal.keep_for(now.saturating_sub(keep_since), now);
        let (ledger, memories) = open_ledger(data_dir, chain, now, &mut troubles).await?;
        // A journal beside another chain's ledger has that chain's blocks.
        let is_of_other_chain = matches!(memories, Err(OtherChain));
        if !is_of_other_chain && let Err(failure) = ledger.read_back(&journal).await {
            error!(error = %failure, "the journal's blocks are not in the ledger");
        }
        let LedgerMemories { registrations, reputations, block_records } = memories.unwrap_or_default();
        Ok(Self { ledger, journal, unsettled, registrations, reputations, block_records, troubles })
    }
}

impl Stores {
    /// Memory in the place of both files, as neither answers, and why.
    ///
    /// # Errors
    /// When not even memory can be had.
    pub async fn in_memory(chain: &str, reason: &str) -> Result<Self, LedgerError> {
        let trouble =
            |part| StoreTrouble { part, in_memory: true, message: kept_in_memory(part, reason, DISK) };
        let LedgerMemories { registrations, reputations, block_records } = LedgerMemories::default();
        Ok(Self {
            ledger: Ledger::open_in_memory(chain).await?,
            journal: Journal::open_in_memory().await?,
            unsettled: Vec::new(),
            registrations,
            reputations,
            block_records,
            troubles: vec![trouble("journal"), trouble("ledger")],
        })
    }
}

/// The file in the folder is the ledger of another chain.
struct OtherChain;

#[derive(Debug, Default)]
struct LedgerMemories {
    registrations: Vec<RememberedValidator>,
    reputations: Vec<(String, String)>,
    block_records: Vec<String>,
}

async fn open_journal(
    data_dir: &Path,
    now: i64,
    keep_since: i64,
    troubles: &mut Vec<StoreTrouble>,
) -> Result<(Journal, Vec<UnsettledBlock>), LedgerError> {
    let file = data_dir.join("journal.db");
    let attempt = async || {
        let journal = Journal::open(data_dir, now).await?;
        let unsettled = journal.unsettled().await?;
        journal.forget_before(keep_since).await?;
        Ok::<_, LedgerError>((journal, unsettled))
    };
    let failure = match attempt().await {
        Ok(opened) => return Ok(opened),
        Err(failure) => failure,
    };
    // Before anything is moved: a block without a fate may still be in time.
    let unsettled = match open_as_it_is(&file).await {
        Ok(mut connection) => read_unsettled(&mut connection).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    if let Some(aside) = move_aside(&file, &failure, now)
        && let Ok((journal, _)) = attempt().await
    {
        troubles.push(replaced("journal", &failure, &aside));
        return Ok((journal, unsettled));
    }
    troubles.push(in_memory("journal", &failure));
    Ok((Journal::open_in_memory().await?, unsettled))
}

async fn open_ledger(
    data_dir: &Path,
    chain: &str,
    now: i64,
    troubles: &mut Vec<StoreTrouble>,
) -> Result<(Ledger, Result<LedgerMemories, OtherChain>), LedgerError> {
    let file = data_dir.join("ledger.db");
    let attempt = async || {
        let ledger = Ledger::open(data_dir, chain, now).await?;
        let (registrations, reputations) = (ledger.registrations().await?, ledger.reputations().await?);
        let block_records = ledger.block_records().await?;
        Ok::<_, LedgerError>((ledger, LedgerMemories { registrations, reputations, block_records }))
    };
    let failure = match attempt().await {
        Ok((ledger, memories)) => return Ok((ledger, Ok(memories))),
        Err(failure) => failure,
    };
    if failure.unusable() == Unusable::OtherChain {
        troubles.push(in_memory("ledger", &failure));
        return Ok((Ledger::open_in_memory(chain).await?, Err(OtherChain)));
    }
    let mut memories = LedgerMemories::default();
    if let Ok(mut connection) = open_as_it_is(&file).await {
        memories.registrations = read_registrations(&mut connection).await.unwrap_or_default();
        memories.reputations = read_reputations(&mut connection).await.unwrap_or_default();
    }
    if let Some(aside) = move_aside(&file, &failure, now)
        && let Ok((ledger, _)) = attempt().await
    {
        troubles.push(replaced("ledger", &failure, &aside));
        return Ok((ledger, Ok(memories)));
    }
    troubles.push(in_memory("ledger", &failure));
    Ok((Ledger::open_in_memory(chain).await?, Ok(memories)))
}

/// Moves a damaged file aside, with the files beside it that are part of it. Where to; nowhere when it is not damaged or cannot be moved.
fn move_aside(file: &Path, failure: &LedgerError, now: i64) -> Option<PathBuf> {
    if failure.unusable() != Unusable::Damaged {
        return None;
    }
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let with_end = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with_end(file, &format!(".corrupt-{time}"));
    if aside.exists() {
        return None;
    }
    // The log of the last writes first: a new file beside an old log would be read with it.
    for end in ["-wal", "-shm", ""] {
        let from = with_end(file, end);
        if from.exists()
            && let Err(failure) = std::fs::rename(&from, with_end(&aside, end))
        {
            error!(path = %from.display(), error = %failure, "a damaged file cannot be moved aside");
            return None;
        }
    }
    info!(path = %aside.display(), "a damaged file was moved aside");
    Some(aside)
}

fn replaced(part: &'static str, failure: &LedgerError, aside: &Path) -> StoreTrouble {
    let message = format!(
        "{failure}. The damaged file is kept as {}, a new one has begun: earlier records are missing from reports",
        aside.display()
    );
    StoreTrouble { part, in_memory: false, message }
}

fn in_memory(part: &'static str, failure: &LedgerError) -> StoreTrouble {
    let advice = match failure.unusable() {
        Unusable::OtherVersion => OTHER_VERSION,
        Unusable::OtherChain => OTHER_CHAIN,
        Unusable::Damaged | Unusable::Inaccessible => DISK,
    };
    let message = kept_in_memory(part, &failure.to_string(), advice);
    StoreTrouble { part, in_memory: true, message }
}

fn kept_in_memory(part: &str, reason: &str, advice: &str) -> String {
    let lost = if part == "journal" { "signed blocks" } else { "records" };
    format!(
        "{reason}. Proposers are served, but {lost} are kept in memory only and end with the process. {advice}"
    )
}

const OTHER_VERSION: &str = "The file was left as it is: run the version of relaymux that wrote it or a newer one, or give this one a data_dir of its own";
const OTHER_CHAIN: &str = "The file was left as it is: give each network a data_dir of its own, or set network back to the one that this data_dir was made for, then restart";
const DISK: &str = "See to the disk and the rights of data_dir, then restart";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{BundleKind, BundleReceived, BundleWrite};

    #[tokio::test]
    async fn another_chains_ledger_is_neither_written_nor_believed() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::open(folder.path(), "mainnet", 1, 0).await.unwrap();
        assert_eq!(stores.troubles, []);
        let came = BundleReceived {
            id: 7,
            kind: BundleKind::Bundle,
            builders: "[]".to_owned(),
            ..BundleReceived::default()
        };
        stores.ledger.save_bundles(&[BundleWrite::Received(Box::new(came))]).await.unwrap();
        sqlx::query(
            "INSERT INTO counterparty_standings (counterparty, standing, saved_at) VALUES ('a', '{}', 1)",
        )
        .execute(stores.ledger.pool())
        .await
        .unwrap();
        stores.ledger.shut().await;
        stores.journal.shut().await;

        let other = Stores::open(folder.path(), "hoodi", 2, 0).await.unwrap();
        let [trouble] = other.troubles.as_slice() else { panic!("{:?}", other.troubles) };
        assert_eq!((trouble.part, trouble.in_memory), ("ledger", true));
        for said in ["network mainnet", "network is hoodi", "a data_dir of its own"] {
            assert!(trouble.message.contains(said), "{}", trouble.message);
        }
        assert!(other.reputations.is_empty() && other.ledger.open_bundles(9).await.unwrap().is_empty());
        other.ledger.shut().await;
        other.journal.shut().await;

        let back = Stores::open(folder.path(), "mainnet", 3, 0).await.unwrap();
        assert_eq!((back.troubles.len(), back.reputations.len()), (0, 1));
        assert_eq!(back.ledger.open_bundles(9).await.unwrap().len(), 1);
    }
}
