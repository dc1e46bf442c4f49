//! How long after its time a task begins: so that the machines of a fleet do not all clean, back up and call the same services at once. The same
//! machine, task and time give the same answer, so that a restart changes nothing.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{events::TaskKind, types::UnixMillis};

/// From 0 to `most`, in milliseconds. `machine`: whatever tells this one from others.
pub(super) fn jitter_ms(machine: &str, task: TaskKind, planned_at: UnixMillis, most: Duration) -> i64 {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let mut hash = Sha256::new();
    for part in [machine.as_bytes(), task.label().as_bytes(), &planned_at.to_be_bytes()] {
        hash.update(part);
        // So that no two parts run together.
        hash.update([0]);
    }
    let number = hash.finalize().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    i64::try_from(number % most.saturating_add(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn machines_tasks_and_times_differ_and_one_of_each_does_not() {
        let of = |machine, task, at| jitter_ms(machine, task, at, MINUTE);
        let first = of("one", TaskKind::Backup, 1000);
        assert_eq!(first, of("one", TaskKind::Backup, 1000));
        let others = [
            of("two", TaskKind::Backup, 1000),
            of("one", TaskKind::DiskClean, 1000),
            of("one", TaskKind::Backup, 2000),
        ];
        assert!(others.iter().all(|other| *other != first), "{first} {others:?}");
    }

    #[test]
    fn it_is_spread_over_the_whole_of_it() {
        let found: Vec<i64> = (0..1000).map(|at| jitter_ms("m", TaskKind::Backup, at, MINUTE)).collect();
        for quarter in 0..4 {
            let within =
                found.iter().filter(|ms| (quarter * 15_000..(quarter + 1) * 15_000).contains(*ms)).count();
            assert!((180..320).contains(&within), "{within} of 1000 in quarter {quarter}");
        }
    }

    proptest! {
        #[test]
        fn it_is_never_more_than_was_asked_for(at: i64, most in 0_u64..10_000_000) {
            let found = jitter_ms("m", TaskKind::Backup, at, Duration::from_millis(most));
            prop_assert!((0..=i64::try_from(most).unwrap()).contains(&found));
        }
    }
}
