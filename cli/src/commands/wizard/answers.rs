//! What the wizard asks, and the answers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::tz::TimeZone;
use keepfast_config::decode::FromText;
use keepfast_config::values::time::Length;
use keepfast_schedule::cron::Cron;
use keepfast_schedule::zone::Zone;
use keepfast_server::definitions::ThisMachine;

use crate::prompt::Prompt;

/// Everything that is asked.
pub struct Answers {
    pub repository: Repository,
    pub password: Secret,
    pub sources: Vec<PathBuf>,
    pub schedule: Schedule,
    pub zone: String,
    pub keep: Option<Keep>,
    pub told: Told,
}

/// Where the repository is.
pub enum Repository {
    Directory(PathBuf),
    S3 { url: String, endpoint: Option<String>, region: Option<String>, keys: Option<S3Keys> },
}

/// Files with the keys of a store.
pub struct S3Keys {
    pub access_key: PathBuf,
    pub secret_key: PathBuf,
}

/// Where a secret is.
pub enum Secret {
    /// In a file that is still to be made.
    Generated(PathBuf),
    File(PathBuf),
    Environment(String),
    Command(String),
}

/// When the plan runs.
pub enum Schedule {
    Cron(String),
    Every(String),
    /// When someone runs it.
    ByHand,
}

/// How many snapshots stay.
pub struct Keep {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
}

/// Who hears of what goes wrong.
pub enum Told {
    NoOne,
    Mail {
        host: String,
        tls: &'static str,
        port: u16,
        sign_in: Option<(String, PathBuf)>,
        from: Option<String>,
        to: Vec<String>,
    },
    Web {
        preset: &'static str,
        address: Address,
        channel: Option<String>,
        token: Option<PathBuf>,
    },
}

/// The address of a webhook.
pub enum Address {
    Open(String),
    /// Knowing it is enough to use it, so that it stands in a file of its own.
    InFile(PathBuf),
}

/// Asks where the repository is.
pub fn repository(prompt: &Prompt) -> Result<Repository> {
    let place = prompt.checked(
        "Where shall snapshots be kept? A directory, or s3://bucket/prefix",
        Some("/srv/backup"),
        |answer| match answer.strip_prefix("s3://") {
            Some("") => Err("s3:// needs the name of a bucket".to_owned()),
            Some(_) => keepfast_operations::place::Place::parse(answer)
                .map(|_| answer.to_owned())
                .map_err(|error| error.to_string()),
            None => absolute(answer).map(|path| path.display().to_string()),
        },
    )?;
    if !place.starts_with("s3://") {
        return Ok(Repository::Directory(PathBuf::from(place)));
    }
    let endpoint = prompt.optional("The store's address; nothing for AWS")?;
    let region = prompt.optional("The bucket's region; nothing to take it from the environment")?;
    let keys = prompt.choose(
        "Where are the keys of the store?",
        &[
            ("usual", "where all programs for S3 look: AWS_ACCESS_KEY_ID, ~/.aws", false),
            ("files", "in two files of their own", true),
        ],
    )?;
    let keys = keys.then(|| -> Result<S3Keys> {
        Ok(S3Keys {
            access_key: existing(prompt, "The file with the access key")?,
            secret_key: existing(prompt, "The file with the secret key")?,
        })
    });
    Ok(Repository::S3 { url: place, endpoint, region, keys: keys.transpose()? })
}

#[derive(Clone, Copy)]
enum SecretKind {
    Generate,
    File,
    Environment,
    Command,
}

/// Asks for the password's place. `beside` is the folder of the configuration.
pub fn password(prompt: &Prompt, beside: &Path) -> Result<Secret> {
    let kind = prompt.choose(
        "Where is the repository's password?",
        &[
            ("generate", "make one, in a new file that only you can read", SecretKind::Generate),
            ("file", "in a file that is there", SecretKind::File),
            ("env", "in a variable of the environment", SecretKind::Environment),
            ("command", "a command prints it", SecretKind::Command),
        ],
    )?;
    Ok(match kind {
        SecretKind::Generate => {
            let usual = beside.join("main-password").display().to_string();
            Secret::Generated(prompt.checked("The new file", Some(&usual), |answer| {
                let path = absolute(answer)?;
                match path.symlink_metadata() {
                    Ok(_) => Err(format!("{} is there already", path.display())),
                    Err(_) => Ok(path),
                }
            })?)
        }
        SecretKind::File => Secret::File(existing(prompt, "The file; its first line is the password")?),
        SecretKind::Environment => {
            Secret::Environment(prompt.checked("The variable", Some("KEEPFAST_PASSWORD"), |answer| {
                match keepfast_config::is_variable(answer) {
                    true => Ok(answer.to_owned()),
                    false => Err("a name of a variable has letters, digits and `_`".to_owned()),
                }
            })?)
        }
        SecretKind::Command => Secret::Command(prompt.text("The command, as for a shell", None)?),
    })
}

