//! Reads exposed text as strictly as a test needs it: series by name and labels.

use std::collections::BTreeMap;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// All series of a text.
#[derive(Debug)]
pub struct Scrape(BTreeMap<(String, Labels), f64>);

impl Scrape {
    /// Those of this text. Panics if a line isn't what it should be.
    pub fn of(text: &str) -> Self {
        let mut series = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
            let (name, mut rest) = line.split_at(end);
            let mut labels = Labels::new();
            if let Some(inside) = rest.strip_prefix('{') {
                rest = labels_of(inside, &mut labels);
            }
            let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space: {line}"));
            let number = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            let before = series.insert((name.to_owned(), labels), number);
            assert!(before.is_none(), "twice: {line}");
        }
        Self(series)
    }

    /// The value of the one series with this name and at least these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |(key, _): &(&(String, Labels), &f64)| {
            key.0 == name
                && labels.iter().all(|(label, value)| key.1.get(*label).is_some_and(|it| it == value))
        };
        let found: Vec<f64> = self.0.iter().filter(fits).map(|(_, value)| *value).collect();
        assert_eq!(found.len(), 1, "{name}{labels:?} is in {:?}", self.0);
        found[0]
    }

    /// Whether there is any series with this name and these labels.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.0.keys().any(|(of, all)| {
            of == name && labels.iter().all(|(label, value)| all.get(*label).is_some_and(|it| it == value))
        })
    }

    /// Names of all metrics, and the labels of each.
    pub fn names(&self) -> BTreeMap<&str, Vec<&str>> {
        self.0
            .keys()
            .map(|(name, labels)| (name.as_str(), labels.keys().map(String::as_str).collect()))
            .collect()
    }
}

fn labels_of<'t>(text: &'t str, labels: &mut Labels) -> &'t str {
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let (name, after) = rest.split_once("=\"").expect("a label's name");
        let mut value = String::new();
        let mut signs = after.char_indices();
        let end = loop {
            match signs.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => value.push(match signs.next().expect("what is escaped").1 {
                    'n' => '\n',
                    sign @ ('\\' | '"') => sign,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, sign) => value.push(sign),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}
