//! What an ETH was worth on which day, from the operator's own file.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use jiff::civil::Date;

use crate::types::Wei;

/// Most days in a file. Arbitrary: a century.
const MAX_DAYS: usize = 36_600;

/// Prices by day in one currency. A day without a price has none: nothing is made up between days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// The currency's name, for the column.
    pub currency: String,
    /// Price of an ETH by day, in 10^-18 of the currency: the same digits as wei have.
    by_day: BTreeMap<Date, Wei>,
}

impl Prices {
    /// Reads lines of `2026-11-01,2345.67`; blank lines, `#` comments and a heading are skipped.
    ///
    /// # Errors
    /// In words, with the line's number.
    pub fn parse(currency: &str, text: &str) -> Result<Self, String> {
        let mut by_day = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty()
                || line.starts_with('#')
                || (number == 1 && line.starts_with(char::is_alphabetic))
            {
                continue;
            }
            let wrong =
                |what: &str| format!("line {number}: {what}: expected a line such as 2026-11-01,2345.67");
            let (day, price) = line.split_once([',', ';']).ok_or_else(|| wrong("no comma"))?;
            let day: Date = day.trim().parse().map_err(|_| wrong("no date"))?;
            let price = Wei::parse_eth(price.trim()).map_err(|_| wrong("no price"))?;
            if by_day.insert(day, price).is_some() {
                return Err(wrong("the day has a price already"));
            }
            if by_day.len() > MAX_DAYS {
                return Err(format!("more than {MAX_DAYS} days"));
            }
        }
        Ok(Self { currency: currency.to_owned(), by_day })
    }

    /// An amount in the currency on a day, to the cent, halves up; `None` without a price for that day.
    pub fn value(&self, day: Date, amount: Wei) -> Option<String> {
        let price = self.by_day.get(&day)?.as_u256();
        let unit = U256::from(10).pow(U256::from(34));
        let cents = amount.as_u256().checked_mul(price)?.checked_add(unit / U256::from(2))? / unit;
        let (whole, cents) = cents.div_rem(U256::from(100));
        Some(format!("{whole}.{cents:0>2}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_days_price_to_the_cent() {
        let prices =
            Prices::parse("EUR", "date,price\n# a comment\n2026-11-01,2000.5\n2026-11-02;3000\n").unwrap();
        let value = |day: &str, eth: &str| prices.value(day.parse().unwrap(), Wei::parse_eth(eth).unwrap());
        assert_eq!(value("2026-11-01", "0.05").unwrap(), "100.03");
        assert_eq!(value("2026-11-02", "0.000001").unwrap(), "0.00");
        assert_eq!(value("2026-11-02", "0.000005").unwrap(), "0.02");
        assert_eq!(value("2026-11-03", "1"), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, message) in [
            ("2026-11-01,1\nnonsense", "line 2: no comma"),
            ("2026-13-01,1", "line 1: no date"),
            ("2026-11-01,-1", "line 1: no price"),
            ("2026-11-01,1\n2026-11-01,2", "line 2: the day has a price already"),
        ] {
            assert!(Prices::parse("EUR", text).unwrap_err().starts_with(message), "{text}");
        }
    }
}
