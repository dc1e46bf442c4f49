//! `relaymux nodes status`: how each node is, in words, for whoever looks at 3 a.m.: the worst first, why, and what was done about it.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    direct::{self, Glance},
    meant::Meant,
    seen::{Fact, Seen, all},
};
use crate::{
    cli::{
        arguments::NodesOfArguments,
        exit::FAILED,
        service::{Service, Trouble},
        terminal,
    },
    consensus::WallClock,
    events::NodeState,
    supervisor::{OutlookKind, ProcessStatus, Ready, RuntimeSettings},
    types::ByteSize,
};

/// What happened last, of each node that is not well.
const TOLD: usize = 5;
/// And of one that is.
const TOLD_OF_WELL: usize = 1;

/// Prints it. Ends with 0 where every node that is meant is as it is wanted to be, and able to serve if it is wanted up; with 1 otherwise, also where nobody
/// looks after them.
pub(super) async fn status(arguments: NodesOfArguments) -> ExitCode {
    let meant = match Meant::load(&arguments) {
        Ok(meant) => meant,
        Err(code) => return code,
    };
    let service = Service::of(&meant.config, arguments.url.as_deref());
    let silent = match &service {
        Ok(service) => match all(service).await {
            Ok((nodes, raw)) => return of_service(&meant, nodes, &raw, arguments.json),
            Err(trouble @ Trouble::Refused(..)) => {
                terminal::complain(service.cannot(&trouble, "knows no nodes"));
                return ExitCode::from(FAILED);
            }
            Err(trouble) => service.cannot(&trouble, "knows no nodes"),
        },
        Err(message) => message.clone(),
    };
    let glances = direct::look(&meant, &WallClock::system(), true, None).await;
    let glances: Vec<Glance<'_>> =
        glances.into_iter().filter(|glance| meant.is_named(&glance.node.id)).collect();
    if arguments.json {
        let nodes: Vec<Value> = glances
            .iter()
            .map(|glance| json!({ "id": glance.node.id, "kind": glance.node.kind, "why": glance_in_words(glance) }))
            .collect();
        terminal::write(terminal::json(&json!({ "service": silent, "nodes": nodes })));
    } else {
        terminal::complain(terminal::wrapped(
            &format!("Nobody looks after these nodes: {silent}. This is what their runtimes show:"),
            0,
        ));
        for glance in &glances {
            let line = format!("{}: {}", glance.node.id, glance_in_words(glance));
            terminal::say(terminal::wrapped(&line, 2));
        }
    }
    ExitCode::from(FAILED)
}

fn of_service(meant: &Meant, mut nodes: Vec<Seen>, raw: &Value, is_json: bool) -> ExitCode {
    let is_meant = |id: &str| meant.named.is_empty() || meant.named.iter().any(|named| named.as_str() == id);
    nodes.retain(|node| is_meant(&node.id));
    let code = if nodes.iter().all(is_as_wanted) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if is_json {
        let list = raw.as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |value: &&Value| value.get("id").and_then(Value::as_str).is_some_and(is_meant);
        terminal::write(terminal::json(&list.iter().filter(of).collect::<Vec<_>>()));
        return code;
    }
    // The worst first: on a small screen it is what one came for.
    nodes.sort_by_key(|node| std::cmp::Reverse(gravity(node)));
    let now = WallClock::system().now();
    terminal::say_styled(headline(&nodes));
    for node in &nodes {
        terminal::say("");
        tell(node, now);
    }
    code
}

/// Whether it is what somebody wants of it: able to serve, or down where nobody wants it up.
fn is_as_wanted(node: &Seen) -> bool {
    let (wants_up, wants_down) = (node.wanted == "up", node.wanted == "stopped");
    match node.state() {
        Some(NodeState::Healthy) => !wants_down,
        Some(NodeState::Stopped | NodeState::Absent | NodeState::Maintenance | NodeState::Pruning) => {
            !wants_up
        }
        Some(
            NodeState::Unknown
            | NodeState::Starting
            | NodeState::Syncing
            | NodeState::Lagging
            | NodeState::Hung
            | NodeState::Crashed
            | NodeState::OutOfMemory
            | NodeState::CrashLoop,
        )
        | None => false,
    }
}

