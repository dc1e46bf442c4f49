//! The program of a child, and the command that starts it inside its cgroup.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::host::Cgroup;

/// What moves itself into cgroups, and becomes the program. Nothing safe can be done between fork and exec, and what a process has taken before it
/// is moved stays with the cgroup that it came from.
const ENTER: &str =
    r#"while [ "$1" != -- ]; do { echo $$ >"$1"; } 2>/dev/null; shift; done; shift; exec "$@""#;
const SHELL: &str = "/bin/sh";

/// Where a program is; none where it is not, or cannot be run. A name alone is looked for in `PATH`.
pub(super) fn find(program: &Path) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        return Some(program.to_owned()).filter(runs);
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(runs)
}

/// The command for a program. Without a shell (an image from scratch) it is moved once it runs.
pub(super) fn command(program: &Path, args: &[String], cgroup: Option<&Cgroup>) -> Command {
    let Some(cgroup) = cgroup.filter(|_| Path::new(SHELL).exists()) else {
        let mut command = Command::new(program);
        command.args(args);
        return command;
    };
    let mut command = Command::new(SHELL);
    command.args(["-c", ENTER, "relaymux"]).args(cgroup.process_files()).arg("--").arg(program).args(args);
    command
}
