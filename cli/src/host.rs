//! The machine that the program runs on, as the engine asks about it.

use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_engine::run::Host;
use keepfast_format::node::Timestamp;

use crate::settings;

/// This machine.
pub struct SystemHost;

impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        settings::now()
    }

    fn sleep(&self, time: Duration, cancel: &Cancel) {
        cancel.wait(time);
    }

    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        settings::user_name(id)
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        settings::group_name(id)
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        settings::user_id(name)
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        settings::group_id(name)
    }
}
