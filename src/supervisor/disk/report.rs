//! What a cleaning did, or would do.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::types::{UnixMillis, labelled};

labelled! {
    /// Why a file that fits stays.
    pub enum Kept {
        /// It is too young.
        Young = "young",
        /// It is one of the newest, which stay.
        Newest = "newest",
        /// A process has it open.
        Open = "open",
        /// Not all processes can be seen, and it is too young to be deleted without that.
        Unseen = "unseen",
        /// It has a second name: the same file lies somewhere else as well.
        HardLinked = "hard_linked",
        /// It is no regular file.
        NotAFile = "not_a_file",
        /// It has changed since it was chosen.
        Changed = "changed",
        /// It is gone.
        Gone = "gone",
        /// The system refused, as for a file that is immutable.
        Refused = "refused",
        /// It was beyond what one run deletes.
        Beyond = "beyond",
    }
}

labelled! {
    /// How it went with a class.
    pub enum ClassState {
        /// It was cleaned, or would be.
        Done = "done",
        /// There was enough room without it.
        NotNeeded = "not_needed",
        /// Its root is not there.
        Absent = "absent",
        /// It is refused as a whole, and nothing of it was touched.
        Refused = "refused",
        /// It failed.
        Failed = "failed",
    }
}

impl ClassState {
    /// Whether somebody should look at it.
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Refused | Self::Failed)
    }
}

/// What came of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The class.
    pub class: String,
    /// How it went.
    pub state: ClassState,
    /// Files that were deleted, or would be.
    pub files: u64,
    /// Room that they took, in bytes.
    pub bytes: u64,
    /// Files that fit and stay, by the reason.
    pub kept: BTreeMap<Kept, u64>,
    /// What else is to be said, as sentences for people.
    pub message: String,
}

impl ClassReport {
    /// Of a class of which nothing was done yet.
    pub(super) fn new(class: &str, state: ClassState, message: impl Into<String>) -> Self {
        let class = class.to_owned();
        Self { class, state, files: 0, bytes: 0, kept: BTreeMap::new(), message: message.into() }
    }

    /// So many files stay.
    pub(super) fn keep(&mut self, why: Kept, files: u64) {
        if files > 0 {
            let count = self.kept.entry(why).or_default();
            *count = count.saturating_add(files);
        }
    }
}

/// What a cleaning came to, or a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanReport {
    /// Number of the run; 0 of a plan.
    pub run: u64,
    /// Why it was done, as a sentence for people.
    pub reason: String,
    /// When it began, in Unix milliseconds.
    pub began_at: UnixMillis,
    /// When it ended, in Unix milliseconds.
    pub ended_at: UnixMillis,
    /// What came of each class.
    pub classes: Vec<ClassReport>,
    /// Each filesystem before and after.
    pub filesystems: Vec<FilesystemCleaned>,
    /// What an earlier run that was killed had begun, in sentences for people.
    pub recovered: Vec<String>,
}

/// A filesystem before and after a cleaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemCleaned {
    /// By which it is known.
    pub path: PathBuf,
    /// In use before, in thousandths.
    pub before_permille: u32,
    /// In use after, in thousandths.
    pub after_permille: u32,
    /// Bytes that came free, as the filesystem itself counts them.
    pub freed_bytes: u64,
    /// What it was to be cleaned to, in percent.
    pub target_percent: u8,
}

impl CleanReport {
    /// Files that were deleted.
    pub fn files(&self) -> u64 {
        self.classes.iter().map(|class| class.files).sum()
    }

    /// Room that they took, in bytes.
    pub fn bytes(&self) -> u64 {
        self.classes.iter().map(|class| class.bytes).fold(0, u64::saturating_add)
    }

    /// Whether nothing went wrong.
    pub fn is_well(&self) -> bool {
        self.classes.iter().all(|class| !class.state.is_wrong())
    }

    /// Filesystems that are still above what they were to be cleaned to.
    pub fn above_target(&self) -> impl Iterator<Item = &FilesystemCleaned> {
        self.filesystems.iter().filter(|it| it.after_permille > u32::from(it.target_percent) * 10)
    }
}

/// A file that a plan names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    /// Its class.
    pub class: String,
    /// Its path.
    pub path: PathBuf,
    /// Room that it takes, in bytes.
    pub bytes: u64,
    /// When it was written last, in Unix milliseconds.
    pub modified_at: UnixMillis,
}

/// What a cleaning would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// As a cleaning would report it, but for what systemd and Docker delete by themselves.
    #[serde(flatten)]
    pub report: CleanReport,
    /// The oldest files that would be deleted, at most two hundred of each class.
    pub files: Vec<PlannedFile>,
}
