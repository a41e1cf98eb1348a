//! Templates: how values are put over one another.
//!
//! Tables merge, everything else replaces. A list is replaced as well, unless the later value is `{ add, remove }`. Of keys
//! that exclude one another, the later one replaces the others: a plan that says `every` over a template's `cron` means
//! it. References to secrets and values that may be of several kinds are replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::{Located, shortened};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::schema::{Shape, TableShape};
use crate::source::Origin;
use crate::tree::{Entry, Node, Table, Value, Written};

const ADD: &str = "add";
const REMOVE: &str = "remove";

/// What a list is changed by.
struct Edit<'n> {
    add: &'n [Node],
    remove: &'n [Node],
}

/// The change, if a value where a list is expected is one.
fn edit_of(node: &Node) -> Option<Edit<'_>> {
    let table = node.table()?;
    let is_known = |key: &String| key == ADD || key == REMOVE;
    if table.entries.is_empty() || !table.entries.keys().all(is_known) {
        return None;
    }
    let list = |key| match table.get(key) {
        None => Some(&[][..]),
        Some(node) => node.list(),
    };
    Some(Edit { add: list(ADD)?, remove: list(REMOVE)? })
}

/// What makes items the same, wherever they stand. Lists may be long, so they aren't compared one by one.
fn keys(list: &[Node]) -> BTreeSet<String> {
    list.iter().map(|node| node.canonical().to_string()).collect()
}

fn without(list: &[Node], removed: &[Node]) -> Vec<Node> {
    let removed = keys(removed);
    list.iter().filter(|node| !removed.contains(&node.canonical().to_string())).cloned().collect()
}

/// A list with these items behind it, but for those that it has.
fn with(mut list: Vec<Node>, added: &[Node]) -> Vec<Node> {
    let mut known = keys(&list);
    list.extend(added.iter().filter(|node| known.insert(node.canonical().to_string())).cloned());
    list
}

/// A list, or a change of one, with a change made to it.
fn changed(base: Node, change: &Edit<'_>, over: &Node) -> Node {
    let value = match (&base.value, edit_of(&base)) {
        (Value::List(list), _) => Value::List(with(without(list, change.remove), change.add)),
        (_, Some(before)) => {
            let add = with(without(before.add, change.remove), change.add);
            let remove = with(before.remove.to_vec(), change.remove);
            return edit_node(add, remove, over);
        }
        // It is told when it is decoded.
        _ => return over.clone(),
    };
    Node { value, origin: over.origin, written: Written::AsIs }
}

fn edit_node(add: Vec<Node>, remove: Vec<Node>, over: &Node) -> Node {
    let entry = |list| {
        let node = Node { value: Value::List(list), origin: over.origin, written: Written::AsIs };
        Entry { key: over.origin, node }
    };
    let entries = BTreeMap::from([(ADD.to_owned(), entry(add)), (REMOVE.to_owned(), entry(remove))]);
    Node { value: Value::Table(Table { entries }), origin: over.origin, written: Written::AsIs }
}

/// Puts a value over another one.
pub(crate) fn merge(shape: Option<&Shape>, base: Node, over: Node) -> Node {
    match shape {
        Some(Shape::List { .. }) => match edit_of(&over) {
            Some(change) => changed(base, &change, &over),
            None => over,
        },
        Some(Shape::Table(table)) => match (base, over) {
            (Node { value: Value::Table(base), .. }, Node { value: Value::Table(over), origin, written }) => {
                Node { value: Value::Table(merge_tables(table, base, over)), origin, written }
            }
            (_, over) => over,
        },
        Some(Shape::Map { of, .. }) => match (base, over) {
            (Node { value: Value::Table(base), .. }, Node { value: Value::Table(over), origin, written }) => {
                let merged = merge_entries(base, over, &|_| Some((**of).clone()));
                Node { value: Value::Table(merged), origin, written }
            }
            (_, over) => over,
        },
        _ => over,
    }
}

