//! Classes of what may be deleted: what they are, and what each kind means unless the configuration says otherwise.

use std::{path::PathBuf, time::Duration};

use super::glob::Glob;
use crate::types::labelled;

labelled! {
    /// What a class is made of.
    pub enum ClassKind {
        /// Files of a pattern of the operator's.
        Files = "files",
        /// Logs that were rotated away.
        RotatedLogs = "rotated-logs",
        /// Memory of programs that crashed.
        CoreDumps = "core-dumps",
        /// Archives that a node was started from.
        Downloads = "downloads",
        /// Snapshots of a Solana validator, but for the newest.
        SolanaSnapshots = "solana-snapshots",
        /// relaymux's own backups, but for the newest.
        Backups = "backups",
        /// The journal of systemd, by its own tool.
        Journald = "journald",
        /// Images of Docker that no tag and no container names, by Docker itself. Never volumes.
        DanglingImages = "docker-images",
        /// What Docker keeps of builds, by Docker itself.
        BuildCache = "docker-build-cache",
    }
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

impl ClassKind {
    /// Whether files below a root are deleted by us.
    pub const fn has_root(self) -> bool {
        !matches!(self, Self::Journald | Self::DanglingImages | Self::BuildCache)
    }

    /// Names that it is made of.
    pub const fn globs(self) -> &'static [&'static str] {
        match self {
            Self::RotatedLogs => &["*.log.*", "*.log-*", "*.gz", "*-json.log.*"],
            Self::CoreDumps => {
                &["core", "core.*", "*.core", "vgcore.*", "*.hprof", "hs_err_pid*", "heap*.out"]
            }
            Self::Downloads => &["*.tar", "*.tar.*", "*.tgz", "*.zst", "*.part", "*.lz4", "*.aria2"],
            Self::SolanaSnapshots => &["snapshot-*.tar.*", "incremental-snapshot-*.tar.*", "tmp-snapshot-*"],
            Self::Backups => &["relaymux-*"],
            Self::Files | Self::Journald | Self::DanglingImages | Self::BuildCache => &[],
        }
    }

    /// How old something must be.
    pub const fn min_age(self) -> Duration {
        Duration::from_secs(match self {
            Self::CoreDumps | Self::Downloads => 3 * DAY,
            Self::SolanaSnapshots => 6 * HOUR,
            Self::Backups => 30 * DAY,
            Self::Files | Self::RotatedLogs | Self::Journald | Self::DanglingImages | Self::BuildCache => {
                7 * DAY
            }
        })
    }

    /// How many of the newest stay whatever their age.
    pub const fn keep_newest(self) -> usize {
        match self {
            Self::SolanaSnapshots => 4,
            Self::Backups => 7,
            Self::Files
            | Self::RotatedLogs
            | Self::CoreDumps
            | Self::Downloads
            | Self::Journald
            | Self::DanglingImages
            | Self::BuildCache => 0,
        }
    }
}

/// One of `[[disk.classes]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSettings {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: ClassKind,
    /// Where it comes from.
    pub source: Source,
    /// Most bytes that a run deletes of it.
    pub max_bytes: u64,
    /// Most files that a run deletes of it.
    pub max_count: usize,
}

/// Where something that may be deleted comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files below a root.
    Files(FileClass),
    /// `journalctl --vacuum-size`
    Journald {
        /// So many bytes stay.
        keep_bytes: u64,
    },
    /// Docker's dangling images.
    DanglingImages {
        /// How old they must be.
        min_age: Duration,
    },
    /// Docker's build cache.
    BuildCache {
        /// How long it must not have been used.
        min_age: Duration,
    },
}

/// Files below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileClass {
    /// The root.
    pub root: PathBuf,
    /// Names: one of them must fit.
    pub globs: Vec<Glob>,
    /// How long ago a file must have been written last.
    pub min_age: Duration,
    /// How many of the newest stay whatever their age.
    pub keep_newest: usize,
}

impl FileClass {
    /// Whether a name is of this class.
    pub fn takes(&self, name: &[u8]) -> bool {
        self.globs.iter().any(|glob| glob.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::protected::reaches_protected, *};

    #[test]
    fn shipped_patterns_reach_nothing_protected() {
        for kind in ClassKind::ALL {
            assert_eq!(kind.globs().is_empty(), !kind.has_root() || kind == ClassKind::Files, "{kind}");
            for text in kind.globs() {
                let glob = Glob::parse(text).unwrap();
                assert_eq!(reaches_protected(&glob), None, "{kind} {text}");
            }
        }
    }
}
