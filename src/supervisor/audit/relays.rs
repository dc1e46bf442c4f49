//! What is wrong with mev-boost's relays.

use super::{
    finding::{Finding, printable},
    rule::Rule,
};

/// Relays that are gone: Blocknative's since September 2023, Secure RPC's and Eden's since.
const DEAD: [&str; 3] = ["blocknative.com", "securerpc.com", "edennetwork.io"];
/// Most relays of one list.
const MAX_RELAYS: usize = 200;

/// Looks at mev-boost's arguments, each with its line.
pub(super) fn relays<'a>(args: impl Iterator<Item = (&'a str, usize)>, subject: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut rest = args;
    while let Some((arg, at)) = rest.next() {
        let bare = arg.trim_start_matches('-');
        if !arg.starts_with('-') {
            continue;
        }
        let (list, line) = match bare.split_once('=') {
            Some(("relay" | "relays", list)) => (list, at),
            None if matches!(bare, "relay" | "relays") => match rest.next() {
                Some(value) => value,
                None => break,
            },
            Some(_) | None => continue,
        };
        for url in list.split(',').map(str::trim).filter(|url| url.contains("://")).take(MAX_RELAYS) {
            found.extend(relay(url, line, subject));
        }
    }
    found
}

fn relay(url: &str, line: usize, subject: &str) -> Vec<Finding> {
    let authority = url.split("://").nth(1).unwrap_or_default();
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let shown = printable(host);
    let mut found = Vec::new();
    let key = user.strip_prefix("0x").unwrap_or(user);
    let has_key = key.len() == 96 && key.bytes().all(|b| b.is_ascii_hexdigit());
    if !has_key && !user.contains('$') && !host.contains('$') {
        found.push(Finding::new(
            Rule::RelayWithoutKey,
            line,
            subject,
            format!("The address of {shown} has no key."),
        ));
    }
    let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if DEAD.iter().any(|dead| name == *dead || name.ends_with(&format!(".{dead}"))) {
        found.push(Finding::new(Rule::DeadRelay, line, subject, format!("{shown} is gone.")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_the_dead_are_seen_in_every_form() {
        let key = format!("0x{}", "ab".repeat(48));
        for (args, want) in [
            (vec!["-relays", "https://boost-relay.flashbots.net"], vec![Rule::RelayWithoutKey]),
            (vec![&*format!("--relay=https://{key}@a.example")], vec![]),
            (
                vec![&*format!("--relays=https://{key}@a.example,https://{key}@relay.blocknative.com")],
                vec![Rule::DeadRelay],
            ),
            (vec!["-relays", "$RELAYS"], vec![]),
            (vec!["-relays", "https://$KEY@a.example"], vec![]),
            (vec!["-relay"], vec![]),
            (vec!["relays", "https://a.example"], vec![]),
        ] {
            let with_lines = args.iter().map(|arg| (*arg, 1));
            let found: Vec<Rule> = relays(with_lines, "x").iter().map(|finding| finding.rule).collect();
            assert_eq!(found, want, "{args:?}");
        }
    }
}
