//! What an event of the state is about, what it belongs to, and where its page is.

use keepfast_config::config::Config;
use keepfast_notify::{Content, Event, Kind, Note, Scope, Sequence, Subject};
use keepfast_store::Event as StoreEvent;

use crate::state::instant;

/// What an event is about. What notifications have no word for is a matter of the server.
pub fn subject(text: &str) -> Subject {
    text.parse().unwrap_or(Subject::Server)
}

/// The place of an event.
pub fn sequence(event: &StoreEvent) -> Sequence {
    Sequence(event.sequence.number())
}

/// What an event about these belongs to. A plan brings its repository and its project.
pub fn scope(config: &Config, plan: Option<&str>, repository: Option<&str>, host: Option<&str>) -> Scope {
    let plan_defined = plan.and_then(|plan| config.plans.get(plan)).map(|plan| &plan.value);
    let repository = repository.or_else(|| plan_defined.map(|plan| plan.repository.name.as_str()));
    let project = match plan {
        Some(_) => plan_defined.and_then(|plan| plan.project.as_ref()),
        None => repository
            .and_then(|repository| config.repositories.get(repository))
            .and_then(|repository| repository.value.project.as_ref()),
    };
    let project = project.map(|project| project.name.as_str());
    let label = project.and_then(|project| config.projects.get(project)?.value.label.as_ref());
    Scope {
        project: project.map(str::to_owned),
        plan: plan.map(str::to_owned),
        repository: repository.map(str::to_owned),
        host: host.map(str::to_owned),
        labels: label.map(|label| (label.key.clone(), label.value.clone())).into_iter().collect(),
    }
}

/// The page about a subject.
pub fn page(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Plan(plan) => Some(format!("/plans/{plan}")),
        Subject::Repository(repository) => Some(format!("/repositories/{repository}")),
        Subject::Host(host) => Some(format!("/hosts/{host}")),
        Subject::Drill(drill) => Some(format!("/drills/{drill}")),
        Subject::Target(_) => Some("/notifications".to_owned()),
        Subject::Server => None,
    }
}

/// A note about a subject of the state, with what is said.
pub fn note(event: &StoreEvent, note: Note, about: Subject, scope: Scope, content: Content) -> Event {
    let mut told = Event::new(sequence(event), instant(event.at), Kind::Noted(note), about);
    told.scope = scope;
    told.content = content;
    told
}
