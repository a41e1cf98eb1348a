//! Roles and what else belongs to a whole server, restored from the text that pg_dumpall writes. What is there stays as it
//! is: a role keeps its password and its rights.

use std::collections::BTreeSet;

use super::session::Session;
use crate::error::Result;

/// Runs what creates roles, memberships and tablespaces that aren't there. Returns what the server refused.
pub fn apply(session: &Session, text: &str, with_tablespaces: bool) -> Result<Vec<String>> {
    let what = "its roles";
    let names = |sql| -> Result<BTreeSet<String>> {
        session.rows(what, sql, &[])?.iter().map(|row| session.column(what, row, 0)).collect()
    };
    let roles = names("SELECT rolname::text FROM pg_catalog.pg_roles")?;
    let tablespaces = names("SELECT spcname::text FROM pg_catalog.pg_tablespace")?;
    let mut refused = Vec::new();
    for statement in statements(text) {
        let Some((kind, name)) = subject(&statement) else { continue };
        let is_there = match kind {
            Kind::Role => roles.contains(&name),
            Kind::Tablespace => !with_tablespaces || tablespaces.contains(&name),
            Kind::Membership => false,
        };
        if is_there {
            continue;
        }
        // The statement itself may have the hash of a password, so it isn't shown.
        if let Err((_, why)) = session.attempt(&statement)? {
            refused.push(format!("{} {name}: {why}", kind.name()));
        }
    }
    Ok(refused)
}

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Role,
    Tablespace,
    Membership,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Tablespace => "tablespace",
            Self::Membership => "membership in role",
        }
    }
}

/// What a statement of pg_dumpall is about; none for settings of the session.
fn subject(statement: &str) -> Option<(Kind, String)> {
    let kinds = [
        ("CREATE ROLE ", Kind::Role),
        ("ALTER ROLE ", Kind::Role),
        ("COMMENT ON ROLE ", Kind::Role),
        ("SECURITY LABEL ", Kind::Role),
        ("CREATE TABLESPACE ", Kind::Tablespace),
        ("ALTER TABLESPACE ", Kind::Tablespace),
        ("COMMENT ON TABLESPACE ", Kind::Tablespace),
        ("GRANT ALL ON TABLESPACE ", Kind::Tablespace),
        ("GRANT CREATE ON TABLESPACE ", Kind::Tablespace),
        ("REVOKE ALL ON TABLESPACE ", Kind::Tablespace),
        ("GRANT ", Kind::Membership),
    ];
    let (kind, rest) =
        kinds.iter().find_map(|(begin, kind)| Some((*kind, statement.strip_prefix(begin)?)))?;
    Some((kind, identifier(rest)))
}

/// The name with which a text begins.
fn identifier(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split([' ', ';', '\n']).next().unwrap_or_default().to_owned();
    };
    let mut name = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '"' {
            name.push(letter);
        } else if letters.next_if_eq(&'"').is_some() {
            name.push('"');
        } else {
            break;
        }
    }
    name
}

/// The statements of a text of SQL, without their comments and without commands of psql. A text in quotes may have
/// semicolons and line breaks.
fn statements(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut letters = text.chars().peekable();
    let mut is_escaping = false;
    let mut quote: Option<char> = None;
    while let Some(letter) = letters.next() {
        if let Some(end) = quote {
            statement.push(letter);
            if letter == '\\' && is_escaping {
                statement.extend(letters.next());
            } else if letter == end {
                quote = None;
            }
            continue;
        }
        let is_begin = statement.trim().is_empty();
        match letter {
            '-' if letters.peek() == Some(&'-') => skip_line(&mut letters),
            '\\' if is_begin => skip_line(&mut letters),
            '\'' | '"' => {
                is_escaping = letter == '\'' && statement.ends_with(['E', 'e']);
                quote = Some(letter);
                statement.push(letter);
            }
            ';' => {
                let whole = std::mem::take(&mut statement);
                statements.push(whole.trim().to_owned());
            }
            _ => statement.push(letter),
        }
    }
    statements.retain(|statement| !statement.is_empty());
    statements
}

fn skip_line(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    for letter in letters.by_ref() {
        if letter == '\n' {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, statements, subject};

    #[test]
    fn statements_end_where_they_end() {
        let text = "--\n-- Roles; all\n--\n\\restrict keepfast\nSET x = on;\nCREATE ROLE \"a;b\"\"c\";\n\
            COMMENT ON ROLE ann IS 'it''s; -- \n\\no comment';\nCOMMENT ON ROLE bob IS E'a\\';b';\n\\unrestrict keepfast\n";
        assert_eq!(
            statements(text),
            [
                "SET x = on",
                "CREATE ROLE \"a;b\"\"c\"",
                "COMMENT ON ROLE ann IS 'it''s; -- \n\\no comment'",
                "COMMENT ON ROLE bob IS E'a\\';b'",
            ]
        );
    }

    #[test]
    fn it_is_known_what_a_statement_is_about() {
        let role = |name: &str| Some((Kind::Role, name.to_owned()));
        assert_eq!(subject("CREATE ROLE \"a;b\"\"c\""), role("a;b\"c"));
        assert_eq!(subject("ALTER ROLE ann WITH LOGIN PASSWORD 'SCRAM'"), role("ann"));
        assert_eq!(subject("GRANT \"x y\" TO ann GRANTED BY z"), Some((Kind::Membership, "x y".to_owned())));
        assert_eq!(
            subject("CREATE TABLESPACE fast OWNER ann LOCATION '/x'"),
            Some((Kind::Tablespace, "fast".to_owned()))
        );
        assert_eq!(subject("SET client_encoding = 'UTF8'"), None);
    }
}
