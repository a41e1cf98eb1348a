//! Projects: plans and repositories that belong together, who may do what with them, and the end of one.

use axum::extract::State;
use axum::http::StatusCode;
use keepfast_access::grant::{self, Grant};
use keepfast_access::role::Right;
use keepfast_access::scope::Scope;
use keepfast_api::access::NewGrant;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::project::{
    Member, MemberRole, NewMemberRole, Project, ProjectDetail, ProjectRemoved, SetMember,
};
use keepfast_config::config::{Config, Definition};
use keepfast_config::managed::defined_by;
use keepfast_config::model::project::Project as Defined;
use keepfast_config::source::{Origin, Sources};
use keepfast_server::access;
use keepfast_server::managed::{ManagedName, Texts};
use keepfast_store::User;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::setting;
use super::users::given;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::{Body, Name, Pair};
use crate::state::{Api, Shared};
use crate::writing::{self, Edit};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(projects))
        .routes(routes!(project, remove_project))
        .routes(routes!(set_member, remove_member))
}

/// All projects, in the order of their names.
#[utoipa::path(get, path = "/projects", tag = "projects", params(PageQuery),
    responses((status = 200, body = List<Project>)))]
async fn projects(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let followed = api.followed();
    let sources = followed.report.sources();
    let defined = followed.config.projects.values();
    let seen = defined.filter(|definition| caller.sees(&About::project(&definition.name)));
    let rows = seen.map(|definition| one(&api, &caller, &followed.config, sources, definition)).collect();
    pages.of_all("projects", rows).await
}

/// A project with its members and all that it is defined by.
#[utoipa::path(get, path = "/projects/{project}", tag = "projects", params(("project" = String, Path)),
    responses((status = 200, body = ProjectDetail)))]
async fn project(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<ProjectDetail>> {
    caller.must(Right::See, &About::project(&name))?;
    let followed = api.followed();
    let (config, sources) = (&followed.config, followed.report.sources());
    let definition = config.projects.get(&name).ok_or_else(|| Failure::not_found("project", &name))?;
    let may_see_members = caller.may(Right::ManageMembers, &About::project(&name))
        || caller.may(Right::SeeAudit, &About::project(&name));
    let members = match may_see_members {
        true => Some(members(&api, &name).await?),
        false => None,
    };
    let lines = config.effective.lines(&format!("project.{name}"));
    Ok(Document::new(ProjectDetail {
        project: one(&api, &caller, config, sources, definition),
        members,
        origin: sources.short(definition.origin),
        settings: lines.into_iter().map(|line| setting(line, sources)).collect(),
    }))
}

/// Give a user just these roles in a project.
#[utoipa::path(put, path = "/projects/{project}/members/{user}", tag = "projects",
    params(("project" = String, Path), ("user" = String, Path)), request_body = SetMember,
    responses((status = 200, body = Member)))]
async fn set_member(
    State(api): State<Shared>,
    caller: Caller,
    Pair(project, name): Pair,
    Body(SetMember { roles }): Body<SetMember>,
) -> Result<Document<Member>> {
    caller.must(Right::ManageMembers, &About::project(&project))?;
    if !api.config().projects.contains_key(&project) {
        return Err(Failure::not_found("project", &project));
    }
    if roles.is_empty() {
        return Err(Failure::unprocessable("name a role, or remove the member"));
    }
    let scope = Scope::Project(project.clone());
    let new: Vec<NewGrant> = roles
        .into_iter()
        .map(|NewMemberRole { role, see_names, read_content }| NewGrant {
            role,
            scope: scope.to_string(),
            see_names,
            read_content,
        })
        .collect();
    let wanted = given(&caller, &new)?;
    let user = access::find_user(api.store(), &name).await?;
    let user = change(&api, &caller, &user, &scope, wanted).await?;
    Ok(Document::new(member(&user, &project).unwrap_or_else(|| Member {
        user: user.name.to_string(),
        display: user.display.to_string(),
        roles: Vec::new(),
    })))
}

