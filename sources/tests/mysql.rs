//! MySQL and MariaDB against a real MariaDB server.

#[path = "mysql/drills.rs"]
mod drills;
#[path = "mysql/dumps.rs"]
mod dumps;
#[path = "mysql/faults.rs"]
mod faults;
#[path = "mysql/lab.rs"]
mod lab;
#[path = "mysql/logs.rs"]
mod logs;
#[path = "mysql/rights.rs"]
mod rights;
