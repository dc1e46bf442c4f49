//! `[[disk.classes]]`: what may be deleted. A class that could reach something protected is a mistake that names it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{checker::Checker, durations::duration, node_limits::size, raw_disk::RawClass};
use crate::{
    supervisor::disk::{
        ClassKind, ClassSettings, FileClass, FilesystemSettings, Glob, Protection, Source, reaches_protected,
    },
    types::NodeId,
};

/// Most bytes that a run deletes of a class, unless the file says otherwise.
const MAX_BYTES: u64 = 200 << 30;
/// Most files that a run deletes of a class, unless the file says otherwise, and at most.
const MAX_COUNT: usize = 100_000;
const MOST_COUNT: usize = 10_000_000;
/// Most files that are kept as the newest: each is remembered.
const MOST_KEPT: usize = 10_000;
/// What stays of systemd's journal, unless the file says otherwise, and at least.
const JOURNAL: u64 = 1 << 30;
const LEAST_JOURNAL: u64 = 16 << 20;
const MINUTE: Duration = Duration::from_secs(60);
const YEARS: Duration = Duration::from_secs(3650 * 86_400);

/// Checks them.
pub(super) fn classes(
    raw: &[RawClass],
    filesystems: &[FilesystemSettings],
    protection: &Protection,
    checker: &mut Checker,
) -> Vec<ClassSettings> {
    let mut known = BTreeSet::new();
    let mut out = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let section = format!("disk.classes[{index}]");
        let id = raw.id.as_deref().filter(|id| NodeId::parse(id).is_some());
        if id.is_none() {
            let message = if raw.id.is_some() { "is no name" } else { "is missing" };
            let hint = "1 to 64 letters, digits, - _ . such as \"old-logs\"";
            checker.wrong(&format!("{section}.id"), message, hint);
        }
        let is_new = id.is_none_or(|id| known.insert(id.to_owned()));
        if !is_new {
            checker.wrong(&format!("{section}.id"), "is named twice", "give each class a name of its own");
        }
        let reader = Reader { raw, section: &section, filesystems, protection };
        out.extend(reader.class(id.unwrap_or_default(), checker));
    }
    out
}

struct Reader<'a> {
    raw: &'a RawClass,
    section: &'a str,
    filesystems: &'a [FilesystemSettings],
    protection: &'a Protection,
}

