//! What tests build with: a laboratory with a source tree and a repository, trees, a strict
//! comparison of trees, backends and runs that record, fail or listen, and a crafter of hostile
//! objects.
//!
//! Everything here panics where it can't go on: a test that can't be set up has failed.

pub mod agree;
pub mod compare;
pub mod craft;
pub mod disk;
pub mod ear;
pub mod faulty;
pub mod hooked;
pub mod host;
pub mod lab;
pub mod proxy;
pub mod recording;
pub mod servers;
pub mod sim;
pub mod store;
pub mod tree;

pub use agree::{Verdicts, assert_agreement};
pub use compare::{assert_same, describe};
pub use craft::{Crafted, CraftedPack, Crafter};
pub use disk::Disk;
pub use ear::{Ear, quiet};
pub use faulty::{Fault, FaultyBackend};
pub use hooked::HookedBackend;
pub use host::TestHost;
pub use lab::{Lab, Opened};
pub use recording::{Call, RecordingBackend};
