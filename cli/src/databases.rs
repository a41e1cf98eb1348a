//! Databases as the command line names them.

use anyhow::Result;
use keepfast_operations::child::CommandLine;
use keepfast_operations::databases::DatabaseSource;
use keepfast_operations::secret::SecretSource;
use keepfast_sources::address::Address;
use keepfast_sources::dump::{Content, DumpOptions, OnMissing, Selection};

use crate::args::{ContentFlag, DatabaseFlags};
use crate::usage::Usage;

/// The databases that the flags name.
pub fn of(flags: &DatabaseFlags) -> Result<Vec<DatabaseSource>> {
    if flags.source_name.is_some() && flags.source.len() > 1 {
        return Err(
            Usage("--source-name goes with one --source: each has a folder of its own".to_owned()).into()
        );
    }
    let options = DumpOptions {
        selection: Selection {
            schemas: flags.source_schema.clone(),
            tables: flags.source_table.clone(),
            exclude_tables: flags.source_exclude_table.clone(),
            content: match flags.source_content {
                ContentFlag::All => Content::All,
                ContentFlag::Schema => Content::Schema,
                ContentFlag::Data => Content::Data,
            },
            ..Selection::default()
        },
        physical: flags.source_physical,
        parallel: flags.source_parallel,
        on_missing: if flags.source_partial { OnMissing::Report } else { OnMissing::Fail },
        ..DumpOptions::default()
    };
    let password = password(flags.source_password_file.as_deref(), flags.source_password_command.as_deref());
    let source = |text: &String| {
        Ok(DatabaseSource {
            name: flags.source_name.clone(),
            address: address(text)?,
            password: password.clone(),
            options: options.clone(),
        })
    };
    flags.source.iter().map(source).collect()
}

/// An address that a flag has. It isn't read by the parser of the flags, which would show it with its password.
pub fn address(text: &str) -> Result<Address> {
    Address::parse(text).map_err(|error| Usage(error.to_string()).into())
}

/// Where a password is, as flags say it.
pub fn password(file: Option<&std::path::Path>, command: Option<&str>) -> Option<SecretSource> {
    match (file, command) {
        (Some(file), _) => Some(SecretSource::File(file.to_owned())),
        (None, Some(command)) => Some(SecretSource::Command(CommandLine::Shell(command.to_owned()))),
        (None, None) => None,
    }
}
