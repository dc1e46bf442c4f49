//! The program `nft`: checks a ruleset, loads it, shows our table. Bounded in time; what it prints goes into files, so that it never waits for us.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Longest that one call may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked whether it has ended.
const EVERY: Duration = Duration::from_millis(10);
/// Most that is read of what it prints, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// Where it is beside `PATH`, which for users often has no `sbin`.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Why nftables did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no such program.
    #[error("there is no nft here: install nftables (apt-get install nftables)")]
    Absent,
    /// It may not.
    #[error("the kernel's rules are root's: run it with sudo")]
    NotRoot,
    /// It said no.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
    /// It did not end.
    #[error("nft did not end within {} s; whether the ruleset was loaded, `nft list tables` says", LIMIT.as_secs())]
    TimedOut,
    /// It could not be run.
    #[error("nft cannot be run")]
    Run(#[source] io::Error),
}

/// `nft` of this machine.
#[derive(Clone, Debug)]
pub struct Nft {
    program: PathBuf,
}

impl Nft {
    /// Looks for the program in these folders (those of `PATH`) and where systems put it.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn find(path: &str) -> Result<Self, NftError> {
        let folders = path.split(':').filter(|folder| !folder.is_empty()).chain(FOLDERS);
        let program = folders.map(|folder| Path::new(folder).join("nft")).find(|program| program.is_file());
        program.map(|program| Self { program }).ok_or(NftError::Absent)
    }

    /// Asks whether it would take a ruleset. Nothing changes.
    ///
    /// # Errors
    /// When it would not.
    pub async fn check(&self, ruleset: &str) -> Result<(), NftError> {
        self.run(&["--check", "--file", "-"], ruleset).await.map(drop)
    }

    /// Loads a ruleset: all of it, or nothing.
    ///
    /// # Errors
    /// When it was not loaded.
    pub async fn load(&self, ruleset: &str) -> Result<(), NftError> {
        self.run(&["--file", "-"], ruleset).await.map(drop)
    }

    /// Our table as it is, without counters, in a form that can be loaded; none where there is none.
    ///
    /// # Errors
    /// When nobody can tell.
    pub async fn table(&self) -> Result<Option<String>, NftError> {
        match self.run(&["--stateless", "list", "table", "inet", "relaymux"], "").await {
            Ok(text) => Ok(Some(text)),
            Err(NftError::Refused(reason)) if reason.contains("No such file") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn run(&self, args: &[&str], input: &str) -> Result<String, NftError> {
        let file = |text: &str| -> io::Result<File> {
            let mut file = tempfile::tempfile()?;
            file.write_all(text.as_bytes())?;
            file.rewind()?;
            Ok(file)
        };
        let (given, mut printed, mut complained) = (
            file(input).map_err(NftError::Run)?,
            file("").map_err(NftError::Run)?,
            file("").map_err(NftError::Run)?,
        );
        let handle = |file: &File| file.try_clone().map(Stdio::from).map_err(NftError::Run);
        let mut child = Command::new(&self.program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::from(given))
            .stdout(handle(&printed)?)
            .stderr(handle(&complained)?)
            .spawn()
            .map_err(NftError::Run)?;
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(NftError::Run)? {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(NftError::TimedOut);
            }
            sleep(EVERY).await;
        };
        if status.success() {
            return text_of(&mut printed).map_err(NftError::Run);
        }
        let reason = text_of(&mut complained).map_err(NftError::Run)?;
        if reason.contains("Operation not permitted") || reason.contains("must be root") {
            return Err(NftError::NotRoot);
        }
        // The first line says what, the others show where.
        let line = reason.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        Err(NftError::Refused(line.chars().filter(|c| !c.is_control()).take(300).collect()))
    }
}

fn text_of(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake(folder: &Path, script: &str) -> Nft {
        let program = folder.join("nft");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Nft::find(folder.to_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let nft = fake(folder.path(), "cat; echo args: $*");
        assert_eq!(nft.table().await.unwrap().unwrap(), "args: --stateless list table inet relaymux\n");
        nft.load("rules").await.unwrap();
        let nft = fake(folder.path(), "echo 'Error: No such file or directory; did you mean' >&2; exit 1");
        assert_eq!(nft.table().await.unwrap(), None);
        let nft =
            fake(folder.path(), "echo 'Error: Could not process rule: Operation not permitted' >&2; exit 1");
        assert!(matches!(nft.check("x").await, Err(NftError::NotRoot)));
        let nft = fake(folder.path(), "echo; echo '/dev/stdin:1:1: syntax error' >&2; exit 1");
        assert_eq!(
            nft.check("x").await.unwrap_err().to_string(),
            "nft refused the ruleset: /dev/stdin:1:1: syntax error"
        );
    }
}
