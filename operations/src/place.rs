//! Where a repository is, and how to reach it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepfast_backend::{Cancel, LocalStore, S3Credentials, S3Options, S3Store, Store};
use keepfast_engine::EngineError;
use keepfast_format::names;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::child::Children;
use crate::error::{PlaceError, Result};
use crate::host;
use crate::secret::{Purpose, SecretCache, SecretReader, SecretSource};

/// From this size on a probe's object is sent in parts.
pub const PROBE_LARGE_BYTES: usize = 300 << 10;
/// Objects on a page of a listing, while a store is probed.
const PROBE_PAGE_OBJECTS: u16 = 2;
/// How long a probe waits for a store that fails.
const PROBE_RETRY_MAX: Duration = Duration::from_secs(20);
/// Storage classes whose objects can't be read at once.
const OFFLINE_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// Where a repository is. As text and in configuration: a path, `file://` and a path, or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// In a directory; from the root down.
    Directory(PathBuf),
    /// In a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all names begin with: empty, or without a slash at either end.
        prefix: String,
    },
}

impl Place {
    /// Reads a place. A relative path is below the working directory of this process.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(PlaceError::Missing.into());
        }
        if text.starts_with("s3://") {
            let S3Options { bucket, prefix, .. } =
                S3Options::parse(text, host::monotonic).map_err(PlaceError::S3Address)?;
            return Ok(Self::S3 { bucket, prefix });
        }
        match text.split_once("://") {
            None => Ok(Self::of_directory(Path::new(text))),
            Some(("file", "")) => Err(PlaceError::Missing.into()),
            Some(("file", path)) => Ok(Self::of_directory(Path::new(path))),
            Some((scheme, _)) => Err(PlaceError::UnknownScheme { scheme: scheme.to_owned() }.into()),
        }
    }

    /// A directory.
    #[must_use]
    pub fn of_directory(path: &Path) -> Self {
        // Threads that read attributes have current directories of their own, for moments others; and the directory
        // above a relative path may have no name to open it by.
        Self::Directory(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The directory, if it is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::S3 { .. } => None,
        }
    }

    /// Whether the store is beyond a network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::S3 { .. })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Fails where it isn't UTF-8.
            Self::Directory(path) => path.serialize(serializer),
            Self::S3 { .. } => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How to reach a bucket, and how patient to be with it. Keys come from where all programs for S3 find them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// The store's address, with or without `https://`; AWS if there is none.
    pub endpoint: Option<String>,
    /// The region; else from the usual places.
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host's name. If it isn't said, it does exactly where there
    /// is an endpoint.
    pub path_style: Option<bool>,
    /// Certificates in PEM, of authorities to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The storage class of packs.
    pub storage_class: Option<String>,
    /// How long a request may move no byte before it is given up and made again, in seconds.
    pub stall_timeout_s: u64,
    /// How long what fails is tried again, in seconds.
    pub retry_for_s: u64,
    /// Where the access key is and its secret; else they come from the usual places of AWS.
    pub credentials: Option<S3KeySources>,
}

/// Where an access key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3KeySources {
    /// The key's id.
    pub access_key: SecretSource,
    /// The secret that goes with it.
    pub secret_key: SecretSource,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            ca_file: None,
            storage_class: None,
            stall_timeout_s: 60,
            retry_for_s: 300,
            credentials: None,
        }
    }
}

impl S3Settings {
    /// Whether a storage class can hold packs.
    fn check(&self) -> Result<(), PlaceError> {
        match &self.storage_class {
            Some(class) if OFFLINE_CLASSES.contains(&class.as_str()) => {
                Err(PlaceError::StorageClass { class: class.clone() })
            }
            _ => Ok(()),
        }
    }

