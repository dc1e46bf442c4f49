//! The secret of the Engine API: 32 random bytes in hex, in a file that an execution and a consensus client share.
//!
//! It is made once, never printed, never written over, and by nobody's hand: `O_EXCL` from the first moment on, so that neither an existing file nor
//! a link that somebody put there is followed. Rotation writes a second file beside the first and says in which order both ends are moved to it;
//! it moves neither, as both clients have to stop for that.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use rand::{TryRngCore, rngs::OsRng};
use rustix::fs::OFlags;

use crate::types::labelled;

/// Bytes of the secret. Engine API, `authentication.md`: 256 bits.
const BYTES: usize = 32;
/// Longest file that is looked into, in bytes: a secret is 64 digits, with `0x` and a line's end 67.
const MAX_FILE: u64 = 4096;

/// How a secret's file is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JwtOptions {
    /// Whether not even its owner may write it: mode 0400, otherwise 0600.
    pub read_only: bool,
    /// The user and group that it is given to: those that the clients run as. Only root can give it away.
    pub owner: Option<(u32, u32)>,
}

impl JwtOptions {
    /// The file's mode.
    pub const fn mode(self) -> u32 {
        if self.read_only { 0o400 } else { 0o600 }
    }
}

/// Why there is no new secret.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// There is something of that name. It is left as it is.
    #[error(
        "{0} is there already, and two clients may be using it: look at it with --check, replace it with --rotate"
    )]
    Exists(PathBuf),
    /// There is no such file, which was to be looked at or replaced.
    #[error("{0} is not there: make it with `relaymux secrets jwt {0}`")]
    Missing(PathBuf),
    /// The system's random numbers do not come.
    #[error("the system gives no random numbers")]
    Random,
    /// It could not be written or read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes a secret.
///
/// # Errors
/// When there is a file of that name, or it cannot be written; then nothing stays behind.
pub fn create(path: &Path, options: JwtOptions) -> Result<(), JwtError> {
    let io = |source| JwtError::Io { path: path.to_owned(), source };
    let mut secret = [0_u8; BYTES];
    OsRng.try_fill_bytes(&mut secret).map_err(|_| JwtError::Random)?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(options.mode()).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                JwtError::Exists(path.to_owned())
            } else {
                io(error)
            }
        })?;
    let written = write(&mut file, &secret, options).and_then(|()| sync_folder(path));
    written.map_err(|error| {
        // Ours: it was made a moment ago.
        let _ = fs::remove_file(path);
        io(error)
    })
}

fn write(file: &mut File, secret: &[u8], options: JwtOptions) -> io::Result<()> {
    let mut text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    file.write_all(text.as_bytes())?;
    if let Some((user, group)) = options.owner {
        fchown(&*file, Some(user), Some(group))?;
    }
    // The mode at creation is less what the umask takes; and a change of owner may take bits, too.
    file.set_permissions(fs::Permissions::from_mode(options.mode()))?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Makes the next secret beside one that is in use, with its owner and mode: `FILE.new`. Nothing of the present one changes.
///
/// # Errors
/// When the present one is not there, or a next one is there already, or cannot be written.
pub fn prepare_rotation(path: &Path, options: JwtOptions) -> Result<PathBuf, JwtError> {
    let io = |source| JwtError::Io { path: path.to_owned(), source };
    let present = fs::symlink_metadata(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { JwtError::Missing(path.to_owned()) } else { io(error) }
    })?;
    let is_ours = present.uid() == rustix::process::geteuid().as_raw();
    let owner = options.owner.or((!is_ours).then_some((present.uid(), present.gid())));
    let read_only = options.read_only || present.mode() & 0o200 == 0;
    let next = with_suffix(path, ".new");
    create(&next, JwtOptions { read_only, owner })?;
    Ok(next)
}

/// The path with something behind its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A step of a rotation: what is done and why, and the command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RotationStep {
    /// What is done, and why in this order.
    pub what: String,
    /// The command for it.
    pub command: String,
}

