//! What an archive has, as `pg_restore --list --verbose` says it, and which of its entries belong to some tables or schemas.

use std::collections::{BTreeMap, BTreeSet};

/// The number of the catalog of tables, and what is like them.
const CLASSES: u32 = 1259;
/// What belongs to a table if it depends on it.
const OF_TABLES: [&str; 13] = [
    "ACL ",
    "CHECK CONSTRAINT ",
    "COMMENT ",
    "CONSTRAINT ",
    "DEFAULT ",
    "INDEX ",
    "POLICY ",
    "ROW SECURITY ",
    "RULE ",
    "SECURITY LABEL ",
    "SEQUENCE ",
    "STATISTICS ",
    "TRIGGER ",
];
/// What belongs to several objects, and is there only with all of them.
const OF_SEVERAL: [&str; 3] = ["FK CONSTRAINT ", "INDEX ATTACH ", "TABLE ATTACH "];

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the archive.
    id: u32,
    /// The catalog and the number of its object.
    object: (u32, u32),
    /// Kind, schema, name and owner, with a space between them.
    text: String,
    /// What it depends on.
    needs: Vec<u32>,
}

/// What is restored of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// What was asked for, with all that belongs to it.
    pub chosen: BTreeSet<u32>,
    /// What that depends on. It may be there.
    pub needed: BTreeSet<u32>,
}

/// Reads a list. Lines that say nothing of entries are left out.
pub fn entries(list: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in list.lines() {
        if let Some(numbers) = line.strip_prefix(";\tdepends on:") {
            let numbers = numbers.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
            if let Some(last) = entries.last_mut() {
                last.needs.extend(numbers);
            }
        } else if let Some(entry) = entry(line) {
            entries.push(entry);
        }
    }
    entries
}

fn entry(line: &str) -> Option<Entry> {
    let (id, rest) = line.split_once("; ")?;
    let mut parts = rest.splitn(3, ' ');
    let object = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Entry { id: id.parse().ok()?, object, text: parts.next()?.to_owned(), needs: Vec::new() })
}

/// The entries of these tables, by their numbers, and of these schemas.
pub fn choose(entries: &[Entry], tables: &BTreeSet<u32>, schemas: &[String]) -> Choice {
    let is_asked = |entry: &&Entry| {
        let is_table =
            entry.object.0 == CLASSES && tables.contains(&entry.object.1) && entry.text.starts_with("TABLE ");
        is_table || schemas.iter().any(|schema| is_in(&entry.text, schema))
    };
    let mut chosen: BTreeSet<u32> = entries.iter().filter(is_asked).map(|entry| entry.id).collect();
    let all: BTreeMap<u32, &Entry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    loop {
        let before = chosen.len();
        for entry in entries {
            let is_chosen = |need: &u32| chosen.contains(need);
            let begins = |kinds: &[&str]| kinds.iter().any(|kind| entry.text.starts_with(kind));
            let belongs = if begins(&OF_SEVERAL) {
                let mut known = entry.needs.iter().filter(|&need| all.contains_key(need)).peekable();
                known.peek().is_some() && known.all(is_chosen)
            } else {
                begins(&OF_TABLES) && entry.needs.iter().any(is_chosen)
            };
            if belongs {
                chosen.insert(entry.id);
            }
        }
        if chosen.len() == before {
            break;
        }
    }
    let mut needed = BTreeSet::new();
    let mut open: Vec<u32> = chosen.iter().copied().collect();
    while let Some(id) = open.pop() {
        for &need in all.get(&id).map_or(&[][..], |entry| &entry.needs) {
            if all.contains_key(&need) && !chosen.contains(&need) && needed.insert(need) {
                open.push(need);
            }
        }
    }
    Choice { chosen, needed }
}

/// Whether an entry lies in a schema, or is the schema. Kinds are one or more words in capital letters.
fn is_in(text: &str, schema: &str) -> bool {
    let is_kind = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ');
    if let Some(rest) = text.strip_prefix("SCHEMA - ").or_else(|| text.strip_prefix("ACL - SCHEMA ")) {
        return rest.strip_prefix(schema).is_some_and(|rest| rest.starts_with(' '));
    }
    text.match_indices(' ')
        .take_while(|(at, _)| is_kind(&text[..*at]))
        .any(|(at, _)| text[at + 1..].strip_prefix(schema).is_some_and(|rest| rest.starts_with(' ')))
}

/// A list of entries, as pg_restore takes it, in the order of the archive.
pub fn list(entries: &[Entry], ids: &BTreeSet<u32>) -> String {
    let chosen = entries.iter().filter(|entry| ids.contains(&entry.id));
    chosen
        .map(|entry| format!("{}; {} {} {}\n", entry.id, entry.object.0, entry.object.1, entry.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{choose, entries, is_in, list};

    const LIST: &str = "; Archive created at 1970-01-01
;     TOC Entries: 30
6; 2615 16426 SCHEMA - odd sch.ema postgres
223; 1259 16427 TABLE odd sch.ema ta ble\"x postgres
;\tdepends on: 6
217; 1259 16388 TABLE public t postgres
;\tdepends on: 900
3395; 0 0 COMMENT public TABLE t postgres
;\tdepends on: 217
219; 1259 16405 MATERIALIZED VIEW public mv postgres
;\tdepends on: 217 217
900; 1247 7 TYPE public mood postgres
218; 1259 16397 TABLE public ref ann
215; 1259 16386 SEQUENCE public t_id_seq postgres
;\tdepends on: 217
3224; 2604 16391 DEFAULT public t id postgres
;\tdepends on: 215 217 217
3227; 2606 16396 CONSTRAINT public t t_pkey postgres
;\tdepends on: 217
3232; 2606 16400 FK CONSTRAINT public ref ref_id_fkey ann
;\tdepends on: 217 218 3227
";

    #[test]
    fn a_table_comes_with_what_belongs_to_it_and_what_it_needs() {
        let entries = entries(LIST);
        let choice = choose(&entries, &BTreeSet::from([16388]), &[]);
        assert_eq!(choice.chosen, BTreeSet::from([215, 217, 3224, 3227, 3395]));
        assert_eq!(choice.needed, BTreeSet::from([900]));
        let both = choose(&entries, &BTreeSet::from([16388, 16397]), &[]);
        assert!(both.chosen.contains(&3232), "a foreign key comes with both of its tables");
        assert_eq!(list(&entries, &choice.needed), "900; 1247 7 TYPE public mood postgres\n");
    }

    #[test]
    fn a_schema_comes_with_all_that_is_in_it() {
        let entries = entries(LIST);
        let choice = choose(&entries, &BTreeSet::new(), &["odd sch.ema".to_owned()]);
        assert_eq!((choice.chosen, choice.needed), (BTreeSet::from([6, 223]), BTreeSet::new()));
        assert!(is_in("MATERIALIZED VIEW DATA public mv ann", "public"));
        assert!(!is_in("TABLE app public ann", "public") && !is_in("TABLE public2 t ann", "public"));
    }
}
