//! Groups of hard links, without the paths that go.

use keepfast_format::links::LinkGroup;

/// The groups that are left; `None` if no path of them goes. A file with one name left is in no group.
pub fn without(groups: Vec<LinkGroup>, goes: impl Fn(&[u8]) -> bool) -> Option<Vec<LinkGroup>> {
    let mut any = false;
    let left = groups.into_iter().filter_map(|mut group| {
        let before = group.len();
        group.retain(|path| !goes(path));
        any |= group.len() < before;
        (group.len() > 1).then_some(group)
    });
    let left = left.collect();
    any.then_some(left)
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_group_loses_what_goes_and_ends_when_one_is_left() {
        let groups = |all: &[&[&str]]| -> Vec<Vec<Vec<u8>>> {
            let group = |paths: &&[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
            all.iter().map(group).collect()
        };
        let before = groups(&[&["a", "b", "x"], &["c", "y"], &["d", "e"]]);
        let goes = |path: &[u8]| b"axy".contains(&path[0]);
        assert_eq!(without(before, goes), Some(groups(&[&["d", "e"]])));
        assert_eq!(without(groups(&[&["b", "c", "x"]]), goes), Some(groups(&[&["b", "c"]])));
        assert_eq!(without(groups(&[&["b", "c"]]), goes), None);
    }
}
