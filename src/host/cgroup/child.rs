//! Cgroups under our own, for processes that we start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Cgroup, Controllers, limits::write};

/// Controllers that a node's limits need.
const WANTED: [&str; 4] = ["memory", "cpu", "cpuset", "pids"];

impl Cgroup {
    /// The cgroup `path` under this one, made where it is not there. On version 2 a cgroup with processes cannot hand its controllers on:
    /// where we are the only process of ours (`Delegate=yes` in a unit), we move into `main` beside it first.
    ///
    /// # Errors
    /// It cannot be made: the cgroup file system is read-only, is not ours to write, or holds processes that are not ours.
    pub fn child(&self, path: &str, own_pid: u32) -> io::Result<Self> {
        match self {
            Self::V2(folder) => {
                hand_on(folder, own_pid)?;
                let mut now = folder.clone();
                for part in path.split('/') {
                    now.push(part);
                    fs::create_dir_all(&now)?;
                    // The last one has the processes.
                    if now != folder.join(path) {
                        enable(&now)?;
                    }
                }
                Ok(Self::V2(now))
            }
            Self::V1(folders) => {
                let make = |folder: &Option<PathBuf>| -> io::Result<Option<PathBuf>> {
                    let Some(folder) = folder else { return Ok(None) };
                    fs::create_dir_all(folder.join(path))?;
                    Ok(Some(folder.join(path)))
                };
                let child = Controllers {
                    cpuacct: make(&folders.cpuacct)?,
                    cpu: make(&folders.cpu)?,
                    cpuset: make(&folders.cpuset)?,
                    memory: make(&folders.memory)?,
                    pids: make(&folders.pids)?,
                };
                if let Some(cpuset) = &folders.cpuset {
                    inherit_cpuset(cpuset, path)?;
                }
                Ok(Self::V1(child))
            }
        }
    }

    /// Moves a process into it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn adopt(&self, pid: u32) -> io::Result<()> {
        self.process_files().iter().try_for_each(|file| write(file, &pid.to_string()))
    }

    /// The files into which a process writes its number to move into it.
    pub fn process_files(&self) -> Vec<PathBuf> {
        self.folders().into_iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<u32> {
        self.folders().first().map(|folder| processes(folder)).unwrap_or_default()
    }

    /// Removes it. The kernel keeps one with processes in it.
    ///
    /// # Errors
    /// The first folder that could not be removed.
    pub fn remove(&self) -> io::Result<()> {
        self.folders().into_iter().filter(|folder| folder.exists()).try_for_each(fs::remove_dir)
    }

    /// Its folders, each once: two controllers may have one mount.
    fn folders(&self) -> Vec<&Path> {
        match self {
            Self::V2(folder) => vec![folder],
            Self::V1(Controllers { cpuacct, cpu, cpuset, memory, pids }) => {
                let mut folders: Vec<&Path> = [memory, cpuacct, cpu, cpuset, pids]
                    .into_iter()
                    .filter_map(|one| one.as_deref())
                    .collect();
                folders.sort_unstable();
                folders.dedup();
                folders
            }
        }
    }
}

fn processes(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Makes a cgroup of version 2 give its controllers to those below it.
fn hand_on(folder: &Path, own_pid: u32) -> io::Result<()> {
    if processes(folder).iter().any(|pid| *pid != own_pid) {
        let why = "our cgroup holds other processes than ours; a unit of systemd with Delegate=yes has one of its own";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    if !processes(folder).is_empty() {
        let main = folder.join("main");
        fs::create_dir_all(&main)?;
        write(&main.join("cgroup.procs"), &own_pid.to_string())?;
    }
    enable(folder)
}

/// Gives the wanted controllers to those below.
fn enable(folder: &Path) -> io::Result<()> {
    let there = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let wanted: Vec<String> = WANTED
        .into_iter()
        .filter(|name| there.split_whitespace().any(|known| known == *name))
        .map(|name| format!("+{name}"))
        .collect();
    write(&folder.join("cgroup.subtree_control"), &wanted.join(" "))
}

/// A new cpuset of version 1 has no cores and no memory nodes, and takes no process until it has.
fn inherit_cpuset(parent: &Path, path: &str) -> io::Result<()> {
    let mut above = parent.to_owned();
    for part in path.split('/') {
        let below = above.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let text = fs::read_to_string(below.join(file)).unwrap_or_default();
            if text.trim().is_empty() {
                write(&below.join(file), fs::read_to_string(above.join(file))?.trim())?;
            }
        }
        above = below;
    }
    Ok(())
}
