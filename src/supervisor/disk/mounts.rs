//! What is mounted where, by `/proc/self/mountinfo`.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// Most bytes of the list that are read: a machine with thousands of containers has a megabyte.
const MAX_BYTES: u64 = 16 << 20;

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountPoint {
    /// Where.
    pub(super) path: PathBuf,
    /// `8:1`, as `/proc/diskstats` counts by.
    pub(super) device: String,
    /// What: `/dev/sda1`, or the name that another filesystem goes by.
    pub(super) source: String,
    /// `ext4`, `xfs`, `zfs`.
    pub(super) kind: String,
}

/// Reads what is mounted.
pub(super) fn read(host_root: &Path) -> io::Result<Vec<MountPoint>> {
    let file = std::fs::File::open(host_root.join("proc/self/mountinfo"))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes)?;
    Ok(parse(&bytes))
}

/// The one that a path is on: the longest that holds it, and of those the last, which lies above the others.
pub(super) fn of<'a>(mounts: &'a [MountPoint], path: &Path) -> Option<&'a MountPoint> {
    let holds = mounts.iter().filter(|mount| path.starts_with(&mount.path));
    holds.max_by_key(|mount| mount.path.components().count())
}

fn parse(bytes: &[u8]) -> Vec<MountPoint> {
    bytes.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn line(line: &[u8]) -> Option<MountPoint> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let path = fields.nth(1)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, source) = (rest.next()?, rest.next()?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(MountPoint {
        path: OsString::from_vec(unescaped(path)).into(),
        device: text(device),
        source: text(&unescaped(source)),
        kind: text(kind),
    })
}

/// Spaces, tabs, newlines and backslashes are written as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u8, |value, digit| {
                let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        });
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &[u8] = b"22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 22 0:5 / /proc rw - proc proc rw\n\
        40 22 8:17 / /data rw shared:2 master:1 - xfs /dev/sdb1 rw\n\
        41 40 8:17 /x /data/with\\040space\\012line rw - xfs /dev/sdb1 rw\n\
        42 22 0:60 / /data rw - zfs tank/data rw\nnonsense\n\n";

    #[test]
    fn a_path_is_on_the_longest_mount_that_holds_it_and_the_last_of_those() {
        let mounts = parse(INFO);
        assert_eq!(mounts.len(), 5);
        for (path, device, kind) in [
            ("/", "252:0", "ext4"),
            ("/database/x", "252:0", "ext4"),
            ("/data", "0:60", "zfs"),
            ("/data/with space\nline/x", "8:17", "xfs"),
            ("/proc/1/fd", "0:5", "proc"),
        ] {
            let found = of(&mounts, Path::new(path)).unwrap();
            assert_eq!((&*found.device, &*found.kind), (device, kind), "{path}");
        }
        assert_eq!(of(&[], Path::new("/")), None);
    }

    #[test]
    fn the_kernels_own_list_is_read() {
        let mounts = read(Path::new("/")).unwrap();
        assert!(of(&mounts, Path::new("/proc/self")).is_some_and(|mount| mount.kind == "proc"));
    }
}