/// Asks what is backed up.
pub fn sources(prompt: &Prompt) -> Result<Vec<PathBuf>> {
    let check = |answer: &str| {
        let path = absolute(answer)?;
        if path.symlink_metadata().is_ok() {
            Ok(path)
        } else {
            Err(format!("there is no {}", path.display()))
        }
    };
    let mut found: Vec<PathBuf> =
        vec![prompt.checked("What shall be backed up? A directory or a file", Some("/etc"), check)?];
    loop {
        let more = prompt.checked("Another one; nothing if that is all", None, |answer| match answer {
            "" => Ok(None),
            answer => check(answer).map(Some),
        })?;
        match more {
            Some(path) if !found.contains(&path) => found.push(path),
            Some(_) => {}
            None => return Ok(found),
        }
    }
}

/// Asks when it runs.
pub fn schedule(prompt: &Prompt) -> Result<(Schedule, String)> {
    let schedule = prompt.checked(
        "When? A time of day (01:30), a time between runs (20h), five fields of cron, or `never` by itself",
        Some("01:30"),
        |answer| {
            if answer.eq_ignore_ascii_case("never") {
                return Ok(Schedule::ByHand);
            }
            if let Some((hour, minute)) = answer.split_once(':') {
                let number = |text: &str, least_too_many: u8| {
                    let is_number =
                        (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                    text.parse::<u8>().ok().filter(|number| is_number && *number < least_too_many)
                };
                return match (number(hour, 24), number(minute, 60)) {
                    (Some(hour), Some(minute)) => Ok(Schedule::Cron(format!("{minute} {hour} * * *"))),
                    _ => Err("that is no time of day".to_owned()),
                };
            }
            if answer.contains(' ') {
                return match answer.parse::<Cron>() {
                    Ok(_) => Ok(Schedule::Cron(answer.to_owned())),
                    Err(error) => Err(error.to_string()),
                };
            }
            match Length::read(answer, &ThisMachine) {
                Ok(_) => Ok(Schedule::Every(answer.to_owned())),
                Err(_) => Err("answer as 01:30, 20h, `30 1 * * 1-5` or `never`".to_owned()),
            }
        },
    )?;
    let own = TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
    let zone = prompt.checked("In which time zone?", Some(&own), |answer| {
        Zone::named(answer, jiff::tz::db()).map(|_| answer.to_owned()).map_err(|error| error.to_string())
    })?;
    Ok((schedule, zone))
}

/// Asks what is kept.
pub fn keep(prompt: &Prompt) -> Result<Option<Keep>> {
    if !prompt.yes("Shall old snapshots be forgotten by themselves?", true)? {
        return Ok(None);
    }
    let number = |question: &str, default: &str| {
        prompt.checked(question, Some(default), |answer| {
            answer.parse::<u32>().map_err(|_| "answer with a number".to_owned())
        })
    };
    Ok(Some(Keep {
        daily: number("For how many days shall one snapshot a day stay?", "14")?,
        weekly: number("For how many weeks one a week?", "8")?,
        monthly: number("For how many months one a month?", "12")?,
    }))
}

#[derive(Clone, Copy)]
enum Who {
    NoOne,
    Mail,
    Web,
}

/// Asks who hears of what goes wrong.
pub fn told(prompt: &Prompt) -> Result<Told> {
    let who = prompt.choose(
        "Who shall hear when something goes wrong?",
        &[
            ("mail", "someone, by e-mail", Who::Mail),
            ("webhook", "a chat or another program, by a request", Who::Web),
            ("none", "no one", Who::NoOne),
        ],
    )?;
    match who {
        Who::NoOne => Ok(Told::NoOne),
        Who::Mail => mail(prompt),
        Who::Web => web(prompt),
    }
}

fn mail(prompt: &Prompt) -> Result<Told> {
    let to = prompt.checked("To which address? Several by commas", None, |answer| {
        let all: Vec<String> = answer.split(',').map(|one| one.trim().to_owned()).collect();
        match all.iter().all(|one| one.contains('@') && !one.contains(char::is_whitespace)) {
            true => Ok(all),
            false => Err("an address is as ops@example.org".to_owned()),
        }
    })?;
    let host = prompt.checked("Which mail server?", Some("localhost"), |answer| {
        match answer.chars().all(|sign| sign.is_alphanumeric() || "-._".contains(sign)) && !answer.is_empty()
        {
            true => Ok(answer.to_owned()),
            false => Err("answer with a name alone; port and user are asked for next".to_owned()),
        }
    })?;
    let is_local = host == "localhost";
    let ways = [
        ("starttls", "encrypted after a first exchange", ("starttls", "587")),
        ("tls", "encrypted from the beginning on", ("tls", "465")),
        ("none", "not encrypted: for a server on this machine", ("none", "25")),
    ];
    let ways = if is_local { [ways[2], ways[0], ways[1]] } else { ways };
    let (tls, port) = prompt.choose("How is the connection encrypted?", &ways)?;
    let port = prompt.checked("Its port?", Some(port), |answer| {
        let port = answer.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| "a port is a number up to 65535".to_owned())
    })?;
    let sign_in = match prompt.optional("The user there; nothing if none is asked for")? {
        Some(user) => Some((user, existing(prompt, "The file with this user's password")?)),
        None => None,
    };
    let from = prompt.optional("The sender's address; nothing for keepfast@ and this machine's name")?;
    Ok(Told::Mail { host, tls, port, sign_in, from, to })
}

