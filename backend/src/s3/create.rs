//! Creating objects, so that exactly one create of a name makes the object and each knows
//! whether it was its own.
//!
//! Every object carries a random number of the call that made it. A store that says "taken"
//! may mean our own earlier try, whose answer was lost; one that doesn't answer may have
//! written all the same. In both cases the number at the object says whose it is.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_sdk_s3::types::StorageClass;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use super::Store;
use super::body::{Progress, body, cut, feed};
use super::failure::{Class, Failure};
use super::patience::Patience;
use crate::Created;
use crate::traffic::add;

/// The name of the metadata with the number of the call.
pub(super) const CREATE_ID: &str = "keepfast-create";

/// Whose an object is.
enum Maker {
    Nobody,
    ThisCall,
    Another,
}

/// Which checksum goes with an upload: what a store is found to check.
#[derive(Debug, Default)]
pub(super) struct Checksum(AtomicU8);

impl Checksum {
    const UNTRIED: u8 = 0;
    const CRC32: u8 = 1;
    const MD5: u8 = 2;

    fn is(&self, which: u8) -> bool {
        self.0.load(Ordering::Relaxed) == which
    }

    fn set(&self, which: u8) {
        self.0.store(which, Ordering::Relaxed);
    }
}

/// What one call creates.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub key: &'a str,
    pub parts: &'a [&'a [u8]],
    pub bytes: u64,
    pub id: &'a str,
    pub class: Option<&'a str>,
}

impl New<'_> {
    pub(super) fn storage_class(&self) -> Option<StorageClass> {
        self.class.map(StorageClass::from)
    }
}

