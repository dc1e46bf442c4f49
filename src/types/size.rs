//! Sizes in bytes, as people write them.

use std::fmt;

/// A size in bytes. Read from `8GiB`, `512MiB`, `1.5GiB`, from Docker's `8g` and `512m`, which mean the same, and from `8GB`, which is
/// 8,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Most digits behind the point: a thousandth of a GiB is a MiB.
const MAX_DIGITS: usize = 3;

impl ByteSize {
    /// Parses a size. `None` for what is none, and for a number without a unit: nobody agrees on what that would be.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at_checked(end)?;
        let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        if part.is_empty() || part.len() > MAX_DIGITS {
            return None;
        }
        let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
        let divisor = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
        let part = part.parse::<u64>().ok()?.checked_mul(unit)?.checked_div(divisor)?;
        whole.checked_add(part).map(Self)
    }
}

impl fmt::Display for ByteSize {
    /// `8 GiB`, `1.5 GiB`, `512 MiB`: at most one digit behind the point, cut and not rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit {
                let tenths = self.0 % unit * 10 / unit;
                return match tenths {
                    0 => write!(f, "{} {name}", self.0 / unit),
                    _ => write!(f, "{}.{tenths} {name}", self.0 / unit),
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, want) in [
            ("8GiB", Some(8 << 30)),
            ("8 GiB", Some(8 << 30)),
            ("8g", Some(8 << 30)),
            ("8G", Some(8 << 30)),
            ("512m", Some(512 << 20)),
            ("512MiB", Some(512 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("8GB", Some(8_000_000_000)),
            ("1TiB", Some(1 << 40)),
            ("4096b", Some(4096)),
            ("0MiB", Some(0)),
            ("8", None),
            ("", None),
            ("GiB", None),
            ("-8GiB", None),
            ("8.GiB", None),
            ("1.2345GiB", None),
            ("1.2.3GiB", None),
            ("8GiBs", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(ByteSize::parse(text).map(|size| size.0), want, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (8 << 30, "8 GiB"),
            (3 << 29, "1.5 GiB"),
            ((8 << 30) - 1, "7.9 GiB"),
            (33_554_432_000, "31.2 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_never_more_than_what_there_is(bytes in any::<u64>()) {
            let shown = ByteSize::parse(&ByteSize(bytes).to_string().replace(" bytes", "b"));
            prop_assert!(shown.is_some_and(|shown| shown.0 <= bytes), "{shown:?}");
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,12}") {
            let _ = ByteSize::parse(&text);
        }
    }
}
