//! Writing managed files: who may, what that changes, and that all of it is followed afterwards or nothing is written.
//!
//! A file is its definitions: a user that writes it must be allowed to change each of them, and each effective definition that
//! becomes another one by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_encoding::HEXLOWER;
use keepfast_access::authority::Authority;
use keepfast_access::role::Right;
use keepfast_api::config::Diagnostic;
use keepfast_api::error::ErrorCode;
use keepfast_api::managed::{DefinitionChange, DefinitionChangeKind, ValueChange};
use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Report;
use keepfast_config::difference::Difference;
use keepfast_config::managed::defined_by;
use keepfast_config::model::plan::Plan;
use keepfast_config::model::server::Definitions;
use keepfast_server::daemon::outside::{Reloaded, Wish};
use keepfast_server::managed::{Checked, Folder, ManagedName, Texts, check};
use keepfast_server::{ServerError, status};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answer::{Failure, Result};
use crate::convert::upcoming_slot;
use crate::guard::Caller;
use crate::guard::about::About;
use crate::state::{Api, Shared};

/// How long a reload is waited for: shorter than an answer may take.
const RELOAD_WITHIN: Duration = Duration::from_secs(20);
/// Slots that are shown of a plan that changes.
const UPCOMING: usize = 5;

/// What the hashes of texts are made for.
const CONTEXT: &str = "keepfast 2026-11-29 text of a managed file";

/// What files are to say, and what they said when that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What they are to say.
    pub texts: Texts,
    /// Hashes of what they said; nothing for those that weren't there.
    pub basis: BTreeMap<ManagedName, Option<String>>,
}

/// An edit that was looked at, and isn't carried out.
#[derive(Debug)]
pub struct Looked {
    /// What it would change.
    pub checked: Checked,
    /// What the files say.
    pub old: Texts,
}

/// An edit that was carried out.
pub struct Written {
    /// What it has changed.
    pub looked: Looked,
    /// What doesn't count at once.
    pub remarks: Vec<String>,
}

/// What an edit takes.
#[derive(Debug, Default)]
pub struct Needs {
    /// Why the sender may not make it.
    pub refusal: Option<String>,
    /// Whether it is one that needs a proof of who the sender is.
    pub is_dangerous: bool,
}

/// The hash of a text.
#[must_use]
pub fn hash_of(text: &str) -> String {
    HEXLOWER.encode(blake3::Hasher::new_derive_key(CONTEXT).update(text.as_bytes()).finalize().as_bytes())
}

/// Refuses where definitions are in files alone.
///
/// # Errors
/// They are.
pub fn must_be_managed(api: &Api) -> Result<()> {
    match api.config().server.value.definitions {
        Definitions::FilesAndManaged => Ok(()),
        Definitions::Files => Err(Failure::new(
            ErrorCode::Conflict,
            "Definitions are in files alone. With `definitions = \"files+managed\"` in [server], they can be written here.",
        )),
    }
}

/// The folder of managed files.
#[must_use]
pub fn folder(api: &Api) -> Folder {
    Folder::beside(&api.inside.first_file)
}

/// Work with files, away from the threads that answer requests.
///
/// # Errors
/// `work` fails.
pub async fn with_files<T: Send + 'static>(
    api: &Shared,
    work: impl FnOnce(&Folder) -> Result<T, ServerError> + Send + 'static,
) -> Result<T> {
    let folder = folder(api);
    match spawn_blocking(move || work(&folder)).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ServerError::Ended { what: "the work with managed files" }.into()),
    }
}

/// Whether a caller may read a file: someone who sees all definitions, or all of those that it has.
#[must_use]
pub fn may_read(api: &Api, caller: &Caller, text: &str) -> bool {
    if caller.may(Right::SeeConfig, &About::server()) {
        return true;
    }
    let Some(defined) = defined_by(text).filter(|defined| !defined.is_empty()) else { return false };
    let is_seen = |one: &keepfast_config::managed::Defined| {
        one.section == "plan" && caller.may(Right::SeeConfig, &api.plan(&one.name))
    };
    defined.values().all(is_seen)
}

/// Looks at what an edit would change.
///
/// # Errors
/// Files can't be read, or say something else than when the edit was decided.
pub async fn look(api: &Shared, edit: &Edit) -> Result<Looked> {
    let (texts, first_file, followed) = (edit.texts.clone(), api.inside.first_file.clone(), api.config());
    let looked = with_files(api, move |folder| {
        let old = texts.keys().map(|name| Ok((name.clone(), folder.read(name)?)));
        let old = old.collect::<Result<Texts, ServerError>>()?;
        Ok(Looked { checked: check(&first_file, &followed, &texts), old })
    });
    let looked = looked.await?;
    let is_same = |name: &ManagedName| {
        let said = looked.old.get(name).and_then(Option::as_deref).map(hash_of);
        edit.basis.get(name).is_none_or(|basis| *basis == said)
    };
    match edit.texts.keys().find(|name| !is_same(name)) {
        None => Ok(looked),
        Some(name) => {
            let detail = format!("The managed file {name} has changed: read it again, and decide again.");
            Err(Failure::new(ErrorCode::Changed, detail))
        }
    }
}

