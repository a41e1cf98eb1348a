//! Repositories in S3: the options of the command line, and the variables that all programs for S3 know.

use keepfast_operations::place::S3Settings;

use crate::args::Common;

/// How to reach a repository in S3.
pub fn settings(common: &Common) -> S3Settings {
    let args = &common.s3;
    let from_env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = args.s3_endpoint.clone();
    S3Settings {
        endpoint: endpoint
            .or_else(|| from_env("AWS_ENDPOINT_URL_S3"))
            .or_else(|| from_env("AWS_ENDPOINT_URL")),
        region: args.s3_region.clone(),
        path_style: args.s3_path_style,
        ca_file: args.s3_ca_file.clone(),
        storage_class: args.s3_storage_class.clone(),
        stall_timeout_s: args.s3_timeout,
        retry_for_s: args.s3_retry,
        credentials: None,
    }
}
