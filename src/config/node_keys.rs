//! Keys of a node that are folders, files, users, addresses and variables.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use url::Url;

use super::checker::Checker;

/// User and group of containers that say nothing else: the first that a system gives people, and the ones that images are built for.
const USER: (u32, u32) = (1000, 1000);
/// Folders that are everybody's: a container that may write there may write everywhere.
const SYSTEM: [&str; 16] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/sys",
    "/tmp", "/usr", "/var",
];

/// A folder of the host.
pub(super) fn folder(
    text: &str,
    key: &str,
    beside: &Path,
    section: &str,
    checker: &mut Checker,
) -> Option<PathBuf> {
    let at = format!("{section}.{key}");
    if text.is_empty() || text.contains('\0') {
        checker.wrong(&at, "is no folder", "such as \"/data/geth\"");
        return None;
    }
    let path = absolute(beside, Path::new(text));
    if SYSTEM.iter().any(|system| path == Path::new(system)) {
        checker.wrong(
            &at,
            format!("{} is a folder of the system's", path.display()),
            "give the node one of its own, such as \"/data/geth\"",
        );
        return None;
    }
    if key == "data" && !path.exists() {
        checker.warn(format!(
            "{at}: {} is not there: make it, and give it to the node's user, for example with `install -d -o 1000 -g 1000 -m 700 {}`",
            path.display(),
            path.display()
        ));
    }
    Some(path)
}

/// The file with the engine's secret. It is made before the node is started, so that it may be missing now.
pub(super) fn jwt_file(text: &str, at: &str, beside: &Path, checker: &mut Checker) -> PathBuf {
    let path = absolute(beside, Path::new(text));
    if path.is_dir() {
        checker.wrong(at, "is a folder", "name the file with the secret");
    } else if path.exists() {
        checker.note_secret(&path);
    } else {
        checker.warn(format!(
            "{at}: {} is not there: make it with `relaymux secrets jwt {}`",
            path.display(),
            path.display()
        ));
    }
    path
}

/// `1000:1000`, or `1000`.
pub(super) fn user(text: Option<&str>, at: &str, checker: &mut Checker) -> (u32, u32) {
    let Some(text) = text else { return USER };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    match (user.trim().parse(), group.trim().parse()) {
        (Ok(0), Ok(_)) | (Ok(_), Ok(0)) => {
            let hint = "give the user that its folder belongs to, such as \"1000:1000\"";
            checker.wrong(
                at,
                "is root: whoever breaks out of the container would have the whole machine",
                hint,
            );
            USER
        }
        (Ok(user), Ok(group)) => (user, group),
        _ => {
            let hint = "numbers of user and group, such as \"1000:1000\": names inside an image are others";
            checker.wrong(at, "is no user and group", hint);
            USER
        }
    }
}

/// A path as it is on the host: relative to the file that names it; `.` and `..` taken out, so that two ways of writing one are one.
fn absolute(beside: &Path, path: &Path) -> PathBuf {
    let joined = beside.join(path);
    let joined = std::path::absolute(&joined).unwrap_or(joined);
    let mut plain = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

/// A node's address, which may hold a key: nothing of it is said.
pub(super) fn node_url(text: &str, key: &str, checker: &mut Checker) -> Option<Url> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
        Ok(_) | Err(_) => {
            checker.wrong(key, "is no http or https address", "such as http://127.0.0.1:8545");
            None
        }
    }
}

/// Names of variables whose values everybody who may look at a container sees.
pub(super) fn env(
    section: &str,
    env: &BTreeMap<String, String>,
    is_container: bool,
    checker: &mut Checker,
) -> Vec<(String, String)> {
    /// What names of variables with secrets have in them.
    const SECRET: [&str; 8] =
        ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "PRIVATE_KEY", "API_KEY", "MNEMONIC", "JWT"];
    for (name, value) in env {
        let key = format!("{section}.env.{name}");
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name || value.contains('\0') {
            checker.wrong(&key, "is no variable's name", "letters, digits and _, such as JAVA_OPTS");
        } else if is_container && SECRET.iter().any(|word| name.to_ascii_uppercase().contains(word)) {
            checker.wrong(
                &key,
                "looks like a secret: `docker inspect` shows the environment of a container to whoever may look at it",
                "write it into a file, and mount that: jwt_file, or a file in the node's data folder",
            );
        }
    }
    env.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
