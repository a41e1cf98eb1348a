//! Forgetting snapshots, protecting them from that, and bringing them back.

use keepfast_engine::forget::{self as engine, UndeleteOptions};
use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::retention::Group;
use keepfast_engine::run::RunContext;
use keepfast_format::ids::SessionId;
use serde::{Deserialize, Serialize};

use super::PROGRAM;
use super::retention::Retention;
use crate::choose::{Choice, Filter, find_forgotten};
use crate::error::{ChoiceError, Result};
use crate::open::{Looked, Mode, Opened, SharedRepository};
use crate::reports::{
    DecisionsReport, ForgetReport, NewStanding, StandingReport, UndeleteReport, UndeletedSnapshot,
};

/// Which snapshots to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Which of them.
    pub which: ForgetWhich,
    /// Forget nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which snapshots are forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgetWhich {
    /// Those that are named.
    Named(NamedSnapshots),
    /// Those that a policy doesn't keep.
    ByPolicy(Box<Retention>),
}

/// Snapshots that are named: there is at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSnapshots {
    /// `latest`, `latest~N`, or the starts of ids.
    pub ids: Vec<String>,
    /// Which snapshots `latest` is among.
    #[serde(default)]
    pub filter: Filter,
}

/// Which snapshots can't be forgotten any more, or can be again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protect {
    /// Which of them.
    pub which: NamedSnapshots,
    /// Whether they are protected from now on.
    pub protected: bool,
    /// Change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which forgotten snapshots to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undelete {
    /// The starts of their ids.
    pub ids: Vec<String>,
}

/// Forgets snapshots: from the next prune on, what only they need is removed.
pub fn forget(request: &Forget, shared: &SharedRepository, run: &RunContext) -> Result<ForgetReport> {
    let looked = shared.look(run, Mode::Usual)?;
    forget_in(request, &looked, shared, run)
}