/// How much it wants a person.
fn gravity(node: &Seen) -> u8 {
    match node.state() {
        Some(NodeState::CrashLoop) => 6,
        Some(NodeState::Crashed | NodeState::OutOfMemory | NodeState::Hung) => 5,
        Some(NodeState::Unknown) | None => 4,
        Some(NodeState::Lagging) => 3,
        Some(NodeState::Starting | NodeState::Syncing | NodeState::Pruning | NodeState::Maintenance) => 2,
        Some(NodeState::Stopped | NodeState::Absent) => 1,
        Some(NodeState::Healthy) => 0,
    }
}

fn color(node: &Seen) -> Style {
    let color = match gravity(node) {
        0 => AnsiColor::Green,
        1 => return Style::new().dimmed(),
        2 | 3 => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    color.on_default().bold()
}

/// `3 nodes: 2 healthy, 1 crash loop.`
fn headline(nodes: &[Seen]) -> String {
    let mut counts: Vec<(u8, &str, usize)> = Vec::new();
    for node in nodes {
        match counts.iter_mut().find(|(_, state, _)| *state == node.state) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((gravity(node), &node.state, 1)),
        }
    }
    counts.sort_by_key(|(gravity, ..)| std::cmp::Reverse(*gravity));
    let parts: Vec<String> =
        counts.iter().map(|(_, state, count)| format!("{count} {}", spaced(state))).collect();
    let noun = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{} {noun}: {}", nodes.len(), parts.join(", "))
}

fn tell(node: &Seen, now: i64) {
    let style = color(node);
    let doing = node.doing.as_deref().map(|doing| format!(", {} under way", spaced(doing)));
    terminal::say_styled(format_args!(
        "{bold}{id}{bold:#}  {style}{state}{style:#} for {since}{doing}",
        bold = Style::new().bold(),
        id = node.id,
        state = spaced(&node.state),
        since = span(now.saturating_sub(node.since)),
        doing = doing.unwrap_or_default(),
    ));
    let mut facts = vec![format!("{} by {}", node.kind, node.runtime)];
    if node.group != node.kind {
        facts.push(format!("group {}", node.group));
    }
    facts.extend(node.version.clone());
    say_facts(&facts);
    say_facts(&chain_facts(node));
    say_facts(&use_facts(node));
    if !node.why.is_empty() {
        terminal::say(terminal::wrapped(&format!("  {}", node.why), 2));
    }
    if let Some(next) = next_step(node) {
        terminal::say(terminal::wrapped(&format!("  {next}"), 2));
    }
    let told = if gravity(node) >= 2 { TOLD } else { TOLD_OF_WELL };
    for fact in node.history.iter().filter(|fact| fact.kind == "action").take(told) {
        terminal::say(terminal::wrapped(&format!("  {}", in_words(fact, now)), 4));
    }
}

fn say_facts(facts: &[String]) {
    if !facts.is_empty() {
        terminal::say(terminal::wrapped(&format!("  {}", facts.join(" · ")), 2));
    }
}

fn chain_facts(node: &Seen) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(head) = node.head {
        let age = node.head_age_ms.map(|age| format!(", {} old", span(age)));
        facts.push(format!("head {}{}", grouped(head), age.unwrap_or_default()));
    }
    if let Some(behind) = node.behind.filter(|behind| *behind > 0) {
        facts.push(format!("{} behind", grouped(behind)));
    }
    facts.extend(expected(node));
    if let Some(peers) = node.peers {
        facts.push(format!("{peers} {}", if peers == 1 { "peer" } else { "peers" }));
    }
    facts
}

/// When its sync will be there: `there in about 3 h 12 min (2 h to 5 h)`. That it stands or falls behind is said by its `why`.
fn expected(node: &Seen) -> Option<String> {
    let sync = node.sync.as_ref()?;
    match OutlookKind::parse(&sync.outlook)? {
        OutlookKind::Nearing => {
            let time = |secs| span(seconds(secs));
            let range = match (sync.soonest_secs, sync.latest_secs) {
                (Some(soonest), Some(latest)) if soonest == latest => String::new(),
                (Some(soonest), Some(latest)) => format!(" ({} to {})", time(soonest), time(latest)),
                (Some(soonest), None) => format!(" ({} at the soonest)", time(soonest)),
                (None, _) => String::new(),
            };
            Some(format!("there in about {}{range}", time(node.eta_secs?)))
        }
        OutlookKind::Working => Some("works on its state or stages: no time can be told".to_owned()),
        OutlookKind::FallingBehind | OutlookKind::Stalled => Some("no time can be told".to_owned()),
        OutlookKind::TooEarly => Some("its pace is not known yet".to_owned()),
    }
}

