//! Files with `[disk]`: what becomes of good ones, and what is said of wrong ones.

use std::{path::Path, time::Duration};

use crate::{
    config::{Config, ConfigError},
    supervisor::disk::{ClassKind, DiskSettings, Protected, Source},
    types::NodeId,
};

const RELAY: &str = "data_dir = \"/srv/relaymux\"\n[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example.org\"\n";

const CONTRACT: &str = r#"
[[disk.filesystems]]
path = "/data"
target_percent = 60
warn_percent = 75
high_percent = 80
emergency_percent = 90

[[disk.classes]]
id = "old-logs"
root = "/data/logs"
glob = "*.log.*"
min_age = "7d"
"#;

const FILESYSTEM: &str = "[[disk.filesystems]]\npath = \"/data\"\n";

const NODES: &str = r#"
[[nodes]]
id = "geth-primary"
kind = "geth"
unit = "geth"
rpc_url = "http://127.0.0.1:8545"
[[nodes]]
id = "geth-replica"
kind = "geth"
unit = "geth2"
rpc_url = "http://127.0.0.1:8546"
[[nodes]]
id = "beacon"
kind = "beacon"
unit = "lighthouse"
rpc_url = "http://127.0.0.1:5052"
[[nodes]]
id = "solana"
kind = "generic"
unit = "solana"
"#;

fn read(text: &str) -> Result<DiskSettings, Vec<(String, String)>> {
    let parsed = Config::parse(&format!("{RELAY}{text}"), Path::new("/nowhere/relays.toml"), &[], &[]);
    parsed.map(|config| config.disk.unwrap()).map_err(|error| match error {
        ConfigError::Wrong { mistakes, .. } => {
            mistakes.into_iter().map(|mistake| (mistake.key, mistake.message)).collect()
        }
        ConfigError::Read { error, .. } => panic!("{error}"),
    })
}

#[test]
fn the_contracts_keys_are_taken() {
    let settings = read(CONTRACT).unwrap();
    assert_eq!(settings.state_dir, Path::new("/srv/relaymux/disk"));
    assert_eq!(settings.filesystems.len(), 1);
    let class = &settings.classes[0];
    assert_eq!((class.id.as_str(), class.kind), ("old-logs", ClassKind::Files));
    let Source::Files(files) = &class.source else { panic!("{class:?}") };
    assert_eq!(files.root, Path::new("/data/logs"));
    assert_eq!(files.min_age, Duration::from_secs(7 * 86_400));
    assert!(files.takes(b"geth.log.1") && !files.takes(b"geth.log"));
    assert!(settings.protection.paths.contains(&("/srv/relaymux".into(), Protected::Own)));
}

#[test]
fn shipped_kinds_need_no_more_than_a_root() {
    for kind in ClassKind::ALL {
        let root = if kind.has_root() { "root = \"/data/x\"\n" } else { "" };
        let glob = if kind == ClassKind::Files { "glob = \"*.old\"\n" } else { "" };
        let text = format!("{FILESYSTEM}[[disk.classes]]\nid = \"x\"\nkind = \"{kind}\"\n{root}{glob}");
        assert_eq!(read(&text).unwrap().classes[0].kind, kind);
    }
}

#[test]
fn everything_else_has_a_place_of_its_own() {
    let text = format!(
        "[disk]\ncheck_every = \"10s\"\nsizes = [\"/data/geth\"]\nprotect = [\"/data/precious\"]\nstop_order = [\"solana\", \"geth-replica\"]\n\
         {FILESYSTEM}min_free = \"60GiB\"\nmin_free_inodes_percent = 7\nmin_days = 5\nballast = \"5GiB\"\n{NODES}"
    );
    let settings = read(&text).unwrap();
    assert_eq!(settings.every, Duration::from_secs(10));
    assert_eq!(settings.stop_order, ["solana", "geth-replica"].map(|id| NodeId::parse(id).unwrap()));
    let filesystem = &settings.filesystems[0];
    assert_eq!(filesystem.thresholds.min_free_bytes, 60 << 30);
    assert_eq!((filesystem.thresholds.min_free_inodes_percent, filesystem.thresholds.min_days), (7, 5));
    let ballast = filesystem.ballast.as_ref().unwrap();
    assert_eq!((ballast.path.as_path(), ballast.bytes), (Path::new("/data/.relaymux-ballast"), 5 << 30));
    assert!(settings.protection.paths.contains(&("/data/precious".into(), Protected::Named)));
}

