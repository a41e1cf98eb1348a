//! Options of all commands.

use std::path::PathBuf;

use clap::Args;
use keepfast_operations::units;

/// Options of all commands.
#[derive(Debug, Args)]
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
    /// Where the local index is kept, and what was seen of repositories; deleting it costs time, and the
    /// next command can't tell whether a repository is the one that it was
    #[arg(long, global = true, env = "KEEPFAST_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Remove what is in the local cache of other repositories, longest unused first, while it is larger
    /// than this, such as 5G; what the repository at hand needs stays
    #[arg(
        long,
        global = true,
        env = "KEEPFAST_CACHE_SIZE",
        hide_env_values = true,
        value_name = "SIZE",
        value_parser = units::size
    )]
    pub cache_size: Option<u64>,
    /// Keep nothing on this machine: the index is built in memory for each run, and no one can
    /// tell whether the repository is the one that it was
    #[arg(long, global = true, conflicts_with = "cache_size")]
    pub no_cache: bool,
    /// Print results as JSON, and progress as JSON Lines on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Threads that work [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Use no more memory than this, in MiB: with fewer threads, if need be
    #[arg(long, global = true, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
    pub memory: Option<u32>,
    /// Try all key slots that ask for no more memory than this [default: the 64 cheapest, up to 1G each]
    #[arg(long, global = true, value_name = "SIZE", value_parser = units::size)]
    pub slot_memory: Option<u64>,
    /// Leave processor and disk to other programs
    #[arg(long, global = true)]
    pub nice: bool,
    /// Write no more to the repository than this in a second, in KiB
    #[arg(long, global = true, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub limit_upload: Option<u64>,
    /// Read no more from the repository than this in a second, in KiB
    #[arg(long, global = true, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub limit_download: Option<u64>,
    /// How to reach a repository in S3.
    #[command(flatten)]
    pub s3: S3,
}

impl Common {
    /// The limit for what goes to the repository.
    pub fn upload_bytes_per_s(&self) -> Option<u64> {
        self.limit_upload.map(|kib| kib << 10)
    }

    /// The limit for what comes from it.
    pub fn download_bytes_per_s(&self) -> Option<u64> {
        self.limit_download.map(|kib| kib << 10)
    }
}

/// Options of repositories in S3. Keys and region come from where all programs for S3 find them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Repositories in S3")]
pub struct S3 {
    /// The store's address [default: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, or AWS]
    #[arg(long, global = true, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// The bucket's region [default: $AWS_REGION, or as the profile says]
    #[arg(long, global = true, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Name the bucket in the path, not in the host's name [default: true with an endpoint]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub s3_path_style: Option<bool>,
    /// Trust the authorities in this file too: certificates in PEM
    #[arg(long, global = true, env = "AWS_CA_BUNDLE", hide_env_values = true, value_name = "FILE")]
    pub s3_ca_file: Option<PathBuf>,
    /// Put packs into this storage class, such as STANDARD_IA or GLACIER_IR
    #[arg(long, global = true, value_name = "CLASS")]
    pub s3_storage_class: Option<String>,
    /// Give a request up that moves no byte for this long, and make it again
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub s3_timeout: u64,
    /// Keep trying for this long when the store fails
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    pub s3_retry: u64,
}