/// Puts a table over another one.
pub(crate) fn merge_tables(shape: &'static TableShape, mut base: Table, over: Table) -> Table {
    for key in over.entries.keys() {
        for rival in shape.rivals(key) {
            base.entries.remove(rival);
        }
    }
    merge_entries(base, over, &|key| shape.shape_of(key))
}

fn merge_entries(mut base: Table, over: Table, shape_of: &dyn Fn(&str) -> Option<Shape>) -> Table {
    for (key, entry) in over.entries {
        let merged = match base.entries.remove(&key) {
            Some(before) => {
                Entry { key: entry.key, node: merge(shape_of(&key).as_ref(), before.node, entry.node) }
            }
            None => entry,
        };
        base.entries.insert(key, merged);
    }
    base
}

/// Turns changes of lists that nothing is below into lists.
pub(crate) fn settle(node: &mut Node, shape: Option<&Shape>) {
    match shape {
        Some(Shape::List { of, .. }) => {
            let added = edit_of(node).map(|edit| with(Vec::new(), edit.add));
            if let Some(added) = added {
                node.value = Value::List(added);
            }
            if let Value::List(list) = &mut node.value {
                list.iter_mut().for_each(|node| settle(node, Some(of)));
            }
        }
        Some(Shape::Table(table)) => {
            if let Value::Table(entries) = &mut node.value {
                for (key, entry) in &mut entries.entries {
                    settle(&mut entry.node, table.shape_of(key).as_ref());
                }
            }
        }
        Some(Shape::Map { of, .. }) => {
            if let Value::Table(entries) = &mut node.value {
                entries.entries.values_mut().for_each(|entry| settle(&mut entry.node, Some(of)));
            }
        }
        _ => {}
    }
}

/// A definition that may inherit.
#[derive(Debug, Clone)]
pub(crate) struct Heir<'d> {
    /// Its name, for messages: "plan `www`".
    pub(crate) what: String,
    /// Where its name stands.
    pub(crate) key: Origin,
    /// What it says itself.
    pub(crate) node: &'d Node,
}

/// Resolves templates.
pub(crate) struct Inheritance<'i> {
    pub(crate) templates: &'i BTreeMap<String, Entry>,
    pub(crate) shape: &'static TableShape,
    pub(crate) levels_max: usize,
    /// Whether a template that isn't there may be in a file that can't be read.
    pub(crate) is_partial: bool,
    pub(crate) diagnostics: &'i mut Diagnostics,
}

