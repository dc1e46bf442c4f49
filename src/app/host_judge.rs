//! What is wrong with the machine by its figures, in words. Pure: what cannot be read is no trouble.
//!
//! Thresholds of PSI are those that Meta's oomd and distributions start from; they are shares of a whole minute, so that no short peak counts.

use super::rules::{CPU_HIGH, IO_STALLS, MEMORY_LOW, MEMORY_STALLS};
use crate::{
    events::{AlertRule, Severity},
    host::{Memory, Stalls},
};

/// CPU above this, in percent of all cores, over a minute.
const CPU_HIGH_PERCENT: f64 = 85.0;
/// Memory that can still be had, below this share of all, in percent.
const MEMORY_LOW_PERCENT: f64 = 10.0;
/// Share of a minute in which everything waited for memory, in percent: to be looked at, and to be acted on.
const MEMORY_STALLS_PERCENT: f64 = 5.0;
const MEMORY_STALLS_GRAVELY_PERCENT: f64 = 10.0;
/// The same for disks.
const IO_STALLS_PERCENT: f64 = 20.0;

/// The machine's figures of one look. What is not known is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HostFigures {
    /// CPU over the last minute, in percent of all cores.
    pub(super) cpu: Option<f64>,
    /// Memory of the machine.
    pub(super) memory: Option<Memory>,
    /// Memory of our own cgroup, where it has a limit.
    pub(super) own_memory: Option<Memory>,
    /// What stood still.
    pub(super) stalls: Stalls,
    /// Whether relays rest as this machine is under pressure.
    pub(super) is_shedding: bool,
    /// The relays that rest.
    pub(super) resting: Vec<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostTrouble {
    pub(super) rule: &'static AlertRule,
    pub(super) severity: Severity,
    pub(super) subject: &'static str,
    pub(super) message: String,
}

/// All that is wrong.
pub(super) fn judge(figures: &HostFigures) -> Vec<HostTrouble> {
    let HostFigures { cpu, memory, own_memory, stalls, is_shedding, resting } = figures;
    let cpu = cpu.filter(|percent| *percent > CPU_HIGH_PERCENT).map(|percent| {
        let message = format!(
            "CPU of this machine is at {percent:.0} % over the last minute, above {CPU_HIGH_PERCENT:.0} %. {}",
            rotation(*is_shedding, resting)
        );
        trouble(&CPU_HIGH, CPU_HIGH.severity, message)
    });
    let low = memory_low(*memory, "this machine has", "this machine");
    let own = memory_low(*own_memory, "relaymux's own cgroup may use", "relaymux");
    let starved = stalls.memory.filter(|percent| *percent > MEMORY_STALLS_PERCENT).map(|percent| {
        let is_grave = percent > MEMORY_STALLS_GRAVELY_PERCENT;
        let (severity, limit) = if is_grave {
            (Severity::P2, MEMORY_STALLS_GRAVELY_PERCENT)
        } else {
            (MEMORY_STALLS.severity, MEMORY_STALLS_PERCENT)
        };
        let message = format!(
            "In {percent:.0} % of the last minute everything that had to run waited for memory, above {limit:.0} % (PSI memory full)."
        );
        trouble(&MEMORY_STALLS, severity, message)
    });
    let blocked = stalls.io.filter(|percent| *percent > IO_STALLS_PERCENT).map(|percent| {
        let message = format!(
            "In {percent:.0} % of the last minute everything that had to run waited for a disk, above {IO_STALLS_PERCENT:.0} % (PSI io full)."
        );
        trouble(&IO_STALLS, IO_STALLS.severity, message)
    });
    [cpu, low, own, starved, blocked].into_iter().flatten().collect()
}

fn trouble(rule: &'static AlertRule, severity: Severity, message: String) -> HostTrouble {
    HostTrouble { rule, severity, subject: "this machine", message }
}

/// What follows from the load for relays.
fn rotation(is_shedding: bool, resting: &[String]) -> String {
    match (is_shedding, resting) {
        (true, []) => {
            "Our own answers come late for it; no relay can be spared, and optional work rests.".to_owned()
        }
        (true, resting) => format!(
            "Our own answers come late for it: these relays rest, whose bids are hardly ever the best: {}.",
            resting.join(", ")
        ),
        (false, _) => "Our own answers are not late for it: no relay rests.".to_owned(),
    }
}

