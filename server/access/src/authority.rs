//! What the sender of a request may do: a user, or a token, which never may more than its user.

use crate::grant::{Grant, allows};
use crate::role::Right;
use crate::scope::{Object, Scope};

/// What the sender of a request may do, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    grants: Vec<Grant>,
    /// What a token may do at most.
    limit: Option<Vec<Grant>>,
}

impl Authority {
    /// That of a user.
    #[must_use]
    pub fn of_user(grants: Vec<Grant>) -> Self {
        Self { grants, limit: None }
    }

    /// That of a token: what both the token and its user may do. What the user loses, the token loses at its next use.
    #[must_use]
    pub fn of_token(users: Vec<Grant>, tokens: Vec<Grant>) -> Self {
        Self { grants: users, limit: Some(tokens) }
    }

    /// Whether it has a right over an object.
    #[must_use]
    pub fn allows(&self, right: Right, object: &Object<'_>) -> bool {
        let of = |grants: &[Grant]| allows(grants, right, object);
        of(&self.grants) && self.limit.as_deref().is_none_or(of)
    }

    /// Whether it has a right over everything, so that a listing needs no filter.
    #[must_use]
    pub fn allows_everywhere(&self, right: Right) -> bool {
        self.allows(right, &Object::SERVER)
    }

    /// Whether it has a right over something at all, so that a page is worth showing. It may be that there is no object over
    /// which both a token and its user have it.
    #[must_use]
    pub fn allows_somewhere(&self, right: Right) -> bool {
        let of = |grants: &[Grant]| grants.iter().any(|grant| has(grant, right));
        of(&self.grants) && self.limit.as_deref().is_none_or(of)
    }

    /// Whether it may give a grant to someone else: no one gives what they don't have, and no one beyond their scope.
    #[must_use]
    pub fn may_give(&self, grant: &Grant) -> bool {
        if self.allows_everywhere(Right::ManageServer) {
            return true;
        }
        let covers = |own: &Grant| {
            own.scope == grant.scope
                && grant.scope != Scope::All
                && has(own, Right::ManageMembers)
                && (own.see_names || !grant.see_names)
                && (own.read_content || !grant.read_content)
        };
        let of = |grants: &[Grant]| grants.iter().any(covers);
        of(&self.grants) && self.limit.as_deref().is_none_or(of)
    }
}

/// Whether a grant gives a right over whatever is in its scope.
fn has(grant: &Grant, right: Right) -> bool {
    let labels: Vec<String> = grant.scope.name().map(str::to_owned).into_iter().collect();
    let object = match &grant.scope {
        Scope::All => Object::SERVER,
        Scope::Project(name) => Object { project: Some(name), ..Object::SERVER },
        Scope::Plan(name) => Object { plan: Some(name), ..Object::SERVER },
        Scope::Repository(name) => Object { repository: Some(name), ..Object::SERVER },
        Scope::Host(name) => Object { host: Some(name), ..Object::SERVER },
        Scope::Label(_) => Object { labels: &labels, ..Object::SERVER },
    };
    grant.allows(right, &object)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, proptest};
    use proptest::sample::select;

    use super::Authority;
    use crate::grant::{Grant, allows};
    use crate::role::{Right, Role};
    use crate::scope::{Object, Scope};

    fn grant(role: Role, scope: &str) -> Grant {
        Grant::new(role, scope.parse().expect(scope))
    }

    #[test]
    fn a_token_may_what_both_it_and_its_user_may() {
        let www = Object { plan: Some("www"), ..Object::SERVER };
        let db = Object { plan: Some("db"), ..Object::SERVER };
        let token =
            Authority::of_token(vec![grant(Role::Operator, "plan:www")], vec![grant(Role::Admin, "all")]);
        assert!(token.allows(Right::Run, &www) && !token.allows(Right::Run, &db));
        assert!(!token.allows(Right::Forget, &www), "its user may not");
        let narrow = Authority::of_token(vec![Grant::everything()], vec![grant(Role::Viewer, "plan:www")]);
        assert!(narrow.allows(Right::See, &www) && !narrow.allows(Right::See, &db));
        assert!(!narrow.allows(Right::Run, &www));
        let lost = Authority::of_token(Vec::new(), vec![grant(Role::Admin, "all")]);
        assert!(!lost.allows(Right::See, &www) && !lost.allows_somewhere(Right::See));
        assert!(!narrow.allows_everywhere(Right::See) && narrow.allows_somewhere(Right::See));
    }

    #[test]
    fn no_one_gives_what_they_do_not_have() {
        let admin = Authority::of_user(vec![Grant::everything()]);
        let part = Authority::of_user(vec![grant(Role::Admin, "project:shop")]);
        assert!(admin.may_give(&Grant::everything()));
        assert!(part.may_give(&grant(Role::Editor, "project:shop")));
        for beyond in
            [grant(Role::Viewer, "all"), grant(Role::Viewer, "project:other"), grant(Role::Viewer, "plan:x")]
        {
            assert!(!part.may_give(&beyond), "{beyond:?}");
        }
        assert!(!part.may_give(&Grant { see_names: true, ..grant(Role::Viewer, "project:shop") }));
        assert!(
            !Authority::of_user(vec![grant(Role::Editor, "project:shop")])
                .may_give(&grant(Role::Viewer, "project:shop"))
        );
    }

    const SCOPES: [&str; 7] = ["all", "project:a", "plan:a", "plan:b", "repository:a", "host:b", "label:a=b"];

    fn any_grant() -> impl Strategy<Value = Grant> {
        (select(&Role::ALL[..]), select(&SCOPES[..]), any::<bool>(), any::<bool>()).prop_map(
            |(role, scope, see_names, read_content)| Grant {
                see_names,
                read_content,
                ..Grant::new(role, scope.parse::<Scope>().expect(scope))
            },
        )
    }

    proptest! {
        /// However grants look: a token never has a right that its user lacks, and one more grant takes no right away.
        #[test]
        fn a_token_never_exceeds_its_user(
            users in proptest::collection::vec(any_grant(), 0..4),
            tokens in proptest::collection::vec(any_grant(), 0..4),
            more in any_grant(),
        ) {
            let labels = ["a=b".to_owned()];
            let objects = [
                Object::SERVER,
                Object { plan: Some("a"), repository: Some("a"), ..Object::SERVER },
                Object { plan: Some("b"), host: Some("b"), labels: &labels, ..Object::SERVER },
                Object { project: Some("a"), ..Object::SERVER },
            ];
            let token = Authority::of_token(users.clone(), tokens.clone());
            let with_more = [users.clone(), vec![more]].concat();
            for right in Right::ALL {
                for object in &objects {
                    let both = allows(&users, right, object) && allows(&tokens, right, object);
                    assert_eq!(token.allows(right, object), both);
                    assert!(!allows(&users, right, object) || allows(&with_more, right, object));
                    assert!(!token.allows(right, object) || token.allows_somewhere(right));
                }
            }
        }
    }
}
