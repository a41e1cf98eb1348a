//! Repositories: where they are, how they are opened, and what is done to keep them well.

use crate::decode::Located;
use crate::model::project::{Project, Quota};
use crate::model::reference::{Definable, Reference};
use crate::model::schedule::CronText;
use crate::model::secret::SecretReference;
use crate::values::address::{AbsolutePath, Endpoint, Place};
use crate::values::amount::{Share, ShareOrSize, Size};
use crate::values::money::Money;
use crate::values::time::Length;

table! {
    /// Where snapshots are kept.
    pub struct Repository {
        /// What it is, for people.
        description: Option<String>,
        /// Where it is: `s3://bucket/prefix`, or a directory.
        url: Located<Place>,
        /// What opens it.
        password: SecretReference,
        /// The project that it belongs to.
        project: Option<Reference<Project>>,
        /// With S3: the store's address; else AWS.
        endpoint: Option<Endpoint>,
        /// With S3: the region; else from the usual places.
        region: Option<String>,
        /// With S3: the key's name; else from the usual places.
        access_key: Option<SecretReference>,
        /// With S3: the key's secret.
        secret_key: Option<SecretReference>,
        /// With S3: whether the bucket stands in the path and not in the host's name.
        path_style: Option<bool>,
        /// With S3: certificates in PEM, of authorities to trust in addition to the system's.
        ca_file: Option<AbsolutePath>,
        /// With S3: the storage class of packs.
        storage_class: Option<String>,
        /// How long a request may move no byte before it is made again.
        stall_timeout: Length = "'60s'",
        /// How long what fails is tried again.
        retry_for: Length = "'5m'",
        /// Where this machine remembers the repository; else in the user's cache.
        cache: Option<AbsolutePath>,
        /// Checks.
        check: Option<CheckPlan>,
        /// Prunes.
        prune: Option<PrunePlan>,
        /// How much it may take.
        quota: Option<Quota>,
        /// What it costs.
        price: Option<Price>,
    }
}

table! {
    /// When a repository is checked, and how much of it is read.
    pub struct CheckPlan {
        /// When: five fields.
        cron: CronText,
        /// A check begins up to this much later.
        jitter: Option<Length>,
        /// How much of the data is read each time, another part each time.
        read_data: Share = "'0%'",
        /// Everything is read within this time; it is told if that can't be.
        full_within: Option<Length>,
    }
}

table! {
    /// When a repository is pruned.
    pub struct PrunePlan {
        /// When: five fields.
        cron: CronText,
        /// A prune begins up to this much later.
        jitter: Option<Length>,
        /// How much may stay unused instead of being rewritten.
        max_unused: ShareOrSize = "'5%'",
        /// How much is rewritten at most, each time.
        max_rewrite: Option<Size>,
        /// How long a backup may be silent before it is assumed dead: it begins again if it wasn't.
        session_timeout: Length = "'2h'",
    }
}

table! {
    /// What a store costs. A price has at most six digits behind the point; a gigabyte is 1,000,000,000 bytes.
    pub struct Price {
        /// A gigabyte for a month.
        storage_per_gb_month: Option<Money>,
        /// A gigabyte that is read.
        egress_per_gb: Option<Money>,
        /// A thousand requests.
        requests_per_thousand: Option<Money>,
        /// The currency, for people.
        currency: String = "'USD'",
    }
}

impl Definable for Repository {
    const KEY: &'static str = "repository";
}
