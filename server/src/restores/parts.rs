//! From what a person has asked for to what the engine does: one restore into each directory that entries belong to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keepfast_config::config::Config;
use keepfast_config::model::source::Source;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::list;
use keepfast_engine::restore::{Overwrite, Reach, RestoreOptions};
use rustix::fs::Mode;

use super::error::RestoreError;
use super::order::{Destination, Order, OverwriteFiles, SnapshotPath};
use super::place::{Absent, Guarded, Spot, names};
use crate::recovery::STATE_PLAN;
use crate::surroundings::Surroundings;

/// Folders that are made on the way to a target.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);
/// A folder that gets the mode of the snapshot's in the end is closed until then.
const CLOSED_MODE: Mode = Mode::from_raw_mode(0o700);

/// One restore into one directory.
pub struct Part {
    /// The directory.
    pub spot: Spot,
    /// The folder of the snapshot whose content lands there.
    pub folder: Vec<u8>,
    /// Only these paths of the snapshot; everything if there are none.
    pub paths: Vec<Vec<u8>>,
}

/// What decides where things go.
pub struct Planning<'p> {
    /// The definitions.
    pub config: &'p Config,
    /// This machine.
    pub around: &'p Surroundings,
    /// What is asked for.
    pub order: &'p Order,
}

/// How a part is carried out.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// What happens with files that are there.
    pub overwrite: OverwriteFiles,
    /// Whether an earlier run has begun with it.
    pub resume: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether everything is read back.
    pub verify: bool,
    /// Whether entries keep what gives more rights than others have.
    pub with_privileges: bool,
}

impl Part {
    /// As the engine takes it.
    #[must_use]
    pub fn options(&self, how: How) -> RestoreOptions {
        RestoreOptions {
            target: self.spot.path.clone(),
            reach: Reach::Open { handle: self.spot.handle.clone(), is_new: self.spot.is_new },
            folder: self.folder.clone(),
            paths: self.paths.clone(),
            include: Patterns::default(),
            exclude: Patterns::default(),
            sample: None,
            overwrite: Overwrite::from(how.overwrite),
            resume: how.resume,
            delete: false,
            dry_run: how.dry_run,
            verify: how.verify,
            numeric_owners: false,
            no_privileges: !how.with_privileges,
        }
    }
}

impl Order {
    /// Whether entries keep setuid bits, devices and the like: in their original place they had them. Elsewhere, a snapshot
    /// of one machine would give its users rights on another.
    #[must_use]
    pub fn keeps_privileges(&self) -> bool {
        self.destination == Destination::Original
    }
}

impl Planning<'_> {
    /// What the engine is to do. `backed_up` are the paths that the snapshot was made of, where they are known: they are
    /// needed for everything at the original place. With `is_real`, folders that aren't there are made.
    ///
    /// # Errors
    /// Nothing can be restored there.
    pub fn parts(&self, backed_up: Option<&[Vec<u8>]>, is_real: bool) -> Result<Vec<Part>, RestoreError> {
        match &self.order.destination {
            Destination::Folder { place, folder, contents_of } => {
                self.folder(place, folder, contents_of, is_real).map(|part| vec![part])
            }
            Destination::Original => self.original(backed_up, is_real),
        }
    }

    fn folder(
        &self,
        place: &Path,
        folder: &SnapshotPath,
        contents_of: &SnapshotPath,
        is_real: bool,
    ) -> Result<Part, RestoreError> {
        let known = self.config.server.value.restore_to.iter().any(|known| known.value.0 == place);
        if !known {
            return Err(RestoreError::NoPlace { place: place.to_owned() });
        }
        let names = names(&folder.0)?;
        let place = Spot::at(place, Absent::Left)?;
        if place.handle.is_none() {
            return Err(RestoreError::NotThere { folder: place.path });
        }
        let guarded = Guarded::of(self.config, self.around);
        // Before anything is made there.
        let looked = place.clone().down(&names, Absent::Left)?;
        guarded.check(&looked, None)?;
        let spot = match is_real {
            true => {
                let mode = if contents_of.0.is_empty() { FOLDER_MODE } else { CLOSED_MODE };
                place.down(&names, Absent::Made(mode))?
            }
            false => looked,
        };
        guarded.check(&spot, None)?;
        let paths = self.order.paths.iter().map(|path| list::normal(&path.0)).collect();
        Ok(Part { spot, folder: contents_of.0.clone(), paths })
    }

    fn original(&self, backed_up: Option<&[Vec<u8>]>, is_real: bool) -> Result<Vec<Part>, RestoreError> {
        if self.order.overwrite == OverwriteFiles::Refuse {
            return Err(RestoreError::NothingSaid);
        }
        if self.order.host != self.around.host {
            let (host, machine) = (self.order.host.clone(), self.around.host.clone());
            return Err(RestoreError::OtherHost { host, machine });
        }
        let name = self.order.plan.as_deref().filter(|name| *name != STATE_PLAN);
        let (name, plan) = name
            .and_then(|name| Some((name, self.config.plans.get(name)?)))
            .filter(|(_, plan)| plan.value.hosts.is_none())
            .ok_or(RestoreError::NoPlan)?;
        let sources: Vec<&Path> =
            plan.value.source.0.iter().flat_map(Source::paths).map(|path| &*path.value.0).collect();
        let wanted: Vec<Vec<u8>> = match (self.order.paths.is_empty(), backed_up) {
            (false, _) => self.order.paths.iter().map(|path| list::normal(&path.0)).collect(),
            (true, Some(backed_up)) => backed_up.iter().map(|path| list::normal(path)).collect(),
            (true, None) => Vec::new(),
        };
        let guarded = Guarded::of(self.config, self.around);
        let absent = if is_real { Absent::Made(FOLDER_MODE) } else { Absent::Left };
        let mut parts: Vec<Part> = Vec::new();
        for path in wanted {
            let whole = PathBuf::from(OsStr::from_bytes(if path.is_empty() { b"/" } else { &path }));
            // The outermost one: what lies between it and the path is the plan's as well.
            let of_plan = sources.iter().filter(|source| whole.starts_with(source));
            let source = of_plan
                .min_by_key(|source| source.as_os_str().len())
                .ok_or_else(|| RestoreError::NotOfPlan { path: whole.clone(), plan: name.to_owned() })?;
            // In the folder that has the source, whose own metadata is none of the plan's.
            let above = source.parent().unwrap_or(Path::new("/"));
            let spot = Spot::at(above, absent)?;
            if source.file_name().is_some_and(|name| spot.has_link(name)) {
                return Err(RestoreError::NoFolder { path: source.to_path_buf() });
            }
            let below = whole.strip_prefix(above).unwrap_or(&whole);
            guarded.check(&spot, Some(below))?;
            let folder = list::normal(above.as_os_str().as_bytes());
            match parts.iter_mut().find(|part| part.folder == folder) {
                Some(part) => part.paths.push(path),
                None => parts.push(Part { spot, folder, paths: vec![path] }),
            }
        }
        Ok(parts)
    }
}
