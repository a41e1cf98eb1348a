//! Whose history a writer's is: an owner may say that one writer continues others.
//!
//! A host name and paths are what a writer says of itself. The id of its key is what the signature
//! proves; so only that decides whose snapshots a backup is compared with, and which ones a policy
//! of retention counts together.

use std::collections::{BTreeMap, BTreeSet};

use keepfast_format::ids::HolderId;
use keepfast_format::keyring::Holder;

/// Which writers continue which, as the newest keyring says.
#[derive(Debug, Clone, Default)]
pub struct Lineages(BTreeMap<HolderId, Vec<HolderId>>);

impl Lineages {
    /// What these holders' entries say.
    #[must_use]
    pub fn of(holders: &[Holder]) -> Self {
        let said = holders.iter().filter(|holder| !holder.continues.is_empty());
        Self(said.map(|holder| (holder.id(), holder.continues.clone())).collect())
    }

    /// A writer's lineage: itself and those that it continues, directly or through others.
    #[must_use]
    pub fn lineage(&self, writer: HolderId) -> BTreeSet<HolderId> {
        closure(writer, |of| self.continued_by(of).to_vec())
    }

    /// The writer under whose id a writer's snapshots are counted by policies of retention. Writers
    /// are counted together as far as each is continued by one other and no more: of two that
    /// continue the same one, neither may push out what the other has.
    #[must_use]
    pub fn line(&self, writer: HolderId) -> HolderId {
        let members = closure(writer, |of| {
            let before = self.continued_by(of).iter().copied().filter(|before| self.is_sole(*before));
            let after = self.0.keys().copied().filter(|after| self.continued_by(*after).contains(&of));
            before.chain(after.filter(|_| self.is_sole(of))).collect()
        });
        let is_first =
            |member: &&HolderId| !self.continued_by(**member).iter().any(|before| members.contains(before));
        // In a circle no one is the first.
        members.iter().find(is_first).or_else(|| members.first()).copied().unwrap_or(writer)
    }

    fn continued_by(&self, writer: HolderId) -> &[HolderId] {
        self.0.get(&writer).map_or(&[], Vec::as_slice)
    }

    /// Whether one writer and no other continues this one.
    fn is_sole(&self, writer: HolderId) -> bool {
        self.0.values().filter(|continued| continued.contains(&writer)).count() == 1
    }
}

/// All that is reached from `from`, itself included.
fn closure(from: HolderId, next: impl Fn(HolderId) -> Vec<HolderId>) -> BTreeSet<HolderId> {
    let mut reached = BTreeSet::from([from]);
    let mut to_visit = vec![from];
    while let Some(writer) = to_visit.pop() {
        to_visit.extend(next(writer).into_iter().filter(|writer| reached.insert(*writer)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use keepfast_format::ids::HolderId;

    use super::Lineages;

    const A: HolderId = HolderId::new([0xa; 8]);
    const B: HolderId = HolderId::new([0xb; 8]);
    const C: HolderId = HolderId::new([0xc; 8]);
    const D: HolderId = HolderId::new([0xd; 8]);

    fn said(pairs: &[(HolderId, &[HolderId])]) -> Lineages {
        Lineages(pairs.iter().map(|(writer, continued)| (*writer, continued.to_vec())).collect())
    }

    fn set<const N: usize>(writers: [HolderId; N]) -> BTreeSet<HolderId> {
        writers.into()
    }

    #[test]
    fn a_writer_that_continues_no_one_is_alone() {
        let none = said(&[]);
        assert_eq!((none.lineage(A), none.line(A)), (set([A]), A));
    }

    #[test]
    fn a_lineage_goes_back_through_all_that_are_continued_and_not_forward() {
        let chain = said(&[(B, &[A]), (C, &[B])]);
        assert_eq!((chain.lineage(A), chain.lineage(B)), (set([A]), set([A, B])));
        assert_eq!(chain.lineage(C), set([A, B, C]));
        assert_eq!([A, B, C].map(|writer| chain.line(writer)), [A, A, A]);
    }

    #[test]
    fn two_that_continue_the_same_writer_see_its_history_and_not_each_others() {
        let fork = said(&[(B, &[A]), (C, &[A]), (D, &[C])]);
        assert_eq!((fork.lineage(B), fork.lineage(D)), (set([A, B]), set([A, C, D])));
        assert_eq!([A, B, C, D].map(|writer| fork.line(writer)), [A, B, C, C]);
    }

    #[test]
    fn a_writer_that_continues_two_joins_them() {
        let joined = said(&[(C, &[A, B])]);
        assert_eq!([A, B, C].map(|writer| joined.line(writer)), [A, A, A]);
    }

    #[test]
    fn circles_and_unknown_writers_do_no_harm() {
        let circle = said(&[(A, &[B]), (B, &[A, D]), (C, &[C])]);
        assert_eq!((circle.lineage(A), circle.lineage(C)), (set([A, B, D]), set([C])));
        assert_eq!([A, B, C].map(|writer| circle.line(writer)), [D, D, C]);
        let bare = said(&[(A, &[B]), (B, &[A])]);
        assert_eq!([A, B].map(|writer| bare.line(writer)), [A, A]);
    }
}
