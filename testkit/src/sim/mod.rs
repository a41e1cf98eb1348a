//! The real engine in a deterministic simulation: processes that share a store, one running at
//! a time, with everything that can go wrong between them drawn from a seed.
//!
//! # What is simulated
//!
//! Each process runs on a thread of its own, and passes the turn on before each call to the
//! store. The world draws which process gets the turn, and what becomes of the call. A call works at
//! once or late; has its effect though its answer is lost; fails; is the process's last one; comes
//! after a pause that may outlast all other processes. A create may take effect once more at any
//! time, even after the object was removed and its sender has ended. A listing may be read in
//! pages, between which others act. Clocks jump by a year in both directions. Caches are kept,
//! lost, or set back. The nature of a history says how much of this it has; it is drawn first.
//!
//! The engine has to play along: `threads: 1`, `uploads: 0`, random bytes from
//! [`SimProcess::entropy`], time from [`SimProcess::now`], waiting by [`SimProcess::wait`].
//! Two calls of one process at the same time are a panic, since no seed would replay them.
//!
//! # How to write a history
//!
//! A [`Stage`] has a repository with one snapshot of each machine's tree. A history is its
//! processes, and a process is a function of a [`SimProcess`]; it may only do what its process
//! handle and the engine offer, and returns an error if it saw something that must not be.
//!
//! ```
//! use keepfast_testkit::sim::{Machine, Stage, folder};
//!
//! let folder = folder();
//! let mut stage = Stage::new(folder.path(), &["one"]);
//! let scene = stage.scene(7);
//! let history = scene
//!     .history()
//!     .process("writer", |process| {
//!         let mut machine = scene.machine(process, "one");
//!         (0..2).try_for_each(|_| machine.run("backup", Machine::back_up_tree))
//!     })
//!     .process("reader", |process| {
//!         scene.machine(process, "two").run("restore", Machine::restore_any)
//!     });
//! let outcome = stage.play(&scene, history);
//! assert!(outcome.failures.is_empty(), "{:?}\n{}", outcome.failures, outcome.log);
//! ```
//!
//! To add another kind of process, write what its program does as a function of a
//! [`Machine`], with [`Machine::open`] for the repository, and give it to [`Machine::run`]:
//! that starts the process again after a crash, does something to its cache, and says whether
//! an error is one that the program may end with.
//!
//! [`Campaign`] plays many histories. The log of a history is the same, byte by byte, whenever
//! its seed is played again.

mod backend;
mod cache;
mod campaign;
mod files;
mod history;
mod log;
mod machine;
mod mischief;
mod nature;
mod objects;
mod process;
mod random;
mod stage;
mod world;

pub use campaign::{Campaign, Found};
pub use files::Files;
pub use history::{Body, Ended, History, Threads};
pub use machine::{Known, Machine};
pub use objects::Objects;
pub use process::SimProcess;
pub use random::Random;
pub use stage::{Outcome, Scene, Stage, folder};