    /// As the backend takes them.
    fn options(
        &self,
        bucket: &str,
        prefix: &str,
        children: &Children,
        cache: Option<&SecretCache>,
    ) -> Result<S3Options> {
        self.check()?;
        let credentials =
            self.credentials.as_ref().map(|sources| sources.read(children, cache)).transpose()?;
        let certificates = |file: &PathBuf| {
            std::fs::read(file).map_err(|source| PlaceError::Certificates { file: file.clone(), source })
        };
        let with_scheme = |url: &String| {
            if url.contains("://") { url.clone() } else { format!("https://{url}") }
        };
        let class = self.storage_class.iter();
        Ok(S3Options {
            endpoint: self.endpoint.as_ref().map(with_scheme),
            region: self.region.clone(),
            credentials,
            path_style: self.path_style,
            ca_pem: self.ca_file.as_ref().map(certificates).transpose()?,
            storage_classes: class.map(|class| (names::PACKS.to_owned(), class.clone())).collect(),
            stall_timeout: Duration::from_secs(self.stall_timeout_s),
            retry_for: Duration::from_secs(self.retry_for_s),
            uncontested_prefixes: uncontested_prefixes(),
            ..S3Options::new(bucket, prefix, host::monotonic)
        })
    }
}

impl S3KeySources {
    fn read(&self, children: &Children, cache: Option<&SecretCache>) -> Result<S3Credentials> {
        // Nothing cancels this: a run is only made for what is connected.
        let cancel = Cancel::new();
        let read = |what, source| {
            let reader = SecretReader { what, children, cancel: &cancel };
            reader.password_by(cache, source, Purpose::Open).map(|text| text.to_string())
        };
        Ok(S3Credentials {
            access_key: read("access key", &self.access_key)?,
            secret_key: read("secret key", &self.secret_key)?,
            session_token: None,
        })
    }
}

/// What the names of objects begin with that only one writer ever creates, because such a name holds whose it is.
///
/// Safety rests on this list: a store may complete uploads in parts so that two writers of one name both believe that
/// theirs is there, so only these objects are sent in parts. All others, those of snapshots too, are where writers meet.
#[must_use]
pub fn uncontested_prefixes() -> Vec<String> {
    [names::PACKS, names::SESSIONS, names::INDEX].map(str::to_owned).to_vec()
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// For a repository.
    Repository,
    /// For a probe: small pages and parts, so that few and small objects show how the store deals with many and large
    /// ones.
    Probe,
}

/// Makes ready to use the store at a place. A process does so once for each repository, however many runs use it;
/// each gets a handle of its own by [`Store::for_run`]. The store's keys may be in `cache`: a caller that the store refuses
/// forgets them there and connects again.
pub fn connect(
    place: &Place,
    settings: &S3Settings,
    children: &Children,
    cache: Option<&SecretCache>,
) -> Result<Arc<dyn Store>> {
    connect_for(place, settings, children, cache, Use::Repository)
}

/// As [`connect`], for a probe of the store. Nothing but a probe may use what comes of it.
pub(crate) fn connect_to_probe(
    place: &Place,
    settings: &S3Settings,
    children: &Children,
) -> Result<Arc<dyn Store>> {
    connect_for(place, settings, children, None, Use::Probe)
}

fn connect_for(
    place: &Place,
    settings: &S3Settings,
    children: &Children,
    cache: Option<&SecretCache>,
    what: Use,
) -> Result<Arc<dyn Store>> {
    match place {
        Place::S3 { bucket, prefix } => {
            let mut options = settings.options(bucket, prefix, children, cache)?;
            if what == Use::Probe {
                options.page_objects = PROBE_PAGE_OBJECTS;
                options.uncontested_prefixes = vec![String::new()];
                options.multipart_from_bytes = u64::try_from(PROBE_LARGE_BYTES).unwrap_or(u64::MAX);
                options.retry_for = options.retry_for.min(PROBE_RETRY_MAX);
            }
            Ok(Arc::new(S3Store::connect(options).map_err(EngineError::from)?))
        }
        Place::Directory(path) => Ok(Arc::new(LocalStore::new(path, host::monotonic))),
    }
}

#[cfg(test)]
mod tests {
    use keepfast_backend::RunLink;

    use super::{Children, PathBuf, Place, S3Settings, connect, uncontested_prefixes};

