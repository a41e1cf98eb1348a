//! Rows of documents as CSV (RFC 4180), in which no text is a formula: see `keepfast_access::csv`.

use keepfast_access::csv;
use keepfast_api::list::Row;
use serde_json::Value;

/// The content type.
pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// The line with the names of the columns.
#[must_use]
pub fn header<T: Row>() -> String {
    line(T::COLUMNS.iter().map(|column| (*column).to_owned()))
}

/// The line of a row.
///
/// # Errors
/// It can't be written as JSON.
pub fn row<T: Row>(row: &T) -> Result<String, serde_json::Error> {
    let document = serde_json::to_value(row)?;
    Ok(line(T::COLUMNS.iter().map(|column| cell(find(&document, column)))))
}

fn find<'d>(document: &'d Value, column: &str) -> &'d Value {
    column.split('.').try_fold(document, |value, key| value.get(key)).unwrap_or(&Value::Null)
}

/// Numbers are what they are; texts may come from strangers.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => csv::cell(text),
        Value::Array(_) | Value::Object(_) => csv::cell(&value.to_string()),
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use keepfast_api::list::Row;
    use serde::Serialize;

    use super::{header, row};

    #[derive(Serialize)]
    struct Sample {
        name: String,
        size: i64,
        inner: Option<Inner>,
    }

    #[derive(Serialize)]
    struct Inner {
        list: Vec<u8>,
    }

    impl Row for Sample {
        const COLUMNS: &'static [&'static str] = &["name", "size", "inner.list"];
    }

    #[track_caller]
    fn is_cell(name: &str, expected: &str) {
        let sample = Sample { name: name.to_owned(), size: -1, inner: None };
        assert_eq!(row(&sample).expect("a row"), format!("{expected},-1,\r\n"));
    }

    #[test]
    fn rows_have_the_columns_in_their_order() {
        assert_eq!(header::<Sample>(), "name,size,inner.list\r\n");
        let sample =
            Sample { name: "a \"b\", c".to_owned(), size: 7, inner: Some(Inner { list: vec![1, 2] }) };
        assert_eq!(row(&sample).expect("a row"), "\"a \"\"b\"\", c\",7,\"[1,2]\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        is_cell("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\"");
        is_cell("\u{a0}=1", "\"'\u{a0}=1\"");
        is_cell("-1", "\"'-1\"");
        is_cell("\r\n=1", "\"'\r\n=1\"");
        is_cell("a;=1", "\"a;=1\"");
        is_cell("a=1", "a=1");
        is_cell("", "");
    }
}
