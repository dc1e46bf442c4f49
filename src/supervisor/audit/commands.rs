//! What is wrong with single commands.

use super::{
    docker_run::engine_words,
    facts::flag,
    finding::{Finding, printable},
    relays,
    rule::Rule,
    shell::{Command, Word},
};

/// Lines in which a crontab may be read before it is written again.
const CRONTAB_LINES: usize = 3;

/// Looks at all commands of a script.
pub(super) fn commands(script: &[Command]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, command) in script.iter().enumerate() {
        crontab(script, index, command, &mut found);
        words(command, &mut found);
        let Some((program, args)) = command.program() else { continue };
        let texts: Vec<String> = args.iter().map(|word| word.text.clone()).collect();
        let line = command.line();
        let mut add = |rule, message: String| found.push(Finding::new(rule, line, program, message));
        match program {
            "pkill" | "kill" | "killall" => {
                if let Some(signal) = user_signal(&texts)
                    && (texts.iter().any(|text| text.contains("mev-boost")) || finds_mev_boost(script, line))
                {
                    add(Rule::SignalWithoutEffect, format!("{signal} is sent to mev-boost."));
                }
            }
            "top" if is_one_shot(&texts) => {
                add(Rule::OneShotTop, "The first picture of top is taken for the load of now.".to_owned());
            }
            "vegeta" => {
                if let Some((rate, seconds)) = flag(&texts, &["rate"]).and_then(per_minute) {
                    add(Rule::RatePerMinute, format!("-rate={rate} is {seconds} requests a second."));
                }
            }
            "ufw" => {
                if let Some(port) = denied(&texts) {
                    add(
                        Rule::UfwPastDocker,
                        format!("ufw denies {port}, and Docker's published ports go past it."),
                    );
                }
            }
            "mev-boost" => {
                let args = args.iter().map(|word| (word.text.as_str(), word.line));
                found.extend(relays::relays(args, program));
            }
            _ => docker(command, &mut found),
        }
    }
    found
}

/// `… | crontab -`, unless the old one is read in the same breath.
fn crontab(script: &[Command], index: usize, command: &Command, found: &mut Vec<Finding>) {
    let Some(("crontab", args)) = command.program() else { return };
    let reads_input = args.iter().any(|word| word.text == "-") || (args.is_empty() && command.is_piped_into);
    if !reads_input {
        return;
    }
    let line = command.line();
    let is_kept = script.iter().take(index).any(|other| {
        let near = other.line() + CRONTAB_LINES >= line;
        near && other
            .program()
            .is_some_and(|(name, args)| name == "crontab" && args.iter().any(|word| word.text == "-l"))
    });
    if !is_kept {
        found.push(Finding::new(
            Rule::CrontabReplaced,
            line,
            "crontab",
            "The whole crontab is replaced by what comes in.",
        ));
    }
}

/// What is wrong wherever it stands in a command: a route, a file of cgroup v1, a secret that is written.
fn words(command: &Command, found: &mut Vec<Finding>) {
    let (name, _) = command.program().unwrap_or(("", &[]));
    for word in command.words.iter().chain(&command.written) {
        let text = word.text.as_str();
        if text.contains("/eth/v1/builder/bundles") {
            found.push(Finding::new(
                Rule::NoSuchRoute,
                word.line,
                name,
                "/eth/v1/builder/bundles is asked for.",
            ));
        }
        if let Some(file) = v1_file(text) {
            found.push(Finding::new(
                Rule::CgroupV1File,
                word.line,
                name,
                format!("{file} is a file of cgroup v1."),
            ));
        }
    }
    for target in &command.written {
        let is_boot = target.text.ends_with("/cmdline.txt") || target.text.ends_with("/cmdline");
        let asks = |word: &Word| word.text.contains("swapaccount=") || word.text.contains("cgroup_enable=");
        if is_boot || (target.text.starts_with("/boot") && command.words.iter().any(asks)) {
            let message = format!("Kernel arguments are appended to {}.", printable(&target.text));
            found.push(Finding::new(Rule::BootCmdline, target.line, name, message));
        }
    }
    let is_env_file = command.written.iter().any(|target| target.text.ends_with(".env"));
    let is_jwt = |word: &&Word| {
        let name = word.text.split_once('=').map_or("", |(name, _)| name);
        name.to_ascii_uppercase().contains("JWT")
            && !name.contains(char::is_whitespace)
            && !name.starts_with('-')
    };
    if let Some(word) = command.words.iter().find(is_jwt).filter(|word| is_env_file || exports(command, word))
    {
        let variable = word.text.split_once('=').map_or("", |(name, _)| name);
        let message = format!("{} is written as a variable, not as a file.", printable(variable));
        found.push(Finding::new(Rule::JwtInEnvironment, word.line, name, message));
    }
}

