//! The two kinds of values that the tables hold, and rows of either database.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use crate::error::{Result, StoreError};
use crate::types::{InvalidName, Text, UtcTime};

/// What a statement is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number, an instant or a length of time.
    Integer(Option<i64>),
    /// A name, a text or a document.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<UtcTime> for Value {
    fn from(time: UtcTime) -> Self {
        Self::Integer(Some(time.as_micros()))
    }
}

impl From<Option<UtcTime>> for Value {
    fn from(time: Option<UtcTime>) -> Self {
        Self::Integer(time.map(UtcTime::as_micros))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

/// A document as its column holds it.
pub fn json(document: &impl Serialize) -> Value {
    // Maps with keys that are no strings can't be written as JSON; no document has one.
    Value::Text(Some(serde_json::to_string(document).expect("documents have strings as keys")))
}

/// A document as its column holds it, or none.
pub fn optional_json(document: Option<&impl Serialize>) -> Value {
    document.map_or(Value::Text(None), json)
}

/// The values of a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}
pub(crate) use values;

/// A row of either database.
pub enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    fn get<T>(&self, column: &str) -> Result<T>
    where
        T: for<'r> Decode<'r, sqlx::Sqlite> + Type<sqlx::Sqlite>,
        T: for<'r> Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
        for<'c> &'c str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        let value = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        value.map_err(|error| StoreError::stored(column, error))
    }

    /// A number.
    pub fn integer(&self, column: &str) -> Result<i64> {
        self.get(column)
    }

    /// A number, or none.
    pub fn optional_integer(&self, column: &str) -> Result<Option<i64>> {
        self.get(column)
    }

    /// A count or size, which is never negative.
    pub fn count(&self, column: &str) -> Result<u64> {
        u64::try_from(self.integer(column)?).map_err(|error| StoreError::stored(column, error))
    }

    /// A count or size, or none.
    pub fn optional_count(&self, column: &str) -> Result<Option<u64>> {
        let count = self.optional_integer(column)?.map(u64::try_from).transpose();
        count.map_err(|error| StoreError::stored(column, error))
    }

    /// A count that is small.
    pub fn small_count(&self, column: &str) -> Result<u32> {
        u32::try_from(self.integer(column)?).map_err(|error| StoreError::stored(column, error))
    }

    /// An instant.
    pub fn time(&self, column: &str) -> Result<UtcTime> {
        self.integer(column).map(UtcTime::from_micros)
    }

    /// An instant, or none.
    pub fn optional_time(&self, column: &str) -> Result<Option<UtcTime>> {
        Ok(self.optional_integer(column)?.map(UtcTime::from_micros))
    }

    /// A text.
    pub fn string(&self, column: &str) -> Result<String> {
        self.get(column)
    }

    /// A text, or none.
    pub fn optional_string(&self, column: &str) -> Result<Option<String>> {
        self.get(column)
    }

    /// A text for people, or none.
    pub fn optional_text(&self, column: &str) -> Result<Option<Text>> {
        Ok(self.optional_string(column)?.map(Text::from))
    }

    /// A name.
    pub fn name<T: TryFrom<String, Error = InvalidName>>(&self, column: &str) -> Result<T> {
        T::try_from(self.string(column)?).map_err(|error| StoreError::stored(column, error))
    }

    /// A name, or none.
    pub fn optional_name<T: TryFrom<String, Error = InvalidName>>(&self, column: &str) -> Result<Option<T>> {
        let name = self.optional_string(column)?.map(T::try_from).transpose();
        name.map_err(|error| StoreError::stored(column, error))
    }

    /// One of the words that a column can hold.
    pub fn word<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let word = self.string(column)?;
        parse(&word).ok_or_else(|| StoreError::stored(column, format!("the unknown word {word:?}")))
    }

    /// A document.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.string(column)?).map_err(|error| StoreError::stored(column, error))
    }

    /// A document, or none.
    pub fn optional_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let text = self.optional_string(column)?;
        let document = text.map(|text| serde_json::from_str(&text)).transpose();
        document.map_err(|error| StoreError::stored(column, error))
    }
}
