//! Options of all commands. They have headings of their own, so that `--help` shows a command's own options first.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;
use keepfast_operations::priority::NICEST;
use keepfast_operations::resources::{RateLimits, Resources};
use keepfast_operations::units;

use crate::colour::ColourWhen;

/// The heading of options that limit what a run takes of the machine and of the line.
const RESOURCES: &str = "Options for resources";

/// Options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Common {
    /// The repository: a directory, or s3://bucket/prefix
    #[arg(
        short,
        long,
        global = true,
        env = "KEEPFAST_REPOSITORY",
        hide_env_values = true,
        value_name = "PLACE"
    )]
    pub repo: Option<String>,
    /// The file that defines plans [default: /etc/keepfast/keepfast.toml, else ~/.config/keepfast/keepfast.toml]
    #[arg(long, global = true, env = "KEEPFAST_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read the password from the first line of this file
    #[arg(long, global = true, env = "KEEPFAST_PASSWORD_FILE", hide_env_values = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Run this command and read the password from the first line of its output
    #[arg(
        long,
        global = true,
        env = "KEEPFAST_PASSWORD_COMMAND",
        hide_env_values = true,
        value_name = "COMMAND"
    )]
    pub password_command: Option<String>,
    /// The directory of the local index, and of what earlier commands saw of repositories. Without it, the next
    /// command takes longer, and can't tell whether a repository is still the same
    #[arg(long, global = true, env = "KEEPFAST_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// While the local cache is larger than this, such as 5G, remove what it has of other repositories, longest
    /// unused first. What this repository needs stays
    #[arg(
        long,
        global = true,
        env = "KEEPFAST_CACHE_SIZE",
        hide_env_values = true,
        value_name = "SIZE",
        value_parser = units::size
    )]
    pub cache_size: Option<u64>,
    /// Keep nothing on this machine. Each run builds the index in memory, and can't tell whether the repository
    /// is still the same
    #[arg(long, global = true, conflicts_with = "cache_size")]
    pub no_cache: bool,
    /// Print results as JSON, and progress as JSON Lines on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Whether text has colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColourWhen::Auto, hide_possible_values = true)]
    pub color: ColourWhen,
    /// Use this many threads [default: one per processor]
    #[arg(long, global = true, help_heading = RESOURCES, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Use at most this much memory, in MiB; with less memory, fewer threads run
    #[arg(long, global = true, help_heading = RESOURCES, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
    pub memory: Option<u32>,
    /// Try the password on all key slots that need at most this much memory [default: the 64 cheapest, up to
    /// 1G each]
    #[arg(long, global = true, help_heading = RESOURCES, value_name = "SIZE", value_parser = units::size)]
    pub slot_memory: Option<u64>,
    /// Run with the lowest priority for processor and disk
    #[arg(long, global = true, help_heading = RESOURCES)]
    pub nice: bool,
    /// Write at most this much to the repository, in KiB per second
    #[arg(long, global = true, help_heading = RESOURCES, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub limit_upload: Option<u64>,
    /// Read at most this much from the repository, in KiB per second
    #[arg(long, global = true, help_heading = RESOURCES, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub limit_download: Option<u64>,
    /// How to reach a repository in S3.
    #[command(flatten)]
    pub s3: S3,
}

impl Common {
    /// What a run may use.
    pub fn resources(&self) -> Resources {
        Resources {
            threads: self.threads.and_then(NonZeroU16::new),
            memory_mib: self.memory,
            limits: RateLimits {
                upload_bytes_per_s: self.upload_bytes_per_s(),
                download_bytes_per_s: self.download_bytes_per_s(),
            },
            nice: self.nice(),
        }
    }

    /// How far it stands back for other programs.
    pub fn nice(&self) -> u8 {
        if self.nice { NICEST } else { 0 }
    }

    /// The limit for what goes to the repository.
    fn upload_bytes_per_s(&self) -> Option<u64> {
        self.limit_upload.map(|kib| kib << 10)
    }

    /// The limit for what comes from it.
    fn download_bytes_per_s(&self) -> Option<u64> {
        self.limit_download.map(|kib| kib << 10)
    }
}

/// Options of repositories in S3. Keys and region come from where all programs for S3 find them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for S3")]
pub struct S3 {
    /// The store's address [default: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, or AWS]
    #[arg(long, global = true, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// The bucket's region [default: $AWS_REGION, or as the profile says]
    #[arg(long, global = true, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Put the bucket's name into the path, not into the host name [default: true with an endpoint]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub s3_path_style: Option<bool>,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, global = true, env = "AWS_CA_BUNDLE", hide_env_values = true, value_name = "FILE")]
    pub s3_ca_file: Option<PathBuf>,
    /// Store packs in this storage class, such as STANDARD_IA or GLACIER_IR
    #[arg(long, global = true, value_name = "CLASS")]
    pub s3_storage_class: Option<String>,
    /// Cancel and repeat a request in which no byte moves for this long
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub s3_timeout: u64,
    /// When the store fails, keep trying for this long
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    pub s3_retry: u64,
}