/// A class of logs with other keys.
fn class(keys: &str) -> String {
    format!("[disk]\nprotect = [\"/data/precious\"]\n{FILESYSTEM}[[disk.classes]]\nid = \"x\"\n{keys}")
}

#[test]
fn a_class_that_could_reach_something_protected_is_a_mistake_that_names_it() {
    for (keys, key, said) in [
        ("root = \"/\"\nglob = \"*.old\"", "root", "`/` is or lies in /, which is never cleaned"),
        ("root = \"/data\"\nglob = \"*.old\"", "root", "/data, which is never cleaned"),
        ("root = \"/etc\"\nglob = \"*.old\"", "root", "/etc, which is never cleaned"),
        ("root = \"/home/me\"\nglob = \"*.old\"", "root", "/home/me, which is never cleaned"),
        (
            "root = \"/var/lib/docker/overlay2\"\nglob = \"*.old\"",
            "root",
            "/var/lib/docker/overlay2, which is never cleaned",
        ),
        (
            "root = \"/data/geth/chaindata\"\nglob = \"*.old\"",
            "root",
            "lies in /data/geth/chaindata (chain data)",
        ),
        ("root = \"/data/keystores/x\"\nglob = \"*.old\"", "root", "lies in /data/keystores (keystore)"),
        ("root = \"/data/precious/logs\"\nglob = \"*.old\"", "root", "lies in /data/precious"),
        (
            "root = \"/srv/relaymux\"\nglob = \"*.old\"",
            "root",
            "lies in /srv/relaymux (a file of relaymux's own)",
        ),
        ("root = \"/data/../etc\"\nglob = \"*.old\"", "root", "no absolute path"),
        ("root = \"logs\"\nglob = \"*.old\"", "root", "no absolute path"),
        ("root = \"/other/logs\"\nglob = \"*.old\"", "root", "lies on no filesystem"),
        ("root = \"/data/logs\"\nglob = \"*\"", "glob", "fits every name"),
        (
            "root = \"/data/logs\"\nglob = \"*.json\"",
            "glob",
            "`keystore-m_12381_3600_0_0_0-1700000000.json` (keystore)",
        ),
        (
            "root = \"/data/logs\"\nglob = \"*.sqlite\"",
            "glob",
            "`slashing_protection.sqlite` (slashing protection)",
        ),
        ("root = \"/data/logs\"\nglob = \"../*.log\"", "glob", "has a slash"),
        ("root = \"/data/logs\"", "glob", "is missing"),
        ("glob = \"*.old\"", "root", "is missing"),
    ] {
        let mistakes = read(&class(keys)).expect_err(keys);
        let want = format!("disk.classes[0].{key}");
        assert_eq!(mistakes.len(), 1, "{keys}: {mistakes:?}");
        assert!(mistakes[0].0 == want && mistakes[0].1.contains(said), "{keys}: {mistakes:?}");
    }
}

/// Not only by its name: what lies in it now.
#[test]
fn a_root_that_holds_a_key_is_a_mistake_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("logs");
    std::fs::create_dir_all(root.join("deep")).unwrap();
    std::fs::write(root.join("deep/keystore-m_1.json"), "x").unwrap();
    let text = format!(
        "[[disk.filesystems]]\npath = \"{}\"\n[[disk.classes]]\nid = \"x\"\nroot = \"{}\"\nglob = \"*.log.*\"\n",
        folder.path().display(),
        root.display()
    );
    let mistakes = read(&text).unwrap_err();
    assert!(mistakes[0].1.contains("deep/keystore-m_1.json (keystore)"), "{mistakes:?}");
}

