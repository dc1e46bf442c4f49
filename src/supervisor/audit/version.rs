//! Versions of clients, as their images' tags say them.

use std::fmt;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Of a tag such as `v3.11.4-7d5ac27`; `None` for one that says no version.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let numbers = tag.strip_prefix('v').unwrap_or(tag).split(['-', '_', '+']).next()?;
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let version = Self(parts.next()?.ok()?, parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        for (tag, want) in [
            ("v3.11.4-7d5ac27", Some(Version(3, 11, 4))),
            ("1.16", Some(Version(1, 16, 0))),
            ("latest", None),
            ("v1", None),
            ("1.2.3.4", None),
            ("v99999999999.0.0", None),
        ] {
            assert_eq!(Version::of_tag(tag), want, "{tag}");
        }
        assert!(Version(1, 9, 9) < Version(1, 10, 0));
    }
}
