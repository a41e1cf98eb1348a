//! Databases of a plan.

use std::num::NonZeroU16;

use keepfast_config::model::source::{
    Database, DumpContent, DumpFormat, Engine as Defined, OnMissing as DefinedMissing, Source,
    Tls as DefinedTls,
};
use keepfast_operations::databases::DatabaseSource;
use keepfast_sources::address::{Address, Engine, Place, Tls};
use keepfast_sources::dump::{Content, DumpOptions, OnMissing, Selection};

use super::{secret, unsupported};
use crate::error::Result;

/// The databases of a plan, in the order of the file. `name` names the plan, for errors.
pub fn sources(parts: &[Source], name: &str) -> Result<Vec<DatabaseSource>> {
    let mut sources = Vec::new();
    for part in parts {
        if let Some((engine, database)) = part.database() {
            if database.dbname.is_some() && !database.databases.is_empty() {
                return Err(unsupported(name, "`dbname` beside `databases`: name all in `databases`"));
            }
            sources.push(DatabaseSource {
                name: part.name.clone(),
                address: address(engine, database),
                password: database
                    .password
                    .as_ref()
                    .map(|password| secret::source(password, name))
                    .transpose()?,
                options: options(database, part.format),
            });
        }
        if let Some(file) = &part.sqlite {
            let address = Address::file(file.path.0.clone());
            sources.push(DatabaseSource { name: part.name.clone(), ..DatabaseSource::new(address) });
        }
    }
    Ok(sources)
}

/// How to reach a database of the configuration.
#[must_use]
pub fn address(engine: Defined, database: &Database) -> Address {
    let port = database.port.or_else(|| NonZeroU16::new(engine.usual_port())).unwrap_or(NonZeroU16::MIN);
    let place = match &database.socket {
        Some(socket) => Place::Socket { path: socket.0.clone(), port },
        None => Place::Server { host: database.host.0.clone(), port },
    };
    Address {
        engine: match engine {
            Defined::Postgres => Engine::Postgres,
            Defined::Mysql => Engine::Mysql,
            Defined::Mariadb => Engine::Mariadb,
            Defined::Mongodb => Engine::Mongodb,
            Defined::Redis => Engine::Redis,
        },
        place,
        user: database.user.clone(),
        database: database.dbname.clone(),
        password: None,
        tls: match database.tls {
            DefinedTls::Off => Tls::Off,
            DefinedTls::Prefer => Tls::Prefer,
            DefinedTls::Verify => Tls::Verify,
        },
        ca_file: database.ca_file.as_ref().map(|file| file.0.clone()),
    }
}

fn options(database: &Database, format: DumpFormat) -> DumpOptions {
    DumpOptions {
        selection: Selection {
            databases: database.databases.clone(),
            schemas: database.schemas.clone(),
            tables: database.tables.clone(),
            exclude_tables: database.exclude_tables.clone(),
            content: match database.content {
                DumpContent::All => Content::All,
                DumpContent::Schema => Content::Schema,
                DumpContent::Data => Content::Data,
            },
        },
        physical: format == DumpFormat::Physical,
        parallel: database.parallel,
        on_missing: match database.on_missing {
            DefinedMissing::Fail => OnMissing::Fail,
            DefinedMissing::Report => OnMissing::Report,
        },
        connect_timeout: database.timeout.0,
        arguments: database.options.clone(),
        programs: database.programs.iter().map(|folder| folder.0.clone()).collect(),
    }
}
