//! The plan that backs up the state and the configuration: it comes of what the server's definition says, and is a plan
//! like others to all that schedules, runs, lists and tells of plans.

use crate::config::Definition;
use crate::decode::{Context, Decode, OneOrMore};
use crate::diagnostic::Diagnostics;
use crate::files::Facts;
use crate::model::plan::Plan;
use crate::model::server::{BackupOfState, Server};
use crate::schema::fill::fill;
use crate::source::Origin;
use crate::tree::parse_default;
use crate::values::name::Tag;

/// Its name, which no definition can have: a name begins with a letter or a digit.
pub const STATE_PLAN: &str = "_state";
/// The label of its snapshots, besides that of each plan.
pub const STATE_LABEL: &str = "state";

/// A plan with nothing but defaults.
const PLAIN: &str = "{ description = 'the state and the configuration of this server', repository = 'none', \
                     source = [{ files = ['/'] }] }";

/// The plan, if the state is to be backed up. What it backs up isn't named in it: the one that runs it knows that.
pub(crate) fn of(server: &Definition<Server>) -> Option<Definition<Plan>> {
    let Some(BackupOfState::Into(backup)) = &server.value.backup else { return None };
    let mut node = parse_default(PLAIN);
    fill(&mut node, &Plan::shape());
    let (mut diagnostics, mut named) = (Diagnostics::new(0), Vec::new());
    let mut context = Context {
        diagnostics: &mut diagnostics,
        facts: &Nothing,
        is_template: false,
        subject: String::new(),
        top: Origin::DEFAULT,
        named: &mut named,
    };
    let plain = Plan::decode(&node, &mut context).expect("a plan that is written here can be decoded");
    let plan = Plan {
        repository: backup.repository.clone(),
        source: OneOrMore(Vec::new()),
        schedule: Some(backup.schedule.clone()),
        retention: Some(backup.retention.clone()),
        tags: vec![Tag(STATE_LABEL.to_owned())],
        ..plain
    };
    Some(Definition {
        name: STATE_PLAN.to_owned(),
        origin: backup.repository.origin,
        hash: server.hash,
        value: plan,
    })
}

/// No facts: the text above needs none.
struct Nothing;

impl Facts for Nothing {
    fn variable(&self, _: &str) -> Option<std::ffi::OsString> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{STATE_PLAN, Tag, of};
    use crate::files::Limits;
    use crate::load::load;
    use crate::testing::{NoFacts, OneFile};
    use crate::values::name::is_name;

    fn with(backup: &str) -> crate::load::Loaded {
        let text = format!(
            "version = 1\n[server]\n{backup}\n[repository.main]\nurl = \"/srv/backup\"\n\
             password = {{ file = \"/etc/password\" }}\n"
        );
        load("/etc/keepfast.toml".as_ref(), &OneFile(text), &NoFacts, &Limits::default())
    }

    #[test]
    fn the_state_is_a_plan_that_no_definition_can_be() {
        let loaded = with("backup = { repository = \"main\" }");
        let config = loaded.config.expect("it is valid");
        let plan = &config.plans[STATE_PLAN];
        assert!(!is_name(STATE_PLAN) && plan.value.enabled);
        assert_eq!(plan.value.repository.name, "main");
        assert_eq!(plan.value.tags, [Tag("state".to_owned())]);
        let schedule = plan.value.schedule.as_ref().expect("a schedule");
        assert_eq!(schedule.cron.as_ref().expect("a time of day").0, "15 5 * * *");
        let retention = &plan.value.retention.as_ref().expect("a retention").value;
        assert!(retention.at_least == Some(3) && retention.removes());
        assert!(!config.names(crate::config::Kind::Plan).contains(&STATE_PLAN), "it isn't of the files");
        assert_eq!(config.sources.files().len(), 1);
    }

    #[test]
    fn there_is_none_unless_it_was_asked_for() {
        for backup in ["", "backup = false"] {
            let config = with(backup).config.expect("it is valid");
            assert!(of(&config.server).is_none() && config.plans.is_empty(), "{backup}");
        }
        for wrong in ["backup = true", "backup = { repository = \"mian\" }", "backup = \"main\""] {
            assert!(with(wrong).config.is_none(), "{wrong}");
        }
    }
}
