//! What a restore of a logical dump would do, in sentences.

use super::dump::GLOBALS;
use super::names::qualified;
use super::restore::login;
use super::target::State;
use super::there::{Piece, There, look, programs};
use super::tools::Version;
use crate::address::Address;
use crate::context::Context;
use crate::error::Result;
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{RestoreOptions, RestorePlan};

/// Looks at the dump and the server.
pub fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    let login = login(to, context);
    let there = look(manifest, files, to, options, &login)?;
    let programs = programs(manifest, there.version, context)?;
    let mut plan = RestorePlan { steps: Vec::new(), warnings: Vec::new(), replaces: Vec::new(), bytes: 0 };
    versions(manifest, there.version, &mut plan);
    for missing in &manifest.missing {
        plan.warnings.push(format!("the dump lacks the {}: {}", missing.object, missing.why));
    }
    let with_roles = options.globals && there.files.contains_key(GLOBALS);
    if with_roles {
        plan.steps.push("create the roles, memberships and tablespaces that aren't there".to_owned());
    }
    plan.steps.push(format!("use pg_restore {}", programs.version));
    for piece in &there.pieces {
        steps(piece, &mut plan);
        lacking(piece, &there, with_roles, &mut plan);
        let prefix = format!("{}/", piece.folder);
        let is_small = |path: &str| path.starts_with(&prefix) && !path.contains("/data/");
        let small: u64 = there.files.iter().filter(|(path, _)| is_small(path)).map(|(_, bytes)| bytes).sum();
        plan.bytes += piece.bytes() + small;
    }
    Ok(plan)
}

fn versions(manifest: &Manifest, server: Version, plan: &mut RestorePlan) {
    let Some(source) = Version::of(&manifest.server) else { return };
    if source.major > server.major {
        plan.warnings.push(format!(
            "the dump is of PostgreSQL {source}, and the server is {server}, which is older: definitions that it doesn't \
             know are left out"
        ));
    } else if source.major < server.major {
        plan.warnings
            .push(format!("the dump is of PostgreSQL {source}, and the server is {server}, which is newer"));
    }
}

fn steps(piece: &Piece<'_>, plan: &mut RestorePlan) {
    let (source, target) = (piece.source, &piece.target);
    let rows: u64 = piece.tables.iter().filter_map(|table| table.rows).sum();
    let what = format!("{} tables with {rows} rows", piece.tables.len());
    if piece.is_part {
        if piece.state == State::Absent {
            plan.steps.push(format!("create the database {target}"));
        }
        plan.steps.push(format!("restore {what} of the database {source} into {target}"));
        for ((schema, name), has_rows) in &piece.existing {
            let place = qualified(schema, name);
            plan.steps.push(format!("keep the table {place} of {target} as it is defined, and fill it"));
            if *has_rows {
                plan.replaces.push(format!("the rows of the table {place} of {target}"));
            }
        }
        if !piece.existing.is_empty() {
            plan.warnings.push(
                "triggers of tables that are there don't run, and their foreign keys aren't checked, if a superuser restores"
                    .to_owned(),
            );
        }
        return;
    }
    match piece.state {
        State::Absent => plan.steps.push(format!("create the database {target} with {what} of {source}")),
        State::Empty => plan.steps.push(format!("fill the empty database {target} with {what} of {source}")),
        State::Occupied => {
            plan.steps.push(format!("restore {what} of {source} into a new database beside {target}"));
            plan.steps.push(format!(
                "end the sessions of {target}, put the new database in its place, and drop the old one"
            ));
            plan.replaces.push(format!("the database {target} with all that is in it"));
        }
    }
}

fn lacking(piece: &Piece<'_>, there: &There<'_>, with_roles: bool, plan: &mut RestorePlan) {
    let facts = &piece.facts;
    if !with_roles {
        let owners = Piece::lacking(&facts.owners, &there.roles);
        if !owners.is_empty() {
            plan.warnings.push(format!(
                "everything in {} will belong to who restores: there is no role {} here, or the user isn't a member of it. \
                 Restore the roles too, or create them before",
                piece.target,
                owners.join(", ")
            ));
        }
        let grantees = Piece::lacking(&facts.grantees, &there.roles);
        if !grantees.is_empty() {
            plan.warnings.push(format!(
                "no rights in {} are restored: there is no role {} here, or the user isn't a member of it",
                piece.target,
                grantees.join(", ")
            ));
        }
    }
    let extensions: Vec<&str> = facts
        .extensions
        .keys()
        .filter(|name| !there.extensions.contains(*name))
        .map(String::as_str)
        .collect();
    if !extensions.is_empty() && piece.has_archive {
        let names = extensions.join(", ");
        plan.warnings
            .push(format!("the server doesn't have the extension {names}: install it, or the restore fails"));
    }
    let tablespaces = Piece::lacking(&facts.tablespaces, &there.tablespaces);
    if !tablespaces.is_empty() {
        let names = tablespaces.join(", ");
        plan.warnings
            .push(format!("the server doesn't have the tablespace {names}: all goes into the usual one"));
    }
}
