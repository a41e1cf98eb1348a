//! Managed files: definitions that are written through the API, and what they would change.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use keepfast_access::role::Right;
use keepfast_api::approval::Approval;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::managed::{CheckConfig, CheckedConfig, ConfigWritten, ManagedFile, ManagedRow, SetManaged};
use keepfast_config::managed::defined_by;
use keepfast_server::managed::{ManagedName, TEXT_BYTES_MAX, Texts};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::document::{check_match, must_show, tag};
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::deeds::{self, Deed, Outcome};
use crate::guard::Caller;
use crate::request::{Body, Name};
use crate::state::{Api, Shared};
use crate::writing::{self, Edit, Written};

/// Files that are looked at at once.
const FILES_MAX: usize = 16;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(check_config)).routes(routes!(managed_files)).routes(routes!(
        managed_file,
        set_managed_file,
        remove_managed_file
    ))
}

/// Look at managed files as if they were written: what is wrong with them, and what they would change. Nothing is written.
#[utoipa::path(post, path = "/config/check", tag = "config", request_body = CheckConfig,
    responses((status = 200, body = CheckedConfig)))]
async fn check_config(
    State(api): State<Shared>,
    caller: Caller,
    Body(CheckConfig { files }): Body<CheckConfig>,
) -> Result<Document<CheckedConfig>> {
    if !caller.authority().allows_somewhere(Right::EditPlans) {
        return Err(Failure::new(ErrorCode::Forbidden, "Your roles don't include this."));
    }
    writing::must_be_managed(&api)?;
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(Failure::unprocessable(&format!("name 1 to {FILES_MAX} files")));
    }
    let mut texts = Texts::new();
    for file in files {
        let name = named(&file.name)?;
        if let Some(text) = &file.text {
            must_be_short(text)?;
        }
        visible(&api, &caller, &name).await?;
        texts.insert(name, file.text);
    }
    let edit = Edit { texts, basis: BTreeMap::new() };
    let looked = writing::look(&api, &edit).await?;
    let needs = writing::needs(&api, caller.authority(), &edit, &looked);
    // What others have defined is no business of someone who may not change it.
    let changes = match needs.refusal {
        None => writing::shown_changes(&api, &caller, &looked.checked),
        Some(_) => Vec::new(),
    };
    Ok(Document::new(CheckedConfig {
        is_valid: looked.checked.after.is_some(),
        is_allowed: needs.refusal.is_none(),
        refusal: needs.refusal,
        diagnostics: writing::shown_diagnostics(&api, &caller, &edit, &looked.checked.report)?,
        changes,
    }))
}

/// The managed files that the caller may read, in the order of their names.
#[utoipa::path(get, path = "/config/managed", tag = "config", params(PageQuery),
    responses((status = 200, body = List<ManagedRow>)))]
async fn managed_files(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let read = writing::with_files(&api, |folder| {
        let mut found = Vec::new();
        for name in folder.names()? {
            // One that was removed meanwhile, or that is none, isn't listed.
            found.extend(folder.read(&name).ok().flatten().map(|text| (name, text)));
        }
        Ok(found)
    });
    let mut rows = Vec::new();
    for (name, text) in read.await? {
        if writing::may_read(&api, &caller, &text) {
            let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            rows.push(ManagedRow { name: name.to_string(), bytes, defines: defines(&text) });
        }
    }
    pages.of_all("managed", rows).await
}

/// A managed file, with a tag by which it can be changed.
#[utoipa::path(get, path = "/config/managed/{name}", tag = "config", params(("name" = String, Path)),
    responses((status = 200, body = ManagedFile, headers(("ETag" = String, description = "For If-Match")))))]
async fn managed_file(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<ManagedFile>> {
    let name = named(&name).map_err(|_| missing(&name))?;
    let text = visible(&api, &caller, &name).await?.ok_or_else(|| missing(name.as_str()))?;
    Ok(Document::editable(wire(&name, text)))
}

/// Write a managed file: all of it is followed at once, or nothing is written.
///
/// A file that is there needs If-Match; a new one doesn't, and takes `If-None-Match: *`.
#[utoipa::path(put, path = "/config/managed/{name}", tag = "config",
    params(("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that came with the file, if it is there")),
    request_body = SetManaged,
    responses((status = 200, body = ConfigWritten, headers(("ETag" = String, description = "For If-Match"))),
        (status = 202, body = Approval, description = "A second person is asked, and nothing is written")))]
async fn set_managed_file(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(SetManaged { text }): Body<SetManaged>,
) -> Result<Outcome<ConfigWritten>> {
    must_be_short(&text)?;
    edit(&api, &caller, &name, &headers, Some(text)).await
}

