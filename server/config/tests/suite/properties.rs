//! What holds for any input: nothing panics, whatever files hold; and what is shown of a configuration says the same.

use std::collections::BTreeMap;

use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_config::documents::completions;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use proptest::{collection, prop_assert, prop_assert_eq};

use crate::desk::{Desk, FIRST};
use crate::sample::sample;

/// Everything that a caller can ask for.
fn ask_for_everything(desk: &Desk) {
    let loaded = desk.load();
    for style in [Style::Plain, Style::Coloured] {
        let text = loaded.report.render(style);
        assert!(text.is_empty() || text.ends_with('\n'));
    }
    let json = loaded.report.to_json();
    assert!(json["diagnostics"].is_array());
    if let Some(config) = &loaded.config {
        let sources = Some(loaded.report.sources());
        assert!(config.effective.to_toml("", sources).contains("[server]"));
        assert!(config.effective.to_json("server.listen", sources).is_some());
        assert_eq!(config.hash(), config.effective.hash());
    }
    assert_eq!(loaded.config.is_none(), loaded.report.diagnostics().has_errors());
}

/// All keys that there are, and some that aren't.
fn keys() -> Vec<String> {
    let mut found =
        vec!["x".to_owned(), "add".to_owned(), "remove".to_owned(), "\"mon-fri 08:00-18:00\"".to_owned()];
    let mut paths: Vec<Vec<&str>> = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        for one in completions(&path) {
            found.push(one.name.to_owned());
            if path.len() < 3 {
                let named =
                    ["plan", "template", "drill", "target", "project", "repository"].contains(&one.name);
                let below = if path.is_empty() && named {
                    vec![one.name, "name"]
                } else {
                    [path.as_slice(), &[one.name]].concat()
                };
                paths.push(below);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn leaf() -> impl Strategy<Value = String> {
    let words = [
        "''",
        "'x'",
        "'26h'",
        "'5%'",
        "'4TiB'",
        "'20MiB/s'",
        "'${A}'",
        "'${A:b}'",
        "'$'",
        "'main'",
        "'www'",
        "'/srv'",
        "'s3://b/p'",
        "'0 1 * * *'",
        "'https://x.example'",
        "'latest'",
        "'before'",
        "'skip'",
        "'all'",
        "'Europe/Paris'",
        "'22:00-07:00'",
        "\"\\u00e9\\n\\t€\"",
        "'''a\nb'''",
        "'[]'",
        "'*'",
    ];
    prop_oneof![
        select(words.to_vec()).prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        (-5..50_i64).prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
        Just("1.5".to_owned()),
        Just("nan".to_owned()),
    ]
}

fn value(keys: Vec<String>) -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 5, move |inner| {
        let list = collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        let table = collection::btree_map(select(keys.clone()), inner, 0..5).prop_map(|entries| {
            let entries: Vec<String> =
                entries.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", entries.join(", "))
        });
        prop_oneof![list, table]
    })
}

/// TOML made of the keys that there are.
fn document() -> impl Strategy<Value = String> {
    let sections = [
        "[server]",
        "[repository.main]",
        "[template.a]",
        "[template.b]",
        "[plan.www]",
        "[plan.db]",
        "[drill.www]",
        "[target.ops]",
        "[project.p]",
        "[[route]]",
        "[digest]",
        "[[pause]]",
        "[x]",
        "[plan.www.retention]",
        "[[plan.www.hook]]",
    ];
    let entries = collection::btree_map(select(keys()), value(keys()), 0..8);
    let part = (select(sections.to_vec()), entries).prop_map(
        |(section, entries): (&str, BTreeMap<String, String>)| {
            let lines: String =
                entries.into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("{section}\n{lines}")
        },
    );
    collection::vec(part, 0..6).prop_map(|parts| format!("version = 1\n{}", parts.concat()))
}

fn price_of(config: &Config) -> Option<u64> {
    config.repositories["main"].value.price.as_ref()?.egress_per_gb.map(|price| price.micros)
}

/// The configuration that its effective view says.
fn read_again(config: &Config) -> Desk {
    let text = config.effective.to_toml("", None);
    Desk::of(&text)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in collection::vec(any::<u8>(), 0..300)) {
        let mut desk = Desk::default();
        desk.files.insert(FIRST.into(), bytes);
        ask_for_everything(&desk);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "([a-z.\"'\\[\\]{}=#,$:\n é€\\\\]|\\[\\[|\"\"\"|'''|= ){0,60}") {
        ask_for_everything(&Desk::of(&text));
    }

    #[test]
    fn arbitrary_documents_never_panic(text in document()) {
        ask_for_everything(&Desk::of(&text).variable("A", "5"));
    }

    /// One that was cut, or of which bytes were changed or are missing.
    #[test]
    fn a_damaged_sample_never_panics(at in any::<Index>(), length in 0..40_usize, with in "[a-z0-9'\"\\[\\]{}=\n$ ]{0,6}") {
        let mut desk = sample();
        let first = desk.files.get_mut(std::path::Path::new(FIRST)).expect("the first file");
        let at = at.index(first.len());
        let end = (at + length).min(first.len());
        first.splice(at..end, with.bytes());
        ask_for_everything(&desk);
    }

    /// The effective view, read as a file, says the same: each definition has the same hash.
    #[test]
    fn what_is_shown_says_the_same(
        description in "\\PC{1,20}|[\u{1}-\u{7f}]{1,20}",
        exclude in collection::vec("[a-z$\"'\\\\ é*]{1,9}", 0..4),
        daily in 0..99_u32,
        price in 0..9_000_000_u32,
    ) {
        let quoted = |text: &str| serde_json::to_string(&text.replace('$', "$$")).expect("JSON").replace('\u{7f}', "\\u007f");
        let exclude: Vec<String> = exclude.iter().map(|text| quoted(text)).collect();
        let text = format!(
            "[repository.main]\nurl = '/srv/main'\npassword = '${{PW}}'\nprice = {{ egress_per_gb = {}.{:06} }}\n\
             [plan.www]\nrepository = 'main'\nsource = [{{ files = ['/a b'] }}, {{ stream = {{ name = 'x', command = ['a', 'b'] }} }}]\n\
             description = {}\nexclude = [{}]\nretention = {{ daily = {daily} }}\nhook = [{{ on = 'before', run = ['x'] }}]\n\
             limits = {{ 'mon 08:00-09:00' = {{ upload = '1/s' }} }}\n[target.ops]\nsmtp = {{ host = 'mx', to = ['x'] }}\n[[route]]\nto = ['ops']\n[[pause]]\n",
            price / 1_000_000, price % 1_000_000, quoted(&description), exclude.join(", "),
        );
        let config = Desk::of(&text).config();
        prop_assert_eq!(price_of(&config), Some(u64::from(price)), "it is exact");
        let again = read_again(&config);
        let again_config = again.load().config;
        prop_assert!(again_config.is_some(), "{}\n{}", again.told(), config.effective.to_toml("", None));
        prop_assert_eq!(config.hash(), again_config.map(|config| config.hash()).expect("it is there"));
        prop_assert_eq!(config.plans["www"].value.description.as_deref(), Some(description.as_str()));
    }

    /// What a variable holds is what the value is, byte by byte.
    #[test]
    fn a_variable_is_taken_as_it_is(value in "\\PC{1,30}|[\n\"'$\\\\{}#=a]{1,30}") {
        let text = "[plan.www]\nrepository = 'main'\ndescription = '<${V}>'\nsource = [{ files = ['/a'] }]\n[repository.main]\nurl = '/x'\npassword = { file = '/y' }\n";
        let config = Desk::of(text).variable("V", &value).config();
        prop_assert_eq!(config.plans["www"].value.description.clone(), Some(format!("<{value}>")));
    }
}

/// And nothing in it is told that wasn't told of the files.
#[test]
fn the_sample_as_it_is_shown_says_the_same() {
    let config = sample().config();
    let told = |desk: &Desk| {
        let mut warnings = desk.warnings();
        warnings.sort();
        warnings
    };
    assert_eq!(told(&sample()), told(&read_again(&config)));
    assert_eq!(config.hash(), read_again(&config).config().hash());
}
