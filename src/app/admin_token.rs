//! The admin token: made at first start, readable by its owner alone, needed by every route that changes something.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use alloy_primitives::hex;

const FILE: &str = "admin.token";

/// Reads `admin.token` of a folder; makes it, mode 0600, unless it is there.
///
/// # Errors
/// When it can be neither read nor made, or is empty.
pub(super) fn ensure_admin_token(data_dir: &Path) -> io::Result<String> {
    let path = data_dir.join(FILE);
    if path.exists() {
        let token = fs::read_to_string(&path)?.trim().to_owned();
        // An empty token would let everybody in.
        let empty = || io::Error::other(format!("{} is empty: remove it, a new one is made", path.display()));
        return if token.is_empty() { Err(empty()) } else { Ok(token) };
    }
    let token = hex::encode(rand::random::<[u8; 32]>());
    // Written aside and renamed, so that a crash leaves no half token.
    let aside = data_dir.join(format!("{FILE}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    fs::rename(aside, path)?;
    Ok(token)
}
