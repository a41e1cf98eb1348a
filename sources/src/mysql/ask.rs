//! What is asked of a server: whether its tables are sound, and single values.

use std::io::Read;

use keepfast_process::tool::Feed;

use super::client::Client;
use super::program::{Program, Purpose};
use super::restore::CONNECT_TIMEOUT;
use crate::address::Address;
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};

/// A longer list of tables isn't kept.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Checks each table, and each index of it, by the makers' program.
pub(crate) fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    let client = Client::new(server, context, CONNECT_TIMEOUT)?;
    let program = Program::find(Purpose::Check, server.engine, context)?;
    let file = |source| SourceError::File { path: program.path.clone(), source };
    let tool = client.tool(&program)?.args(["--check", "--extended"]);
    let tool = match &server.database {
        Some(database) => tool.arg("--databases").arg("--").arg(database),
        None => tool.arg("--all-databases"),
    };
    let started = tool.start(Feed::Nothing, &context.cancel).map_err(file)?.started;
    let mut text = Vec::new();
    let mut output = started.output;
    let read = (&mut output).take(ANSWER_BYTES_MAX).read_to_end(&mut text);
    drop(output);
    if context.cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    read.map_err(file)?;
    let ended = started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    let found = read_answers(&String::from_utf8_lossy(&text));
    // A table with a fault makes some versions end badly, and not others.
    if !ended.status.success() && found.faults.is_empty() {
        return Err(client.failure("checking tables", &ended));
    }
    let mut checks: Vec<Check> = found
        .faults
        .into_iter()
        .map(|(table, fault)| Check::sound(format!("CHECK TABLE {table}"), Some(fault)))
        .collect();
    if checks.is_empty() {
        let name = format!("CHECK TABLE EXTENDED of {} tables", found.sound);
        checks.push(Check::sound(name, (found.sound == 0).then(|| "no table was checked".to_owned())));
    }
    Ok(checks)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Answers {
    sound: u64,
    faults: Vec<(String, String)>,
}

/// `shop.orders   OK`, or the name alone and then lines such as `error    : Corrupt`.
fn read_answers(text: &str) -> Answers {
    let mut answers = Answers::default();
    let mut table = String::new();
    let is_word = |word: &str| matches!(word, "error" | "warning" | "note" | "status" | "info");
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let told = line.split_once(':').map(|(word, rest)| (word.trim().to_lowercase(), rest.trim()));
        match told.filter(|(word, _)| is_word(word)) {
            Some((word, rest)) if word == "error" => answers.faults.push((table.clone(), rest.to_owned())),
            Some((word, "OK")) if word == "status" => answers.sound += 1,
            Some(_) => {}
            None => match line.trim_end().strip_suffix(" OK") {
                Some(_) => answers.sound += 1,
                None => line.trim().clone_into(&mut table),
            },
        }
    }
    answers
}

/// The one value that a query answers.
pub(crate) fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    let client = Client::new(server, context, CONNECT_TIMEOUT)?;
    let sql = match &server.database {
        Some(database) => format!("USE {};\n{query}", super::client::quoted(database)),
        None => query.to_owned(),
    };
    let answer = client.query_xml("a query", &sql)?;
    let text = String::from_utf8_lossy(&answer);
    first_value(&text).map_err(|why| client.wrong_answer("a query", &why))
}

/// The first field of the first row: none if it is NULL, or if there is no row.
fn first_value(xml: &str) -> Result<Option<String>, String> {
    let Some((_, row)) = xml.split_once("<row>") else { return Ok(None) };
    let (_, field) = row.split_once("<field ").ok_or("a row has no field")?;
    let (attributes, rest) = field.split_once('>').ok_or("a field has no end")?;
    if attributes.ends_with('/') {
        let is_null = attributes.contains("xsi:nil=\"true\"");
        return Ok((!is_null).then(String::new));
    }
    let (value, _) = rest.split_once("</field>").ok_or("a field has no end")?;
    let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    Ok(Some(plain))
}

#[cfg(test)]
mod tests {
    use super::{first_value, read_answers};

    #[test]
    fn null_no_row_and_texts_differ() {
        let row = |field: &str| {
            format!("<?xml?>\n<resultset statement=\"x &lt;row&gt;\">\n <row>\n\t{field}\n </row>")
        };
        assert_eq!(first_value(&row("<field name=\"a\" xsi:nil=\"true\" />")), Ok(None));
        assert_eq!(first_value(&row("<field name=\"a &gt;\">NULL</field>")), Ok(Some("NULL".to_owned())));
        assert_eq!(
            first_value(&row("<field name=\"a\">&lt;b&gt; &amp;lt;</field>")),
            Ok(Some("<b> &lt;".to_owned()))
        );
        assert_eq!(first_value(&row("<field name=\"a\"></field>")), Ok(Some(String::new())));
        assert_eq!(first_value("<resultset></resultset>"), Ok(None));
    }

    #[test]
    fn faults_are_told_with_their_tables() {
        let text = "mysql.user                  OK\nshop.a\nwarning  : Size of data\nerror    : Corrupt\nshop.b\nnote : x\nstatus   : OK\n";
        let answers = read_answers(text);
        assert_eq!(answers.sound, 2);
        assert_eq!(answers.faults, [("shop.a".to_owned(), "Corrupt".to_owned())]);
    }
}