fn web(prompt: &Prompt) -> Result<Told> {
    let preset = prompt.choose(
        "In which form?",
        &[
            ("generic", "JSON", "generic"),
            ("slack", "Slack", "slack"),
            ("discord", "Discord", "discord"),
            ("teams", "Microsoft Teams", "teams"),
            ("ntfy", "ntfy", "ntfy"),
            ("gotify", "Gotify", "gotify"),
            ("telegram", "Telegram", "telegram"),
        ],
    )?;
    if matches!(preset, "slack" | "discord" | "teams") {
        let file = existing(prompt, "The file with the address, which is a secret")?;
        return Ok(Told::Web { preset, address: Address::InFile(file), channel: None, token: None });
    }
    let usual = match preset {
        "ntfy" => Some("https://ntfy.sh"),
        "telegram" => Some("https://api.telegram.org"),
        _ => None,
    };
    let address = prompt.checked("The address", usual, |answer| {
        let rest = answer.strip_prefix("https://").or_else(|| answer.strip_prefix("http://"));
        match rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', ' '])) {
            true => Ok(answer.to_owned()),
            false => Err("an address begins with https:// and has no user in it".to_owned()),
        }
    })?;
    let channel = match preset {
        "ntfy" => Some(prompt.text("The topic", None)?),
        "telegram" => Some(prompt.text("The chat", None)?),
        _ => None,
    };
    let token = match preset {
        "gotify" | "telegram" => Some(existing(prompt, "The file with the token")?),
        _ => None,
    };
    Ok(Told::Web { preset, address: Address::Open(address), channel, token })
}

fn existing(prompt: &Prompt, question: &str) -> Result<PathBuf> {
    prompt.checked(question, None, |answer| {
        let path = absolute(answer)?;
        if path.is_file() { Ok(path) } else { Err(format!("there is no file {}", path.display())) }
    })
}

fn absolute(answer: &str) -> Result<PathBuf, String> {
    let path = Path::new(answer);
    if !path.is_absolute() {
        return Err("a path begins with /".to_owned());
    }
    if path.components().any(|part| part == std::path::Component::ParentDir)
        || answer.contains(char::is_control)
    {
        return Err("a path has no `..` and no control characters".to_owned());
    }
    Ok(path.components().collect())
}
