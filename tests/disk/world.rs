//! A filesystem of a test's own, a configuration for it, and the real binary.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

/// A relay that nobody answers for: cleanings need none.
const RELAY: &str = "[[relays]]\nid = \"a\"\nurl = \"http://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@127.0.0.1:9\"\n";

pub(crate) struct World {
    folder: tempfile::TempDir,
    mounts: Vec<PathBuf>,
}

pub(crate) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn is_tmpfs() -> bool {
    std::env::var_os("RELAYMUX_DISK_TMPFS").is_some()
}

impl World {
    /// A filesystem of so many MiB and inodes, mounted at `disk`.
    pub(crate) fn new(mib: u64, inodes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self { folder, mounts: Vec::new() };
        let (image, disk) = (world.at("image"), world.at("disk"));
        fs::create_dir(&disk).unwrap();
        let disk_text = disk.display().to_string();
        if is_tmpfs() {
            let size = format!("size={mib}m,nr_inodes={inodes}");
            run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &disk_text]);
        } else {
            File::create(&image).unwrap().set_len(mib << 20).unwrap();
            let image_text = image.display().to_string();
            run("mkfs.ext4", &["-q", "-m", "0", "-N", &inodes.to_string(), &image_text]);
            run("mount", &["-o", "loop", &image_text, &disk_text]);
        }
        world.mounts.push(disk);
        world
    }

    /// A path beside the disk.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// A path on the disk.
    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        self.at("disk").join(name)
    }

    /// Mounts a folder at another one on the disk.
    pub(crate) fn bind(&mut self, from: &Path, to: &Path) {
        run("mount", &["--bind", &from.display().to_string(), &to.display().to_string()]);
        self.mounts.push(to.to_owned());
    }

    /// A file of so many bytes that was written so many hours ago.
    pub(crate) fn file(&self, path: &Path, bytes: usize, hours_old: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; bytes]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours_old * 3600)).unwrap();
    }

    /// Share of the disk in use, in percent, as `df` has it.
    pub(crate) fn percent(&self) -> u64 {
        let output = Command::new("df").arg("--output=pcent").arg(self.at("disk")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().last().unwrap().trim().trim_end_matches('%').parse().unwrap()
    }

    /// Writes the configuration: one class of rotated logs, and whatever else is given.
    pub(crate) fn configure(&self, data_dir: &Path, filesystem: &str, more: &str) {
        let text = format!(
            "data_dir = \"{}\"\n{RELAY}[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
             [disk]\ncheck_every = \"1s\"\n[[disk.filesystems]]\npath = \"{}\"\n{filesystem}\n[[disk.classes]]\nid = \"logs\"\n\
             kind = \"rotated-logs\"\nroot = \"{}\"\nmin_age = \"1d\"\n{more}",
            data_dir.display(),
            self.at("disk").display(),
            self.disk("logs").display(),
        );
        fs::write(self.at("relays.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaymux"));
        command.args(args).arg("--config").arg(self.at("relays.toml"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that answers with JSON.
    pub(crate) fn json(&self, args: &[&str], code: i32) -> Value {
        let output = self.run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"))
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts the service: nobody reads what it says, and it ends with the test however that ends.
    pub(crate) fn serve(&self, args: &[&str]) -> Service {
        Service(self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Lines of the journal of deletions.
    pub(crate) fn journal(&self, data_dir: &Path) -> Vec<Value> {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(data_dir.join("disk/cleanings.jsonl")) {
            file.read_to_end(&mut text).unwrap();
        }
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

/// The service as long as it runs.
pub(crate) struct Service(pub(crate) Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
