//! Making a repository.

use std::path::Path;
use std::sync::Arc;

use keepfast_backend::{ProbeReport, share_with_group};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{InitOptions, Repository, Snapshots, accept, check_cache};
use keepfast_engine::run::RunContext;
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::names;
use keepfast_format::slot::PasswordCost;
use serde::{Deserialize, Serialize};

use crate::error::{PlaceError, Result, StoreError};
use crate::open::SharedRepository;
use crate::probe::probe;
use crate::remark::Remark;
use crate::reports::InitReport;
use crate::secret::Purpose;

/// How to make a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Init {
    /// The average size of a chunk: a power of two.
    pub chunk_bytes: u32,
    /// The size of a pack.
    pub pack_bytes: u32,
    /// Take a store in which writers can overwrite each other's objects. Then never more than one run may write at a
    /// time.
    pub accept_single_writer: bool,
    /// Let the group of the repository's directory read what is stored.
    pub group_readable: bool,
}

impl Default for Init {
    fn default() -> Self {
        Self {
            chunk_bytes: 16 << 10,
            pack_bytes: 32 << 20,
            accept_single_writer: false,
            group_readable: false,
        }
    }
}

/// Makes a repository, once a probe has shown that its store can be trusted. The password is asked for last.
pub fn init(request: &Init, shared: &SharedRepository, run: &RunContext) -> Result<InitReport> {
    let target = shared.target();
    let directory = target.place.directory();
    if request.group_readable && directory.is_none() {
        return Err(PlaceError::GroupOfBucket.into());
    }
    if let Some(Err(error @ EngineError::UnsafeCache { .. })) = target.cache.as_deref().map(check_cache) {
        return Err(error.into());
    }
    let backend = shared.backend(run);
    let location = backend.location();
    let mut exists = false;
    backend.list(names::CONFIG, &mut |_| exists = true).map_err(EngineError::from)?;
    if exists {
        return Err(EngineError::RepositoryExists { location }.into());
    }
    if let Some(directory) = directory.filter(|_| request.group_readable) {
        share(directory)?;
    }
    let probed = probe(&target.place, &target.s3, shared.children(), run.link())?;
    let options = InitOptions {
        chunker: ChunkerParams::of_average(request.chunk_bytes),
        pack_bytes: request.pack_bytes,
        password_cost: PasswordCost::DEFAULT,
        single_writer: must_be_single_writer(&probed, &location, request.accept_single_writer)?,
        now_unix_s: u64::try_from(run.now().seconds).unwrap_or(0),
    };
    let password = shared.password(run, Purpose::Make)?;
    Repository::init(Arc::clone(&backend), password.as_bytes(), &options)?;
    // It shall open as every later run opens it.
    let repository = shared.open_first(backend, &password)?;
    // What was seen here before is gone: from now on it is this repository that is expected.
    if let Some(memory) = target.memory(&location)
        && let Err(error) = accept(&repository, &Snapshots::default(), &memory)
    {
        shared.remark(run, &Remark::NotExpected { why: error.to_string() });
    }
    Ok(InitReport { repository: repository.id().to_string(), location, single_writer: options.single_writer })
}

fn share(directory: &Path) -> Result<(), PlaceError> {
    let not_shared = |source| PlaceError::NotShared { directory: directory.to_owned(), source };
    share_with_group(directory).map_err(not_shared)
}

/// Refuses a store that can't be trusted. One that a single writer can live with is taken if that was asked for; then
/// this is true.
fn must_be_single_writer(
    probed: &ProbeReport,
    location: &str,
    is_accepted: bool,
) -> Result<bool, StoreError> {
    if probed.is_sound() {
        return Ok(false);
    }
    let flaws: Vec<String> = probed.flaws.iter().map(|(flaw, seen)| format!("{flaw} ({seen})")).collect();
    let (location, flaws) = (location.to_owned(), flaws.join("; "));
    if !probed.is_safe_for_one_writer() {
        return Err(StoreError::Unfit { location, flaws });
    }
    if is_accepted { Ok(true) } else { Err(StoreError::OnlyOneWriter { location, flaws }) }
}

#[cfg(test)]
mod tests {
    use keepfast_backend::Flaw;

    use super::{Init, ProbeReport, StoreError, must_be_single_writer};

    #[test]
    fn a_store_that_one_writer_can_live_with_is_taken_if_that_is_asked_for() {
        let sound = ProbeReport::default();
        assert_eq!(must_be_single_writer(&sound, "here", true), Ok(false));
        let flawed = |flaw| ProbeReport { flaws: vec![(flaw, "seen".to_owned())], ..ProbeReport::default() };
        let overwrites = flawed(Flaw::OverwritesObjects);
        let refused = must_be_single_writer(&overwrites, "here", false).expect_err("it has a flaw");
        assert!(matches!(refused, StoreError::OnlyOneWriter { .. }), "{refused}");
        assert!(refused.to_string().starts_with("here can't") && refused.to_string().contains("(seen)"));
        assert_eq!(must_be_single_writer(&overwrites, "here", true), Ok(true));
        let useless = must_be_single_writer(&flawed(Flaw::ReadsWrongBytes), "here", true);
        assert!(matches!(useless, Err(StoreError::Unfit { .. })), "{useless:?}");
    }

    #[test]
    fn a_request_is_data_of_which_all_may_be_left_out() {
        assert_eq!(serde_json::from_str::<Init>("{}").expect("defaults"), Init::default());
        assert!(serde_json::from_str::<Init>(r#"{"chunk_size": 16}"#).is_err(), "a slip of the pen");
    }
}
