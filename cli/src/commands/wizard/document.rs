//! The configuration that the answers come to, with comments.

use std::path::Path;

use super::answers::{Address, Answers, Keep, Repository, Schedule, Secret, Told};

/// The text of the file.
pub fn text(answers: &Answers) -> String {
    let lines = [head(answers), repository(answers), plan(answers), told(&answers.told)];
    lines.concat().join("\n") + "\n"
}

fn head(answers: &Answers) -> Vec<String> {
    let mut lines = vec![
        "# What keepfast backs up on this machine. After a change: keepfast config check".to_owned(),
        "version = 1".to_owned(),
        String::new(),
        "[server]".to_owned(),
        "# The zone of all schedules.".to_owned(),
        format!("timezone = {}", quoted(&answers.zone)),
    ];
    if !matches!(answers.schedule, Schedule::ByHand) {
        lines.extend([
            "# The server's state and this file, from which `keepfast serve --recover` rebuilds a lost server.".to_owned(),
            "backup = { repository = \"main\" }".to_owned(),
        ]);
    }
    lines
}

fn repository(answers: &Answers) -> Vec<String> {
    let mut lines =
        vec![String::new(), "# Where snapshots are kept.".to_owned(), "[repository.main]".to_owned()];
    match &answers.repository {
        Repository::Directory(path) => lines.push(format!("url = {}", path_text(path))),
        Repository::S3 { url, endpoint, region, keys } => {
            lines.push(format!("url = {}", quoted(url)));
            lines.extend(endpoint.iter().map(|endpoint| format!("endpoint = {}", quoted(endpoint))));
            lines.extend(region.iter().map(|region| format!("region = {}", quoted(region))));
            if let Some(keys) = keys {
                lines.push(format!("access_key = {{ file = {} }}", path_text(&keys.access_key)));
                lines.push(format!("secret_key = {{ file = {} }}", path_text(&keys.secret_key)));
            }
        }
    }
    lines.push("# Without the password, nothing can be restored: keep a copy of it elsewhere.".to_owned());
    lines.push(format!(
        "password = {}",
        match &answers.password {
            Secret::Generated(path) | Secret::File(path) => format!("{{ file = {} }}", path_text(path)),
            Secret::Environment(name) => format!("{{ env = {} }}", quoted(name)),
            Secret::Command(command) => format!("{{ command = {} }}", quoted(command)),
        }
    ));
    lines.push(
        "# A server checks and prunes: every week, with another part of the data read each time.".to_owned(),
    );
    lines.push("check = { cron = \"0 4 * * 6\", read_data = \"5%\" }".to_owned());
    lines.push("prune = { cron = \"0 5 * * 0\" }".to_owned());
    lines
}

fn plan(answers: &Answers) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "# What is backed up; `keepfast run files` does it now.".to_owned(),
        "[plan.files]".to_owned(),
        "repository = \"main\"".to_owned(),
    ];
    let paths: Vec<String> = answers.sources.iter().map(|path| path_text(path)).collect();
    lines.push(format!("source = [{{ files = [{}] }}]", paths.join(", ")));
    // A repository must not back itself up.
    if let Repository::Directory(place) = &answers.repository
        && answers.sources.iter().any(|path| place.starts_with(path))
    {
        lines.push(format!("exclude = [{}]", path_text(place)));
    } else {
        lines.push("# What is left out, such as: exclude = [\"*.tmp\", \"/home/*/.cache\"]".to_owned());
    }
    lines.extend(match &answers.schedule {
        Schedule::Cron(cron) => vec![
            "# Minute, hour, day of the month, month, day of the week.".to_owned(),
            format!("schedule = {{ cron = {}, deadline = \"6h\" }}", quoted(cron)),
        ],
        Schedule::Every(every) => vec![
            "# This long after the last good run.".to_owned(),
            format!("schedule = {{ every = {} }}", quoted(every)),
        ],
        Schedule::ByHand => {
            vec!["# It runs when someone runs it. By itself: schedule = { cron = \"30 1 * * *\" }".to_owned()]
        }
    });
    lines.extend(match &answers.keep {
        Some(Keep { daily, weekly, monthly }) => vec![
            "# What stays; what no rule keeps is forgotten, and a prune frees its space.".to_owned(),
            format!(
                "retention = {{ daily = {daily}, weekly = {weekly}, monthly = {monthly}, at_least = 3 }}"
            ),
        ],
        None => vec![
            "# All snapshots stay. To forget old ones: retention = { daily = 14, weekly = 8, at_least = 3 }"
                .to_owned(),
        ],
    });
    lines
}

fn told(told: &Told) -> Vec<String> {
    let mut lines = vec![String::new()];
    match told {
        Told::NoOne => {
            lines.push(
                "# No one hears of failures yet: add a [target] and a [[route]] (docs/config.md).".to_owned(),
            );
            return lines;
        }
        Told::Mail { host, tls, port, sign_in, from, to } => {
            lines.push("# Who hears of what goes wrong.".to_owned());
            lines.push("[target.admin.smtp]".to_owned());
            lines.push(format!("host = {}", quoted(host)));
            lines.push(format!("port = {port}"));
            lines.push(format!("tls = {}", quoted(tls)));
            if let Some((user, password)) = sign_in {
                lines.push(format!("user = {}", quoted(user)));
                lines.push(format!("password = {{ file = {} }}", path_text(password)));
            }
            lines.extend(from.iter().map(|from| format!("from = {}", quoted(from))));
            let to: Vec<String> = to.iter().map(|to| quoted(to)).collect();
            lines.push(format!("to = [{}]", to.join(", ")));
        }
        Told::Web { preset, address, channel, token } => {
            lines.push("# Who hears of what goes wrong.".to_owned());
            lines.push("[target.admin.webhook]".to_owned());
            lines.push(match address {
                Address::Open(address) => format!("url = {}", quoted(address)),
                Address::InFile(file) => format!("url = {{ file = {} }}", path_text(file)),
            });
            lines.push(format!("preset = {}", quoted(preset)));
            lines.extend(channel.iter().map(|channel| format!("channel = {}", quoted(channel))));
            lines.extend(token.iter().map(|token| format!("token = {{ file = {} }}", path_text(token))));
        }
    }
    lines.extend([
        String::new(),
        "[[route]]".to_owned(),
        "match = { severity = [\"warning\", \"error\", \"critical\"] }".to_owned(),
        "to = [\"admin\"]".to_owned(),
    ]);
    lines
}

/// A text as TOML has it, in which no variable is replaced.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for sign in text.chars() {
        match sign {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '$' => quoted.push_str("$$"),
            sign if sign.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(sign))),
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}

fn path_text(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn texts_are_what_they_are() {
        assert_eq!(quoted("/srv/www"), "\"/srv/www\"");
        assert_eq!(quoted("pass \"show\" $X \\"), "\"pass \\\"show\\\" $$X \\\\\"");
        assert_eq!(quoted("a\tb"), "\"a\\u0009b\"");
    }
}
