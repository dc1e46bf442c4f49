//! `[disk]`, `[[disk.filesystems]]`: what is watched, and what is done when there is hardly any room.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    checker::Checker,
    disk_classes::classes,
    durations::duration,
    node_limits::size,
    raw_disk::{RawDisk, RawFilesystem},
};
use crate::{
    supervisor::{
        LaunchSpec, Layer, NodeSettings, RuntimeSettings,
        disk::{BallastSettings, DiskSettings, FilesystemSettings, Protected, Protection, Thresholds},
    },
    types::NodeId,
};

/// Between two looks, unless the file says otherwise.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Most filesystems, classes and named folders.
const MOST: usize = 64;
/// The ballast's name, unless the file says otherwise.
const BALLAST: &str = ".relaymux-ballast";
/// Smallest ballast: what a database writes to close is more.
const LEAST_BALLAST: u64 = 1 << 20;

/// What the section is checked in.
pub(super) struct DiskContext<'a> {
    /// Where relaymux keeps its own files.
    pub(super) data_dir: &'a Path,
    /// `[[nodes]]`
    pub(super) nodes: &'a [NodeSettings],
    /// Upstreams of tier `primary` that are nodes under supervision.
    pub(super) primaries: &'a [NodeId],
    /// Where this machine's `/proc` is under.
    pub(super) host_root: &'a Path,
    /// The process's environment.
    pub(super) environment: &'a [(String, String)],
}

/// Checks the section. Secrets and certificates that others noted before are protected as well.
pub(super) fn disk(raw: &RawDisk, context: &DiskContext<'_>, checker: &mut Checker) -> DiskSettings {
    for (key, count) in [
        ("filesystems", raw.filesystems.len()),
        ("classes", raw.classes.len()),
        ("sizes", raw.sizes.len()),
        ("protect", raw.protect.len()),
    ] {
        if count > MOST {
            checker.wrong(&format!("disk.{key}"), format!("has more than {MOST} entries"), "leave some out");
        }
    }
    let filesystems = filesystems(&raw.filesystems, checker);
    let protection = protection(raw, context, &filesystems, checker);
    let classes = classes(&raw.classes, &filesystems, &protection, checker);
    if filesystems.is_empty() {
        let hint = "add [[disk.filesystems]] with a path";
        checker.wrong("disk.filesystems", "there is none: nothing is watched, and nothing cleaned", hint);
    }
    let second = Duration::from_secs(1);
    DiskSettings {
        every: duration(
            "disk.check_every",
            raw.check_every.as_ref(),
            CHECK_EVERY,
            second..=second * 3600,
            checker,
        ),
        sizes: folders("disk.sizes", &raw.sizes, checker),
        stop_order: stop_order(&raw.stop_order, context, checker),
        filesystems,
        classes,
        protection,
        state_dir: absolute(context.data_dir).join("disk"),
        host_root: context.host_root.to_owned(),
    }
}

/// Paths in messages and comparisons are whole ones.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn folders(key: &str, texts: &[String], checker: &mut Checker) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        if Path::new(text).is_absolute() {
            folders.push(text.into());
        } else {
            let message = format!("`{text}` is no absolute path");
            checker.wrong(&format!("{key}[{index}]"), message, "write it from / on");
        }
    }
    folders
}

fn filesystems(raw: &[RawFilesystem], checker: &mut Checker) -> Vec<FilesystemSettings> {
    let mut known = BTreeSet::new();
    let mut out = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let section = format!("disk.filesystems[{index}]");
        let path = raw.path.as_deref().map(Path::new).filter(|path| path.is_absolute());
        let Some(path) = path else {
            let message = if raw.path.is_some() { "is no absolute path" } else { "is missing" };
            checker.wrong(&format!("{section}.path"), message, "write a folder on it, such as \"/data\"");
            continue;
        };
        if !known.insert(path.to_owned()) {
            checker.wrong(&format!("{section}.path"), "is named twice", "leave one out");
        }
        let thresholds = thresholds(raw, &section, checker);
        let ballast = ballast(raw, path, &section, checker);
        out.push(FilesystemSettings { path: path.to_owned(), thresholds, ballast });
    }
    out
}

fn thresholds(raw: &RawFilesystem, section: &str, checker: &mut Checker) -> Thresholds {
    let default = Thresholds::default();
    let mut number = |key: &str, value: Option<u64>, default: u8, most: u8, hint: &str| {
        let found = value.map_or(Some(default), |value| u8::try_from(value).ok().filter(|it| *it <= most));
        found.unwrap_or_else(|| {
            checker.wrong(&format!("{section}.{key}"), format!("is more than {most}"), hint);
            default
        })
    };
    const PERCENT: &str = "write a whole number of percent, 1 to 99";
    let thresholds = Thresholds {
        target_percent: number("target_percent", raw.target_percent, default.target_percent, 99, PERCENT),
        warn_percent: number("warn_percent", raw.warn_percent, default.warn_percent, 99, PERCENT),
        high_percent: number("high_percent", raw.high_percent, default.high_percent, 99, PERCENT),
        emergency_percent: number(
            "emergency_percent",
            raw.emergency_percent,
            default.emergency_percent,
            99,
            PERCENT,
        ),
        min_free_inodes_percent: number(
            "min_free_inodes_percent",
            raw.min_free_inodes_percent,
            default.min_free_inodes_percent,
            50,
            "write a whole number of percent, 0 to 50",
        ),
        min_days: number("min_days", raw.min_days, default.min_days, 60, "write 0 (off) to 60 days"),
        min_free_bytes: default.min_free_bytes,
    };
    let min_free =
        raw.min_free.as_deref().and_then(|text| size(text, &format!("{section}.min_free"), checker));
    let marks = [
        ("target_percent", thresholds.target_percent),
        ("warn_percent", thresholds.warn_percent),
        ("high_percent", thresholds.high_percent),
        ("emergency_percent", thresholds.emergency_percent),
    ];
    for pair in marks.windows(2) {
        if let [(lower, below), (upper, above)] = pair
            && below >= above
        {
            checker.contradicts(
                &format!("{section}.{upper}"),
                &format!("{section}.{lower}"),
                format!("is {above}, which is not above {lower} ({below})"),
                "write target < warn < high < emergency, such as 60, 75, 80, 90",
            );
        }
    }
    if thresholds.target_percent == 0 {
        checker.wrong(&format!("{section}.target_percent"), "no disk is ever empty", PERCENT);
    }
    Thresholds { min_free_bytes: min_free.unwrap_or(default.min_free_bytes), ..thresholds }
}

