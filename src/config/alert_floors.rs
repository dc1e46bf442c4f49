//! `[[alerts.client_floors]]`: the oldest releases of clients that know a fork.

use std::collections::BTreeSet;

use super::{checker::Checker, raw_alerts::RawClientFloor};
use crate::ethereum::{ClientFloor, Release};

/// Most of them: a dozen clients, a handful of forks.
const MAX_FLOORS: usize = 100;
/// Longest name of a client or fork, in bytes.
const MAX_NAME: usize = 32;

/// Reads them.
pub(super) fn client_floors(raw: &[RawClientFloor], checker: &mut Checker) -> Vec<ClientFloor> {
    if raw.len() > MAX_FLOORS {
        checker.wrong(
            "alerts.client_floors",
            format!("there are more than {MAX_FLOORS}"),
            "name the clients you run",
        );
    }
    let mut seen = BTreeSet::new();
    let mut floors = Vec::new();
    for (index, floor) in raw.iter().enumerate() {
        let at = |key: &str| format!("alerts.client_floors[{index}].{key}");
        let client = name(floor.client.as_ref(), &at("client"), "such as client = \"lighthouse\"", checker);
        let fork = name(floor.fork.as_ref(), &at("fork"), "such as fork = \"gloas\"", checker);
        let release = floor.version.as_deref().and_then(Release::parse);
        if release.is_none() {
            let message = if floor.version.is_none() { "is missing" } else { "is no release" };
            checker.wrong(
                &at("version"),
                message,
                "the oldest release that will do, such as version = \"8.3.2\"",
            );
        }
        let (Some(client), Some(fork), Some(release)) = (client, fork, release) else { continue };
        if !seen.insert((client.clone(), fork.clone())) {
            checker.wrong(
                &at("client"),
                format!("`{client}` has a floor for {fork} already"),
                "keep one of the two",
            );
        }
        floors.push(ClientFloor { client, fork, release });
    }
    floors
}

fn name(text: Option<&String>, key: &str, hint: &str, checker: &mut Checker) -> Option<String> {
    let name = text.map(|text| text.trim().to_ascii_lowercase()).unwrap_or_default();
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        let message = if name.is_empty() { "is missing" } else { "is no name of letters, digits, - and _" };
        checker.wrong(key, message, hint);
    }
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(client: &str, fork: &str, version: &str) -> RawClientFloor {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        RawClientFloor { client: text(client), fork: text(fork), version: text(version) }
    }

    #[test]
    fn floors_are_read_or_refused_with_their_place() {
        let mut checker = Checker::default();
        let found =
            client_floors(&[floor("Geth", "Gloas", "v1.17.10"), floor("reth", "gloas", "2.8")], &mut checker);
        assert_eq!(checker.mistakes, []);
        let shown: Vec<_> =
            found.iter().map(|floor| format!("{} {} {}", floor.client, floor.fork, floor.release)).collect();
        assert_eq!(shown, ["geth gloas 1.17.10", "reth gloas 2.8.0"]);
        for (floors, key) in [
            (vec![floor("", "gloas", "1.2.3")], "alerts.client_floors[0].client"),
            (vec![floor("geth", "a b", "1.2.3")], "alerts.client_floors[0].fork"),
            (vec![floor("geth", "gloas", "")], "alerts.client_floors[0].version"),
            (vec![floor("geth", "gloas", "latest")], "alerts.client_floors[0].version"),
            (
                vec![floor("geth", "gloas", "1.2"), floor("geth", "gloas", "1.3")],
                "alerts.client_floors[1].client",
            ),
        ] {
            let mut checker = Checker::default();
            client_floors(&floors, &mut checker);
            let keys: Vec<_> = checker.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
            assert_eq!(keys, [key]);
        }
    }
}
