//! Amounts of ether: `U256` wei inside, decimal ETH strings at the edge, never a float.

use std::fmt;

use alloy_primitives::U256;

/// Digits after the point of an amount in ETH: 1 ETH = 10^18 wei.
const ETH_DECIMALS: usize = 18;

/// Amount in wei. Bid values are wei (U256); consensus balances are gwei (u64). The two never add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(U256);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("`{0}` is not a decimal amount such as 0.05")]
    NotDecimal(String),
    /// Smaller than a wei.
    #[error("`{0}` has more than 18 digits after the point; the smallest amount is 1 wei")]
    TooFine(String),
    /// Above 2^256-1 wei.
    #[error("`{0}` does not fit in 256 bits of wei")]
    TooLarge(String),
}

impl Wei {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// An amount in wei.
    pub const fn new(wei: U256) -> Self {
        Self(wei)
    }

    /// The amount in wei.
    pub const fn as_u256(self) -> U256 {
        self.0
    }

    /// The sum, at most 2^256-1.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The whole gwei in it, at most 2^64-1: for weights and charts, never for accounts.
    pub fn whole_gwei(self) -> u64 {
        u64::try_from(self.0 / U256::from(1_000_000_000_u64)).unwrap_or(u64::MAX)
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Parses a decimal amount of wei, as bids carry it.
    ///
    /// # Errors
    /// When the text is not digits only or exceeds 256 bits.
    pub fn parse_wei(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::NotDecimal(text.to_owned()));
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| AmountError::TooLarge(text.to_owned()))
    }

    /// Parses a decimal amount of ETH (`0.05`), exactly.
    ///
    /// # Errors
    /// When the text is not a decimal number, is finer than a wei, or exceeds 256 bits of wei.
    pub fn parse_eth(text: &str) -> Result<Self, AmountError> {
        let not_decimal = || AmountError::NotDecimal(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return Err(not_decimal());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > ETH_DECIMALS {
            return Err(AmountError::TooFine(text.to_owned()));
        }
        let wei = format!("{whole}{fraction:0<ETH_DECIMALS$}");
        U256::from_str_radix(&wei, 10).map(Self).map_err(|_| AmountError::TooLarge(text.to_owned()))
    }

    /// The amount as a decimal ETH text without trailing zeros: `0.05`, `12`.
    pub fn to_eth(self) -> String {
        let digits = self.0.to_string();
        let padded = format!("{digits:0>width$}", width = ETH_DECIMALS + 1);
        let (whole, fraction) = padded.split_at(padded.len() - ETH_DECIMALS);
        match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

impl fmt::Display for Wei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for Wei {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Wei {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_wei(&text).map_err(serde::de::Error::custom)
    }
}

impl From<U256> for Wei {
    fn from(wei: U256) -> Self {
        Self(wei)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eth_texts_become_exact_wei() {
        for (text, wei) in [
            ("0", "0"),
            ("0.06", "60000000000000000"),
            ("1", "1000000000000000000"),
            (".5", "500000000000000000"),
            ("5.", "5000000000000000000"),
            ("0.000000000000000001", "1"),
            ("0.100000000000000000000", "100000000000000000"),
            ("123456789.987654321", "123456789987654321000000000"),
        ] {
            assert_eq!(Wei::parse_eth(text).unwrap().to_string(), wei, "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_amounts_are_refused() {
        for text in ["", ".", "-1", "1e3", "0x1", " 1", "1 ", "1.2.3", "NaN", "1,5"] {
            assert!(matches!(Wei::parse_eth(text), Err(AmountError::NotDecimal(_))), "{text}");
        }
        assert!(matches!(Wei::parse_eth("0.0000000000000000001"), Err(AmountError::TooFine(_))));
        assert!(matches!(Wei::parse_eth(&"9".repeat(80)), Err(AmountError::TooLarge(_))));
        assert!(matches!(Wei::parse_wei("0x10"), Err(AmountError::NotDecimal(_))));
    }

    #[test]
    fn eth_texts_round_trip() {
        for text in ["0", "0.06", "1", "32", "0.000000000000000001", "123456789.987654321"] {
            assert_eq!(Wei::parse_eth(text).unwrap().to_eth(), text);
        }
    }
}