impl Reader<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }

    fn class(&self, id: &str, checker: &mut Checker) -> Option<ClassSettings> {
        let kind = match self.raw.kind.as_deref() {
            None => ClassKind::Files,
            Some(text) => ClassKind::parse(text).or_else(|| {
                let known = ClassKind::ALL.map(ClassKind::label).join(", ");
                checker.wrong(
                    &self.at("kind"),
                    format!("`{text}` is no kind of class"),
                    format!("one of {known}"),
                );
                None
            })?,
        };
        self.strangers(kind, checker);
        let min_age =
            duration(&self.at("min_age"), self.raw.min_age.as_ref(), kind.min_age(), MINUTE..=YEARS, checker);
        let source = match kind {
            ClassKind::Journald => Source::Journald { keep_bytes: self.journal(checker) },
            ClassKind::DanglingImages => Source::DanglingImages { min_age },
            ClassKind::BuildCache => Source::BuildCache { min_age },
            ClassKind::Files
            | ClassKind::RotatedLogs
            | ClassKind::CoreDumps
            | ClassKind::Downloads
            | ClassKind::SolanaSnapshots
            | ClassKind::Backups => {
                let (globs, root) = (self.globs(kind, checker), self.root(checker));
                let keep_newest = self.number(
                    "keep_newest",
                    self.raw.keep_newest,
                    kind.keep_newest(),
                    (0, MOST_KEPT),
                    checker,
                );
                Source::Files(FileClass { root: root?, globs: globs?, min_age, keep_newest })
            }
        };
        let max_bytes =
            self.raw.max_bytes.as_deref().and_then(|text| size(text, &self.at("max_bytes"), checker));
        let max_count = self.number("max_count", self.raw.max_count, MAX_COUNT, (1, MOST_COUNT), checker);
        let max_bytes = max_bytes.unwrap_or(MAX_BYTES);
        Some(ClassSettings { id: id.to_owned(), kind, source, max_bytes, max_count })
    }

    /// Keys that mean nothing for a kind.
    fn strangers(&self, kind: ClassKind, checker: &mut Checker) {
        let raw = self.raw;
        let is_journal = kind == ClassKind::Journald;
        for (key, is_there, means_something) in [
            ("root", raw.root.is_some(), kind.has_root()),
            ("glob", raw.glob.is_some(), kind.has_root()),
            ("keep_newest", raw.keep_newest.is_some(), kind.has_root()),
            ("max_bytes", raw.max_bytes.is_some(), kind.has_root()),
            ("max_count", raw.max_count.is_some(), kind.has_root()),
            ("min_age", raw.min_age.is_some(), !is_journal),
            ("keep", raw.keep.is_some(), is_journal),
        ] {
            if is_there && !means_something {
                checker.wrong(&self.at(key), format!("means nothing for a class of {kind}"), "leave it out");
            }
        }
    }

    fn number(
        &self,
        key: &str,
        value: Option<u64>,
        default: usize,
        (least, most): (usize, usize),
        checker: &mut Checker,
    ) -> usize {
        let Some(value) = value else { return default };
        let found = usize::try_from(value).ok().filter(|value| (least..=most).contains(value));
        found.unwrap_or_else(|| {
            let message = format!("{value} is not {least} to {most}");
            checker.wrong(&self.at(key), message, format!("without the key it is {default}"));
            default
        })
    }

    fn journal(&self, checker: &mut Checker) -> u64 {
        let Some(text) = self.raw.keep.as_deref() else { return JOURNAL };
        let found = size(text, &self.at("keep"), checker).unwrap_or(JOURNAL);
        if found < LEAST_JOURNAL {
            checker.wrong(
                &self.at("keep"),
                "is so little that nothing could be looked up",
                "such as \"1GiB\"",
            );
        }
        found
    }

    fn globs(&self, kind: ClassKind, checker: &mut Checker) -> Option<Vec<Glob>> {
        let key = self.at("glob");
        let texts = match self.raw.glob.as_deref() {
            Some(text) => vec![text],
            None if kind.globs().is_empty() => {
                checker.wrong(&key, "is missing", "names of files that may be deleted, such as \"*.log.*\"");
                return None;
            }
            None => kind.globs().to_vec(),
        };
        let mut globs = Vec::new();
        for text in texts {
            match Glob::parse(text) {
                Ok(glob) => globs.push(glob),
                Err(fault) => {
                    checker.wrong(&key, format!("`{text}` {fault}"), "such as \"*.log.*\" or \"core.*\"");
                    return None;
                }
            }
        }
        let reached = globs.iter().find_map(reaches_protected);
        if let Some((name, what)) = reached {
            let message = format!("would also fit `{name}` ({what}), which is never deleted");
            checker.wrong(&key, message, "write a narrower one, such as \"*.log.*\"");
            return None;
        }
        Some(globs)
    }

    fn root(&self, checker: &mut Checker) -> Option<PathBuf> {
        let key = self.at("root");
        let Some(text) = self.raw.root.as_deref() else {
            checker.wrong(
                &key,
                "is missing",
                "the folder in which files may be deleted, such as \"/data/logs\"",
            );
            return None;
        };
        let root = Path::new(text);
        if let Some(fault) = self.protection.fault_on_disk(root) {
            let hint = "name the folder that holds nothing but what may be deleted, such as \"/data/logs\"";
            checker.wrong(&key, format!("`{text}` {fault}"), hint);
            return None;
        }
        if !self.filesystems.iter().any(|filesystem| root.starts_with(&filesystem.path)) {
            let message = format!("`{text}` lies on no filesystem of [[disk.filesystems]]");
            checker.wrong(&key, message, "add its filesystem, which says how far it is to be cleaned");
            return None;
        }
        Some(root.components().collect())
    }
}
