//! What a unit's properties mean, and limits as properties: pure. Source: org.freedesktop.systemd1(5).

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use crate::{
    supervisor::{Cpuset, Limits, ProcessStatus, Usage},
    types::UnixMillis,
};

/// Properties of a unit, of both interfaces.
#[derive(Debug)]
pub(super) struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    pub(super) const fn new(all: HashMap<String, OwnedVariant>) -> Self {
        Self(all)
    }

    fn text(&self, name: &str) -> Option<String> {
        String::try_from(self.0.get(name)?.clone()).ok()
    }

    /// A number; none for systemd's "infinity" and "not set", which are the same.
    fn number(&self, name: &str) -> Option<u64> {
        u64::try_from(self.0.get(name)?.clone()).ok().filter(|number| *number != u64::MAX)
    }

    fn small(&self, name: &str) -> Option<i32> {
        i32::try_from(self.0.get(name)?.clone()).ok()
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        Vec::<u8>::try_from(self.0.get(name)?.clone()).ok()
    }

    /// A time; none for its zero, which is "never".
    fn time(&self, name: &str) -> Option<UnixMillis> {
        let us = self.number(name).filter(|us| *us > 0)?;
        i64::try_from(us / 1000).ok()
    }

    /// The unit's state in detail, as `systemctl` shows it.
    pub(super) fn sub_state(&self) -> Option<String> {
        self.text("SubState").map(|state| state.chars().take(40).collect())
    }

    /// When its state changed last.
    pub(super) fn changed_at(&self) -> Option<UnixMillis> {
        self.time("StateChangeTimestamp")
    }

    /// What tells this run from others.
    pub(super) fn invocation(&self) -> Option<String> {
        let id = self.bytes("InvocationID").filter(|id| !id.is_empty())?;
        Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The first process, where there is one.
    pub(super) fn main_pid(&self) -> Option<u32> {
        u32::try_from(self.0.get("MainPID")?.clone()).ok().filter(|pid| *pid > 0)
    }

    /// For people.
    pub(super) fn what(&self, unit: &str) -> String {
        match self.text("Description").filter(|text| !text.is_empty() && text != unit) {
            Some(text) => format!("{unit} ({})", text.chars().take(120).collect::<String>()),
            None => unit.to_owned(),
        }
    }

    /// How its process is.
    pub(super) fn status(&self) -> ProcessStatus {
        let state = self.text("ActiveState").unwrap_or_default();
        let sub = self.sub_state().unwrap_or_default();
        let since = self.time("ExecMainStartTimestamp").or_else(|| self.time("ActiveEnterTimestamp"));
        match (state.as_str(), sub.as_str()) {
            // A unit without a file that never ran. One whose file was removed while it runs has a state.
            ("inactive" | "", _) if self.text("LoadState").as_deref() != Some("loaded") => {
                ProcessStatus::Absent
            }
            // It ended, and systemd itself will start it again.
            (_, "auto-restart" | "auto-restart-queued") => self.ended(),
            // `active (exited)`: a oneshot that has done its work.
            ("active", "exited") => self.ended(),
            ("active" | "reloading" | "refreshing" | "activating", _) => ProcessStatus::Running { since },
            ("deactivating", _) => ProcessStatus::Stopping,
            ("inactive", _) if self.time("ExecMainStartTimestamp").is_none() => ProcessStatus::Created,
            _ => self.ended(),
        }
    }

    fn ended(&self) -> ProcessStatus {
        // CLD_EXITED, CLD_KILLED, CLD_DUMPED
        let code = match (self.small("ExecMainCode"), self.small("ExecMainStatus")) {
            // systemd has stopped it, and has lost patience: whoever asked for that stopped it.
            _ if self.text("Result").as_deref() == Some("timeout")
                && self.time("ActiveEnterTimestamp").is_some() =>
            {
                Some(143)
            }
            (Some(1), Some(status)) => Some(i64::from(status)),
            (Some(2 | 3), Some(signal)) => Some(i64::from(signal).saturating_add(128)),
            _ => None,
        };
        ProcessStatus::Exited {
            code,
            oom_killed: self.text("Result").as_deref() == Some("oom-kill"),
            at: self.time("ExecMainExitTimestamp").or_else(|| self.time("InactiveEnterTimestamp")),
        }
    }

    /// Whether it has processes.
    pub(super) fn runs(&self) -> bool {
        matches!(self.status(), ProcessStatus::Running { .. } | ProcessStatus::Stopping)
    }

    /// Whether there is nothing to stop. What waits for systemd's own restart is to be stopped, too.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.text("ActiveState").as_deref(), Some("inactive" | "failed") | None)
    }

    /// What it uses, as far as systemd tells.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            memory: self.number("MemoryCurrent"),
            cpu_us: self.number("CPUUsageNSec").map(|nanos| nanos / 1000),
            pids: self.number("TasksCurrent"),
            held_to: self.held_to(),
            ..Usage::default()
        }
    }

    /// Its limits, as systemd knows them.
    pub(super) fn held_to(&self) -> Option<Limits> {
        let cpus = self.number("CPUQuotaPerSecUSec").and_then(|us| u32::try_from(us).ok());
        Some(Limits {
            memory: self.number("MemoryMax"),
            swap: self.number("MemorySwapMax").unwrap_or(0),
            cpus: cpus.map(|us| f64::from(us) / 1e6),
            cpuset: self.bytes("AllowedCPUs").as_deref().and_then(cores_of),
            pids: self.number("TasksMax").map(|pids| u32::try_from(pids).unwrap_or(u32::MAX)),
        })
    }
}

