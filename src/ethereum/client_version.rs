//! Which client a node is, by what it says of itself: `Lighthouse/v8.3.2-9e12c21/x86_64-linux`, `Geth/v1.17.10-stable-…/linux-amd64/go1.24`.
//! Pure.

use std::{cmp::Ordering, fmt};

/// Longest text that is looked at, and longest name of a client, in bytes.
const MAX_TEXT: usize = 256;
const MAX_NAME: usize = 32;

/// A release's number. A candidate comes before its release: `3.0.0-rc.1` before `3.0.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    numbers: [u32; 3],
    /// The number of a candidate; 0 where it has none. None for a release.
    candidate: Option<u32>,
}

/// A client and its release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientVersion {
    /// Its name in lower case, such as `lighthouse`.
    pub client: String,
    /// Its release.
    pub release: Release,
}

impl Release {
    /// Reads `v8.3.2`, `26.10.1`, `3.0.0-rc.1`, `1.17.10-stable-5a3b`. What follows the numbers and names no candidate is where it was built.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().get(..text.trim().len().min(MAX_TEXT))?;
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        let mut numbers = [0; 3];
        let mut parts = digits.trim_end_matches('.').split('.');
        for number in &mut numbers {
            let Some(part) = parts.next() else { break };
            *number = part.parse().ok()?;
        }
        // A single number is no release of any client: more likely a hash, or a date.
        if !digits.trim_end_matches('.').contains('.') {
            return None;
        }
        let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let candidate = words.next().map(str::to_ascii_lowercase).and_then(|word| {
            let number = ["rc", "beta", "alpha"].iter().find_map(|kind| word.strip_prefix(kind))?;
            match number {
                "" => Some(words.next().and_then(|next| next.parse().ok()).unwrap_or(0)),
                number => number.parse().ok(),
            }
        });
        Some(Self { numbers, candidate })
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        // A release comes after all its candidates.
        let rank = |candidate: Option<u32>| candidate.map_or(u64::MAX, u64::from);
        self.numbers.cmp(&other.numbers).then(rank(self.candidate).cmp(&rank(other.candidate)))
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.candidate.map_or(Ok(()), |number| write!(f, "-rc.{number}"))
    }
}

impl ClientVersion {
    /// Reads what a node says of itself; none where that names no client and release.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // A space as Prysm has it before what it runs on.
        let mut parts = text.split(['/', ' ']).filter(|part| !part.is_empty());
        let name = parts.next()?.to_ascii_lowercase();
        let is_name = name.len() <= MAX_NAME
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        // A name that the operator gave the node may stand before the release: `Geth/my-node/v1.17.10-…`.
        let release = parts.take(2).find_map(Release::parse)?;
        is_name.then_some(Self { client: name, release })
    }
}

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.client, self.release)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_client_says_it_in_its_own_way() {
        for (text, want) in [
            ("Lighthouse/v8.3.2-9e12c21/x86_64-linux", "lighthouse 8.3.2"),
            ("Prysm/v7.3.1 (linux amd64)", "prysm 7.3.1"),
            ("Prysm/v7.3.1/5a3b2c (linux amd64)", "prysm 7.3.1"),
            ("teku/v26.10.2/linux-x86_64/-eclipseadoptium-openjdk64bitservervm-java-21", "teku 26.10.2"),
            ("Lodestar/v1.50.1/3f2b1c0", "lodestar 1.50.1"),
            ("Nimbus/v26.10.2-fc9c72-stateofus", "nimbus 26.10.2"),
            ("Grandine/3.0.0-rc.1/x86_64", "grandine 3.0.0-rc.1"),
            ("Grandine/3.0.0.rc1", "grandine 3.0.0-rc.1"),
            ("Geth/v1.17.10-stable-827d3fcc/linux-amd64/go1.24.1", "geth 1.17.10"),
            ("Geth/my-node/v1.17.10-stable-827d3fcc/linux-amd64/go1.24.1", "geth 1.17.10"),
            ("Nethermind/v2.2.1+20b10b35/linux-x64/dotnet9.0.1", "nethermind 2.2.1"),
            ("besu/v26.10.1/linux-x86_64/openjdk-java-21", "besu 26.10.1"),
            ("reth/v2.8.1-e7a2f3b/x86_64-unknown-linux-gnu", "reth 2.8.1"),
            ("erigon/3.8.1/linux-amd64/go1.23", "erigon 3.8.1"),
        ] {
            assert_eq!(
                ClientVersion::parse(text).map(|found| found.to_string()).as_deref(),
                Some(want),
                "{text}"
            );
        }
        for text in [
            "",
            "/",
            "Geth",
            "Geth/",
            "Geth/next",
            "1.2.3",
            "Geth/5",
            "Geth/a/b/v1.2.3",
            "Géth/v1.2.3",
            "Geth/v4294967296.1",
        ] {
            assert_eq!(ClientVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn releases_have_an_order() {
        let rising =
            ["1.9.9", "1.10", "1.10.1", "3.0.0-alpha", "3.0.0-rc.1", "3.0.0-rc2", "3.0.0", "3.0.1", "26.1.0"];
        let rising: Vec<Release> = rising.iter().map(|text| Release::parse(text).unwrap()).collect();
        assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
        assert_eq!(Release::parse("1.10"), Release::parse("v1.10.0-5a3b2c"));
    }

    proptest! {
        /// Nodes are others' programs, or proxies before them.
        #[test]
        fn no_text_is_too_odd(text in ".{0,300}") {
            let _ = ClientVersion::parse(&text);
        }
    }
}
