//! Repositories in S3: from the options of the command line to the store.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keepfast_backend::{S3Options, S3Store};
use keepfast_engine::EngineError;
use keepfast_format::names;

use crate::args::Common;
use crate::usage::Usage;

/// Whether a place is in S3.
pub fn is_s3(place: &str) -> bool {
    place.starts_with("s3://")
}

/// Makes ready to talk to the store at `place`. One to be probed gets small pages and parts,
/// so that few and small objects show how it deals with many and large ones.
pub fn connect(place: &str, common: &Common, to_probe: bool) -> Result<S3Store> {
    let mut options = options(place, common)?;
    if to_probe {
        options.page_objects = 2;
        options.uncontested_prefixes = vec![String::new()];
        options.multipart_from_bytes = PROBE_LARGE_BYTES as u64;
        options.retry_for = options.retry_for.min(Duration::from_secs(20));
    }
    Ok(S3Store::connect(options).map_err(EngineError::from)?)
}

/// From this size on a probe's object is sent in parts.
pub const PROBE_LARGE_BYTES: usize = 300 << 10;

fn options(place: &str, common: &Common) -> Result<S3Options> {
    let args = &common.s3;
    let options = S3Options::parse(place, Instant::now).map_err(Usage)?;
    if let Some(class) = args.s3_storage_class.as_deref()
        && matches!(class, "GLACIER" | "DEEP_ARCHIVE")
    {
        return Err(Usage(format!(
            "packs can't be in {class}: what is there can't be read at once, and backups, checks and restores \
             must read; GLACIER_IR can be"
        ))
        .into());
    }
    let ca_pem = args.s3_ca_file.as_ref().map(|file| {
        std::fs::read(file).with_context(|| format!("the certificates in {} can't be read", file.display()))
    });
    let from_env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = args
        .s3_endpoint
        .clone()
        .or_else(|| from_env("AWS_ENDPOINT_URL_S3"))
        .or_else(|| from_env("AWS_ENDPOINT_URL"));
    Ok(S3Options {
        endpoint: endpoint.map(|url| if url.contains("://") { url } else { format!("https://{url}") }),
        region: args.s3_region.clone(),
        path_style: args.s3_path_style,
        ca_pem: ca_pem.transpose()?,
        storage_classes: args
            .s3_storage_class
            .iter()
            .map(|class| (names::PACKS.to_owned(), class.clone()))
            .collect(),
        stall_timeout: Duration::from_secs(args.s3_timeout),
        retry_for: Duration::from_secs(args.s3_retry),
        // The names of these hold whose they are. Others, those of snapshots too, are where writers meet.
        uncontested_prefixes: [names::PACKS, names::SESSIONS, names::INDEX].map(str::to_owned).to_vec(),
        ..options
    })
}