impl Store {
    /// Creates an object unless there is one of its name.
    pub(super) async fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, Failure> {
        let id = random_id()?;
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let classes = &self.options.storage_classes;
        let class =
            classes.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, class)| class.as_str());
        let new = New { key: &self.key(name), parts, bytes, id: &id, class };
        let may_be_parts =
            self.options.multipart_prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        if may_be_parts && bytes >= self.options.multipart_from_bytes.max(1) {
            return self.create_in_parts(new).await;
        }
        let mut patience = Patience::new(self);
        // Whether an earlier try may have made the object.
        let mut in_doubt = false;
        loop {
            if in_doubt {
                match self.maker(new).await {
                    Ok(Maker::ThisCall) => return Ok(Created::New),
                    Ok(Maker::Another) => return Ok(Created::AlreadyThere),
                    Ok(Maker::Nobody) => in_doubt = false,
                    Err(failure) => {
                        patience.wait(failure).await?;
                        continue;
                    }
                }
            }
            match self.put(new).await {
                Ok(()) => return Ok(Created::New),
                Err(failure) if failure.class == Class::Taken => {
                    match self.created_by(new, &mut patience).await? {
                        Some(created) => return Ok(created),
                        // It is gone again.
                        None => patience.wait(failure).await?,
                    }
                }
                Err(failure) => {
                    in_doubt = failure.class == Class::Unknown;
                    patience.wait(failure).await?;
                }
            }
        }
    }

    /// Who made the object that is there, as the answer to a create; `None` if there is none.
    pub(super) async fn created_by(
        &self,
        new: New<'_>,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Created>, Failure> {
        loop {
            match self.maker(new).await {
                Ok(Maker::ThisCall) => return Ok(Some(Created::New)),
                Ok(Maker::Another) => return Ok(Some(Created::AlreadyThere)),
                Ok(Maker::Nobody) => return Ok(None),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }

    /// One try to write the whole object.
    async fn put(&self, new: New<'_>) -> Result<(), Failure> {
        let progress = Progress::default();
        let (stream, pieces) = body(new.bytes, &progress);
        let mut request = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(new.key)
            .if_none_match("*")
            .metadata(CREATE_ID, new.id)
            .set_storage_class(new.storage_class())
            .content_length(new.bytes as i64)
            .content_type("application/octet-stream")
            .body(stream);
        let by_md5 = self.checksum.is(Checksum::MD5);
        request = if by_md5 {
            request.content_md5(md5_of(new.parts))
        } else {
            request.checksum_crc32(crc32_of(new.parts))
        };
        let sent = self.ask(&self.counters.puts, &progress, request.send());
        let answer = self.while_feeding(sent, new.parts, pieces).await;
        add(&self.counters.bytes_up, progress.bytes());
        match answer {
            Ok(answer) => {
                if self.checksum.is(Checksum::UNTRIED) {
                    let checked = answer.checksum_crc32().is_some();
                    self.checksum.set(if checked { Checksum::CRC32 } else { Checksum::MD5 });
                }
                Ok(())
            }
            // A store may refuse a checksum that it doesn't know.
            Err(failure)
                if self.checksum.is(Checksum::UNTRIED)
                    && !by_md5
                    && matches!(failure.status, Some(400 | 501))
                    && matches!(
                        failure.class,
                        Class::Final(io::ErrorKind::Other | io::ErrorKind::Unsupported)
                    ) =>
            {
                self.checksum.set(Checksum::MD5);
                Box::pin(self.put(new)).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Runs a request while its body is fed.
    pub(super) async fn while_feeding<T>(
        &self,
        request: impl Future<Output = T>,
        parts: &[&[u8]],
        pieces: tokio::sync::mpsc::Sender<bytes::Bytes>,
    ) -> T {
        let feeding = async {
            feed(parts, pieces, &self.up).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = request => answer,
            () = feeding => unreachable!("it never ends"),
        }
    }

    /// Whose the object is.
    async fn maker(&self, new: New<'_>) -> Result<Maker, Failure> {
        let request = self.client.head_object().bucket(&self.options.bucket).key(new.key);
        let found = match self.ask(&self.counters.gets, &Progress::default(), request.send()).await {
            Ok(found) => found,
            Err(failure) if failure.class == Class::NotFound => return Ok(Maker::Nobody),
            Err(failure) if failure.class == Class::Final(io::ErrorKind::PermissionDenied) => {
                return Err(Failure {
                    message: format!(
                        "{}; whether this run made the object can't be told without reading it",
                        failure.message
                    ),
                    ..failure
                });
            }
            Err(failure) => return Err(failure),
        };
        let same_size = found.content_length() == Some(new.bytes as i64);
        match found.metadata().and_then(|metadata| metadata.get(CREATE_ID)) {
            Some(id) if id == new.id && same_size => Ok(Maker::ThisCall),
            Some(id) if id == new.id => Err(Failure::new(
                Class::Final(io::ErrorKind::InvalidData),
                "the store took the object and shows it with another size: don't trust it with data",
            )),
            Some(_) => Ok(Maker::Another),
            // A store that drops metadata: only the bytes can tell.
            None if !same_size => Ok(Maker::Another),
            None => {
                let mut there = Vec::new();
                match self.get_once(new.key, new.bytes, &mut there).await {
                    Ok(()) if is_same(&there, new.parts) => Ok(Maker::ThisCall),
                    Ok(()) => Ok(Maker::Another),
                    Err(failure) if failure.class == Class::NotFound => Ok(Maker::Nobody),
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// The parts of an object that lie between two places.
    pub(super) fn part<'p>(&self, new: New<'p>, number: u64) -> Vec<&'p [u8]> {
        cut(new.parts, number * self.options.part_bytes, self.options.part_bytes)
    }
}

fn random_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no random bytes: {error}");
        Failure::new(Class::Final(io::ErrorKind::Other), message)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn crc32_of(parts: &[&[u8]]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    BASE64.encode(hasher.finalize().to_be_bytes())
}

/// The MD5 of parts, as Content-MD5 wants it.
pub(super) fn md5_of(parts: &[&[u8]]) -> String {
    let mut hasher = Md5::new();
    parts.iter().for_each(|part| hasher.update(part));
    BASE64.encode(hasher.finalize())
}

fn is_same(bytes: &[u8], parts: &[&[u8]]) -> bool {
    let mut rest = bytes;
    for part in parts {
        let Some(behind) = rest.strip_prefix(*part) else { return false };
        rest = behind;
    }
    rest.is_empty()
}
