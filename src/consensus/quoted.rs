//! Integers in JSON as the Beacon and Builder APIs write them: decimal digits in quotes, nothing else.
//!
//! Stricter than `FromStr` of the number types, which would take `+1` or, for `U256`, `0x10`: a value that two programs can read
//! differently is refused.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, Serializer, de};

/// Serializes as a quoted decimal.
pub(crate) fn serialize<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Deserializes a quoted decimal.
pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Digits<T>(PhantomData<T>);

    impl<T: FromStr> de::Visitor<'_> for Digits<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number in quotes")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(E::invalid_value(de::Unexpected::Str(text), &self));
            }
            text.parse().map_err(|_| E::custom(format_args!("number out of range: {text:.90}")))
        }
    }

    deserializer.deserialize_str(Digits(PhantomData))
}
