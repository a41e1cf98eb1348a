//! A grant: a role in a scope, and whether names and contents of files belong to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::role::{Right, Role};
use crate::scope::{Object, Scope, ScopeFault};

/// Grants of a user or a token, at most.
pub const GRANTS_MAX: usize = 200;

/// A role in a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// Whether names of files may be seen there.
    #[serde(default)]
    pub see_names: bool,
    /// Whether contents of files may be read there.
    #[serde(default)]
    pub read_content: bool,
}

/// Why grants can't be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    /// A scope has no usable name.
    #[error(transparent)]
    Scope(#[from] ScopeFault),
    /// An auditor sees no names.
    #[error("an auditor sees no names and no contents of files: give another role for that")]
    AuditorSees,
    /// Contents without names.
    #[error("contents of files can be read only where their names can be seen: give both")]
    ContentWithoutNames,
    /// There are too many.
    #[error("there are {count} grants; {GRANTS_MAX} are possible")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl Grant {
    /// A role in a scope, without names and contents of files.
    #[must_use]
    pub fn new(role: Role, scope: Scope) -> Self {
        Self { role, scope, see_names: false, read_content: false }
    }

    /// Everything everywhere, names and contents of files too: what the first user has.
    #[must_use]
    pub fn everything() -> Self {
        Self { see_names: true, read_content: true, ..Self::new(Role::Admin, Scope::All) }
    }

    /// Whether it can be given.
    pub fn check(&self) -> Result<(), GrantFault> {
        self.scope.check()?;
        match self {
            Self { role: Role::Auditor, see_names, read_content, .. } if *see_names || *read_content => {
                Err(GrantFault::AuditorSees)
            }
            Self { see_names: false, read_content: true, .. } => Err(GrantFault::ContentWithoutNames),
            _ => Ok(()),
        }
    }

    /// Whether it gives a right over an object.
    #[must_use]
    pub fn allows(&self, right: Right, object: &Object<'_>) -> bool {
        let has = match right {
            Right::SeeNames => self.see_names && self.role != Role::Auditor,
            Right::ReadContent => self.see_names && self.read_content && self.role != Role::Auditor,
            right => self.role.has(right),
        };
        let is_of_machine = object.plan.is_some() || object.host.is_some();
        let reaches =
            !(right.is_about_machines() && is_of_machine && matches!(self.scope, Scope::Repository(_)));
        has && reaches && self.scope.contains(object)
    }
}

/// Whether any of these grants gives a right over an object.
#[must_use]
pub fn allows(grants: &[Grant], right: Right, object: &Object<'_>) -> bool {
    grants.iter().any(|grant| grant.allows(right, object))
}

/// Whether all of these can be given.
pub fn check(grants: &[Grant]) -> Result<(), GrantFault> {
    if grants.len() > GRANTS_MAX {
        return Err(GrantFault::TooMany { count: grants.len() });
    }
    grants.iter().try_for_each(Grant::check)
}

/// Whether these are an administrator's of everything: someone always has such ones.
#[must_use]
pub fn is_admin(grants: &[Grant]) -> bool {
    allows(grants, Right::ManageServer, &Object::SERVER)
}

/// Grants as they are stored.
#[must_use]
pub fn to_document(grants: &[Grant]) -> Value {
    serde_json::to_value(grants).unwrap_or_else(|_| Value::Array(Vec::new()))
}

