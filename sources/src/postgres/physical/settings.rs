//! Settings of a server that recovers, as its files have them.

use std::path::Path;

use jiff::tz::TimeZone;

use super::super::lsn::Timeline;
use super::target::Target;
use crate::error::{Result, SourceError};
use crate::restore::Until;

/// What a server does when it has reached its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It begins a timeline of its own, and takes writes.
    Promote,
    /// It ends.
    Shutdown,
}

/// Settings that a copy must not take over: it would write into the archive of the server that it is a copy of, follow
/// that server, wait for its standbys, or use its files.
const NOT_TAKEN: &[&str] = &[
    "archive_cleanup_command",
    "archive_command",
    "archive_library",
    "archive_mode",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "include",
    "include_dir",
    "include_if_exists",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_end_command",
    "restore_command",
    "synchronous_standby_names",
];
const NOT_TAKEN_PREFIX: &str = "recovery_";

/// The lines of a server's own settings that a copy may take over.
pub(super) fn taken_over(text: &str) -> String {
    let name = |line: &str| {
        let line = line.trim_start();
        let end = line.find(|sign: char| sign.is_whitespace() || sign == '=').unwrap_or(line.len());
        line.get(..end).unwrap_or(line).to_ascii_lowercase()
    };
    let is_taken = |line: &&str| {
        let name = name(line);
        !NOT_TAKEN.contains(&name.as_str()) && !name.starts_with(NOT_TAKEN_PREFIX)
    };
    text.lines().filter(is_taken).fold(String::new(), |text, line| text + line + "\n")
}

/// The settings with which a server recovers.
pub(super) fn of_recovery(command: &str, target: &Target, timeline: Timeline, then: Then) -> Result<String> {
    let mut text = "# Written by keepfast for the restore. `archive_mode` is off, so that this copy writes nothing into the\n\
                    # archive of the server that it is a copy of: choose another archive before you turn it on.\n"
        .to_owned();
    let mut set = |name: &str, value: &str| -> Result<()> {
        let line = format!("{name} = {}\n", quoted(name, value)?);
        text.push_str(&line);
        Ok(())
    };
    set("restore_command", command)?;
    // The default would follow any copy that has written a history into the archive.
    set("recovery_target_timeline", &timeline.to_string())?;
    set("recovery_target_action", if then == Then::Promote { "promote" } else { "shutdown" })?;
    set("archive_mode", "off")?;
    // Otherwise a server wants to be at least as large as the one that it is a copy of, and says that it has started
    // before it has reached its target.
    set("hot_standby", "off")?;
    match target {
        Target::End => {}
        Target::Consistent => set("recovery_target", "immediate")?,
        Target::At(Until::Time(_)) => {
            if let Some(time) = target.time()? {
                let time = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f+00").to_string();
                set("recovery_target_time", &time)?;
            }
        }
        Target::At(Until::Position(lsn)) => {
            target.position()?;
            set("recovery_target_lsn", lsn)?;
        }
        Target::At(Until::Name(name)) => set("recovery_target_name", name)?,
        Target::At(Until::Transaction(xid)) => {
            if xid.parse::<u64>().is_err() {
                let why = "it isn't the number of a transaction".to_owned();
                return Err(SourceError::Unsupported { object: xid.clone(), why });
            }
            set("recovery_target_xid", xid)?;
        }
    }
    Ok(text)
}

/// A value as PostgreSQL's files of settings quote it.
pub(super) fn quoted(name: &str, value: &str) -> Result<String> {
    if value.chars().any(char::is_control) {
        let why = "it has a sign that settings can't have".to_owned();
        return Err(SourceError::Unsupported { object: name.to_owned(), why });
    }
    Ok(format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")))
}

/// The command that copies segments from a folder. Only a file that isn't there ends the log.
pub(super) fn copying_from(folder: &Path) -> Result<String> {
    let folder = folder.to_str().ok_or_else(|| SourceError::Unsupported {
        object: folder.display().to_string(),
        why: "the path isn't text".to_owned(),
    })?;
    // First for the shell, then for PostgreSQL, which takes `%` for one of its own.
    let place = format!("'{}'", folder.replace('\'', "'\\''")).replace('%', "%%");
    Ok(format!("test -e {place}/%f || exit 1; cp {place}/%f \"%p\" || exit 200"))
}

/// A file for PostgreSQL that names where each tablespace is.
pub(super) fn tablespace_map(places: &[(u32, String)]) -> String {
    places.iter().fold(String::new(), |text, (oid, path)| {
        let path = path.replace('\\', "\\\\").replace('\n', "\\\n").replace('\r', "\\\r");
        text + &format!("{oid} {path}\n")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Then, copying_from, of_recovery, quoted, tablespace_map, taken_over};
    use crate::postgres::lsn::Timeline;
    use crate::postgres::physical::target::Target;
    use crate::restore::Until;

    #[test]
    fn a_copy_does_not_take_over_where_its_server_archives_and_whom_it_follows() {
        let own = "# Do not edit this file manually!\nwork_mem = '8MB'\narchive_command = 'cp %p /srv/wal'\n\
                   \tARCHIVE_MODE=on\nprimary_conninfo 'host=db'\nrecovery_target_time = 'x'\nmax_connections = 200\n\
                   include_dir 'conf.d'\nsynchronous_standby_names = '*'\n";
        let kept = "# Do not edit this file manually!\nwork_mem = '8MB'\nmax_connections = 200\n";
        assert_eq!(taken_over(own), kept);
    }

    #[test]
    fn targets_are_written_as_postgresql_reads_them() {
        let text = |target: Target| of_recovery("cp '%f'", &target, Timeline::FIRST, Then::Promote);
        let has = |target: Target, line: &str| {
            let text = text(target).expect(line);
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        };
        has(Target::End, "restore_command = 'cp ''%f'''");
        has(Target::End, "recovery_target_timeline = '1'");
        has(Target::End, "archive_mode = 'off'");
        has(Target::Consistent, "recovery_target = 'immediate'");
        let time = "2026-11-28T12:23:40.5+02:00";
        has(Target::At(Until::Time(time.to_owned())), "recovery_target_time = '2026-11-28 10:23:40.5+00'");
        has(Target::At(Until::Position("0/16B3748".to_owned())), "recovery_target_lsn = '0/16B3748'");
        has(Target::At(Until::Name(r"it's \ok".to_owned())), r"recovery_target_name = 'it''s \\ok'");
        has(Target::At(Until::Transaction("742".to_owned())), "recovery_target_xid = '742'");
        for wrong in [
            Until::Time("now".to_owned()),
            Until::Position("x".to_owned()),
            Until::Transaction("742'".to_owned()),
            Until::Name("a\nb".to_owned()),
        ] {
            assert!(text(Target::At(wrong.clone())).is_err(), "{wrong:?}");
        }
        assert!(!text(Target::End).expect("a text").contains("recovery_target ="));
        assert!(quoted("x", "a\nfsync = off").is_err());
    }

    #[test]
    fn paths_are_quoted_for_the_shell_and_for_postgresql() {
        let command = copying_from(Path::new("/srv/it's 5%")).expect("a path");
        assert_eq!(
            command,
            r#"test -e '/srv/it'\''s 5%%'/%f || exit 1; cp '/srv/it'\''s 5%%'/%f "%p" || exit 200"#
        );
        assert_eq!(
            tablespace_map(&[(1, "/a b\\c".to_owned()), (2, "/d\ne".to_owned())]),
            "1 /a b\\\\c\n2 /d\\\ne\n"
        );
    }
}
