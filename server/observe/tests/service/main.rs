//! Units: systemd reads them, they say what was meant whatever is in a path, and they give away what they
//! should.

mod calendar;
mod parse;
mod systemd;
mod typical;
mod units;