/// Take all roles in a project from a user. Nothing happens if the user has none.
#[utoipa::path(delete, path = "/projects/{project}/members/{user}", tag = "projects",
    params(("project" = String, Path), ("user" = String, Path)), responses((status = 204)))]
async fn remove_member(
    State(api): State<Shared>,
    caller: Caller,
    Pair(project, name): Pair,
) -> Result<StatusCode> {
    caller.must(Right::ManageMembers, &About::project(&project))?;
    let user = access::find_user(api.store(), &name).await?;
    change(&api, &caller, &user, &Scope::Project(project), Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a project with its plans, as far as managed files define them. Snapshots and repositories stay.
///
/// Each managed file that has a part of the project must have nothing else.
#[utoipa::path(delete, path = "/projects/{project}", tag = "projects", params(("project" = String, Path)),
    responses((status = 200, body = ProjectRemoved)))]
async fn remove_project(
    State(api): State<Shared>,
    caller: Caller,
    Name(project): Name,
) -> Result<Document<ProjectRemoved>> {
    caller.must(Right::See, &About::project(&project))?;
    caller.must(Right::ManageServer, &About::server())?;
    writing::must_be_managed(&api)?;
    let followed = api.followed();
    let (config, sources) = (&followed.config, followed.report.sources());
    let definition = config.projects.get(&project).ok_or_else(|| Failure::not_found("project", &project))?;
    let is_of = |of: Option<&str>| of == Some(project.as_str());
    for repository in config.repositories.values() {
        if is_of(repository.value.project.as_ref().map(|of| of.name.as_str())) {
            return Err(stays(&repository.name, "repository", &sources.short(repository.origin)));
        }
    }
    let plans = config.plans.values();
    let plans: Vec<_> = plans
        .filter(|plan| is_of(plan.value.project.as_ref().map(|of| of.name.as_str())))
        .map(|plan| (plan.name.clone(), plan.origin))
        .collect();
    let mut files: Vec<ManagedName> = Vec::new();
    let named = plans.iter().map(|(name, origin)| ("plan", name.as_str(), *origin));
    for (kind, name, origin) in named.chain([("project", project.as_str(), definition.origin)]) {
        let file = managed_file(&api, sources, origin);
        files.push(file.ok_or_else(|| stays(name, kind, &sources.short(origin)))?);
    }
    files.sort();
    files.dedup();
    let own: Vec<String> = plans.iter().map(|(name, _)| format!("plan.{name}")).collect();
    let edit = removal(&api, files, &own, &format!("project.{project}")).await?;
    let (of, by, name) = (api.clone(), caller.clone(), project.clone());
    // It is carried out to its end, also if no one waits for the answer.
    let removing = tokio::spawn(async move {
        let (again, who, may) = (of.clone(), by.clone(), edit.clone());
        let must = move |looked: &writing::Looked| writing::must_write(&again, &who, &may, looked);
        let files = edit.texts.keys().map(ToString::to_string).collect();
        writing::write(&of, &by, edit, json!({ "project": name }), must).await?;
        // A project that gets this name later is another one.
        let scope = Scope::Project(name);
        let mut members = Vec::new();
        for user in of.store().users().await? {
            if grant::from_document(&user.grants).iter().any(|grant| grant.scope == scope) {
                change(&of, &by, &user, &scope, Vec::new()).await?;
                members.push(user.name.to_string());
            }
        }
        Ok::<(Vec<String>, Vec<String>), Failure>((files, members))
    });
    let (files, members) = removing.await.map_err(|error| Failure::internal(&error))??;
    let plans = plans.into_iter().map(|(name, _)| name).collect();
    Ok(Document::new(ProjectRemoved { files, plans, members }))
}

