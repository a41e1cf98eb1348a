//! A dump as a folder of a snapshot.

use std::io::{self, Read};
use std::path::PathBuf;

use keepfast_engine::archive::{EntryAttributes, Folder, FolderSink, NewFile as StoredFile};
use keepfast_engine::chunk::cutting::CuttingChoice;
use keepfast_engine::run::{Event, RunContext};
use keepfast_format::chunker::PageBytes;
use keepfast_format::node::Timestamp;
use keepfast_sources::address::Address;
use keepfast_sources::context::Progress;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::dump;
use keepfast_sources::sink::{Attributes, NewFile, Sink};

use super::{DatabaseSource, Resolver, Surroundings};
use crate::error::{Result, with_causes};
use crate::open::SharedRepository;
use crate::streams::StreamGroup;

/// The folder that the dump of a database is written into. The password is read now, so that a missing one is told before
/// anything begins.
pub fn folder_of(
    source: &DatabaseSource,
    group: &StreamGroup,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Folder> {
    let children = shared.children();
    let by = Resolver { children, kept: shared.kept_secrets(), cancel: run.cancel() };
    let address = source.resolve(&by)?;
    let surroundings = Surroundings::new(children, run.cancel(), &source.options.programs)?;
    let (name, options, run) = (source.folder(), source.options.clone(), run.clone());
    let folder = name.clone();
    Ok(group.folder(&name, move |sink, _| write(&folder, &address, &options, sink, &surroundings, &run)))
}

fn write(
    folder: &str,
    address: &Address,
    options: &DumpOptions,
    sink: &dyn FolderSink,
    surroundings: &Surroundings,
    run: &RunContext,
) -> std::result::Result<(), String> {
    let expected = std::sync::Mutex::new(0);
    // The engine counts what is read; the source knows how much that will be.
    let progress = |progress: Progress<'_>| {
        let Some(total) = progress.total else { return };
        let mut expected = expected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if total > *expected {
            run.expect(0, total - *expected);
            *expected = total;
        }
    };
    let manifest = dump(address, options, &IntoFolder(sink), &surroundings.context(&progress))
        .map_err(|error| with_causes(&error))?;
    run.notice(format!(
        "{folder}: {} {}, {}",
        manifest.engine,
        manifest.server,
        of_databases(manifest.databases.len())
    ));
    for missing in manifest.missing {
        // A snapshot that lacks something says so as for a file that can't be read.
        run.tell(&Event::Skipped { path: PathBuf::from(folder).join(missing.object), why: missing.why });
    }
    Ok(())
}

fn of_databases(count: usize) -> String {
    keepfast_engine::nouns::counted(u64::try_from(count).unwrap_or(u64::MAX), "database")
}

/// The engine's sink as the sources see it.
pub(super) struct IntoFolder<'s>(pub(super) &'s dyn FolderSink);

impl Sink for IntoFolder<'_> {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        let cutting = match file.page_bytes {
            Some(bytes) => PageBytes::new(bytes.get()).map_or(CuttingChoice::Auto, CuttingChoice::Pages),
            None => CuttingChoice::ByContent,
        };
        let attributes = attributes_of(file.attributes);
        let stored = StoredFile { path: file.path.as_bytes(), attributes, cutting };
        self.0.file(&stored, content)
    }

    fn folder(&self, path: &str, attributes: Attributes) -> io::Result<()> {
        self.0.directory(path.as_bytes(), attributes_of(attributes))
    }

    fn link(&self, path: &str, target: &str, attributes: Attributes) -> io::Result<()> {
        self.0.symlink(path.as_bytes(), target.as_bytes(), attributes_of(attributes))
    }
}

fn attributes_of(attributes: Attributes) -> EntryAttributes {
    EntryAttributes {
        mode: u16::try_from(attributes.mode & 0o7777).ok(),
        mtime: attributes.modified.map(|seconds| Timestamp { seconds, nanos: 0 }),
        ..EntryAttributes::default()
    }
}