/// As [`forget`], in a repository that was looked at for this run.
pub fn forget_in(
    request: &Forget,
    looked: &Looked,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<ForgetReport> {
    let carry_out = |going: &[SessionId]| {
        if request.dry_run {
            return Ok(());
        }
        engine::forget(&looked.repository, &looked.snapshots, going, run)
    };
    let dry_run = request.dry_run;
    Ok(match &request.which {
        ForgetWhich::Named(named) => {
            let going = named.resolve(looked, shared, run)?;
            carry_out(&going)?;
            let (what, ids) = (NewStanding::Forgotten, going.iter().map(SessionId::short).collect());
            ForgetReport::Named(StandingReport { dry_run, what, ids, troubles: run.troubles() })
        }
        ForgetWhich::ByPolicy(retention) => {
            let candidates = retention.candidates(looked)?;
            let mut groups = retention.decide(&candidates, run.now())?;
            let size = retention.fit(&mut groups, looked, shared, run)?;
            match retention.braked(&groups) {
                Some(error) if dry_run => run.notice(error.to_string()),
                Some(error) => return Err(error),
                None => {}
            }
            carry_out(&groups.iter().flat_map(Group::forgotten).collect::<Vec<_>>())?;
            let groups = groups.iter().map(Into::into).collect();
            let size = size.map(Into::into);
            let lone_elsewhere = retention.lone_elsewhere(looked)?;
            let troubles = run.troubles();
            ForgetReport::ByPolicy(DecisionsReport { dry_run, groups, size, lone_elsewhere, troubles })
        }
    })
}

/// Protects snapshots from being forgotten, or ends that.
pub fn protect(request: &Protect, shared: &SharedRepository, run: &RunContext) -> Result<StandingReport> {
    let looked = shared.look(run, Mode::Usual)?;
    let chosen = request.which.resolve(&looked, shared, run)?;
    if !request.dry_run {
        engine::protect(&looked.repository, &chosen, request.protected, run)?;
    }
    Ok(StandingReport {
        dry_run: request.dry_run,
        what: if request.protected { NewStanding::Protected } else { NewStanding::Unprotected },
        ids: chosen.iter().map(SessionId::short).collect(),
        troubles: run.troubles(),
    })
}

/// Brings forgotten snapshots back.
pub fn undelete(request: &Undelete, shared: &SharedRepository, run: &RunContext) -> Result<UndeleteReport> {
    undelete_with(request, &mut |_| {}, shared, run)
}

/// As [`undelete`], and `told` hears of each that is back: those before one that fails are.
pub fn undelete_with(
    request: &Undelete,
    told: &mut dyn FnMut(&UndeletedSnapshot),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<UndeleteReport> {
    if request.ids.is_empty() {
        return Err(ChoiceError::NothingSaid.into());
    }
    let Opened { repository, snapshots, index } = shared.open(run, Mode::Usual)?;
    let chosen = request.ids.iter().map(|text| find_forgotten(&snapshots, text));
    let chosen: Vec<&StoredSnapshot> = chosen.collect::<Result<_>>()?;
    let options = UndeleteOptions { program: PROGRAM.to_owned() };
    let mut back = Vec::new();
    for stored in chosen {
        let made = engine::undelete(&repository, &index, &snapshots, stored, &options, run)?;
        let undeleted =
            UndeletedSnapshot { forgotten: stored.snapshot.head.id.short(), snapshot: (&made).into() };
        told(&undeleted);
        back.push(undeleted);
    }
    Ok(UndeleteReport { snapshots: back, troubles: run.troubles() })
}

impl NamedSnapshots {
    fn resolve(
        &self,
        looked: &Looked,
        shared: &SharedRepository,
        run: &RunContext,
    ) -> Result<Vec<SessionId>> {
        if self.ids.is_empty() {
            return Err(ChoiceError::NothingSaid.into());
        }
        let choice = Choice { ids: self.ids.clone(), filter: self.filter.clone() };
        choice.resolve(&looked.snapshots, shared, run)
    }
}

#[cfg(test)]
mod tests {
    use keepfast_engine::retention::{Count, GroupBy, Policy};

    use super::{Forget, ForgetWhich, NamedSnapshots, Protect, Retention, Undelete};

    #[test]
    fn requests_are_data_and_survive_being_written() {
        let text =
            r#"{"which": {"by-policy": {"keep": {"daily": 7}, "group_by": ["host"]}}, "dry_run": true}"#;
        let read: Forget = serde_json::from_str(text).expect("a request");
        let retention = Retention {
            keep: Policy { daily: Some(Count::Number(7)), ..Policy::default() },
            group_by: GroupBy { writer: false, host: true, paths: false, tags: false },
            ..Retention::default()
        };
        assert_eq!(read, Forget { which: ForgetWhich::ByPolicy(Box::new(retention)), dry_run: true });
        let written = serde_json::to_string(&read).expect("a text");
        assert_eq!(serde_json::from_str::<Forget>(&written).expect("a request"), read);
        let read: Forget =
            serde_json::from_str(r#"{"which": {"named": {"ids": ["latest"]}}}"#).expect("a request");
        let named = NamedSnapshots { ids: vec!["latest".to_owned()], ..NamedSnapshots::default() };
        assert_eq!(read, Forget { which: ForgetWhich::Named(named), dry_run: false });
    }

    #[test]
    fn what_says_less_or_more_is_refused() {
        for text in [
            "{}",
            r#"{"which": {"named": {}}}"#,
            r#"{"which": {"named": {"ids": [], "host": "a"}}}"#,
            r#"{"which": {"by-policy": {"keep_daily": 7}}}"#,
        ] {
            assert!(serde_json::from_str::<Forget>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Protect>(r#"{"which": {"ids": ["a"]}}"#).is_err(), "or unprotect?");
        assert!(serde_json::from_str::<Undelete>("{}").is_err());
    }
}