/// Remove a managed file. Needs If-Match.
#[utoipa::path(delete, path = "/config/managed/{name}", tag = "config",
    params(("name" = String, Path), ("If-Match" = String, Header, description = "The ETag that came with the file")),
    responses((status = 200, body = ConfigWritten),
        (status = 202, body = Approval, description = "A second person is asked, and nothing is removed")))]
async fn remove_managed_file(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Outcome<ConfigWritten>> {
    edit(&api, &caller, &name, &headers, None).await
}

async fn edit(
    api: &Shared,
    caller: &Caller,
    name: &str,
    headers: &HeaderMap,
    text: Option<String>,
) -> Result<Outcome<ConfigWritten>> {
    if !caller.authority().allows_somewhere(Right::EditPlans) {
        return Err(Failure::new(ErrorCode::Forbidden, "Your roles don't include this."));
    }
    if text.is_none() {
        must_show(headers)?;
    }
    writing::must_be_managed(api)?;
    let name = named(name)?;
    let present = visible(api, caller, &name).await?;
    match &present {
        Some(_) if headers.contains_key(IF_NONE_MATCH) => {
            return Err(Failure::new(ErrorCode::Changed, format!("There is a managed file {name} already.")));
        }
        Some(text) => check_match(headers, &wire(&name, text.clone()))?,
        None if text.is_none() => return Err(missing(name.as_str())),
        None if headers.contains_key(IF_MATCH) => {
            return Err(Failure::new(
                ErrorCode::Changed,
                format!("There is no managed file {name} any more."),
            ));
        }
        None => {}
    }
    let basis = [(name.clone(), present.as_deref().map(writing::hash_of))];
    let edit = Edit { texts: Texts::from([(name, text)]), basis: basis.into() };
    let deed = Deed::of_files(&edit);
    if deed.needs_second(api) {
        let looked = writing::look(api, &edit).await?;
        writing::must_write(api, caller, &edit, &looked)?;
        return Ok(Outcome::Asked(Box::new(Document::accepted(deeds::ask(api, caller, &deed).await?))));
    }
    let (of, by) = (api.clone(), caller.clone());
    // It is carried out to its end, also if no one waits for the answer.
    let writing = tokio::spawn(async move {
        let may = edit.clone();
        let (again, who) = (of.clone(), by.clone());
        let must = move |looked: &writing::Looked| writing::must_write(&again, &who, &may, looked);
        let written = writing::write(&of, &by, edit.clone(), Value::Null, must).await?;
        answer(&of, &by, &edit, written)
    });
    let written = writing.await.map_err(|error| Failure::internal(&error))??;
    let tag = written.file.as_ref().map(tag).transpose()?;
    Ok(Outcome::Done(Document::tagged(written, tag)))
}

/// What a caller is told of an edit that was carried out.
pub fn answer(api: &Api, caller: &Caller, edit: &Edit, written: Written) -> Result<ConfigWritten> {
    let Written { looked, remarks } = written;
    let file = edit.texts.iter().find_map(|(name, text)| Some(wire(name, text.clone()?)));
    Ok(ConfigWritten {
        file,
        diagnostics: writing::shown_diagnostics(api, caller, edit, &looked.checked.report)?,
        changes: writing::shown_changes(api, caller, &looked.checked),
        remarks,
    })
}

/// What a file says, if it is there; one that the caller may not read is as one that isn't.
async fn visible(api: &Shared, caller: &Caller, name: &ManagedName) -> Result<Option<String>> {
    let of = name.clone();
    let text = writing::with_files(api, move |folder| folder.read(&of)).await?;
    match text {
        Some(text) if !writing::may_read(api, caller, &text) => Err(missing(name.as_str())),
        text => Ok(text),
    }
}

fn named(name: &str) -> Result<ManagedName> {
    ManagedName::new(name).ok_or_else(|| {
        Failure::unprocessable("the name of a managed file has 1 to 64 small letters, digits and `-`")
    })
}

fn must_be_short(text: &str) -> Result<()> {
    match text.len() <= TEXT_BYTES_MAX {
        true => Ok(()),
        false => {
            let detail = format!("A managed file has at most {TEXT_BYTES_MAX} bytes.");
            Err(Failure::new(ErrorCode::TooLarge, detail))
        }
    }
}

fn missing(name: &str) -> Failure {
    Failure::not_found("managed file", name)
}

fn defines(text: &str) -> Vec<String> {
    defined_by(text).unwrap_or_default().into_keys().collect()
}

fn wire(name: &ManagedName, text: String) -> ManagedFile {
    ManagedFile { name: name.to_string(), defines: defines(&text), text }
}