/// Whether a value is put into the environment of what is started.
fn exports(command: &Command, word: &Word) -> bool {
    let value = word.text.split_once('=').map_or("", |(_, value)| value);
    let is_value = !value.is_empty() && !value.starts_with(['/', '.']) && !word.text.contains("_FILE");
    is_value && command.words.first().is_some_and(|first| first.text == "export")
}

/// `/sys/fs/cgroup/memory/…`, `memory.limit_in_bytes`.
fn v1_file(text: &str) -> Option<&'static str> {
    const NAMES: [&str; 5] = [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "cpu.cfs_quota_us",
        "cpu.shares",
    ];
    const FOLDERS: [(&str, &str); 5] = [
        ("/sys/fs/cgroup/memory/", "/sys/fs/cgroup/memory"),
        ("/sys/fs/cgroup/cpuset/", "/sys/fs/cgroup/cpuset"),
        ("/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/cpu"),
        ("/sys/fs/cgroup/blkio/", "/sys/fs/cgroup/blkio"),
        ("/sys/fs/cgroup/pids/", "/sys/fs/cgroup/pids"),
    ];
    let by_name = NAMES.into_iter().find(|name| text.ends_with(name));
    by_name.or_else(|| FOLDERS.into_iter().find(|(folder, _)| text.contains(folder)).map(|(_, shown)| shown))
}

/// SIGUSR1 or SIGUSR2 among the arguments of `kill`.
fn user_signal(args: &[String]) -> Option<&'static str> {
    let names = |signal: &'static str| {
        let bare = signal.trim_start_matches("SIG");
        args.iter().any(|arg| {
            let arg = arg.trim_start_matches("--signal=").trim_start_matches("-s").trim_start_matches('-');
            arg == bare || arg == signal
        })
    };
    ["SIGUSR1", "SIGUSR2"].into_iter().find(|signal| names(signal))
}

/// `$(pidof mev-boost)` in the same line.
fn finds_mev_boost(script: &[Command], line: usize) -> bool {
    script.iter().filter(|command| command.line() == line).any(|command| {
        command.program().is_some_and(|(name, args)| {
            matches!(name, "pidof" | "pgrep") && args.iter().any(|word| word.text.contains("mev-boost"))
        })
    })
}

/// `top -bn1`, `top -b -n 1`
fn is_one_shot(args: &[String]) -> bool {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(letters) = arg.strip_prefix('-') else { continue };
        if let Some((_, count)) = letters.split_once('n') {
            return if count.is_empty() {
                rest.next().is_some_and(|count| count == "1")
            } else {
                count == "1"
            };
        }
    }
    false
}

/// A rate by the minute or hour, with what it is by the second.
fn per_minute(rate: &str) -> Option<(String, String)> {
    let (count, per) = rate.split_once('/')?;
    let count: u64 = count.parse().ok()?;
    let seconds: u64 = match per.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        "" => 1,
        number => number.parse().ok()?,
    };
    let unit = match per.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let seconds = seconds.checked_mul(unit).filter(|seconds| *seconds > 0)?;
    let tenths = count.saturating_mul(10) / seconds;
    Some((printable(rate), format!("{}.{}", tenths / 10, tenths % 10)))
}

/// The port that ufw denies.
fn denied(args: &[String]) -> Option<String> {
    let (verb, rest) = args.split_first()?;
    if !matches!(verb.as_str(), "deny" | "reject") {
        return None;
    }
    let port =
        rest.iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains('.'))?;
    Some(printable(port))
}

