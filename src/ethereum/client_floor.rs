//! The oldest release of a client that knows a fork. Pure.

use std::collections::BTreeMap;

use super::client_version::{ClientVersion, Release};
use crate::types::{DAY_MS, UnixMillis};

/// Floors that are known here: the first releases that were announced as ready for Gloas, on Sepolia and Hoodi (Ethereum Foundation,
/// 2026-09-17, and the clients' release notes, as of 2026-11-24). They are necessary and need not be enough: when a network gets its date, its
/// clients say which release has it. For execution clients no such list was found, so there is none.
const SHIPPED: [(&str, &str, &str); 6] = [
    ("lighthouse", "gloas", "8.3.0"),
    ("prysm", "gloas", "7.3.0"),
    ("teku", "gloas", "26.10.1"),
    ("lodestar", "gloas", "1.50.0"),
    ("nimbus", "gloas", "26.10.1"),
    ("grandine", "gloas", "3.0.0-rc"),
];

/// A fork is looked at from so long before it, in milliseconds.
const AHEAD_MS: i64 = 30 * DAY_MS;
/// And so long after it: a node that follows the chain for two weeks knows the fork, whatever a table says.
const AFTER_MS: i64 = 14 * DAY_MS;

/// The oldest release of a client that knows a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFloor {
    /// The client's name in lower case, as it says it of itself.
    pub client: String,
    /// The fork's name in lower case.
    pub fork: String,
    /// The oldest release that will do.
    pub release: Release,
}

/// A client that does not know a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// The floor that it is under.
    pub floor: ClientFloor,
    /// When the fork begins or began, in Unix milliseconds.
    pub at: UnixMillis,
}

/// The first fork that a client is too old for, of those that are near. `forks`: when each begins. `own`: floors that the operator named; for one
/// client and fork they are in place of those known here.
pub fn too_old(
    version: &ClientVersion,
    forks: &BTreeMap<String, UnixMillis>,
    own: &[ClientFloor],
    now: UnixMillis,
) -> Option<TooOld> {
    let near = forks.iter().filter(|(_, at)| (-AFTER_MS..=AHEAD_MS).contains(&at.saturating_sub(now)));
    let under = near.filter_map(|(fork, at)| {
        let release = floor(&version.client, fork, own).filter(|release| version.release < *release)?;
        let floor = ClientFloor { client: version.client.clone(), fork: fork.clone(), release };
        Some(TooOld { floor, at: *at })
    });
    under.min_by_key(|found| found.at)
}

fn floor(client: &str, fork: &str, own: &[ClientFloor]) -> Option<Release> {
    let named = own.iter().find(|floor| floor.client == client && floor.fork == fork);
    named.map(|floor| floor.release).or_else(|| {
        let known = SHIPPED.iter().find(|(of, known, _)| *of == client && *known == fork);
        known.and_then(|(_, _, release)| Release::parse(release))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_795_876_980_000;

    fn check(version: &str, fork: &str, in_days: i64, own: &[ClientFloor]) -> Option<String> {
        let forks = BTreeMap::from([
            ("fulu".to_owned(), NOW - 300 * DAY_MS),
            (fork.to_owned(), NOW + in_days * DAY_MS),
        ]);
        let version = ClientVersion::parse(version).unwrap();
        too_old(&version, &forks, own, NOW)
            .map(|found| format!("{} {}", found.floor.fork, found.floor.release))
    }

    fn own(client: &str, fork: &str, release: &str) -> ClientFloor {
        ClientFloor {
            client: client.to_owned(),
            fork: fork.to_owned(),
            release: Release::parse(release).unwrap(),
        }
    }

    #[test]
    fn every_floor_that_is_known_here_can_be_read() {
        for (client, fork, release) in SHIPPED {
            assert!(Release::parse(release).is_some(), "{client} {fork} {release}");
            assert!(ClientVersion::parse(&format!("{client}/v{release}")).is_some(), "{client}");
        }
    }

    #[test]
    fn a_client_is_measured_by_the_forks_that_are_near() {
        let old = "Lighthouse/v8.2.0-9e12c21/x86_64-linux";
        for (name, version, in_days, want) in [
            ("near", old, 30, Some("gloas 8.3.0")),
            ("far", old, 31, None),
            ("just begun", old, -14, Some("gloas 8.3.0")),
            ("long begun", old, -15, None),
            ("new enough", "Lighthouse/v8.3.0-9e12c21/x86_64-linux", 1, None),
            ("a candidate of it", "Lighthouse/v8.3.0-rc.1-9e12c21/x86_64-linux", 1, Some("gloas 8.3.0")),
            ("a client nobody knows", "Firehose/v0.0.1", 1, None),
            ("no floor is known", "Geth/v1.0.0-stable", 1, None),
        ] {
            assert_eq!(check(version, "gloas", in_days, &[]).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn the_operators_floors_go_before_those_known_here() {
        let floors =
            [own("lighthouse", "gloas", "8.4.0"), own("geth", "heze", "2.0.0"), own("geth", "fulu", "9.0.0")];
        assert_eq!(check("Lighthouse/v8.3.9", "gloas", 1, &floors).as_deref(), Some("gloas 8.4.0"));
        assert_eq!(check("Geth/v1.17.10-stable", "heze", 1, &floors).as_deref(), Some("heze 2.0.0"));
        let lower = [own("lighthouse", "gloas", "8.0.0")];
        assert_eq!(check("Lighthouse/v8.2.0", "gloas", 1, &lower), None);
    }
}