/// How both ends are moved to the new secret, in order. `execution` and `consensus` are their containers.
pub fn rotation_plan(path: &Path, execution: &str, consensus: &str) -> Vec<RotationStep> {
    let step = |what: &str, command: String| RotationStep { what: what.to_owned(), command };
    let shown = quoted(path);
    let (next, old) = (quoted(&with_suffix(path, ".new")), quoted(&with_suffix(path, ".old")));
    vec![
        step(
            "Choose minutes without a proposal of yours: until both run again, nothing is attested. Then stop the consensus client, so that it \
             never calls with a wrong secret.",
            format!("docker stop --time 60 {consensus}"),
        ),
        step(
            "Stop the execution client, with time to close its database.",
            format!("docker stop --time 300 {execution}"),
        ),
        step(
            "Put the new secret in the old one's place, under the same name: a container sees a mounted file anew only when it starts.",
            format!("mv --no-clobber {shown} {old} && mv --no-clobber {next} {shown}"),
        ),
        step(
            "Start the execution client first: it has to be there to be called.",
            format!("docker start {execution}"),
        ),
        step("Start the consensus client.", format!("docker start {consensus}")),
        step(
            "See that the execution client is driven again: no line about JWT or 401, and a head that moves.",
            format!("docker logs --since 2m {consensus}"),
        ),
        step(
            "Remove the old secret. To go back before this step, do the same with the names exchanged.",
            format!("shred --remove {old}"),
        ),
    ]
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

labelled! {
    /// What is wrong with a secret's file.
    pub enum JwtFault {
        /// A link: whoever can write its folder decides which secret it is.
        Link = "link",
        /// A folder, a device, a pipe.
        NotAFile = "not_a_file",
        /// Others can read or write it.
        OpenMode = "open_mode",
        /// It has a second name, maybe where others can read it.
        SecondName = "second_name",
        /// Neither ours nor root's nor the owner's that was named.
        ForeignOwner = "foreign_owner",
        /// Not 32 bytes in hex.
        NotASecret = "not_a_secret",
        /// 32 bytes that nobody drew.
        NotRandom = "not_random",
        /// It cannot be read, so that its contents are not known.
        Unreadable = "unreadable",
        /// Others can write to its folder, and put another file there.
        OpenFolder = "open_folder",
        /// Others can list its folder. A remark, no mistake.
        ListedFolder = "listed_folder",
    }
}

impl JwtFault {
    /// Whether something has to be done.
    pub const fn is_wrong(self) -> bool {
        !matches!(self, Self::ListedFolder)
    }

    /// What is wrong, and what to do.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Link => {
                "it is a link: whoever can write to its folder decides which secret it is; put the file itself there"
            }
            Self::NotAFile => "it is no file",
            Self::OpenMode => "others can read or write it: chmod 600, and rotate it if somebody may have",
            Self::SecondName => {
                "it has a second name somewhere (a hard link): find it with find -samefile, and rotate it"
            }
            Self::ForeignOwner => {
                "it belongs to somebody else: chown it to the user that the clients run as, and name that with --owner"
            }
            Self::NotASecret => "it is not 64 hex digits, with or without 0x: make a new one with --rotate",
            Self::NotRandom => "all of its bytes are the same: make a new one with --rotate",
            Self::Unreadable => {
                "it cannot be read from here, so that its contents are not known: try as its owner"
            }
            Self::OpenFolder => {
                "others can write to its folder, and put another file there: chmod 750 the folder"
            }
            Self::ListedFolder => {
                "others can list its folder, which harms nothing as long as its mode stays: chmod 750 the folder to be safe"
            }
        }
    }
}

/// Looks at a secret's file without showing it. `owner`: who it may belong to beside us and root.
///
/// # Errors
/// When there is none, or nothing can be told of it.
pub fn check(path: &Path, owner: Option<u32>) -> Result<Vec<JwtFault>, JwtError> {
    let io = |source| JwtError::Io { path: path.to_owned(), source };
    let seen = fs::symlink_metadata(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { JwtError::Missing(path.to_owned()) } else { io(error) }
    })?;
    let mut faults = Vec::new();
    if seen.is_symlink() {
        faults.push(JwtFault::Link);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder_mode = fs::metadata(folder).map_err(io)?.mode();
    // With the sticky bit, as of /tmp, others can make files there and replace none.
    if folder_mode & 0o022 != 0 && folder_mode & 0o1000 == 0 {
        faults.push(JwtFault::OpenFolder);
    } else if folder_mode & 0o004 != 0 {
        faults.push(JwtFault::ListedFolder);
    }
    let data = fs::metadata(path).map_err(io)?;
    if !data.is_file() {
        faults.push(JwtFault::NotAFile);
        return Ok(faults);
    }
    if data.mode() & 0o077 != 0 {
        faults.push(JwtFault::OpenMode);
    }
    if data.nlink() > 1 {
        faults.push(JwtFault::SecondName);
    }
    let own = rustix::process::geteuid().as_raw();
    let is_known = data.uid() == own || data.uid() == 0 || Some(data.uid()) == owner;
    // Root looks after everybody's: whose it is to be, only --owner says.
    if !is_known && (own != 0 || owner.is_some()) {
        faults.push(JwtFault::ForeignOwner);
    }
    faults.extend(content_fault(path));
    Ok(faults)
}

/// Looks into it. A pipe put in its place a moment ago does not hold us up.
fn content_fault(path: &Path) -> Option<JwtFault> {
    let flags = OFlags::NONBLOCK.bits() | OFlags::CLOEXEC.bits();
    let opened = OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or(0)).open(path);
    let Ok(file) = opened else { return Some(JwtFault::Unreadable) };
    let mut text = String::new();
    if let Err(error) = file.take(MAX_FILE).read_to_string(&mut text) {
        let is_text = error.kind() != io::ErrorKind::InvalidData;
        return Some(if is_text { JwtFault::Unreadable } else { JwtFault::NotASecret });
    }
    fault_of(&text)
}

