//! Tables as CSV (RFC 4180) that no spreadsheet takes for formulas.

/// A row: its cells between commas, and the end of the line.
#[must_use]
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    line(cells.into_iter().map(cell))
}

/// A row of what [`cell`] has made, or of what needs none of that: numbers.
#[must_use]
pub fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell. One that a spreadsheet would compute begins with an apostrophe, which the spreadsheet doesn't show.
#[must_use]
pub fn cell(text: &str) -> String {
    // A spreadsheet skips blanks, and some read these letters of full width as the others.
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '\u{feff}']).chars().next();
    let is_formula = first.is_some_and(|first| {
        matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
    });
    let shown = if is_formula { format!("'{text}") } else { text.to_owned() };
    let shown = shown.replace('\0', "\u{fffd}");
    if is_formula || shown.contains([',', '"', '\r', '\n', ';', '\t']) || shown.starts_with(' ') {
        return format!("\"{}\"", shown.replace('"', "\"\""));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{cell, row};

    #[test]
    fn cells_are_no_formulas_and_rows_keep_their_cells() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("  =1", "\"'  =1\""),
            ("\r\n=1", "\"'\r\n=1\""),
            ("a=1", "a=1"),
            ("a;b", "\"a;b\""),
            ("＝1", "\"'＝1\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        assert_eq!(row(["a", "=b\n", "c"]), "a,\"'=b\n\",c\r\n");
    }
}