/// Whether an edit may be made with these rights.
#[must_use]
pub fn needs(api: &Api, authority: &Authority, edit: &Edit, looked: &Looked) -> Needs {
    let rights = Rights { api, authority, checked: &looked.checked };
    let mut needs = Needs::default();
    let refused = edit.texts.iter().find_map(|(name, text)| {
        let old = looked.old.get(name).and_then(Option::as_deref);
        rights.refuses_file(old, text.as_deref(), &mut needs.is_dangerous)
    });
    needs.refusal = refused.or_else(|| {
        let differences = looked.checked.differences.iter();
        let mut refusals =
            differences.filter_map(|one| rights.refuses_difference(one, &mut needs.is_dangerous));
        refusals.next()
    });
    needs
}

/// Refuses an edit that the caller may not make, or that can't be followed.
///
/// # Errors
/// It is so.
pub fn must_write(api: &Api, caller: &Caller, edit: &Edit, looked: &Looked) -> Result<()> {
    let Needs { refusal, is_dangerous } = needs(api, caller.authority(), edit, looked);
    if let Some(refusal) = refusal {
        return Err(Failure::new(ErrorCode::Forbidden, refusal));
    }
    if is_dangerous {
        caller.must_prove()?;
    }
    if looked.checked.after.is_none() {
        return Err(invalid(shown_diagnostics(api, caller, edit, &looked.checked.report)?));
    }
    Ok(())
}

/// Carries an edit out: all of it is followed afterwards, or nothing is written. `must` has the last word before that.
///
/// # Errors
/// `must` refuses, files can't be written, or the server doesn't follow them.
pub async fn write(
    api: &Shared,
    caller: &Caller,
    edit: Edit,
    why: Value,
    must: impl FnOnce(&Looked) -> Result<()>,
) -> Result<Written> {
    // Of two edits at once, the second one finds what the first one has written.
    let _turn = api.writing.lock().await;
    let looked = look(api, &edit).await?;
    must(&looked)?;
    for (name, text) in &edit.texts {
        let (before, after) = difference_of(looked.old.get(name).and_then(Option::as_deref), text.as_deref());
        let action = if text.is_some() { "config.write" } else { "config.remove" };
        let after = match (&why, after) {
            (Value::Null, after) => after,
            (why, after) => Some(json!({ "text": after, "because": why })),
        };
        caller.record_change(api.store(), action, &format!("managed:{name}"), before, after).await?;
    }
    let put = |texts: Texts| async {
        with_files(api, move |folder| {
            texts.iter().try_for_each(|(name, text)| match text {
                Some(text) => folder.write(name, text),
                None => folder.remove(name),
            })
        })
        .await
    };
    let back = looked.old.clone();
    if let Err(failure) = put(edit.texts).await {
        put(back).await?;
        return Err(failure);
    }
    let reloaded = reload(api).await?;
    if !reloaded.is_followed {
        put(back).await?;
        reload(api).await?;
        return Err(invalid(diagnostics_of(&reloaded.diagnostics)?));
    }
    Ok(Written { looked, remarks: reloaded.remarks })
}

async fn reload(api: &Api) -> Result<Reloaded> {
    let late = || {
        let detail = "The files are written, and the server doesn't say whether it follows them: look at its diagnostics.";
        Failure::new(ErrorCode::Unavailable, detail)
    };
    let (answer, answered) = oneshot::channel();
    api.inside.wishing.send(Wish::Reload(Some(answer))).map_err(|_| late())?;
    timeout(RELOAD_WITHIN, answered).await.map_err(|_| late())?.map_err(|_| late())
}

/// Definitions that can't be followed.
fn invalid(diagnostics: Vec<Diagnostic>) -> Failure {
    let detail = match diagnostics.iter().find(|found| found.severity == "error") {
        Some(first) => format!("{}: {}. Nothing was changed.", first.code, first.message),
        None => "Files that you may not see have errors. Nothing was changed.".to_owned(),
    };
    Failure::new(ErrorCode::InvalidConfig, detail).diagnostics(diagnostics)
}

/// What was found, as far as the caller may see it: in all files, or in those that the caller has sent.
///
/// # Errors
/// A diagnostic is none.
pub fn shown_diagnostics(
    api: &Api,
    caller: &Caller,
    edit: &Edit,
    report: &Report,
) -> Result<Vec<Diagnostic>> {
    let mut found = diagnostics_of(&report.to_json())?;
    if !caller.may(Right::SeeConfig, &About::server()) {
        let own: BTreeSet<String> =
            edit.texts.keys().map(|name| folder(api).file(name).display().to_string()).collect();
        found.retain(|one| one.file.as_ref().is_some_and(|file| own.contains(file)));
    }
    Ok(found)
}

