//! Limits of a container that runs: what is sent, and what the engine says it holds it to. Pure.

use bollard::models::{ContainerUpdateBody, HostConfig};

use super::create::{nano_cpus, to_i64};
use crate::supervisor::{Cpuset, Limits, runtime::held::Whole};

/// What the engine is sent. Memory and swap together: alone, a larger memory limit is refused for the smaller sum of both. The engine reads a
/// zero as "unchanged" and refuses less, so what has no limit gets the whole machine: every core, all memory. Of processes, -1 is no limit; of memory and
/// swap it is not passed on to the kernel.
pub(super) fn update(limits: &Limits, whole: Whole) -> ContainerUpdateBody {
    let memory = limits.memory.or(whole.memory);
    let both = memory.map(|memory| to_i64(memory.saturating_add(limits.swap)));
    let cores = whole.cores.max(1);
    let last = cores.saturating_sub(1);
    ContainerUpdateBody {
        memory: memory.map(to_i64),
        memory_swap: both,
        nano_cpus: Some(
            limits.cpus.map_or_else(|| i64::from(cores).saturating_mul(1_000_000_000), nano_cpus),
        ),
        cpuset_cpus: Some(limits.cpuset.as_ref().map_or_else(|| format!("0-{last}"), ToString::to_string)),
        pids_limit: Some(limits.pids.map_or(-1, i64::from)),
        ..ContainerUpdateBody::default()
    }
}

/// The limits that the engine says it holds a container to.
pub(super) fn held(config: Option<&HostConfig>) -> Limits {
    let positive = |number: Option<i64>| {
        number.filter(|number| *number > 0).and_then(|number| u64::try_from(number).ok())
    };
    let memory = positive(config.and_then(|config| config.memory));
    let both = positive(config.and_then(|config| config.memory_swap));
    let nano = positive(config.and_then(|config| config.nano_cpus));
    Limits {
        memory,
        swap: both.map_or(0, |both| both.saturating_sub(memory.unwrap_or(both))),
        cpus: nano.map(|nano| f64::from(u32::try_from(nano / 1_000_000).unwrap_or(u32::MAX)) / 1000.0),
        cpuset: config.and_then(|config| Cpuset::parse(config.cpuset_cpus.as_deref()?)),
        pids: positive(config.and_then(|config| config.pids_limit))
            .map(|pids| u32::try_from(pids).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const WHOLE: Whole = Whole { cores: 8, memory: Some(32 * GIB) };

    #[test]
    fn swap_moves_with_memory_and_no_limit_is_the_whole_machine() {
        let body = update(&Limits { memory: Some(8 * GIB), swap: GIB, ..Limits::default() }, WHOLE);
        assert_eq!((body.memory, body.memory_swap), (Some(8 << 30), Some(9 << 30)));
        assert_eq!((body.nano_cpus, body.cpuset_cpus.as_deref()), (Some(8_000_000_000), Some("0-7")));
        assert_eq!(body.pids_limit, Some(-1));
        let body =
            update(&Limits { cpus: Some(1.5), cpuset: Cpuset::parse("2"), ..Limits::default() }, WHOLE);
        assert_eq!((body.memory, body.memory_swap), (Some(32 << 30), Some(32 << 30)));
        assert_eq!((body.nano_cpus, body.cpuset_cpus.as_deref()), (Some(1_500_000_000), Some("2")));
    }
}