/// The removal of files, each of which has nothing but these definitions.
async fn removal(api: &Shared, files: Vec<ManagedName>, plans: &[String], project: &str) -> Result<Edit> {
    let read = writing::with_files(api, move |folder| {
        files.into_iter().map(|name| Ok((name.clone(), folder.read(&name)?))).collect::<Result<Texts, _>>()
    });
    let old = read.await?;
    for (name, text) in &old {
        let defined = text.as_deref().and_then(defined_by).unwrap_or_default();
        let is_own = |path: &&String| *path == project || plans.contains(path);
        if let Some(other) = defined.keys().find(|path| !is_own(path)) {
            let detail =
                format!("The managed file {name} has {other} as well: write that into another file first.");
            return Err(Failure::new(ErrorCode::Conflict, detail));
        }
    }
    Ok(Edit {
        texts: old.keys().map(|name| (name.clone(), None)).collect(),
        basis: old.into_iter().map(|(name, text)| (name, text.as_deref().map(writing::hash_of))).collect(),
    })
}

fn stays(name: &str, kind: &str, place: &str) -> Failure {
    let detail = match kind {
        "repository" => format!("The repository {name} belongs to the project ({place}): take it out first."),
        _ => format!("The {kind} {name} stands in a file that people write ({place}): remove it there."),
    };
    Failure::new(ErrorCode::Conflict, detail)
}

fn one(
    api: &Api,
    caller: &Caller,
    config: &Config,
    sources: &Sources,
    definition: &Definition<Defined>,
) -> Project {
    let name = definition.name.as_str();
    let is_of = |of: Option<&str>| of == Some(name);
    let plans = config.plans.values().filter(|plan| {
        is_of(plan.value.project.as_ref().map(|of| of.name.as_str())) && caller.sees(&api.plan(&plan.name))
    });
    let repositories = config.repositories.values().filter(|one| {
        is_of(one.value.project.as_ref().map(|of| of.name.as_str()))
            && caller.sees(&api.repository(&one.name))
    });
    Project {
        project: name.to_owned(),
        description: definition.value.description.clone(),
        plans: plans.map(|plan| plan.name.clone()).collect(),
        repositories: repositories.map(|repository| repository.name.clone()).collect(),
        quota_bytes: definition.value.quota.as_ref().map(|quota| quota.size.bytes),
        managed: managed_file(api, sources, definition.origin).map(|name| name.to_string()),
    }
}

/// The managed file that something stands in.
fn managed_file(api: &Api, sources: &Sources, origin: Origin) -> Option<ManagedName> {
    let path = sources.position(origin)?.file.to_owned();
    let name = ManagedName::new(path.file_stem()?.to_str()?)?;
    (writing::folder(api).file(&name) == path).then_some(name)
}

async fn members(api: &Api, project: &str) -> Result<Vec<Member>> {
    Ok(api.store().users().await?.iter().filter_map(|user| member(user, project)).collect())
}

/// A user as a member; nothing for one without a role in the project.
fn member(user: &User, project: &str) -> Option<Member> {
    let scope = Scope::Project(project.to_owned());
    let grants = grant::from_document(&user.grants).into_iter().filter(|grant| grant.scope == scope);
    let role = |Grant { role, see_names, read_content, .. }: Grant| MemberRole {
        role: role.to_string(),
        see_names,
        read_content,
    };
    let roles: Vec<MemberRole> = grants.map(role).collect();
    let member = Member { user: user.name.to_string(), display: user.display.to_string(), roles };
    (!member.roles.is_empty()).then_some(member)
}

/// Puts these grants in the place of all that a user has in a scope.
async fn change(api: &Api, caller: &Caller, user: &User, scope: &Scope, wanted: Vec<Grant>) -> Result<User> {
    let had = grant::from_document(&user.grants);
    let kept = had.iter().filter(|grant| grant.scope != *scope).cloned();
    let grants: Vec<Grant> = kept.chain(wanted).collect();
    if grants == had {
        return Ok(user.clone());
    }
    Ok(access::change_grants(api.store(), &caller.known().actor, user, &grants).await?)
}