fn diagnostics_of(report: &Value) -> Result<Vec<Diagnostic>> {
    let found = report.get("diagnostics").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found: std::result::Result<Vec<_>, _> = found.iter().map(Diagnostic::deserialize).collect();
    found.map_err(|error| Failure::internal(&error))
}

/// What is different, as far as the caller may see it.
#[must_use]
pub fn shown_changes(api: &Api, caller: &Caller, checked: &Checked) -> Vec<DefinitionChange> {
    let host = &api.inside.around.host;
    let is_seen = |one: &&Difference| {
        if one.section != "plan" {
            return caller.may(Right::SeeConfig, &About::server());
        }
        let of = |config: &Config| caller.sees(&About::plan(config, host, &one.name));
        let after = checked.after.as_ref().filter(|_| one.is_there);
        (one.was_there && of(&checked.before)) || after.is_some_and(|after| of(after))
    };
    let upcoming = |one: &Difference| {
        let after = checked.after.as_ref().filter(|_| one.section == "plan")?;
        let definition = after.plans.get(&one.name).filter(|definition| definition.value.enabled)?;
        status::next_slots(after, definition, api.now(), api.now(), UPCOMING).ok()
    };
    let change = |one: &Difference| DefinitionChange {
        path: one.path(),
        change: match (one.was_there, one.is_there) {
            (false, _) => DefinitionChangeKind::Added,
            (true, true) => DefinitionChangeKind::Changed,
            (true, false) => DefinitionChangeKind::Removed,
        },
        values: one
            .values
            .iter()
            .map(|value| ValueChange {
                path: value.path.clone(),
                before: value.before.clone(),
                after: value.after.clone(),
            })
            .collect(),
        upcoming: upcoming(one).into_iter().flatten().map(upcoming_slot).collect(),
    };
    checked.differences.iter().filter(is_seen).map(change).collect()
}

/// The lines that are different, for the audit: what comes before and after them is left out.
fn difference_of(before: Option<&str>, after: Option<&str>) -> (Option<Value>, Option<Value>) {
    let lines =
        |text: Option<&str>| -> Vec<String> { text.unwrap_or_default().lines().map(str::to_owned).collect() };
    let (old, new) = (lines(before), lines(after));
    let head = same(old.iter().zip(&new));
    let tail = same(old[head..].iter().rev().zip(new[head..].iter().rev()));
    let part = |lines: &[String], is_there: bool| {
        let changed = &lines[head..lines.len() - tail];
        is_there.then(|| json!({ "from_line": head + 1, "lines": changed }))
    };
    (part(&old, before.is_some()), part(&new, after.is_some()))
}

/// How many pairs are of the same lines, up to the first that isn't.
fn same<'l>(pairs: impl Iterator<Item = (&'l String, &'l String)>) -> usize {
    pairs.take_while(|(one, other)| one == other).count()
}

/// The rights with which an edit is made.
struct Rights<'r> {
    api: &'r Api,
    authority: &'r Authority,
    checked: &'r Checked,
}

