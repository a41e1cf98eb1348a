//! Redis, on real servers: what is backed up comes back, and what goes wrong is said.

#[path = "redis/attempts.rs"]
mod attempts;
#[path = "redis/drills.rs"]
mod drills;
mod kv;
#[path = "redis/round_trips.rs"]
mod round_trips;
#[path = "redis/surveys.rs"]
mod surveys;
