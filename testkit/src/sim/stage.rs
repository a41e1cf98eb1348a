//! Where histories are played, one after the other: a repository to begin with, folders for
//! the machines, threads; and what must be true of the store after each.

use std::fs;
use std::path::{Path, PathBuf};

use keepfast_engine::check::ReadData;
use keepfast_engine::repo::{InitOptions, Repository, Snapshots, open_index};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::limits;
use tempfile::TempDir;

use super::files::{Files, change};
use super::history::{Ended, History, Threads};
use super::machine::{Known, Machine, assert_restores, cache_of, check_whole, lay_out};
use super::objects::Objects;
use super::process::SimProcess;
use super::random::Random;
use crate::ear::Ear;
use crate::lab::{Opened, PASSWORD, init_options};
use crate::tree::set_mtime;

/// Memory that looks like a folder: nothing that a history writes has to reach a disk.
const MEMORY: &str = "/dev/shm";

/// A folder for stages, in memory if there is such a place.
#[must_use]
pub fn folder() -> TempDir {
    let builder = tempfile::Builder::new();
    let in_memory = builder.tempdir_in(MEMORY);
    in_memory.or_else(|_| TempDir::new()).expect("a temporary folder can be made")
}

/// Where histories are played.
pub struct Stage {
    folder: PathBuf,
    threads: Threads,
    objects: Objects,
    known: Known,
    /// The machines' trees in the beginning.
    trees: Vec<(String, Files)>,
}

/// What a history begins with, and what its processes share besides the store.
pub struct Scene {
    seed: u64,
    folder: PathBuf,
    objects: Objects,
    known: Known,
}

/// How a history ended.
pub struct Outcome {
    /// All that happened, line by line.
    pub log: String,
    /// What else helps to understand it, with the steps at which it was said.
    pub asides: String,
    /// What is wrong, if anything is.
    pub failures: Vec<String>,
    /// How many times a process was given the baton.
    pub steps: u64,
}

impl Scene {
    /// The history, without processes yet.
    #[must_use]
    pub fn history<'h>(&self) -> History<'h> {
        History::new(self.seed, &self.objects)
    }

    /// The machine of this name with its folders, for a process on it.
    #[must_use]
    pub fn machine<'s>(&'s self, process: &'s SimProcess, name: &str) -> Machine<'s> {
        Machine::new(process, &self.known, &self.folder, name)
    }

    /// What snapshots have to bring back.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }
}

impl Stage {
    /// A stage in a folder, for machines of these names. Each has one snapshot of its tree.
    #[must_use]
    pub fn new(folder: &Path, machines: &[&str]) -> Self {
        for name in ["sources", "caches", "restored"] {
            fs::create_dir_all(folder.join(name)).expect("the folder can be made");
        }
        let mut random = Random::new(0);
        let mut trees = Vec::new();
        for machine in machines {
            let mut files = Files::new();
            for _ in 0..3 {
                change(&mut files, &mut |limit| random.below(limit));
            }
            trees.push(((*machine).to_owned(), files));
        }
        let mut stage = Self {
            folder: folder.to_owned(),
            threads: Threads::default(),
            objects: Objects::default(),
            known: Known::default(),
            trees,
        };
        let scene = stage.scene(u64::MAX);
        // No history may draw the ids that are drawn here: so it has a seed that none has.
        let history = scene.history().calm().process("start", |process| {
            let options = InitOptions {
                chunker: ChunkerParams::of_average(limits::CHUNK_AVG_BYTES_MIN),
                ..init_options()
            };
            let made = Repository::init_with(process.backend(), PASSWORD, &options, process.entropy());
            made.map_err(|error| error.to_string())?;
            machines
                .iter()
                .try_for_each(|machine| scene.machine(process, machine).run("backup", Machine::back_up_tree))
        });
        let ended = history.play(&mut stage.threads);
        assert!(ended.failures.is_empty(), "{:?}\n{}", ended.failures, ended.log);
        stage.objects = ended.objects;
        stage.known = scene.known;
        stage
    }

    /// Puts the folders into the state in which every history begins. Forget earlier scenes.
    #[must_use]
    pub fn scene(&self, seed: u64) -> Scene {
        for name in ["caches", "restored"] {
            for entry in fs::read_dir(self.folder.join(name)).into_iter().flatten().flatten() {
                fs::remove_dir_all(entry.path()).expect("the folder can be removed");
            }
        }
        for (machine, files) in &self.trees {
            lay_out(&self.folder, machine, files);
        }
        set_mtime(self.folder.join("sources"), 0, 0);
        let (folder, objects) = (self.folder.clone(), self.objects.clone());
        Scene { seed, folder, objects, known: self.known.copy() }
    }

    /// Plays a history in its scene, and looks at what it leaves.
    pub fn play(&mut self, scene: &Scene, history: History<'_>) -> Outcome {
        let Ended { objects, log, asides, mut failures, steps } = history.play(&mut self.threads);
        let machines: Vec<&str> = self.trees.iter().map(|(machine, _)| machine.as_str()).collect();
        let machine = machines[Random::new(scene.seed).below(machines.len())];
        self.threads.install(|| {
            failures.extend(assert_whole(&objects, scene, machine));
        });
        Outcome { log, asides, failures, steps }
    }
}

/// Every committed snapshot restores and the check is clean, for a machine that has seen
/// nothing yet and for one of those in the history. Returns what isn't so.
fn assert_whole(objects: &Objects, scene: &Scene, machine: &str) -> Vec<String> {
    let newcomer = scene.folder.join("caches").join("newcomer");
    let seen_by = |cache: &Path, read: ReadData| {
        try_assert_whole(objects, scene, cache, read).err().map(|what| format!("afterwards {what}"))
    };
    let mut failures = Vec::new();
    failures.extend(seen_by(&newcomer, ReadData::All));
    let cache = cache_of(&scene.folder, machine).join("now");
    if cache.exists() {
        let failure = seen_by(&cache, ReadData::No);
        failures.extend(failure.map(|what| format!("with the cache of {machine}, {what}")));
    }
    failures
}

fn try_assert_whole(objects: &Objects, scene: &Scene, cache: &Path, read: ReadData) -> Result<(), String> {
    let ear = Ear::default().with(|run| run.with_threads(1));
    let opened = (|| {
        let repository = Repository::open(objects.to_store(), PASSWORD)?;
        let snapshots = Snapshots::load(&repository, &ear)?;
        let index = open_index(&repository, cache, &snapshots, &ear)?;
        Ok(Opened { repository, snapshots, index })
    })();
    let opened = opened.map_err(|error: keepfast_engine::EngineError| format!("it doesn't open: {error}"))?;
    for stored in &opened.snapshots.all {
        assert_restores(&opened, &stored.snapshot, &scene.known, &scene.folder.join("restored/afterwards"))?;
    }
    let tags: Vec<&String> =
        opened.snapshots.all.iter().flat_map(|stored| &stored.snapshot.body.tags).collect();
    if let Some(lost) = scene.known.done().iter().find(|tag| !tags.contains(tag)) {
        return Err(format!("there is no snapshot of backup {lost}, which was reported as done"));
    }
    check_whole(&opened, read, &scene.known)
}
