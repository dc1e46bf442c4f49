//! Which folders may be the root of a class: none that the system lives in, and none that holds, or lies in, something protected.

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    bounded,
    protected::{Protected, protected_folder, protected_name},
};

/// Folders that are too much by themselves; what lies in them may be a root.
const TOO_MUCH: [&str; 15] = [
    "/",
    "/data",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/docker",
    "/var/spool",
];

/// Folders that are the system's, with all that lies in them.
const OF_THE_SYSTEM: [&str; 18] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/docker/overlay2",
    "/var/lib/docker/volumes",
    "/var/lib/docker/image",
    "/var/lib/dpkg",
    "/var/lib/systemd/catalog",
];

/// Most entries that are looked at while a configuration is checked. What lies deeper is found before anything is deleted.
const LOOKED_AT: usize = 20_000;
/// Deepest folders that are looked into then.
const DEEPEST: usize = 6;
/// Longest look: a disk may hang.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What is never touched, beside what is protected by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Files and folders, and why.
    pub paths: Vec<(PathBuf, Protected)>,
    /// The home of whoever runs this: its files are kept, folders in it may be roots.
    pub home: Option<PathBuf>,
}

/// Why a folder is no root for a class. Sentences for people begin with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// It is relative, or has `..` in it.
    #[error("is no absolute path without `..`")]
    NotAbsolute,
    /// It is too much, or the system's.
    #[error("is or lies in {}, which is never cleaned", .0.display())]
    Refused(PathBuf),
    /// It lies in something protected.
    #[error("lies in {} ({what}), where nothing is ever deleted", .path.display())]
    LiesIn {
        /// What it lies in.
        path: PathBuf,
        /// Why that is protected.
        what: Protected,
    },
    /// It holds something protected.
    #[error("holds {} ({what}), and nothing beside it is deleted either", .path.display())]
    Holds {
        /// What it holds.
        path: PathBuf,
        /// Why that is protected.
        what: Protected,
    },
}

impl Protection {
    /// Why a folder is no root, by its path alone; none: it may be one.
    pub fn fault(&self, root: &Path) -> Option<RootFault> {
        let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !root.is_absolute() || !root.components().all(is_plain) {
            return Some(RootFault::NotAbsolute);
        }
        // The same path without what is written twice.
        let root: PathBuf = root.components().collect();
        let is_home = self.home.as_deref() == Some(&root) || root.parent() == Some(Path::new("/home"));
        if is_home || TOO_MUCH.iter().any(|much| root == Path::new(much)) {
            return Some(RootFault::Refused(root));
        }
        if let Some(system) = OF_THE_SYSTEM.iter().find(|system| root.starts_with(system)) {
            return Some(RootFault::Refused((*system).into()));
        }
        let mut above = PathBuf::new();
        for part in &root {
            above.push(part);
            if let Some(what) = protected_folder(part.as_encoded_bytes()) {
                return Some(RootFault::LiesIn { path: above, what });
            }
        }
        self.paths.iter().find_map(|(path, what)| {
            if root.starts_with(path) {
                return Some(RootFault::LiesIn { path: path.clone(), what: *what });
            }
            path.starts_with(&root).then(|| RootFault::Holds { path: path.clone(), what: *what })
        })
    }

    /// The same of where a folder really is, and of what lies in it now. A root that is not there yet, and one that cannot be looked at in time,
    /// has no fault: it is looked at again before anything is deleted.
    pub fn fault_on_disk(&self, root: &Path) -> Option<RootFault> {
        if let Some(fault) = self.fault(root) {
            return Some(fault);
        }
        let (protection, root) = (self.clone(), root.to_owned());
        bounded::within(LOOK_WITHIN, move || {
            let real = std::fs::canonicalize(&root).ok()?;
            let real_paths = protection
                .paths
                .iter()
                .filter_map(|(path, what)| Some((std::fs::canonicalize(path).ok()?, *what)));
            let real_protection = Protection { paths: real_paths.collect(), home: protection.home.clone() };
            real_protection.fault(&real).or_else(|| protected_within(&real))
        })
        .flatten()
    }
}