impl Inheritance<'_> {
    /// What a definition is with all that it inherits, without `inherits` and `unset`; nothing if that can't be said, which
    /// is told.
    pub(crate) fn resolve(&mut self, heir: &Heir<'_>) -> Option<Node> {
        self.resolve_below(heir, &mut Vec::new())
    }

    fn resolve_below(&mut self, heir: &Heir<'_>, above: &mut Vec<String>) -> Option<Node> {
        let Some(own) = heir.node.table() else { return Some(heir.node.clone()) };
        let mut own = own.clone();
        let parents = own.entries.remove("inherits").map(|entry| names(&entry.node)).unwrap_or_default();
        let unset = own.entries.remove("unset").map(|entry| names(&entry.node)).unwrap_or_default();
        let mut base = Table::default();
        let mut fails = false;
        for parent in &parents {
            match self.template(parent, heir, above) {
                Some(Node { value: Value::Table(table), .. }) => base = merge_tables(self.shape, base, table),
                Some(_) => {}
                None => fails = true,
            }
        }
        for path in &unset {
            if !remove_path(&mut base, &path.value) && !fails {
                let message = format!("{} inherits no `{}`", heir.what, shortened(&path.value));
                let known = nearest(&path.value, base.entries.keys().map(String::as_str));
                self.diagnostics
                    .add(Diagnostic::new(Code::UnsetNothing, message).at(path.origin).suggest(known));
            }
        }
        let merged = Value::Table(merge_tables(self.shape, base, own));
        // Where the definition begins, for what it lacks.
        (!fails).then_some(Node { value: merged, origin: heir.key, written: Written::AsIs })
    }

    fn template(
        &mut self,
        parent: &Located<String>,
        heir: &Heir<'_>,
        above: &mut Vec<String>,
    ) -> Option<Node> {
        let name = &parent.value;
        let Some(entry) = self.templates.get(name) else {
            if !self.is_partial {
                let message = format!("there is no template `{}`", shortened(name));
                let known = nearest(name, self.templates.keys().map(String::as_str));
                self.diagnostics
                    .add(Diagnostic::new(Code::UnknownReference, message).at(parent.origin).suggest(known));
            }
            return None;
        };
        if above.contains(name) {
            let way = above.iter().skip_while(|other| *other != name).map(|name| format!("`{name}`"));
            let way: Vec<String> = way.chain([format!("`{name}`")]).collect();
            let message = format!("templates inherit each other in a circle: {}", way.join(" → "));
            self.diagnostics.add(Diagnostic::new(Code::TemplateCircle, message).at(parent.origin));
            return None;
        }
        if above.len() >= self.levels_max {
            let message = format!(
                "{} inherits templates that stand more than {} levels above one another",
                heir.what, self.levels_max
            );
            self.diagnostics.add(Diagnostic::new(Code::TemplatesTooDeep, message).at(parent.origin));
            return None;
        }
        above.push(name.clone());
        let template = Heir { what: format!("template `{name}`"), key: entry.key, node: &entry.node };
        let resolved = self.resolve_below(&template, above);
        above.pop();
        resolved
    }
}

/// The strings of a list; what is none is told when it is decoded.
pub(crate) fn names(node: &Node) -> Vec<Located<String>> {
    let one = |node: &Node| node.text().map(|text| Located { value: text.to_owned(), origin: node.origin });
    node.list().map(|list| list.iter().filter_map(one).collect()).unwrap_or_default()
}

