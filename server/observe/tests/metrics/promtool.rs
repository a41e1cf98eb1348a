//! Prometheus' own tool, which the setup script installs for tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where it is.
fn installed() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    let home = || Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let path = cache.unwrap_or_else(home).join("keepfast/servers/prometheus/promtool");
    assert!(path.exists(), "{} isn't there: run scripts/setup.sh", path.display());
    path
}

/// What it prints when it is content. Panics with what it prints if it isn't.
#[track_caller]
pub fn content(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?} said: {text}\nof: {input}");
    text
}

/// Runs it with this on its standard input.
pub fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(installed())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    // It may end without reading all of it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("promtool ends")
}
