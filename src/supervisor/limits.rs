//! What a node may use, and what it uses.

use std::fmt;

/// The most that a node may use. None: no limit of that kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Swap beside the memory, in bytes; 0: none. Without it a node has no swap, as a node that swaps attests late.
    pub swap: u64,
    /// Cores, such as 1.5.
    pub cpus: Option<f64>,
    /// On which cores it may run.
    pub cpuset: Option<Cpuset>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// Cores by number, as the kernel writes them: `0-3,6`. Parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpuset(Vec<u16>);

impl Cpuset {
    /// Parses the kernel's list format (cpuset(7)); `None` for what is none, is empty, or names a core from 4096 on.
    pub fn parse(text: &str) -> Option<Self> {
        let mut cores = Vec::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last >= 4096 {
                return None;
            }
            cores.extend(first..=last);
        }
        cores.sort_unstable();
        cores.dedup();
        Some(Self(cores))
    }

    /// The cores, ascending.
    pub fn cores(&self) -> &[u16] {
        &self.0
    }
}

impl fmt::Display for Cpuset {
    /// The kernel's list format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut before = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while rest.next_if_eq(&last.saturating_add(1)).is_some() {
                last = last.saturating_add(1);
            }
            f.write_str(before)?;
            before = ",";
            if last > first { write!(f, "{first}-{last}")? } else { write!(f, "{first}")? }
        }
        Ok(())
    }
}

/// What a node uses now. What cannot be read is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory without what the kernel could take back at once (inactive file cache), in bytes.
    pub memory: Option<u64>,
    /// CPU time used since it was started, in microseconds.
    pub cpu_us: Option<u64>,
    /// Periods in which it wanted more CPU than it may have, since it was started.
    pub throttled: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// How often the kernel killed a process of it for memory, since it was started.
    pub oom_kills: Option<u64>,
    /// PSI `some avg10` of its memory, in percent; v2 only.
    pub memory_psi: Option<f64>,
    /// The limits that the kernel holds it to, as read back.
    pub held_to: Option<Limits>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_written_as_the_kernel_does() {
        for (text, shown) in [("0", "0"), ("0-3,6", "0-3,6"), ("3,1,2", "1-3"), ("5, 5,7-8", "5,7-8")] {
            assert_eq!(Cpuset::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "a", "3-1", "0-5000", "1,,2", "-1"] {
            assert_eq!(Cpuset::parse(text), None, "{text}");
        }
    }
}
