//! Words as systemd's files have them (systemd.syntax(7), systemd.service(5)).
//!
//! `%` begins a specifier everywhere. A command has C's escapes inside of quotes. Lists of paths have quotes
//! too, and no escapes. The path of a credential has neither.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::service::error::UnitError;

/// A word of a command whose variables aren't replaced (`ExecStart=:`).
pub fn argument(word: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-=+:@,".contains(sign);
    // A lone `;` separates commands; it is no plain sign, and stands in quotes like all others.
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for sign in word.chars() {
        match sign {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            sign if sign.is_control() => {
                // Control signs are below U+00A0. Their UTF-8 is escaped byte by byte.
                let mut bytes = [0; 4];
                for byte in sign.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string never fails.
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}

/// An absolute path as an argument of a command.
///
/// # Errors
/// It is relative, isn't UTF-8, or has a zero.
pub fn path_argument(path: &Path) -> Result<String, UnitError> {
    sayable(path).map(argument)
}

/// The path of the program of a command, with the sign before it that keeps variables from being replaced.
///
/// # Errors
/// It is relative, isn't UTF-8, or has quotes, a backslash or a control sign, which systemd refuses however
/// they are written.
pub fn program_path(path: &Path) -> Result<String, UnitError> {
    let text = without_control(path)?;
    if text.contains(['"', '\'', '\\']) {
        return Err(unsayable(
            path,
            "it has quotes or a backslash, which systemd takes in no program's path",
        ));
    }
    // The sign is a part of the word: systemd looks at it after it has read the quotes.
    Ok(argument(&format!(":{text}")))
}

/// A path in a list of paths.
///
/// # Errors
/// It is relative, isn't UTF-8, has a control sign, or has both kinds of quotes.
pub fn listed_path(path: &Path) -> Result<String, UnitError> {
    let text = without_control(path)?;
    let escaped = text.replace('%', "%%");
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-=+:@,%".contains(sign);
    if text.chars().all(is_plain) {
        return Ok(escaped);
    }
    match (text.contains('"'), text.contains('\'')) {
        (false, _) => Ok(format!("\"{escaped}\"")),
        (true, false) => Ok(format!("'{escaped}'")),
        (true, true) => Err(unsayable(path, "it has both kinds of quotes")),
    }
}

/// A path that ends a line and is taken as it stands.
///
/// # Errors
/// It is relative, isn't UTF-8, has a control sign, or ends in a space or a backslash, which a line would
/// lose or continue with.
pub fn last_path(path: &Path) -> Result<String, UnitError> {
    let text = without_control(path)?;
    if text.ends_with(['\\', ' ']) {
        return Err(unsayable(path, "it ends in a backslash or a space"));
    }
    Ok(text.replace('%', "%%"))
}

/// Text for a person on one line.
pub fn description(text: &str) -> String {
    let line: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    // A backslash at the end would take the next line into this one.
    line.trim().trim_end_matches('\\').replace('%', "%%")
}

/// A part of the name of a unit, as systemd-escape(1) makes it, but that `-` stays.
pub fn unit_name_part(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _ = write!(name, "\\x{byte:02x}");
        }
    }
    name
}

/// A time: systemd's default unit is not always the second.
pub fn time(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis().max(1))
    }
}

fn sayable(path: &Path) -> Result<&str, UnitError> {
    if !path.is_absolute() {
        return Err(UnitError::RelativePath(path.to_owned()));
    }
    let text = path.to_str().ok_or_else(|| unsayable(path, "it isn't UTF-8"))?;
    if text.contains('\0') { Err(unsayable(path, "it has a zero byte")) } else { Ok(text) }
}

fn without_control(path: &Path) -> Result<&str, UnitError> {
    let text = sayable(path)?;
    if text.chars().any(char::is_control) {
        return Err(unsayable(path, "it has a line break or another control character"));
    }
    Ok(text)
}

fn unsayable(path: &Path, why: &'static str) -> UnitError {
    UnitError::UnsayablePath { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::time::Duration;

    use super::{
        argument, description, last_path, listed_path, path_argument, program_path, time, unit_name_part,
    };

    #[test]
    fn words_of_commands_are_quoted_when_they_need_it() {
        assert_eq!(argument("/usr/bin/keepfast"), "/usr/bin/keepfast");
        assert_eq!(argument(""), r#""""#);
        assert_eq!(argument("a b"), r#""a b""#);
        assert_eq!(argument("100%"), r#""100%%""#);
        assert_eq!(argument(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(argument("a\nb\u{7f}\u{85}"), r#""a\nb\x7f\xc2\x85""#);
        assert_eq!(argument("$HOME;'"), r#""$HOME;'""#, "variables aren't replaced");
    }

    #[test]
    fn paths_in_lists_are_quoted_without_escapes() {
        let of = |path: &str| listed_path(Path::new(path)).ok();
        assert_eq!(of("/srv/backup").as_deref(), Some("/srv/backup"));
        assert_eq!(of("/srv/100%").as_deref(), Some("/srv/100%%"));
        assert_eq!(of("/srv/my disk\\").as_deref(), Some("\"/srv/my disk\\\""));
        assert_eq!(of("/srv/it's").as_deref(), Some("\"/srv/it's\""));
        assert_eq!(of("/srv/\"x\"").as_deref(), Some("'/srv/\"x\"'"));
        assert_eq!(of("/srv/\"it's\""), None);
        assert_eq!(of("/srv/a\nb"), None);
        assert_eq!(of("srv"), None);
    }

    #[test]
    fn what_no_unit_can_say_is_refused_by_name() {
        let error = listed_path(Path::new("backup")).expect_err("relative");
        assert_eq!(error.to_string(), "\"backup\" can't be in a unit: the path has to begin with /");
        let bytes = Path::new(OsStr::from_bytes(b"/srv/\xff"));
        for path in [path_argument(bytes), program_path(bytes), listed_path(bytes), last_path(bytes)] {
            assert!(path.expect_err("not UTF-8").to_string().contains("UTF-8"));
        }
        assert!(path_argument(Path::new("/a\nb")).is_ok());
        assert!(program_path(Path::new("/a\nb")).is_err());
        assert!(program_path(Path::new("/it's")).is_err());
        assert_eq!(program_path(Path::new("/opt/a b")).as_deref(), Ok("\":/opt/a b\""));
        assert!(last_path(Path::new("/a\\")).is_err());
        assert_eq!(last_path(Path::new("/a b%")).as_deref(), Ok("/a b%%"));
    }

    #[test]
    fn texts_stay_on_their_line() {
        assert_eq!(description("a\nb 50% \\"), "a b 50%% ");
        assert_eq!(unit_name_part("shop db/é-1.a"), r"shop\x20db\x2f\xc3\xa9-1.a");
        assert_eq!(time(Duration::from_secs(90)), "90s");
        assert_eq!(time(Duration::from_micros(1500)), "1ms");
        assert_eq!(time(Duration::from_nanos(1)), "1ms");
    }
}