fn fault_of(text: &str) -> Option<JwtFault> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits).to_ascii_lowercase();
    if digits.len() != BYTES * 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(JwtFault::NotASecret);
    }
    let first = digits.get(..2).unwrap_or_default();
    let is_one_byte = digits.as_bytes().chunks(2).all(|pair| pair == first.as_bytes());
    is_one_byte.then_some(JwtFault::NotRandom)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_secret_is_32_bytes_for_its_owner_alone() {
        let folder = folder();
        let (a, b) = (folder.path().join("a.jwt"), folder.path().join("b.jwt"));
        create(&a, JwtOptions::default()).unwrap();
        create(&b, JwtOptions { read_only: true, owner: None }).unwrap();
        assert_eq!((mode(&a), mode(&b)), (0o600, 0o400));
        let (first, second) = (fs::read_to_string(&a).unwrap(), fs::read_to_string(&b).unwrap());
        assert_eq!(first.trim_end().len(), 64);
        assert_ne!(first, second);
        assert_eq!(check(&a, None).unwrap(), []);
        assert_eq!(check(&b, None).unwrap(), []);
    }

    #[test]
    fn nothing_is_written_over_or_through() {
        let folder = folder();
        let path = folder.path().join("a.jwt");
        create(&path, JwtOptions::default()).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(create(&path, JwtOptions::default()), Err(JwtError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), before);
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        symlink(&target, &link).unwrap();
        assert!(matches!(create(&link, JwtOptions::default()), Err(JwtError::Exists(_))));
        assert!(!target.exists());
        let nowhere = folder.path().join("no/a.jwt");
        assert!(matches!(create(&nowhere, JwtOptions::default()), Err(JwtError::Io { .. })));
    }

    #[test]
    fn the_next_one_stands_beside_and_the_plan_starts_with_the_caller() {
        let folder = folder();
        let path = folder.path().join("a.jwt");
        assert!(matches!(prepare_rotation(&path, JwtOptions::default()), Err(JwtError::Missing(_))));
        create(&path, JwtOptions { read_only: true, owner: None }).unwrap();
        let before = fs::read(&path).unwrap();
        let next = prepare_rotation(&path, JwtOptions::default()).unwrap();
        assert_eq!((next.file_name().unwrap(), mode(&next)), ("a.jwt.new".as_ref(), 0o400));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(matches!(prepare_rotation(&path, JwtOptions::default()), Err(JwtError::Exists(_))));
        let plan = rotation_plan(Path::new("/etc/my jwt"), "geth", "lighthouse");
        let commands: Vec<&str> = plan.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(
            commands,
            [
                "docker stop --time 60 lighthouse",
                "docker stop --time 300 geth",
                "mv --no-clobber '/etc/my jwt' '/etc/my jwt.old' && mv --no-clobber '/etc/my jwt.new' '/etc/my jwt'",
                "docker start geth",
                "docker start lighthouse",
                "docker logs --since 2m lighthouse",
                "shred --remove '/etc/my jwt.old'",
            ]
        );
    }

    #[test]
    fn each_fault_is_seen() {
        let folder = folder();
        let path = folder.path().join("a.jwt");
        assert!(matches!(check(&path, None), Err(JwtError::Missing(_))));
        create(&path, JwtOptions::default()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(check(&path, None).unwrap(), [JwtFault::OpenMode]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(check(&link, None).unwrap(), [JwtFault::Link]);
        let second = folder.path().join("second");
        fs::hard_link(&path, &second).unwrap();
        assert_eq!(check(&path, None).unwrap(), [JwtFault::SecondName]);
        fs::remove_file(second).unwrap();
        assert_eq!(check(folder.path(), None).unwrap().last(), Some(&JwtFault::NotAFile));
        for (mode, want) in [
            (0o755, vec![JwtFault::ListedFolder]),
            (0o777, vec![JwtFault::OpenFolder]),
            (0o770, vec![JwtFault::OpenFolder]),
            (0o1777, vec![JwtFault::ListedFolder]),
            (0o750, vec![]),
        ] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check(&path, None).unwrap(), want, "{mode:o}");
        }
        assert_eq!(JwtFault::ALL.into_iter().filter(|fault| !fault.is_wrong()).count(), 1);
    }

    #[test]
    fn contents_are_judged() {
        let random = "1f".repeat(31) + "00";
        for (text, want) in [
            (random.clone(), None),
            (format!("0x{random}\n"), None),
            (random.to_uppercase(), None),
            (String::new(), Some(JwtFault::NotASecret)),
            (random[1..].to_owned(), Some(JwtFault::NotASecret)),
            (format!("{random}00"), Some(JwtFault::NotASecret)),
            ("g".repeat(64), Some(JwtFault::NotASecret)),
            (format!("JWT_SECRET={random}"), Some(JwtFault::NotASecret)),
            ("00".repeat(32), Some(JwtFault::NotRandom)),
        ] {
            assert_eq!(fault_of(&text), want, "{text}");
        }
    }
}
