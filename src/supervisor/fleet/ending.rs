//! Why a process ended: by itself, for its memory, by a person, or with what it ran on.

use super::about::{About, RuntimeKind};
use crate::{events::NodeWanted, types::UnixMillis};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, or with what it ran on. What is known of it, as a sentence.
    Crash(String),
    /// The kernel killed it for its memory.
    OutOfMemory(String),
    /// A person stopped it; we were not asked.
    ByHand(String),
    /// We stopped it, as a person wanted.
    Ordered(String),
}

/// An end, and what is known around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) about: &'a About,
    pub(super) wanted: NodeWanted,
    pub(super) code: Option<i64>,
    pub(super) oom_killed: bool,
    /// When it ended, by the runtime's word.
    pub(super) at: Option<UnixMillis>,
    /// Whether it was seen to run by this process before.
    pub(super) was_seen: bool,
    /// Whether its runtime was away since.
    pub(super) was_away: bool,
    /// Whether its runtime told that somebody stops it, and that it ended.
    pub(super) told_stop: bool,
    pub(super) told_end: bool,
    /// Whether we had begun to start it.
    pub(super) our_hand: bool,
    /// When this machine was started.
    pub(super) booted_at: Option<UnixMillis>,
}

/// Says why. Whoever is in doubt takes it for a person's: what a person stopped is never started again by us.
pub(super) fn ending(end: End<'_>) -> Ending {
    let End {
        about,
        wanted,
        code,
        oom_killed,
        at,
        was_seen,
        was_away,
        told_stop,
        told_end,
        our_hand,
        booted_at,
    } = end;
    let how = match code {
        Some(code @ 129..=159) => format!("with code {code}, by signal {}", code.saturating_sub(128)),
        Some(code) => format!("with code {code}"),
        None => "without a code that is known".to_owned(),
    };
    if wanted == NodeWanted::Stopped {
        return Ending::Ordered("It was stopped by hand, and stays so.".to_owned());
    }
    if wanted == NodeWanted::Watched {
        return Ending::ByHand(
            "It was not running when it was looked at first, and nobody has asked for it to run.".to_owned(),
        );
    }
    if oom_killed {
        return Ending::OutOfMemory(format!("The kernel killed it for its memory; it ended {how}."));
    }
    if our_hand {
        return Ending::Crash(format!("It ended {how} while relaymux was starting it."));
    }
    if !was_seen && at.zip(booted_at).is_some_and(|(at, booted)| at < booted) {
        return Ending::Crash("It ended with this machine, which has been started since.".to_owned());
    }
    // An engine that is stopped stops its containers as a person does, and then is away.
    if was_seen && was_away {
        return Ending::Crash(format!("It ended {how} as its runtime went away."));
    }
    if told_stop && about.runtime != RuntimeKind::Process {
        return Ending::ByHand(format!("Somebody stopped it from outside; it ended {how}."));
    }
    // `docker stop` and `docker kill` are told of before the end: this came from elsewhere. A geth that runs out of disk ends itself with 0.
    if matches!(code, Some(0 | 137 | 143)) && told_end && about.runtime == RuntimeKind::Docker {
        return Ending::Crash(format!("It ended {how}, and nobody has told its engine to stop it."));
    }
    // What `docker stop` and `systemctl stop` leave behind. A child process of ours nobody stops but by us, and a unit that is killed has failed.
    let is_stop = match about.runtime {
        RuntimeKind::Docker => matches!(code, Some(0 | 137 | 143)),
        RuntimeKind::Systemd => matches!(code, Some(0 | 143)),
        RuntimeKind::Process => false,
    };
    if is_stop {
        let when = if was_seen { "" } else { " while relaymux was away" };
        return Ending::ByHand(format!("It was stopped from outside{when}; it ended {how}."));
    }
    Ending::Crash(format!("It ended {how} by itself."))
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    #[test]
    fn who_ended_it() {
        let docker = testing::about("geth", "execution");
        let process = About { runtime: RuntimeKind::Process, ..docker.clone() };
        let unit = About { runtime: RuntimeKind::Systemd, ..docker.clone() };
        let end = End {
            about: &docker,
            wanted: NodeWanted::Up,
            code: Some(1),
            oom_killed: false,
            at: Some(500),
            was_seen: true,
            was_away: false,
            told_stop: false,
            told_end: false,
            our_hand: false,
            booted_at: Some(100),
        };
        let stopped = End { code: Some(143), ..end };
        for (name, end, want) in [
            ("a panic", end, "crash"),
            ("nobody knows the code", End { code: None, ..end }, "crash"),
            ("a segmentation fault", End { code: Some(139), ..end }, "crash"),
            ("docker stop", stopped, "by hand"),
            ("docker stop of a program that handles it", End { code: Some(0), ..end }, "by hand"),
            ("docker kill", End { code: Some(137), ..end }, "by hand"),
            ("docker stop while relaymux was away", End { was_seen: false, ..stopped }, "by hand"),
            ("docker stop of a program that then fails", End { told_stop: true, ..end }, "by hand"),
            ("out of memory", End { code: Some(137), oom_killed: true, ..end }, "out of memory"),
            ("the engine was restarted", End { was_away: true, told_stop: true, ..stopped }, "crash"),
            ("the machine was restarted", End { was_seen: false, at: Some(99), ..stopped }, "crash"),
            (
                "stopped after the machine was started",
                End { was_seen: false, at: Some(101), ..stopped },
                "by hand",
            ),
            ("a kill from elsewhere", End { code: Some(137), told_end: true, ..end }, "crash"),
            ("docker kill, told", End { code: Some(137), told_end: true, told_stop: true, ..end }, "by hand"),
            ("an end that its engine was not asked for", End { told_end: true, ..stopped }, "crash"),
            ("geth's own end for want of disk", End { code: Some(0), told_end: true, ..end }, "crash"),
            ("a unit that was stopped", End { about: &unit, ..stopped }, "by hand"),
            ("a unit that was killed", End { about: &unit, code: Some(137), ..end }, "crash"),
            ("half of our restart", End { our_hand: true, ..stopped }, "crash"),
            ("a child is terminated", End { about: &process, ..stopped }, "crash"),
            ("ordered", End { wanted: NodeWanted::Stopped, oom_killed: true, ..end }, "ordered"),
            (
                "nobody has asked for it",
                End { wanted: NodeWanted::Watched, was_seen: false, ..end },
                "by hand",
            ),
        ] {
            let (found, words) = match ending(end) {
                Ending::Crash(words) => ("crash", words),
                Ending::OutOfMemory(words) => ("out of memory", words),
                Ending::ByHand(words) => ("by hand", words),
                Ending::Ordered(words) => ("ordered", words),
            };
            assert_eq!(found, want, "{name}: {words}");
            assert!(words.ends_with('.'), "{name}: {words}");
        }
    }
}