fn use_facts(node: &Seen) -> Vec<String> {
    let mut facts = Vec::new();
    match (node.usage.memory_bytes, node.limits.memory_bytes) {
        (Some(used), Some(limit)) => {
            facts.push(format!("memory {} of {}", ByteSize(used), ByteSize(limit)));
        }
        (Some(used), None) => facts.push(format!("memory {}, no limit", ByteSize(used))),
        (None, Some(limit)) => facts.push(format!("memory at most {}", ByteSize(limit))),
        (None, None) => {}
    }
    if let Some(cpus) = node.limits.cpus {
        facts.push(format!("at most {cpus} CPUs"));
    }
    if let Some(kills) = node.usage.oom_kills.filter(|kills| *kills > 0) {
        facts.push(format!("{kills} killed for memory"));
    }
    if node.restarts > 0 {
        facts.push(format!(
            "{} of {} restarts in {}",
            node.restarts,
            node.restarts_allowed,
            span(seconds(node.restarts_window_secs))
        ));
    }
    facts
}

/// What comes next, and what a person can do.
fn next_step(node: &Seen) -> Option<String> {
    let id = &node.id;
    match node.state()? {
        NodeState::CrashLoop => Some(format!(
            "Nothing is done any more until you say so: read `relaymux nodes logs {id}`, mend it, then `relaymux nodes resume {id}`."
        )),
        NodeState::Stopped if !node.why.contains("`relaymux") && !node.why.contains("`docker") => {
            Some(format!("It stays stopped until `relaymux nodes up {id}`."))
        }
        NodeState::Stopped => None,
        NodeState::Absent => Some(format!("`relaymux nodes up {id}` starts it.")),
        NodeState::Maintenance | NodeState::Pruning => {
            Some(format!("`relaymux nodes maintenance --end {id}` ends it."))
                .filter(|_| node.hold == "maintenance")
        }
        NodeState::Crashed | NodeState::OutOfMemory | NodeState::Hung => {
            let secs = node.restart_in_secs.filter(|secs| *secs >= 0)?;
            Some(format!("It is started again in {}.", span(secs.saturating_mul(1000))))
        }
        NodeState::Unknown
        | NodeState::Starting
        | NodeState::Syncing
        | NodeState::Healthy
        | NodeState::Lagging => None,
    }
}

/// `13:04 restart by supervisor, 12 s: It did not answer five probes.`
fn in_words(fact: &Fact, now: i64) -> String {
    let took = if fact.took_ms >= 1000 { format!(", {}", span(millis(fact.took_ms))) } else { String::new() };
    let error = if fact.error.is_empty() { String::new() } else { format!(" It failed: {}", fact.error) };
    format!("{} {} by {}{took}: {}{error}", clock(fact.at, now), spaced(&fact.name), fact.by, fact.why)
}

/// `13:04:10` in the zone of this machine, with its day where that is another one.
fn clock(at: i64, now: i64) -> String {
    let zone = TimeZone::system();
    let of = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(zone.clone());
    let (at, now) = (of(at), of(now));
    let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    at.strftime(format).to_string()
}

fn glance_in_words(glance: &Glance<'_>) -> String {
    let seen = match &glance.seen {
        Ok(seen) => seen,
        Err(error) => return error.to_string(),
    };
    let process = match &seen.status {
        ProcessStatus::Absent if matches!(glance.node.runtime, RuntimeSettings::Process(_)) => {
            "it does not run: it is a process of the service's own"
        }
        ProcessStatus::Absent => "it is not there",
        ProcessStatus::Created => "it was made, and never started",
        ProcessStatus::Running { .. } => "it runs",
        ProcessStatus::Paused => "it is frozen, which somebody did by hand",
        ProcessStatus::Stopping => "it is stopping",
        ProcessStatus::Exited { oom_killed: true, .. } => "the kernel killed it for its memory",
        ProcessStatus::Exited { code: Some(code), .. } => return format!("it ended with code {code}"),
        ProcessStatus::Exited { .. } => "it ended",
    };
    let probed = match &glance.probed {
        None => String::new(),
        Some(Err(failed)) => format!(", and does not answer: {failed}"),
        Some(Ok(sight)) => {
            let head = sight.head.map(|head| format!(", head {}", grouped(head))).unwrap_or_default();
            match &sight.ready {
                Ready::Yes => format!(" and is able to serve{head}"),
                Ready::Syncing(why) | Ready::Lagging(why) | Ready::No(why) => format!("{head}: {why}"),
            }
        }
    };
    format!("{process}{probed}")
}

