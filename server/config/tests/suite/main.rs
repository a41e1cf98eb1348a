//! The crate as its users meet it: files in, a configuration or diagnostics out.

mod desk;
mod sample;
