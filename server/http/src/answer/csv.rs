//! Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is made harmless by a quotation mark before it.

use std::borrow::Cow;

use keepfast_api::list::Row;
use serde_json::Value;

/// The content type.
pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8; header=present";
/// What begins a formula, in the signs of East Asian keyboards too; and what programs skip before they look for one.
const DANGEROUS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The line with the names of the columns.
#[must_use]
pub fn header<T: Row>() -> String {
    line(T::COLUMNS.iter().map(|column| Cow::Borrowed(*column)))
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
fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(_) | Value::Number(_) => Cow::Owned(value.to_string()),
        Value::String(text) => harmless(text),
        Value::Array(_) | Value::Object(_) => Cow::Owned(value.to_string()),
    }
}

fn harmless(text: &str) -> Cow<'_, str> {
    match text.trim_start_matches(' ').starts_with(DANGEROUS) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

fn line<'c>(cells: impl Iterator<Item = Cow<'c, str>>) -> String {
    let mut line = String::new();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&cell);
        }
    }
    line.push_str("\r\n");
    line
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
        is_cell("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0");
        is_cell("+1", "'+1");
        is_cell("-1", "'-1");
        is_cell("@SUM(A1)", "'@SUM(A1)");
        is_cell("  =1", "'  =1");
        is_cell("＝1", "'＝1");
        is_cell("\t=1", "'\t=1");
        is_cell("\r\n=1", "\"'\r\n=1\"");
        is_cell("a=1", "a=1");
        is_cell("", "");
    }
}