/// Removes a key by its path, such as `retention.daily`; says whether it was there.
fn remove_path(table: &mut Table, path: &str) -> bool {
    match path.split_once('.') {
        None => table.entries.remove(path).is_some(),
        Some((first, rest)) => match table.entries.get_mut(first).map(|entry| &mut entry.node.value) {
            Some(Value::Table(below)) => remove_path(below, rest),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use proptest::{collection, option, prop_assert_eq};

    use super::{Node, Shape, Value, merge, merge_tables, settle};
    use crate::decode::Decode;
    use crate::model::plan::Plan;
    use crate::source::Sources;
    use crate::tree::{Table, parse};

    fn table(text: &str) -> Table {
        let file = Sources::default().add("f".into(), text.to_owned());
        match parse(text, file, 16).expect("TOML").value {
            Value::Table(table) => table,
            other => panic!("{other:?}"),
        }
    }

    fn merged(texts: &[&str]) -> String {
        let all =
            texts.iter().fold(Table::default(), |base, text| merge_tables(Plan::TABLE, base, table(text)));
        let mut node = Node::of_default(Value::Table(all));
        settle(&mut node, Some(&Plan::shape()));
        node.canonical().to_string()
    }

    fn same(texts: &[&str], expected: &str) {
        assert_eq!(merged(texts), merged(&[expected]));
    }

    #[test]
    fn tables_merge_and_everything_else_replaces() {
        same(
            &["rpo = '1h'\nretention = { daily = 1, weekly = 2 }", "rpo = '2h'\nretention = { daily = 3 }"],
            "rpo = '2h'\nretention = { daily = 3, weekly = 2 }",
        );
    }

    #[test]
    fn lists_replace_unless_they_are_changed() {
        same(&["exclude = ['a', 'b']", "exclude = ['c']"], "exclude = ['c']");
        let change = "exclude = { add = ['c', 'a'], remove = ['b'] }";
        same(&["exclude = ['a', 'b']", change], "exclude = ['a', 'c']");
        same(&[change], "exclude = ['c', 'a']");
        same(&["exclude = ['a', 'b']", change, "exclude = { remove = ['a'] }"], "exclude = ['c']");
        same(
            &["hosts = { labels = ['a=b'] }", "hosts = { labels = { add = ['c=d'] } }"],
            "hosts = { labels = ['a=b', 'c=d'] }",
        );
    }

    #[test]
    fn of_keys_that_exclude_one_another_the_later_one_wins() {
        same(
            &["schedule = { cron = 'a', jitter = '1m' }", "schedule = { every = '1h' }"],
            "schedule = { every = '1h', jitter = '1m' }",
        );
    }

    /// A reference to a file over one to a variable is not both.
    #[test]
    fn references_to_secrets_are_replaced_as_a_whole() {
        let shape = crate::model::secret::SecretReference::shape();
        let node = |text| Node::of_default(Value::Table(table(text)));
        let over = merge(Some(&shape), node("env = 'A'"), node("file = '/a'"));
        assert_eq!(over.canonical(), node("file = '/a'").canonical());
    }

    fn items() -> impl Strategy<Value = String> {
        let item = prop_oneof![Just("'a'"), Just("'b'"), Just("'c'"), Just("'d'")];
        collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
    }

    fn list() -> impl Strategy<Value = String> {
        let change =
            (items(), items()).prop_map(|(add, remove)| format!("{{ add = {add}, remove = {remove} }}"));
        prop_oneof![items(), change]
    }

    /// A part of a plan: each key may be there.
    fn layer() -> impl Strategy<Value = String> {
        let number = || option::of(0..9_u8);
        let schedule =
            option::of(prop_oneof![Just("cron = 'x'"), Just("every = '1h'"), Just("jitter = '1m'")]);
        (option::of(list()), option::of(list()), number(), number(), schedule, option::of(any::<bool>()))
            .prop_map(|(exclude, names, daily, weekly, schedule, enabled)| {
                let line = |key: &str, value: Option<String>| {
                    value.map(|value| format!("{key} = {value}\n")).unwrap_or_default()
                };
                [
                    line("exclude", exclude),
                    line("hosts.names", names),
                    line("retention.daily", daily.map(|number| number.to_string())),
                    line("retention.weekly", weekly.map(|number| number.to_string())),
                    line("schedule", schedule.map(|schedule| format!("{{ {schedule} }}"))),
                    line("enabled", enabled.map(|value| value.to_string())),
                ]
                .concat()
            })
    }

    proptest! {
        /// Templates of templates: whichever two are put together first, the outcome is the same.
        #[test]
        fn merging_is_associative(one in layer(), two in layer(), three in layer()) {
            let [one, two, three] = [one, two, three].map(|text| table(&text));
            let put = |base: &Table, over: &Table| merge_tables(Plan::TABLE, base.clone(), over.clone());
            let canonical = |table: Table| {
                let mut node = Node::of_default(Value::Table(table));
                settle(&mut node, Some(&Plan::shape()));
                node.canonical()
            };
            let left = canonical(put(&put(&one, &two), &three));
            prop_assert_eq!(left, canonical(put(&one, &put(&two, &three))));
        }

        #[test]
        fn merging_over_nothing_or_with_nothing_changes_nothing(one in layer()) {
            let one = table(&one);
            let put = |base: &Table, over: &Table| merge_tables(Plan::TABLE, base.clone(), over.clone());
            prop_assert_eq!(put(&Table::default(), &one), one.clone());
            prop_assert_eq!(put(&one, &Table::default()), one);
        }
    }

    #[test]
    fn a_shape_that_is_not_known_replaces() {
        let node = |text| Node::of_default(Value::Table(table(text)));
        let over = merge(None::<&Shape>, node("a = 1"), node("b = 2"));
        assert_eq!(over.canonical(), node("b = 2").canonical());
    }
}