/// The first protected thing in a folder, as far as is looked. Links are not followed.
fn protected_within(root: &Path) -> Option<RootFault> {
    let mut folders = vec![(root.to_owned(), 0_usize)];
    let mut seen = 0_usize;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > LOOKED_AT {
                return None;
            }
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let what = match is_folder {
                true => protected_folder(name.as_encoded_bytes()),
                false => protected_name(name.as_encoded_bytes()),
            };
            if let Some(what) = what {
                return Some(RootFault::Holds { path: entry.path(), what });
            }
            if is_folder && depth < DEEPEST {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection() -> Protection {
        Protection {
            paths: vec![
                ("/data/relaymux".into(), Protected::Own),
                ("/data/geth".into(), Protected::Named),
                ("/srv/keys/jwt-of-geth".into(), Protected::NodeKey),
            ],
            home: Some("/opt/operator".into()),
        }
    }

    #[test]
    fn roots_are_refused_by_their_path() {
        let refused = |path: &str| Some(RootFault::Refused(path.into()));
        let lies_in = |path: &str, what| Some(RootFault::LiesIn { path: path.into(), what });
        let holds = |path: &str, what| Some(RootFault::Holds { path: path.into(), what });
        for (root, want) in [
            ("/data/logs", None),
            ("/var/log", None),
            ("/var/lib/docker/containers", None),
            ("/var/crash", None),
            ("/home/me/logs", None),
            ("/opt/operator/logs", None),
            ("logs", Some(RootFault::NotAbsolute)),
            ("/data/../etc", Some(RootFault::NotAbsolute)),
            ("/", refused("/")),
            ("//", refused("/")),
            ("/var/", refused("/var")),
            ("/etc", refused("/etc")),
            ("/etc/logrotate.d", refused("/etc")),
            ("/usr/local/logs", refused("/usr")),
            ("/home/me", refused("/home/me")),
            ("/opt/operator", refused("/opt/operator")),
            ("/var/lib/docker", refused("/var/lib/docker")),
            ("/var/lib/docker/overlay2", refused("/var/lib/docker/overlay2")),
            ("/var/lib/docker/overlay2/abc/diff/logs", refused("/var/lib/docker/overlay2")),
            ("/mnt/docker/volumes/x", lies_in("/mnt/docker/volumes", Protected::ChainData)),
            ("/mnt/geth/chaindata", lies_in("/mnt/geth/chaindata", Protected::ChainData)),
            ("/mnt/geth/chaindata/ancient/x", lies_in("/mnt/geth/chaindata", Protected::ChainData)),
            ("/mnt/validator_keys", lies_in("/mnt/validator_keys", Protected::Keystore)),
            ("/data/geth/logs", lies_in("/data/geth", Protected::Named)),
            ("/data/relaymux", lies_in("/data/relaymux", Protected::Own)),
            ("/srv/keys", holds("/srv/keys/jwt-of-geth", Protected::NodeKey)),
        ] {
            assert_eq!(protection().fault(Path::new(root)), want, "{root}");
        }
    }

    #[test]
    fn what_lies_in_a_root_and_where_it_really_is_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        for name in ["logs/a/b", "keys", "chain"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("logs/geth.log.1"), "x").unwrap();
        std::os::unix::fs::symlink(at("keys"), at("link")).unwrap();
        std::os::unix::fs::symlink("/etc", at("to-etc")).unwrap();
        let protection = Protection { paths: vec![(at("keys"), Protected::Named)], ..Protection::default() };
        assert_eq!(protection.fault_on_disk(&at("logs")), None);
        assert_eq!(protection.fault_on_disk(&at("not-there-yet")), None);
        assert_eq!(protection.fault_on_disk(&at("to-etc")), Some(RootFault::Refused("/etc".into())));
        let lies_in = RootFault::LiesIn { path: at("keys"), what: Protected::Named };
        assert_eq!(protection.fault_on_disk(&at("link")), Some(lies_in));
        std::fs::write(at("logs/a/b/keystore-m_1.json"), "x").unwrap();
        let holds = RootFault::Holds { path: at("logs/a/b/keystore-m_1.json"), what: Protected::Keystore };
        assert!(holds.to_string().contains("keystore-m_1.json (keystore)"), "{holds}");
        assert_eq!(protection.fault_on_disk(&at("logs")), Some(holds));
        std::fs::write(at("chain/CURRENT"), "x").unwrap();
        let holds = RootFault::Holds { path: at("chain/CURRENT"), what: Protected::ChainData };
        assert_eq!(protection.fault_on_disk(&at("chain")), Some(holds));
    }
}