fn ballast(
    raw: &RawFilesystem,
    path: &Path,
    section: &str,
    checker: &mut Checker,
) -> Option<BallastSettings> {
    let key = format!("{section}.ballast");
    let bytes = raw.ballast.as_deref().and_then(|text| size(text, &key, checker));
    if raw.ballast_file.is_some() && raw.ballast.is_none() {
        checker.wrong(&format!("{section}.ballast_file"), "there is no ballast", "give ballast = \"5GiB\"");
    }
    let bytes = bytes?;
    if bytes < LEAST_BALLAST {
        checker.wrong(&key, "is less than any database needs to close", "such as \"5GiB\"");
        return None;
    }
    let file = raw.ballast_file.as_deref().map_or_else(|| path.join(BALLAST), PathBuf::from);
    if !file.starts_with(path) || file == path {
        let message = format!("{} does not lie on {}", file.display(), path.display());
        checker.wrong(&format!("{section}.ballast_file"), message, "name a file of its own below its path");
        return None;
    }
    Some(BallastSettings { path: file, bytes })
}

/// Everything that the configuration names and that is no class's business.
fn protection(
    raw: &RawDisk,
    context: &DiskContext<'_>,
    filesystems: &[FilesystemSettings],
    checker: &mut Checker,
) -> Protection {
    let mut paths = vec![(absolute(context.data_dir), Protected::Own)];
    for path in folders("disk.protect", &raw.protect, checker) {
        paths.push((path, Protected::Named));
    }
    for node in context.nodes {
        if let RuntimeSettings::Docker(docker) = &node.runtime
            && let Some(LaunchSpec { mounts, .. }) = &docker.launch
        {
            paths.extend(mounts.iter().map(|mount| (absolute(&mount.source), Protected::Named)));
        }
    }
    let secrets = checker.secrets.iter().map(|path| (absolute(path), Protected::Secret));
    let certificates = checker.certificates.iter().map(|path| (absolute(path), Protected::Secret));
    let included = checker.included.iter().map(|path| (absolute(path), Protected::Named));
    paths.extend(secrets.chain(certificates).chain(included));
    let ballasts = filesystems.iter().filter_map(|filesystem| filesystem.ballast.as_ref());
    paths.extend(ballasts.map(|ballast| (ballast.path.clone(), Protected::Own)));
    paths.sort();
    paths.dedup();
    let home = context.environment.iter().find(|(name, value)| name == "HOME" && !value.is_empty());
    Protection { paths, home: home.map(|(_, value)| value.into()) }
}

/// Nodes that may be stopped: known ones, no beacon node, and no execution client that nobody would stand in for.
fn stop_order(raw: &[String], context: &DiskContext<'_>, checker: &mut Checker) -> Vec<NodeId> {
    let mut order: Vec<NodeId> = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let key = format!("disk.stop_order[{index}]");
        let Some(node) = context.nodes.iter().find(|node| node.id.as_str() == text) else {
            checker.wrong(&key, format!("no node `{text}` is configured"), "name one of [[nodes]] by its id");
            continue;
        };
        if order.contains(&node.id) {
            checker.wrong(&key, format!("`{text}` is named twice"), "leave one out");
            continue;
        }
        let stands_in = |other: &&NodeSettings| {
            other.id != node.id && other.group == node.group && !raw.iter().any(|it| it == other.id.as_str())
        };
        match node.kind.layer() {
            Layer::Consensus => {
                let message =
                    format!("`{text}` is a beacon node, which is never stopped: no block would be proposed");
                checker.wrong(&key, message, "name second layers, archives and test validators");
            }
            Layer::Execution if context.primaries.contains(&node.id) => {
                let message = format!("`{text}` is the primary of [[rpc.upstreams]], which is never stopped");
                checker.wrong(&key, message, "name its replica");
            }
            Layer::Execution if !context.nodes.iter().any(|other| stands_in(&other)) => {
                let message =
                    format!("`{text}` is an execution client that no other of its group would stand in for");
                checker.wrong(&key, message, "name replicas only, and leave the primary out");
            }
            Layer::Execution | Layer::L2 | Layer::Solana | Layer::Other => order.push(node.id.clone()),
        }
    }
    order
}

#[cfg(test)]
mod tests;