/// `docker exec … prune-state`, `docker update --memory`.
fn docker(command: &Command, found: &mut Vec<Finding>) {
    let Some(words) = engine_words(command) else { return };
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    let Some(verb) = texts.first() else { return };
    let verb = if verb == "compose" { texts.get(1).map_or("", String::as_str) } else { verb };
    let line = command.line();
    let mut add =
        |rule, message: &str| found.push(Finding::new(rule, line, &format!("docker {verb}"), message));
    if verb == "exec"
        && texts.iter().any(|word| matches!(word.as_str(), "prune-state" | "prune-history" | "removedb"))
    {
        add(Rule::PruneWhileRunning, "A database is pruned inside of the container that has it open.");
    }
    let has = |names: &[&str]| flag(&texts, names).is_some();
    if verb == "update" && has(&["memory", "m"]) && !has(&["memory-swap"]) {
        add(Rule::MemoryWithoutSwap, "The memory limit is changed without --memory-swap.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::audit::shell::read;

    #[test]
    fn commands_are_judged() {
        for (text, want) in [
            ("echo x | crontab -", vec![Rule::CrontabReplaced]),
            ("(crontab -l; echo x) | crontab -", vec![]),
            ("crontab -l 2>/dev/null | cat - new | crontab -", vec![]),
            ("crontab -e", vec![]),
            ("docker exec g geth snapshot prune-state", vec![Rule::PruneWhileRunning]),
            ("docker compose exec g geth snapshot prune-state", vec![Rule::PruneWhileRunning]),
            ("docker run --rm -v d:/d geth:v1 snapshot prune-state", vec![]),
            ("docker update --memory=8g x", vec![Rule::MemoryWithoutSwap]),
            ("docker update --memory 8g --memory-swap 8g x", vec![]),
            ("docker update --cpus 2 x", vec![]),
            ("pkill -USR1 mev-boost", vec![Rule::SignalWithoutEffect]),
            ("kill -s SIGUSR1 $(pidof mev-boost)", vec![Rule::SignalWithoutEffect]),
            ("kill -USR1 $(pidof relaymux)", vec![]),
            ("killall --signal=SIGUSR1 mev-boost", vec![Rule::SignalWithoutEffect]),
            ("pkill -USR1 relaymux", vec![]),
            ("pkill -TERM mev-boost", vec![]),
            ("x=$(top -bn1 | grep Cpu)", vec![Rule::OneShotTop]),
            ("top -b -n 1", vec![Rule::OneShotTop]),
            ("top -b -n 2 -d 5", vec![]),
            ("vegeta attack -rate=500/1m", vec![Rule::RatePerMinute]),
            ("vegeta attack -rate 500/m", vec![Rule::RatePerMinute]),
            ("vegeta attack -rate=1000/s", vec![]),
            ("vegeta attack -rate=1000", vec![]),
            ("ufw deny 8545/tcp", vec![Rule::UfwPastDocker]),
            ("ufw default deny incoming", vec![]),
            ("ufw deny from 10.0.0.1", vec![]),
            ("curl http://x/eth/v1/builder/bundles", vec![Rule::NoSuchRoute]),
            ("echo 1 > /sys/fs/cgroup/memory/x/memory.limit_in_bytes", vec![Rule::CgroupV1File]),
            ("echo 1 > /sys/fs/cgroup/x/memory.max", vec![]),
            ("echo cgroup_enable=memory >> /boot/cmdline.txt", vec![Rule::BootCmdline]),
            ("echo \"JWT_SECRET=$(openssl rand -hex 32)\" > secrets.env", vec![Rule::JwtInEnvironment]),
            ("export JWT_SECRET=abcd", vec![Rule::JwtInEnvironment]),
            ("export JWT_SECRET_FILE=/jwt", vec![]),
            ("geth --authrpc.jwtsecret=/jwt", vec![]),
        ] {
            let found: Vec<Rule> =
                commands(&read(text, 1).commands).iter().map(|finding| finding.rule).collect();
            assert_eq!(found, want, "{text}");
        }
        let found = commands(&read("vegeta attack -rate=500/1m", 1).commands);
        assert!(found[0].message.contains("8.3 requests"), "{}", found[0].message);
    }
}
