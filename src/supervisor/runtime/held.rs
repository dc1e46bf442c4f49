//! Limits of a node that runs: whether they may be changed, and whether they were. Pure, and the same for every runtime.

use crate::supervisor::{Limits, RuntimeError, Usage};

/// Free room over what is used that a smaller limit must leave, as a share: a node that grows by less is not killed in the next second.
const ROOM: f64 = 0.05;

/// Refuses a memory limit below what is used: cgroup v2 would kill at once, and v1 would push every page of it to and fro.
pub(super) fn check(name: &str, limits: &Limits, now: Option<&Usage>) -> Result<(), RuntimeError> {
    let (Some(memory), Some(usage)) = (limits.memory, now) else { return Ok(()) };
    let held = usage.held_to.as_ref().and_then(|held| held.memory);
    if held.is_some_and(|held| held <= memory) {
        return Ok(());
    }
    let Some(used) = usage.memory else {
        return Err(RuntimeError::Refused(format!(
            "It is not known how much memory {name} uses, so its limit is not made smaller while it runs. Stop it first."
        )));
    };
    let least = with_room(used);
    if memory >= least {
        return Ok(());
    }
    Err(RuntimeError::Refused(format!(
        "{name} uses {}, and the kernel would kill it at a limit of {}. The smallest limit that it can have now is {}; to go below, stop \
         it, give it a smaller cache, and start it again.",
        shown(used),
        shown(memory),
        shown(least)
    )))
}

/// What is used and the room over it, rounded up to whole MiB.
fn with_room(used: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let room = format!("{:.0}", f64::from(u32::try_from(used / MIB).unwrap_or(u32::MAX)) * ROOM);
    let whole = used.div_ceil(MIB).saturating_add(room.parse().unwrap_or(0)).max(1);
    whole.saturating_mul(MIB)
}

fn shown(bytes: u64) -> String {
    let mib = f64::from(u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
    if mib >= 1024.0 { format!("{:.2} GiB", mib / 1024.0) } else { format!("{mib} MiB") }
}

/// The whole machine, which is what "no limit" comes to where a limit cannot be taken away from what runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// Cores.
    pub(super) cores: u32,
    /// Memory in bytes; none where a limit of it can be taken away.
    pub(super) memory: Option<u64>,
}

impl Whole {
    /// This machine, for those who can take limits away.
    pub(super) fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores: u32::try_from(cores).unwrap_or(u32::MAX), memory: None }
    }
}

