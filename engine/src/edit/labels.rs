//! Changes of a snapshot's labels.

use crate::retention::has_tag;

/// How a snapshot's labels change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    /// It has these labels, and no others.
    Set(Vec<String>),
    /// First some are removed, if they are there; then some are added, if they aren't.
    Alter {
        /// Those that are added.
        add: Vec<String>,
        /// Those that are removed.
        remove: Vec<String>,
    },
}

impl LabelChange {
    /// These labels after the change. Each is there once; those that stay keep their order.
    #[must_use]
    pub fn applied_to(&self, labels: &[String]) -> Vec<String> {
        let (mut after, add) = match self {
            Self::Set(labels) => (Vec::new(), labels),
            Self::Alter { add, remove } => {
                (labels.iter().flat_map(|label| what_is_left(label, remove)).collect(), add)
            }
        };
        for label in add {
            if !has_tag(&after, label) {
                after.push(label.clone());
            }
        }
        after
    }
}

/// What is left of a label when those in `gone` are removed. A label with commas comes from a time when commas
/// didn't separate labels; it stands for each of its parts.
fn what_is_left(label: &str, gone: &[String]) -> Vec<String> {
    let is_gone = |part: &str| gone.iter().any(|gone| gone == part);
    if is_gone(label) {
        return Vec::new();
    }
    let parts: Vec<&str> = label.split(',').map(str::trim).collect();
    if !parts.iter().any(|part| is_gone(part)) {
        return vec![label.to_owned()];
    }
    parts.into_iter().filter(|part| !is_gone(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::LabelChange;

    fn labels(all: &[&str]) -> Vec<String> {
        all.iter().map(|label| (*label).to_owned()).collect()
    }

    fn altered(before: &[&str], add: &[&str], remove: &[&str]) -> Vec<String> {
        LabelChange::Alter { add: labels(add), remove: labels(remove) }.applied_to(&labels(before))
    }

    #[test]
    fn labels_come_once_go_and_keep_their_order() {
        assert_eq!(altered(&["b", "a"], &["c", "a", "c"], &[]), labels(&["b", "a", "c"]));
        assert_eq!(altered(&["b", "a", "d"], &[], &["a", "x"]), labels(&["b", "d"]));
        assert_eq!(altered(&["a"], &["a"], &["a"]), labels(&["a"]), "it is removed, and added again");
        let set = LabelChange::Set(labels(&["y", "x", "y"]));
        assert_eq!(set.applied_to(&labels(&["a", "x"])), labels(&["y", "x"]));
        assert!(LabelChange::Set(Vec::new()).applied_to(&labels(&["a"])).is_empty());
    }

    #[test]
    fn a_label_with_commas_stands_for_its_parts() {
        assert_eq!(altered(&["a, b,c", "d"], &[], &["b"]), labels(&["a", "c", "d"]));
        assert_eq!(altered(&["a,b"], &["b"], &["x"]), labels(&["a,b"]), "what has no need to change stays");
        assert!(altered(&["a,b"], &[], &["a,b"]).is_empty());
    }
}