/// The cores of a mask, a bit for each, the lowest byte first.
fn cores_of(mask: &[u8]) -> Option<Cpuset> {
    let cores = mask.iter().enumerate().flat_map(|(index, byte)| {
        (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| (index * 8 + bit).to_string())
    });
    Cpuset::parse(&cores.collect::<Vec<_>>().join(","))
}

/// The mask of cores.
fn mask_of(cores: &Cpuset) -> Vec<u8> {
    let mut mask = Vec::new();
    for core in cores.cores() {
        let (index, bit) = (usize::from(core / 8), core % 8);
        if mask.len() <= index {
            mask.resize(index + 1, 0_u8);
        }
        if let Some(byte) = mask.get_mut(index) {
            *byte |= 1 << bit;
        }
    }
    mask
}

/// Limits as properties. No limit is systemd's "infinity".
pub(super) fn of_limits(limits: &Limits) -> Vec<(&'static str, Variant<'static>)> {
    let quota = limits.cpus.map(|cpus| format!("{:.0}", cpus.clamp(0.01, 4096.0) * 1e6));
    let mut all = vec![
        ("MemoryMax", Variant::from(limits.memory.unwrap_or(u64::MAX))),
        ("MemorySwapMax", Variant::from(limits.memory.map_or(u64::MAX, |_| limits.swap))),
        ("CPUQuotaPerSecUSec", Variant::from(quota.and_then(|us| us.parse().ok()).unwrap_or(u64::MAX))),
        ("TasksMax", Variant::from(limits.pids.map_or(u64::MAX, u64::from))),
    ];
    // An empty mask is every core. Sent always: a node that was held to some must get the others back.
    all.push(("AllowedCPUs", Variant::new(limits.cpuset.as_ref().map(mask_of).unwrap_or_default())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(all: &[(&str, Variant<'static>)]) -> Properties {
        Properties::new(
            all.iter().map(|(name, value)| ((*name).to_owned(), value.clone().try_into().unwrap())).collect(),
        )
    }

    fn text(value: &'static str) -> Variant<'static> {
        Variant::from(value)
    }

    #[test]
    fn every_state_of_a_unit_has_a_meaning() {
        let exited = |code, oom_killed| ProcessStatus::Exited { code, oom_killed, at: Some(2000) };
        let running = ProcessStatus::Running { since: Some(1000) };
        for (load, active, sub, result, code, status, want) in [
            ("loaded", "active", "running", "success", 0, 0, running.clone()),
            ("loaded", "reloading", "reload", "success", 0, 0, running.clone()),
            ("loaded", "activating", "start", "success", 0, 0, running.clone()),
            ("not-found", "active", "running", "success", 0, 0, running),
            ("loaded", "deactivating", "stop-sigterm", "success", 0, 0, ProcessStatus::Stopping),
            ("loaded", "failed", "failed", "exit-code", 1, 3, exited(Some(3), false)),
            ("loaded", "failed", "failed", "signal", 2, 9, exited(Some(137), false)),
            ("loaded", "failed", "failed", "core-dump", 3, 11, exited(Some(139), false)),
            ("loaded", "failed", "failed", "oom-kill", 2, 9, exited(Some(137), true)),
            ("loaded", "activating", "auto-restart", "exit-code", 1, 1, exited(Some(1), false)),
            ("loaded", "inactive", "dead", "success", 1, 0, exited(Some(0), false)),
            ("loaded", "active", "exited", "success", 1, 0, exited(Some(0), false)),
            ("not-found", "inactive", "dead", "success", 0, 0, ProcessStatus::Absent),
            ("masked", "inactive", "dead", "success", 0, 0, ProcessStatus::Absent),
        ] {
            let all = properties(&[
                ("LoadState", text(load)),
                ("ActiveState", text(active)),
                ("SubState", text(sub)),
                ("Result", text(result)),
                ("ExecMainCode", Variant::from(code)),
                ("ExecMainStatus", Variant::from(status)),
                ("ExecMainStartTimestamp", Variant::from(1_000_000_u64)),
                ("ExecMainExitTimestamp", Variant::from(2_000_000_u64)),
            ]);
            assert_eq!(all.status(), want, "{active} {sub} {result}");
        }
        let never =
            [("LoadState", text("loaded")), ("ActiveState", text("inactive")), ("SubState", text("dead"))];
        assert_eq!(properties(&never).status(), ProcessStatus::Created);
    }

    #[test]
    fn infinity_is_no_limit_and_what_is_not_set_is_not_known() {
        let all = properties(&[
            ("MemoryMax", Variant::from(u64::MAX)),
            ("MemoryCurrent", Variant::from(u64::MAX)),
            ("TasksMax", Variant::from(100_u64)),
            ("CPUQuotaPerSecUSec", Variant::from(1_500_000_u64)),
            ("CPUUsageNSec", Variant::from(7_000_000_u64)),
            ("AllowedCPUs", Variant::new(vec![0b0100_0011_u8, 1])),
            ("InvocationID", Variant::new(vec![0xab_u8, 0x01])),
        ]);
        let held = Limits {
            memory: None,
            swap: 0,
            cpus: Some(1.5),
            cpuset: Cpuset::parse("0-1,6,8"),
            pids: Some(100),
        };
        assert_eq!(all.held_to(), Some(held));
        assert_eq!((all.usage().memory, all.usage().cpu_us), (None, Some(7000)));
        assert_eq!(all.invocation().as_deref(), Some("ab01"));
    }

    #[test]
    fn limits_come_back_as_they_were_sent() {
        let asked = Limits {
            memory: Some(1 << 30),
            swap: 4096,
            cpus: Some(0.5),
            cpuset: Cpuset::parse("1,9-10"),
            pids: Some(7),
        };
        for limits in [asked, Limits::default()] {
            assert_eq!(properties(&of_limits(&limits)).held_to(), Some(limits));
        }
    }
}