fn memory_low(memory: Option<Memory>, whose: &str, subject: &'static str) -> Option<HostTrouble> {
    let Memory { used, total } = memory.filter(|memory| memory.total > 0)?;
    let left = total.saturating_sub(used);
    let percent = 100.0 * mib(left) / mib(total);
    (percent < MEMORY_LOW_PERCENT).then(|| {
        let message = format!(
            "{percent:.0} % of the memory that {whose} can still be had, below {MEMORY_LOW_PERCENT:.0} %: {:.0} of {:.0} MiB.",
            mib(left),
            mib(total)
        );
        HostTrouble { subject, ..trouble(&MEMORY_LOW, MEMORY_LOW.severity, message) }
    })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(figures: &HostFigures) -> Vec<(&'static str, Severity)> {
        judge(figures).iter().map(|trouble| (&*trouble.rule.name, trouble.severity)).collect()
    }

    fn memory(used: u64) -> Option<Memory> {
        Some(Memory { used: used << 20, total: 1000 << 20 })
    }

    #[test]
    fn each_threshold_from_both_sides() {
        use Severity::{P2, P3};
        let none = HostFigures::default;
        let memory_stalls =
            |percent| HostFigures { stalls: Stalls { memory: Some(percent), io: None }, ..none() };
        let io = |percent| HostFigures { stalls: Stalls { memory: None, io: Some(percent) }, ..none() };
        for (name, figures, want) in [
            ("nothing can be read", none(), &[][..]),
            ("busy", HostFigures { cpu: Some(85.0), ..none() }, &[]),
            ("too busy", HostFigures { cpu: Some(85.1), ..none() }, &[("cpu_high", P3)]),
            ("a tenth is left", HostFigures { memory: memory(900), ..none() }, &[]),
            ("less is left", HostFigures { memory: memory(901), ..none() }, &[("memory_low", P3)]),
            ("of our own limit", HostFigures { own_memory: memory(950), ..none() }, &[("memory_low", P3)]),
            (
                "more used than there is",
                HostFigures { memory: memory(2000), ..none() },
                &[("memory_low", P3)],
            ),
            ("no memory at all", HostFigures { memory: Some(Memory { used: 0, total: 0 }), ..none() }, &[]),
            ("memory stalls a little", memory_stalls(5.0), &[]),
            ("memory stalls", memory_stalls(5.1), &[("memory_stalls", P3)]),
            ("memory stalls, not gravely", memory_stalls(10.0), &[("memory_stalls", P3)]),
            ("memory stalls gravely", memory_stalls(10.1), &[("memory_stalls", P2)]),
            ("the disk stalls a little", io(20.0), &[]),
            ("the disk stalls", io(20.1), &[("io_stalls", P3)]),
        ] {
            assert_eq!(found(&figures), want, "{name}");
        }
    }

    #[test]
    fn a_busy_cpu_names_what_rests_for_it() {
        let said = |is_shedding, resting: &[&str]| {
            let resting = resting.iter().map(|id| (*id).to_owned()).collect();
            judge(&HostFigures { cpu: Some(93.4), is_shedding, resting, ..HostFigures::default() })
                .remove(0)
                .message
        };
        assert_eq!(
            said(true, &["relay-b", "relay-c"]),
            "CPU of this machine is at 93 % over the last minute, above 85 %. Our own answers come late for it: these relays rest, whose bids \
             are hardly ever the best: relay-b, relay-c."
        );
        assert!(said(true, &[]).contains("no relay can be spared"));
        // A relay that somebody rotated out by hand rests for another reason.
        assert!(said(false, &["relay-b"]).ends_with("no relay rests."));
    }

    #[test]
    fn figures_are_said_as_people_read_them() {
        let low = judge(&HostFigures { memory: memory(950), ..HostFigures::default() }).remove(0).message;
        assert_eq!(
            low,
            "5 % of the memory that this machine has can still be had, below 10 %: 50 of 1000 MiB."
        );
    }
}