/// Whether what was read back is what was asked for; the difference, otherwise.
pub(super) fn compare(
    name: &str,
    asked: &Limits,
    held: &Limits,
    whole: Whole,
    swap_is_counted: bool,
) -> Result<(), RuntimeError> {
    let every = f64::from(whole.cores);
    let mut differences = Vec::new();
    // The kernel counts in pages.
    let near = |one: u64, other: u64| one.abs_diff(other) < 65_536;
    match (asked.memory, held.memory) {
        (None, None) => {}
        (None, Some(held)) if whole.memory.is_some_and(|all| held >= all || near(held, all)) => {}
        (Some(asked), Some(held)) if near(asked, held) => {}
        (asked, held) => differences.push(format!("memory {} instead of {}", size(held), size(asked))),
    }
    if asked.memory.is_some() && swap_is_counted && !near(asked.swap, held.swap) {
        differences.push(format!("swap {} instead of {}", shown(held.swap), shown(asked.swap)));
    }
    let (wanted, has) = (asked.cpus.unwrap_or(every), held.cpus.unwrap_or(every));
    if (wanted - has).abs() > 0.011 {
        differences.push(format!("{has} cores instead of {wanted}"));
    }
    if let Some(wanted) = &asked.cpuset
        && held.cpuset.as_ref() != Some(wanted)
    {
        let has = held.cpuset.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string);
        differences.push(format!("cores {has} instead of {wanted}"));
    }
    if asked.pids != held.pids {
        let text = |pids: Option<u32>| pids.map_or_else(|| "no limit".to_owned(), |pids| pids.to_string());
        differences.push(format!("{} of processes instead of {}", text(held.pids), text(asked.pids)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(RuntimeError::Refused(format!(
        "The limits of {name} were taken, and it is held to others: {}. The files of its cgroup say more.",
        differences.join(", ")
    )))
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "no limit".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Cpuset;

    const GIB: u64 = 1 << 30;
    const WHOLE: Whole = Whole { cores: 2, memory: Some(4 * GIB) };

    fn uses(used: u64, limit: u64) -> Usage {
        Usage {
            memory: Some(used),
            held_to: Some(Limits { memory: Some(limit), ..Limits::default() }),
            ..Usage::default()
        }
    }

    #[test]
    fn a_limit_below_use_is_refused_with_the_numbers() {
        let to = |memory| Limits { memory: Some(memory), ..Limits::default() };
        for (name, limit, now, refused) in [
            ("larger", 10 * GIB, Some(uses(6 * GIB, 8 * GIB)), false),
            ("larger, though it is at its limit", 10 * GIB, Some(uses(8 * GIB, 8 * GIB)), false),
            ("smaller, with room", 7 * GIB, Some(uses(6 * GIB, 8 * GIB)), false),
            ("smaller, without room", 6 * GIB + 1, Some(uses(6 * GIB, 8 * GIB)), true),
            ("below use", 5 * GIB, Some(uses(6 * GIB, 8 * GIB)), true),
            (
                "a first limit below use",
                5 * GIB,
                Some(Usage { memory: Some(6 * GIB), ..Usage::default() }),
                true,
            ),
            ("use unknown", 5 * GIB, Some(Usage::default()), true),
            ("it does not run", 5 * GIB, None, false),
        ] {
            assert_eq!(check("geth", &to(limit), now.as_ref()).is_err(), refused, "{name}");
        }
        let error = check("geth", &to(5 * GIB), Some(&uses(6 * GIB, 8 * GIB))).unwrap_err().to_string();
        assert!(
            error.contains("6.00 GiB") && error.contains("5.00 GiB") && error.contains("6.30 GiB"),
            "{error}"
        );
        assert!(check("geth", &Limits::default(), Some(&uses(6 * GIB, 8 * GIB))).is_ok());
    }

    #[test]
    fn what_was_read_back_is_compared() {
        let asked =
            Limits { memory: Some(GIB), swap: 0, cpus: Some(1.5), cpuset: Cpuset::parse("0"), pids: Some(9) };
        assert_eq!(compare("geth", &asked, &asked, WHOLE, true), Ok(()));
        assert_eq!(
            compare(
                "geth",
                &Limits::default(),
                &Limits { cpus: Some(2.0), ..Limits::default() },
                WHOLE,
                true
            ),
            Ok(())
        );
        for (text, held) in [
            ("memory no limit instead of 1.00 GiB", Limits { memory: None, ..asked.clone() }),
            ("swap 1.00 GiB instead of 0 MiB", Limits { swap: GIB, ..asked.clone() }),
            ("2 cores instead of 1.5", Limits { cpus: None, ..asked.clone() }),
            ("cores any instead of 0", Limits { cpuset: None, ..asked.clone() }),
            ("no limit of processes instead of 9", Limits { pids: None, ..asked.clone() }),
        ] {
            let error = compare("geth", &asked, &held, WHOLE, true).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        // No limit, where none can be taken away, is the whole machine.
        let all = |memory| Limits { memory: Some(memory), ..Limits::default() };
        assert_eq!(compare("geth", &Limits::default(), &all(4 * GIB - 4096), WHOLE, true), Ok(()));
        assert!(compare("geth", &Limits::default(), &all(3 * GIB), WHOLE, true).is_err());
        // A kernel that does not count swap cannot hold anybody to it.
        assert_eq!(compare("geth", &asked, &Limits { swap: GIB, ..asked.clone() }, WHOLE, false), Ok(()));
    }
}
