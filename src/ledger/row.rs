//! How a row becomes a value: which columns a struct is read from, and how a column is read.
//!
//! A struct says its columns once, by [`from_row`], and is read by `sqlx::query_as`. What only this house knows (slots, labels of states) is
//! read here, so that no query does it by hand. sqlx's own derive would build the database a second time for the compiler's side: minutes.

use sqlx::{Row as _, ValueRef};

use super::database::Row;
use crate::types::{Label, Labelled, Slot};

/// A value that a column can hold.
pub(super) trait Column: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no such column, or it holds something else.
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error>;
}

/// Reads a column.
///
/// # Errors
/// When there is no such column, or it holds something else.
pub(super) fn get<T: Column>(row: &Row, name: &str) -> Result<T, sqlx::Error> {
    T::read(row, name)
}

/// Says which columns a struct is read from: those of its fields' names, unless another is named; behind the semicolon stand fields that
/// are more than a column.
macro_rules! from_row {
    (|$row:ident| $name:ident {
        $($field:ident $(: $column:literal)?),* $(,)?
        $(; $($made:ident = $value:expr),* $(,)?)?
    }) => {
        impl<'r> ::sqlx::FromRow<'r, $crate::ledger::database::Row> for $name {
            fn from_row($row: &'r $crate::ledger::database::Row) -> Result<Self, ::sqlx::Error> {
                Ok(Self {
                    $($field: $crate::ledger::row::get(
                        $row,
                        $crate::ledger::row::from_row!(@column $field $($column)?),
                    )?,)*
                    $($($made: $value,)*)?
                })
            }
        }
    };
    (@column $field:ident) => { stringify!($field) };
    (@column $field:ident $column:literal) => { $column };
}
pub(super) use from_row;

macro_rules! as_it_is {
    ($($type:ty),+) => {
        $(impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
                row.try_get(name)
            }
        })+
    };
}
as_it_is!(bool, i64, f64, String, Vec<u8>);

/// Numbers that no chain brings near 2^63 are kept as signed ones: databases have no others.
impl Column for u64 {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get::<i64, _>(name).map(i64::cast_unsigned)
    }
}

impl Column for Slot {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        u64::read(row, name).map(Self::new)
    }
}

impl<T: Labelled> Column for Label<T> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get::<&str, _>(name).map(Self::read)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        if row.try_get_raw(name)?.is_null() { Ok(None) } else { T::read(row, name).map(Some) }
    }
}
