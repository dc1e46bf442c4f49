//! One child: started, watched, signalled, and its end.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

use super::{
    super::kernel,
    found::{self, Found},
    output::Output,
    program,
};
use crate::{
    consensus::WallClock,
    host::Cgroup,
    supervisor::{Limits, NodeSettings, ProcessSettings, RuntimeError, RuntimeEvent, Usage},
    types::{NodeId, UnixMillis},
};

/// How often a process that is no child of ours is looked at: nobody tells us that it ended.
const LOOKED_AT: Duration = Duration::from_millis(500);
/// How long a dead child's output is still read: somebody whom it started may keep the pipe.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// Clock ticks in a second, as `/proc` counts them on Linux.
const TICKS: u64 = 100;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code, or 128 and the signal; none of one that was taken over.
    pub(super) code: Option<i64>,
    /// Whether the kernel killed it for its memory.
    pub(super) oom_killed: bool,
    /// When.
    pub(super) at: UnixMillis,
}

/// A process and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Child {
    found: Found,
    since: Option<UnixMillis>,
    stopping: Arc<AtomicBool>,
    cgroup: Option<Cgroup>,
    output: Option<Output>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Child {
    /// Starts a node's program.
    pub(super) async fn start(
        node: &NodeSettings,
        settings: &ProcessSettings,
        folder: &Path,
        cgroup: Option<Cgroup>,
        clock: WallClock,
        events: broadcast::Sender<RuntimeEvent>,
    ) -> Result<Self, RuntimeError> {
        let unable = |why: &str| {
            let program = settings.program.display();
            RuntimeError::Refused(format!(
                "Node {} cannot be started: {program} cannot be run ({why}).",
                node.id
            ))
        };
        let found =
            program::find(&settings.program).ok_or_else(|| unable("it is not there, or not executable"))?;
        let mut command = program::command(&found, &settings.args, cgroup.as_ref());
        command
            .env_clear()
            .envs(
                ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(settings.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on our terminal is ours: we stop our children in order.
            .process_group(0);
        if let Some(folder) = &settings.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(|error| unable(&error.to_string()))?;
        let pid = child.id().ok_or_else(|| unable("it was gone at once"))?;
        // It moves itself; again from here, as only this says whether it can be done.
        let cgroup = cgroup.filter(|cgroup| match cgroup.adopt(pid) {
            Ok(()) => true,
            // It has ended by now.
            Err(_) if Found::of(pid).is_none() => true,
            Err(error) => {
                tracing::warn!(node = %node.id, %error, "limits of this node are not held: it cannot be moved into its cgroup");
                false
            }
        });
        // Of one that has ended by now: the wait below says how.
        let found = Found::of(pid).unwrap_or(Found { pid, started: 0 });
        if let Err(error) = found::write_down(folder, &node.id, found) {
            tracing::warn!(node = %node.id, %error, "its process number cannot be written down; were we killed, it would not be found again");
        }
        let output = Output::new(folder, &node.id);
        let readers = [
            child.stdout.take().map(|stream| tokio::spawn(output.clone().take(stream))),
            child.stderr.take().map(|stream| tokio::spawn(output.clone().take(stream))),
        ];
        let now = clock.now();
        let (tell, ended) = watch::channel(None);
        let this = Self {
            found,
            since: Some(now),
            stopping: Arc::default(),
            cgroup: cgroup.clone(),
            output: Some(output),
            ended,
        };
        let told =
            |what: &str, at| RuntimeEvent { node: node.id.clone(), what: what.to_owned(), at: Some(at) };
        let _ = events.send(told("start", now));
        let (id, folder) = (node.id.clone(), folder.to_owned());
        // Without a cgroup of its own, the one that it shares with us tells of a kill as well.
        let counted = cgroup.clone().or_else(|| Cgroup::find(Path::new("/")));
        let before = counted.as_ref().and_then(Cgroup::oom_kills);
        tokio::spawn(async move {
            let status = child.wait().await.ok();
            // Whoever it started and left behind would hold its database, and its pipes.
            signal_group(pid, Signal::KILL);
            for reader in readers.into_iter().flatten() {
                let _ = timeout(LAST_OUTPUT, reader).await;
            }
            let after = counted.as_ref().and_then(Cgroup::oom_kills);
            let ended = how(status, before, after, clock.now());
            found::forget(&folder, &id);
            if let Some(cgroup) = cgroup {
                let _ = cgroup.remove();
            }
            let what = if ended.oom_killed { "oom" } else { "die" };
            let event = RuntimeEvent { node: id, what: what.to_owned(), at: Some(ended.at) };
            tell.send_replace(Some(ended));
            let _ = events.send(event);
        });
        Ok(this)
    }

    /// A process that an earlier run of ours started. How it ends, only its parent would be told.
    pub(super) fn taken_over(
        found: &Found,
        id: &NodeId,
        folder: &Path,
        clock: WallClock,
        events: broadcast::Sender<RuntimeEvent>,
    ) -> Self {
        let (tell, ended) = watch::channel(None);
        let (found, id, folder) = (*found, id.clone(), folder.to_owned());
        let cgroup = Cgroup::of_pid(Path::new("/"), found.pid)
            .filter(|cgroup| cgroup.is_named(&format!("relaymux/{id}")));
        let this = Self { found, since: None, stopping: Arc::default(), cgroup, output: None, ended };
        tokio::spawn(async move {
            while found.is_alive() {
                tokio::time::sleep(LOOKED_AT).await;
            }
            found::forget(&folder, &id);
            let at = clock.now();
            tell.send_replace(Some(Ended { code: None, oom_killed: false, at }));
            let _ = events.send(RuntimeEvent { node: id, what: "die".to_owned(), at: Some(at) });
        });
        this
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        *self.ended.borrow()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) const fn since(&self) -> Option<UnixMillis> {
        self.since
    }

    /// What tells this run from others.
    pub(super) fn run(&self) -> String {
        format!("{}@{}", self.found.pid, self.found.started)
    }

    pub(super) fn last_lines(&self, lines: usize) -> Vec<String> {
        self.output.as_ref().map(|output| output.last(lines)).unwrap_or_default()
    }

    /// SIGTERM to all of its group.
    pub(super) fn ask_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.signal(Signal::TERM);
    }

    /// A signal to all of its group, while it is there.
    pub(super) fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            signal_group(self.found.pid, signal);
        }
    }

    /// Whether it has ended before so long.
    pub(super) async fn gone_within(&self, longest: Duration) -> bool {
        let mut ended = self.ended.clone();
        matches!(timeout(longest, ended.wait_for(Option::is_some)).await, Ok(Ok(_)))
    }

    /// What it uses: of its cgroup; without one, of its first process alone.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        if let Some(cgroup) = &self.cgroup {
            kernel::complete(&mut usage, cgroup);
            return usage;
        }
        if let Some(stat) = found::stat(self.found.pid) {
            let ticks = stat.utime.saturating_add(stat.stime);
            usage.cpu_us = Some(ticks.saturating_mul(1_000_000 / TICKS));
            usage.pids = u64::try_from(stat.num_threads).ok();
            usage.memory = resident(self.found.pid);
        }
        usage
    }

    /// Changes its limits.
    pub(super) fn hold_to(&self, name: &str, limits: &Limits) -> Result<(), RuntimeError> {
        let Some(cgroup) = &self.cgroup else {
            return Err(RuntimeError::Refused(format!(
                "The limits of {name} are not held, so they cannot be changed: it has no cgroup of its own. Run relaymux as root or in a unit \
                 with Delegate=yes, or run the node in a container or a unit of systemd."
            )));
        };
        cgroup.hold_to(&kernel::cgroup_limits(limits)).map_err(|error| {
            RuntimeError::Refused(format!("The limits of {name} cannot be changed: {error}."))
        })
    }

    /// Whether its swap is counted, so that it can be held to a limit of it.
    pub(super) fn swap_is_counted(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.limits().swap.is_some())
    }
}