impl Rights<'_> {
    fn allows(&self, right: Right, about: &About) -> bool {
        self.authority.allows(right, &about.object())
    }

    fn plan(&self, config: &Config, name: &str) -> About {
        About::plan(config, &self.api.inside.around.host, name)
    }

    /// Whether everything that isn't a plan's may be changed.
    fn refuses_server(&self, path: &str, is_dangerous: &mut bool) -> Option<String> {
        *is_dangerous = true;
        let may = self.allows(Right::ManageServer, &About::server());
        (!may).then(|| format!("{path}: only an administrator of everything can change this."))
    }

    fn refuses_plan(&self, config: &Config, name: &str) -> Option<String> {
        let may = self.allows(Right::EditPlans, &self.plan(config, name));
        (!may).then(|| format!("plan.{name}: your roles don't include to change this plan."))
    }

    /// All that a file has must be the sender's to change, whether or not it becomes another one.
    fn refuses_file(&self, old: Option<&str>, new: Option<&str>, is_dangerous: &mut bool) -> Option<String> {
        let said = [old, new].map(|text| text.map(|text| defined_by(text).unwrap_or_default()));
        for (index, defined) in said.iter().enumerate() {
            let Some(defined) = defined else { continue };
            if defined.is_empty() {
                // Nothing, or nothing that can be read. What is new and can't be read is refused as such.
                let is_unreadable = index == 1 && self.checked.after.is_none();
                let refusal = match is_unreadable && self.authority.allows_somewhere(Right::EditPlans) {
                    true => None,
                    false => self.refuses_server("The file", is_dangerous),
                };
                if refusal.is_some() {
                    return refusal;
                }
            }
            for (path, one) in defined {
                let other = said[1 - index].as_ref().and_then(|other| other.get(path));
                let is_changed = other.is_none_or(|other| other.hash != one.hash);
                let refusal = match one.section.as_str() {
                    "plan" => self.refuses_defined_plan(&one.name).or_else(|| {
                        // A secret that a plan names is sent to where the plan says.
                        let refusal = (is_changed && index == 1 && one.names_secret)
                            .then(|| self.refuses_server(path, is_dangerous));
                        refusal.flatten()
                    }),
                    "template" => {
                        let may = self.allows(Right::EditPlans, &About::server());
                        (!may).then(|| format!("{path}: only an editor of everything can change templates."))
                    }
                    _ => self.refuses_server(path, is_dangerous),
                };
                if refusal.is_some() {
                    return refusal;
                }
            }
        }
        None
    }

    fn refuses_defined_plan(&self, name: &str) -> Option<String> {
        let before = self.checked.before.plans.contains_key(name).then_some(&self.checked.before);
        let after = self.checked.after.as_ref().filter(|after| after.plans.contains_key(name));
        if before.is_none() && after.is_none() {
            // Of one that can't be decoded, its name alone is known. It is refused as such.
            let may = self.authority.allows_somewhere(Right::EditPlans);
            return (!may).then(|| format!("plan.{name}: your roles don't include to change this plan."));
        }
        [before, after].into_iter().flatten().find_map(|config| self.refuses_plan(config, name))
    }

    fn refuses_difference(&self, one: &Difference, is_dangerous: &mut bool) -> Option<String> {
        if one.section != "plan" {
            return self.refuses_server(&one.path(), is_dangerous);
        }
        let (before, after) = (&self.checked.before, self.checked.after.as_ref()?);
        let was = before.plans.get(&one.name).map(|definition| &definition.value);
        let is = after.plans.get(&one.name).map(|definition| &definition.value);
        let configs = [was.map(|_| before), is.map(|_| after)];
        let refusal = configs.into_iter().flatten().find_map(|config| self.refuses_plan(config, &one.name));
        refusal
            .or_else(|| self.refuses_project(&one.name, was, is))
            .or_else(|| self.refuses_place(one, was, is?))
    }

    /// To take a plan into a project or out of one changes what its members see and what its quota counts.
    fn refuses_project(&self, name: &str, was: Option<&Plan>, is: Option<&Plan>) -> Option<String> {
        let project = |plan: Option<&Plan>| plan?.project.as_ref().map(|project| project.name.clone());
        let (was, is) = (project(was), project(is));
        if was == is {
            return None;
        }
        let foreign = [was, is]
            .into_iter()
            .flatten()
            .find(|project| !self.allows(Right::EditPlans, &About::project(project)));
        foreign.map(|project| format!("plan.{name}: your roles don't include the project {project}."))
    }

    /// A plan may write into repositories that the sender sees, or that plans of the sender's write into already.
    fn refuses_place(&self, one: &Difference, was: Option<&Plan>, is: &Plan) -> Option<String> {
        let used = |plan: &Plan| {
            let copies = plan.copy_to.iter().map(|copy| copy.repository.name.clone());
            std::iter::once(plan.repository.name.clone()).chain(copies).collect::<BTreeSet<_>>()
        };
        let mut known = was.map(used).unwrap_or_default();
        for (name, definition) in &self.checked.before.plans {
            if self.allows(Right::EditPlans, &self.plan(&self.checked.before, name)) {
                known.extend(used(&definition.value));
            }
        }
        let config = self.checked.after.as_ref()?;
        let foreign = used(is).into_iter().find(|repository| {
            !known.contains(repository) && !self.allows(Right::See, &About::repository(config, repository))
        });
        foreign.map(|repository| {
            format!("plan.{}: there is no repository {repository}, or you may not see it.", one.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference_of;

    #[test]
    fn the_audit_has_the_lines_that_are_different() {
        let (before, after) = difference_of(Some("a\nb\nc\n"), Some("a\nx\ny\nc\n"));
        assert_eq!(before, Some(json!({ "from_line": 2, "lines": ["b"] })));
        assert_eq!(after, Some(json!({ "from_line": 2, "lines": ["x", "y"] })));
        assert_eq!(difference_of(None, Some("a\n")), (None, Some(json!({ "from_line": 1, "lines": ["a"] }))));
        let (before, after) = difference_of(Some("a\na\n"), Some("a\n"));
        assert_eq!((before.is_some(), after), (true, Some(json!({ "from_line": 2, "lines": [] }))));
    }
}
