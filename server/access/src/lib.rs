//! Who may do what, and how it is found out who someone is: rights, passwords, codes, tokens, how fast anyone may guess,
//! and what needs a second person.
//!
//! Everything here is a function of its arguments. Randomness, the time and what is stored come in from the caller, so
//! that each rule can be tested by itself; the server and the program are built from them.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

pub mod approval;
pub mod authority;
pub mod csv;
pub mod factor;
pub mod grant;
pub mod moment;
pub mod name;
pub mod password;
pub mod role;
pub mod scope;
pub mod session;
pub mod throttle;
pub mod token;