/// A state's name in words.
fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// `21,345,678`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000)
}

fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A time that passed, in its two largest units: `3 h 12 min`.
fn span(ms: i64) -> String {
    let secs = ms.max(0) / 1000;
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => two(secs / 60, "min", secs % 60, "s"),
        3600..86_400 => two(secs / 3600, "h", secs % 3600 / 60, "min"),
        _ => two(secs / 86_400, "days", secs % 86_400 / 3600, "h"),
    }
}

fn two(large: i64, unit: &str, small: i64, small_unit: &str) -> String {
    let unit = if large == 1 && unit == "days" { "day" } else { unit };
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, state: &str, wanted: &str) -> Seen {
        serde_json::from_value(json!({
            "id": id, "kind": "geth", "runtime": "docker", "group": "execution", "state": state, "since": 0,
            "wanted": wanted,
        }))
        .unwrap()
    }

    #[test]
    fn the_headline_counts_the_worst_first() {
        let nodes = [seen("a", "healthy", "up"), seen("b", "crash_loop", "up"), seen("c", "healthy", "up")];
        assert_eq!(headline(&nodes), "3 nodes: 1 crash loop, 2 healthy");
        assert_eq!(headline(&nodes[..1]), "1 node: 1 healthy");
    }

    #[test]
    fn a_node_is_as_wanted_or_somebody_is_told_by_the_exit_code() {
        for (state, wanted, is) in [
            ("healthy", "up", true),
            ("healthy", "watched", true),
            ("healthy", "stopped", false),
            ("syncing", "up", false),
            ("starting", "up", false),
            ("starting", "watched", false),
            ("lagging", "up", false),
            ("stopped", "stopped", true),
            ("absent", "watched", true),
            ("maintenance", "up", false),
            ("absent", "up", false),
            ("crash_loop", "up", false),
            ("unknown", "up", false),
            ("of a newer version", "up", false),
        ] {
            assert_eq!(is_as_wanted(&seen("a", state, wanted)), is, "{state} {wanted}");
        }
    }

    #[test]
    fn a_sync_says_when_it_is_there_or_that_nobody_knows() {
        for (sync, eta, text) in [
            (
                json!({ "outlook": "nearing", "soonest_secs": 7200, "latest_secs": 18_000 }),
                Some(11_520),
                Some("there in about 3 h 12 min (2 h to 5 h)"),
            ),
            (
                json!({ "outlook": "nearing", "soonest_secs": 90, "latest_secs": 90 }),
                Some(90),
                Some("there in about 1 min 30 s"),
            ),
            (
                json!({ "outlook": "nearing", "soonest_secs": 60, "latest_secs": null }),
                Some(90),
                Some("there in about 1 min 30 s (1 min at the soonest)"),
            ),
            (json!({ "outlook": "falling_behind" }), None, Some("no time can be told")),
            (
                json!({ "outlook": "working" }),
                None,
                Some("works on its state or stages: no time can be told"),
            ),
            (json!({ "outlook": "too_early" }), None, Some("its pace is not known yet")),
            (json!({ "outlook": "of a newer version" }), None, None),
            (Value::Null, None, None),
        ] {
            let node = Seen {
                sync: serde_json::from_value(sync).unwrap(),
                eta_secs: eta,
                ..seen("a", "syncing", "up")
            };
            assert_eq!(expected(&node).as_deref(), text);
        }
    }

    #[test]
    fn numbers_and_times_are_read_at_a_glance() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (21_345_678, "21,345,678")] {
            assert_eq!(grouped(number), text);
        }
        for (ms, text) in [
            (-5, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (754_000, "12 min 34 s"),
            (11_520_000, "3 h 12 min"),
            (90_000_000, "1 day 1 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