    fn parse(text: &str) -> Result<Place, String> {
        Place::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_read_or_refused() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        let here = std::path::absolute("here").expect("a working directory");
        assert_eq!(parse("/srv/backup"), Ok(Place::Directory(PathBuf::from("/srv/backup"))));
        assert_eq!(parse("file:///srv/backup"), parse("/srv/backup"));
        assert_eq!(parse("here"), Ok(Place::Directory(here)));
        assert_eq!(parse("s3://bucket/a/b/"), s3("bucket", "a/b"));
        assert_eq!(parse("s3://bucket"), s3("bucket", ""));
        for (wrong, why) in [
            ("", "no repository given"),
            ("file://", "no repository given"),
            ("s3://", "names no bucket"),
            ("s3://b/../x", "the prefix in s3://b/../x can't be used"),
            ("sftp://host/x", "sftp:// isn't supported"),
        ] {
            assert!(parse(wrong).expect_err(wrong).contains(why), "{wrong}");
        }
    }

    #[test]
    fn a_place_survives_being_written() {
        for text in ["/srv/backup", "s3://bucket", "s3://bucket/a/b"] {
            let place = parse(text).expect(text);
            assert_eq!(place.to_string(), text);
            let written = serde_json::to_string(&place).expect(text);
            assert_eq!(written, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Place>(&written).expect(text), place);
        }
        assert!(serde_json::from_str::<Place>("\"ftp://x\"").is_err());
    }

    #[test]
    fn packs_are_never_put_where_they_cannot_be_read() {
        let place = parse("s3://bucket").expect("a place");
        for class in ["GLACIER", "DEEP_ARCHIVE"] {
            let settings = S3Settings { storage_class: Some(class.to_owned()), ..S3Settings::default() };
            let error = connect(&place, &settings, &Children::default(), None).map(|_| ()).expect_err(class);
            assert!(error.is_wrong_input() && error.to_string().contains("GLACIER_IR can be"), "{error}");
        }
    }

    /// The safety parameter, and what else a store is told.
    #[test]
    fn settings_become_options_of_which_only_names_of_one_writer_are_uncontested() {
        let settings: S3Settings = serde_json::from_str(
            r#"{"endpoint": "store:9000", "storage_class": "GLACIER_IR", "retry_for_s": 5}"#,
        )
        .expect("settings");
        let options = settings.options("bucket", "prefix", &Children::default(), None).expect("options");
        assert_eq!(options.endpoint.as_deref(), Some("https://store:9000"));
        assert_eq!(options.storage_classes, [("packs/".to_owned(), "GLACIER_IR".to_owned())]);
        assert_eq!((options.retry_for.as_secs(), options.stall_timeout.as_secs()), (5, 60));
        assert_eq!(options.uncontested_prefixes, uncontested_prefixes());
        assert_eq!(uncontested_prefixes(), ["packs/", "sessions/", "index/"]);
        let lost = S3Settings { ca_file: Some("/no/such/file".into()), ..S3Settings::default() };
        let error =
            lost.options("bucket", "", &Children::default(), None).map(|_| ()).expect_err("no certificates");
        assert_eq!(error.to_string(), "the certificates in /no/such/file can't be read");
    }

    #[test]
    fn keys_come_from_where_they_are_and_are_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let (access_key, secret_key) = (folder.path().join("id"), folder.path().join("secret"));
        std::fs::write(&access_key, "AKIA\n").expect("written");
        std::fs::write(&secret_key, "hush\n").expect("written");
        let text = format!(
            r#"{{"credentials": {{"access_key": {{"file": {access_key:?}}}, "secret_key": {{"file": {secret_key:?}}}}}}}"#
        );
        let settings: S3Settings = serde_json::from_str(&text).expect("settings");
        let options = settings.options("bucket", "", &Children::default(), None).expect("options");
        let keys = options.credentials.expect("keys");
        assert_eq!((keys.access_key.as_str(), keys.secret_key.as_str()), ("AKIA", "hush"));
        assert!(!format!("{settings:?} {keys:?}").contains("hush"));
        std::fs::remove_file(&secret_key).expect("removed");
        assert!(settings.options("bucket", "", &Children::default(), None).is_err(), "half a key is none");
    }

    #[test]
    fn a_directory_is_connected_and_names_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::of_directory(folder.path());
        let store = connect(&place, &S3Settings::default(), &Children::default(), None).expect("a store");
        let store = store.for_run(RunLink::default());
        assert_eq!(store.location(), folder.path().display().to_string());
        store.create("packs/x", &[b"one"]).expect("created");
        assert_eq!(std::fs::read(folder.path().join("packs/x")).expect("a file"), b"one");
    }
}
