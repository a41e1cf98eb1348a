//! What a request is about, for rights: a plan with its project, repository and host, say.

use keepfast_access::scope::Object;
use keepfast_config::config::Config;
use keepfast_store::Run;

/// What something is to be done with. What belongs to nothing is the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    project: Option<String>,
    plan: Option<String>,
    repository: Option<String>,
    host: Option<String>,
}

impl About {
    /// The server itself.
    #[must_use]
    pub fn server() -> Self {
        Self::default()
    }

    /// A plan, which needn't be defined any more.
    #[must_use]
    pub fn plan(config: &Config, host: &str, name: &str) -> Self {
        let defined = config.plans.get(name).map(|definition| &definition.value);
        Self {
            project: defined.and_then(|plan| plan.project.as_ref()).map(|project| project.name.clone()),
            plan: Some(name.to_owned()),
            repository: defined.map(|plan| plan.repository.name.clone()),
            host: defined.map(|_| host.to_owned()),
        }
    }

    /// A repository, which needn't be defined any more.
    #[must_use]
    pub fn repository(config: &Config, name: &str) -> Self {
        let defined = config.repositories.get(name).map(|definition| &definition.value);
        Self {
            project: defined.and_then(|of| of.project.as_ref()).map(|project| project.name.clone()),
            repository: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// A project.
    #[must_use]
    pub fn project(name: &str) -> Self {
        Self { project: Some(name.to_owned()), ..Self::default() }
    }

    /// A snapshot of a repository, with the plan and the host that it says.
    #[must_use]
    pub fn snapshot(config: &Config, repository: &str, plan: Option<&str>, host: &str) -> Self {
        let of = match plan {
            Some(plan) => Self::plan(config, host, plan),
            None => Self::repository(config, repository),
        };
        Self { repository: Some(repository.to_owned()), host: Some(host.to_owned()), ..of }
    }

    /// A run: what it works on. The repository and the host are those that it had.
    #[must_use]
    pub fn run(config: &Config, run: &Run) -> Self {
        let text = |name: &dyn ToString| name.to_string();
        let plan = run.subject.plan.as_ref().map(|plan| text(plan));
        let repository = run.subject.repository.as_ref().map(|repository| text(repository));
        let of = match (&plan, &repository) {
            (Some(plan), _) => Self::plan(config, "", plan),
            (None, Some(repository)) => Self::repository(config, repository),
            (None, None) => Self::server(),
        };
        Self { plan, repository, host: run.subject.host.as_ref().map(|host| text(host)), ..of }
    }

    /// What an event or a problem is about, by its subject: `plan:www`.
    #[must_use]
    pub fn subject(config: &Config, host: &str, subject: &str) -> Self {
        match subject.split_once(':') {
            Some(("plan", name)) => Self::plan(config, host, name),
            Some(("repository" | "check" | "prune", name)) => Self::repository(config, name),
            Some(("host", name)) => Self { host: Some(name.to_owned()), ..Self::default() },
            _ => Self::server(),
        }
    }

    /// As rights are about it.
    #[must_use]
    pub fn object(&self) -> Object<'_> {
        Object {
            project: self.project.as_deref(),
            plan: self.plan.as_deref(),
            repository: self.repository.as_deref(),
            host: self.host.as_deref(),
            labels: &[],
        }
    }

    /// What it is, and its name.
    #[must_use]
    pub fn name(&self) -> Option<(&'static str, &str)> {
        match (&self.plan, &self.repository) {
            (Some(plan), _) => Some(("plan", plan)),
            (None, Some(repository)) => Some(("repository", repository)),
            (None, None) => self.project.as_deref().map(|project| ("project", project)),
        }
    }
}