/// Grants from what is stored. What this version doesn't understand gives no right.
#[must_use]
pub fn from_document(document: &Value) -> Vec<Grant> {
    let stored = document.as_array().map(Vec::as_slice).unwrap_or_default();
    let known = stored.iter().filter_map(|grant| Grant::deserialize(grant).ok());
    known.filter(|grant| grant.check().is_ok()).take(GRANTS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Grant, GrantFault, allows, check, from_document, is_admin, to_document};
    use crate::role::{Right, Role};
    use crate::scope::{Object, Scope};

    const WWW: Object<'static> = Object {
        project: Some("shop"),
        plan: Some("www"),
        repository: Some("main"),
        host: Some("web1"),
        labels: &[],
    };
    const DB: Object<'static> = Object { plan: Some("db"), project: None, host: None, ..WWW };

    /// Each role with each right: `x` where the role has it, `.` where not. The columns are the roles in the order of
    /// `Role::ALL`.
    const TABLE: &[(Right, &str)] = &[
        (Right::See, "xxxxxx"),
        (Right::SeeNames, "......"),
        (Right::ReadContent, "......"),
        (Right::SeeConfig, ".x.xxx"),
        (Right::Run, ".x...x"),
        (Right::KeepSnapshots, ".x.x.x"),
        (Right::RestoreElsewhere, ".xx..x"),
        (Right::RestoreInPlace, "..x..x"),
        (Right::EditPlans, "...x.x"),
        (Right::Forget, ".....x"),
        (Right::Prune, ".....x"),
        (Right::ExportKeys, ".....x"),
        (Right::SeeAudit, "....xx"),
        (Right::SeeEvidence, "....xx"),
        (Right::ManageMembers, ".....x"),
        (Right::ManageServer, ".....x"),
    ];

    #[test]
    fn each_role_has_the_rights_of_the_table_in_its_scope_and_nowhere_else() {
        assert_eq!(TABLE.iter().map(|(right, _)| *right).collect::<Vec<_>>(), Right::ALL);
        for (right, row) in TABLE {
            for (role, expected) in Role::ALL.into_iter().zip(row.chars()) {
                let has = |scope: &str, object: &Object<'_>| {
                    allows(&[Grant::new(role, scope.parse().expect(scope))], *right, object)
                };
                let expected = expected == 'x';
                assert_eq!(has("all", &Object::SERVER), expected, "{role} {right:?}");
                for scope in ["project:shop", "plan:www", "host:web1"] {
                    assert_eq!(has(scope, &WWW), expected, "{role} {right:?} {scope}");
                    assert!(!has(scope, &DB) && !has(scope, &Object::SERVER), "{role} {right:?} {scope}");
                }
                let in_repository = expected && !right.is_about_machines();
                assert_eq!(has("repository:main", &WWW), in_repository, "{role} {right:?}");
                let itself = Object { repository: Some("main"), ..Object::SERVER };
                assert_eq!(has("repository:main", &itself), expected, "{role} {right:?}");
                assert!(!has("repository:other", &WWW), "{role} {right:?}");
            }
        }
    }

    #[test]
    fn names_and_contents_are_rights_of_their_own() {
        for role in Role::ALL {
            let plain = Grant::new(role, Scope::Plan("www".to_owned()));
            let names = Grant { see_names: true, ..plain.clone() };
            let both = Grant { read_content: true, ..names.clone() };
            let content = Grant { read_content: true, ..plain.clone() };
            let sees = role != Role::Auditor;
            assert!(!allows(&[plain], Right::SeeNames, &WWW));
            assert_eq!(allows(std::slice::from_ref(&names), Right::SeeNames, &WWW), sees, "{role}");
            assert!(!allows(std::slice::from_ref(&names), Right::ReadContent, &WWW));
            assert_eq!(allows(std::slice::from_ref(&both), Right::ReadContent, &WWW), sees, "{role}");
            assert!(!allows(std::slice::from_ref(&both), Right::ReadContent, &DB));
            assert!(
                !allows(std::slice::from_ref(&content), Right::ReadContent, &WWW),
                "its names tell too much"
            );
            assert_eq!(names.check().is_ok(), sees);
            assert!(content.check().is_err());
        }
        let grant = Grant { see_names: true, ..Grant::new(Role::Auditor, Scope::All) };
        assert_eq!(grant.check(), Err(GrantFault::AuditorSees));
        assert!(allows(&[Grant::everything()], Right::ReadContent, &WWW));
    }

    #[test]
    fn an_administrator_of_a_part_is_none_of_everything() {
        assert!(is_admin(&[Grant::everything()]));
        assert!(!is_admin(&[Grant::new(Role::Admin, Scope::Project("shop".to_owned()))]));
        assert!(!is_admin(&[Grant::new(Role::Editor, Scope::All)]));
    }

    #[test]
    fn what_is_stored_and_not_understood_gives_no_right() {
        let grants = [Grant::everything(), Grant::new(Role::Viewer, Scope::Plan("www".to_owned()))];
        assert_eq!(from_document(&to_document(&grants)), grants);
        let stored = json!([
            {"role": "viewer", "scope": "all"},
            {"role": "owner", "scope": "all"},
            {"role": "admin", "scope": {"galaxy": "x"}},
            {"role": "admin", "scope": "all", "only_on": "monday"},
            {"role": "auditor", "scope": "all", "see_names": true},
            "admin",
        ]);
        assert_eq!(from_document(&stored), [Grant::new(Role::Viewer, Scope::All)]);
        assert!(from_document(&json!({"role": "admin", "scope": "all"})).is_empty());
        assert!(check(&vec![Grant::everything(); 201]).is_err());
    }
}