fn signal_group(pid: u32, signal: Signal) {
    let group = i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may be gone: that is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

/// How a process ended, with the kernel's count of kills before and after.
fn how(status: Option<ExitStatus>, before: Option<u64>, after: Option<u64>, at: UnixMillis) -> Ended {
    let signal = status.and_then(|status| status.signal());
    let code = status.and_then(|status| status.code()).map(i64::from);
    let more_kills = matches!((before, after), (before, Some(after)) if after > before.unwrap_or(0));
    Ended {
        code: code.or_else(|| signal.map(|signal| i64::from(signal).saturating_add(128))),
        oom_killed: more_kills && code != Some(0),
        at,
    }
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_memory_is_told_from_others_by_the_kernels_count() {
        let (killed, exited, well) =
            (ExitStatus::from_raw(9), ExitStatus::from_raw(3 << 8), ExitStatus::from_raw(0));
        for (status, before, after, code, oom_killed) in [
            (killed, Some(0), Some(1), 137, true),
            (killed, Some(1), Some(1), 137, false),
            (killed, None, None, 137, false),
            // The kernel chose a child of it, and it gave up then.
            (exited, Some(0), Some(1), 3, true),
            (exited, Some(0), Some(0), 3, false),
            (well, Some(0), Some(1), 0, false),
        ] {
            let want = Ended { code: Some(code), oom_killed, at: 5 };
            assert_eq!(how(Some(status), before, after, 5), want, "{status:?} {before:?} {after:?}");
        }
        assert_eq!(how(None, None, None, 5), Ended { code: None, oom_killed: false, at: 5 });
    }
}
