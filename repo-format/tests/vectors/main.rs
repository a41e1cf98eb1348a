//! The format's tests through its public interface: golden values, rejection vectors, round trips, and
//! properties of every decoder. `craft` makes objects that no honest program writes. `stranger` reads
//! according to SPEC alone.
//!
//! `KEEPFAST_BLESS=1` writes the golden values and the rejection vectors again.

mod bless;
mod collected;
mod collection;
mod craft;
mod decoders;
mod fixtures;
mod golden;
mod properties;
mod refused;
mod reject;
mod roundtrip;
mod stranger;
mod strategies;
mod walk;
mod worked;
