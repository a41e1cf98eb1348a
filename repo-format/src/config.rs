//! The config: a repository's parameters. An owner signs it, and each config names the hash of the one
//! before.

use serde_cbor::Value;

use crate::cbor::{FieldReader, Fields, Ignorable};
use crate::chunker::ChunkerParams;
use crate::ids::{ObjectHash, RepositoryId};
use crate::keys::Identity;
use crate::signed::{self, SignedKind};
use crate::{FormatError, limits};

const WHAT: &str = "config";

/// Names of features that a program must support to work with the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Needed to read.
    pub read: Vec<String>,
    /// Needed to write.
    pub write: Vec<String>,
    /// Needed to collect garbage: a collector that overlooks a kind of reference removes live data.
    pub collect: Vec<String>,
}

/// The feature of a repository in a store that can't keep writers from overwriting each other's objects:
/// its owner has declared that no two runs ever write at once.
pub const SINGLE_WRITER: &str = "single-writer";

/// The repository's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The repository.
    pub repository: RepositoryId,
    /// This config's number in the chain.
    pub n: u32,
    /// The hash of the config before it.
    pub previous: Option<ObjectHash>,
    /// How data is cut.
    pub chunker: ChunkerParams,
    /// Plaintext of a full data frame, in bytes.
    pub data_frame_bytes: u32,
    /// Plaintext of a full metadata frame, in bytes.
    pub metadata_frame_bytes: u32,
    /// Stored size of a full pack, in bytes.
    pub pack_bytes: u32,
    /// Features in use.
    pub features: Features,
    /// When the repository was made, in seconds since 1970. For people only.
    pub created_unix_s: u64,
    ignorable: Ignorable,
}

impl Config {
    /// A new repository's first config, with the default sizes.
    #[must_use]
    pub fn new(repository: RepositoryId, created_unix_s: u64) -> Self {
        Self {
            repository,
            n: 0,
            previous: None,
            chunker: ChunkerParams::DEFAULT,
            data_frame_bytes: 1 << 21,
            metadata_frame_bytes: 256 << 10,
            pack_bytes: 32 << 20,
            features: Features::default(),
            created_unix_s,
            ignorable: Ignorable::new(),
        }
    }

    /// The stored bytes: encoded and signed by an owner.
    pub fn seal(&self, owner: &Identity) -> Result<Vec<u8>, FormatError> {
        self.validate()?;
        Ok(signed::seal_numbered(SignedKind::Config, self.repository, owner, self.n, self.fields()))
    }

    /// Reads config `n` and checks that one of `owners` signed it for this repository and this number.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        n: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let mut fields = signed::open_numbered(SignedKind::Config, bytes, repository, n, owners)?;
        let mut chunker = fields.map(3)?;
        let mut frames = fields.map(4)?;
        let mut features = fields.map(6)?;
        let config = Self {
            repository,
            n,
            previous: fields.optional_fixed(2)?.map(ObjectHash::new),
            chunker: ChunkerParams {
                min_bytes: read_algorithm(&mut chunker)?,
                avg_bytes: chunker.u32(2)?,
                max_bytes: chunker.u32(3)?,
            },
            data_frame_bytes: frames.u32(0)?,
            metadata_frame_bytes: frames.u32(1)?,
            pack_bytes: fields.u32(5)?,
            features: Features {
                read: features.texts(0)?,
                write: features.texts(1)?,
                collect: features.texts(2)?,
            },
            created_unix_s: fields.uint(7)?,
            ignorable: fields.finish()?,
        };
        chunker.finish()?;
        frames.finish()?;
        features.finish()?;
        config.validate()?;
        Ok(config)
    }

    /// Declares that no two runs ever write at once.
    pub fn declare_single_writer(&mut self) {
        for class in [&mut self.features.write, &mut self.features.collect] {
            if !class.iter().any(|feature| feature == SINGLE_WRITER) {
                class.push(SINGLE_WRITER.to_owned());
            }
        }
    }

    /// Whether the owner has declared that no two runs ever write at once.
    #[must_use]
    pub fn is_single_writer(&self) -> bool {
        self.features.write.iter().any(|feature| feature == SINGLE_WRITER)
    }

    /// Refuses sizes that exceed SPEC's limits.
    pub fn validate(&self) -> Result<(), FormatError> {
        self.chunker.validate()?;
        let frame_fits = |bytes: u32| (1 << 12..=limits::FRAME_PLAIN_BYTES_MAX / 2).contains(&bytes);
        if !frame_fits(self.data_frame_bytes) || !frame_fits(self.metadata_frame_bytes) {
            return Err(FormatError::OverLimit { what: WHAT, field: "frame size" });
        }
        if !(limits::PACK_BYTES_MIN..=limits::PACK_BYTES_MAX).contains(&self.pack_bytes) {
            return Err(FormatError::OverLimit { what: WHAT, field: "pack size" });
        }
        Ok(())
    }

    fn fields(&self) -> Fields {
        let names = |names: &[String]| names.iter().cloned().map(Value::Text).collect::<Vec<_>>();
        let chunker = Fields::new()
            .uint(0, ALGORITHM_FASTCDC_2020)
            .uint(1, self.chunker.min_bytes.into())
            .uint(2, self.chunker.avg_bytes.into())
            .uint(3, self.chunker.max_bytes.into());
        let frames =
            Fields::new().uint(0, self.data_frame_bytes.into()).uint(1, self.metadata_frame_bytes.into());
        let features = Fields::new()
            .array(0, names(&self.features.read))
            .array(1, names(&self.features.write))
            .array(2, names(&self.features.collect));
        Fields::new()
            .maybe(self.previous, |fields, hash| fields.bytes(2, hash.as_bytes()))
            .with(3, chunker.value())
            .with(4, frames.value())
            .uint(5, self.pack_bytes.into())
            .with(6, features.value())
            .uint(7, self.created_unix_s)
            .ignorable(&self.ignorable)
    }
}

const ALGORITHM_FASTCDC_2020: u64 = 1;

/// Checks the algorithm's number and reads the first of its parameters.
fn read_algorithm(chunker: &mut FieldReader<'_>) -> Result<u32, FormatError> {
    let algorithm = chunker.uint(0)?;
    if algorithm != ALGORITHM_FASTCDC_2020 {
        return Err(FormatError::UnknownVersion {
            what: "chunker",
            found: algorithm,
            newest: ALGORITHM_FASTCDC_2020,
        });
    }
    chunker.u32(1)
}
