//! What tests build with: a laboratory with a source tree and a repository, trees, a strict
//! comparison of trees, backends and runs that record, fail or listen, and a crafter of hostile
//! objects.
//!
//! Everything here panics where it can't go on: a test that can't be set up has failed.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

#[cfg(feature = "engine")]
pub mod agree;
pub mod compare;
#[cfg(feature = "engine")]
pub mod craft;
pub mod disk;
#[cfg(feature = "engine")]
pub mod ear;
#[cfg(feature = "engine")]
pub mod faulty;
#[cfg(feature = "engine")]
pub mod hooked;
#[cfg(feature = "engine")]
pub mod host;
#[cfg(feature = "engine")]
pub mod lab;
pub mod proxy;
#[cfg(feature = "engine")]
pub mod recording;
pub mod servers;
#[cfg(feature = "engine")]
pub mod sim;
#[cfg(feature = "engine")]
pub mod store;
pub mod tree;

#[cfg(feature = "engine")]
pub use agree::{Verdicts, assert_agreement};
pub use compare::{assert_same, describe};
#[cfg(feature = "engine")]
pub use craft::{Crafted, CraftedPack, Crafter};
pub use disk::Disk;
#[cfg(feature = "engine")]
pub use ear::{Ear, quiet};
#[cfg(feature = "engine")]
pub use faulty::{Fault, FaultyBackend};
#[cfg(feature = "engine")]
pub use hooked::HookedBackend;
#[cfg(feature = "engine")]
pub use host::TestHost;
#[cfg(feature = "engine")]
pub use lab::{Lab, Opened};
#[cfg(feature = "engine")]
pub use recording::{Call, RecordingBackend};