#[test]
fn wrong_numbers_and_names_are_said_where_they_stand() {
    for (text, key, said) in [
        (format!("{FILESYSTEM}warn_percent = 85\n"), "disk.filesystems[0].high_percent", "not above"),
        (format!("{FILESYSTEM}target_percent = 0\n"), "disk.filesystems[0].target_percent", "ever empty"),
        (
            format!("{FILESYSTEM}emergency_percent = 100\n"),
            "disk.filesystems[0].emergency_percent",
            "more than 99",
        ),
        (format!("{FILESYSTEM}min_free = \"60\"\n"), "disk.filesystems[0].min_free", "has no unit"),
        (format!("{FILESYSTEM}ballast = \"1b\"\n"), "disk.filesystems[0].ballast", "is less"),
        (
            format!("{FILESYSTEM}ballast_file = \"/data/b\"\n"),
            "disk.filesystems[0].ballast_file",
            "no ballast",
        ),
        (
            format!("{FILESYSTEM}ballast = \"1GiB\"\nballast_file = \"/other/b\"\n"),
            "disk.filesystems[0].ballast_file",
            "does not lie on",
        ),
        (
            "[[disk.filesystems]]\npath = \"data\"\n".to_owned(),
            "disk.filesystems[0].path",
            "no absolute path",
        ),
        (format!("{FILESYSTEM}{FILESYSTEM}"), "disk.filesystems[1].path", "twice"),
        ("[disk]\nsizes = []\n".to_owned(), "disk.filesystems", "there is none"),
        (class("kind = \"everything\""), "disk.classes[0].kind", "no kind"),
        (class("kind = \"journald\"\nroot = \"/data/x\""), "disk.classes[0].root", "means nothing"),
        (class("kind = \"journald\"\nkeep = \"1MiB\""), "disk.classes[0].keep", "so little"),
        (
            class("kind = \"downloads\"\nroot = \"/data/x\"\nmin_age = \"1s\""),
            "disk.classes[0].min_age",
            "too short",
        ),
        (
            class("kind = \"downloads\"\nroot = \"/data/x\"\nmax_count = 0"),
            "disk.classes[0].max_count",
            "is not 1 to",
        ),
        (format!("[disk]\nstop_order = [\"gone\"]\n{FILESYSTEM}"), "disk.stop_order[0]", "no node `gone`"),
        (
            format!("[disk]\nstop_order = [\"beacon\"]\n{FILESYSTEM}{NODES}"),
            "disk.stop_order[0]",
            "`beacon` is a beacon node",
        ),
        (
            format!("[disk]\nstop_order = [\"geth-replica\", \"geth-primary\"]\n{FILESYSTEM}{NODES}"),
            "disk.stop_order[0]",
            "no other of its group",
        ),
        (
            format!(
                "[disk]\nstop_order = [\"geth-primary\"]\n{FILESYSTEM}{NODES}[rpc]\n[[rpc.upstreams]]\nid = \"p\"\nnode = \"geth-primary\"\n\
                 url = \"http://127.0.0.1:8545\"\ntier = \"primary\"\n"
            ),
            "disk.stop_order[0]",
            "is the primary",
        ),
    ] {
        let mistakes = read(&text).expect_err(&text);
        assert!(mistakes.iter().any(|it| it.0 == key && it.1.contains(said)), "{text}: {mistakes:?}");
    }
}

#[test]
fn what_the_configuration_names_is_protected() {
    let text = format!(
        "{FILESYSTEM}[[nodes]]\nid = \"geth\"\nkind = \"geth\"\nimage = \"ethereum/client-go:v1.16.7\"\ndata = \"/data/geth\"\n\
         jwt_file = \"/data/secret/of-geth\"\nrpc_url = \"http://127.0.0.1:8545\"\nlimits = {{ memory = \"16GiB\" }}\n\
         [[disk.classes]]\nid = \"x\"\nkind = \"rotated-logs\"\nroot = \"/data/geth/logs\"\n\
         [[disk.classes]]\nid = \"y\"\nkind = \"rotated-logs\"\nroot = \"/data/secret\"\n"
    );
    let mistakes = read(&text).unwrap_err();
    assert!(
        mistakes.iter().any(|it| it.0 == "disk.classes[0].root" && it.1.contains("/data/geth")),
        "{mistakes:?}"
    );
    assert!(
        mistakes.iter().any(|it| it.0 == "disk.classes[1].root" && it.1.contains("/data/secret/of-geth")),
        "{mistakes:?}"
    );
}
