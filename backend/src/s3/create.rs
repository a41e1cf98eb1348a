//! Creates objects so that exactly one create of a name makes the object, and each create knows whether it was
//! the one.
//!
//! Every object carries a random id of the call that made it. If a store says that a name is taken, that may
//! be by an earlier try of the same call whose answer was lost; if it doesn't answer, it may still have written
//! the object. In both cases the object's id says which call made it.

use std::future::Future;

use aws_sdk_s3::types::StorageClass;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::sync::mpsc;

use super::arrival::Stored;
use super::backoff::Backoff;
use super::body::{Progress, body, cut, feed};
use super::digest::{content_md5, crc32_of, is_same};
use super::failure::{Class, Failure};
use super::knowledge::Checksum;
use super::requests::Requests;
use crate::traffic::add;
use crate::{BackendErrorKind as Kind, Created};

/// The name of the metadata with the id of the call.
pub(super) const CREATE_ID: &str = "keepfast-create";

/// Which call made the object of a name.
enum Maker {
    /// There is no object.
    None,
    ThisCall,
    Another,
}

/// What one call creates.
#[derive(Clone, Copy)]
pub(super) struct NewObject<'a> {
    pub key: &'a str,
    pub parts: &'a [&'a [u8]],
    pub bytes: u64,
    pub id: &'a str,
    pub class: Option<&'a str>,
}

impl NewObject<'_> {
    pub(super) fn storage_class(&self) -> Option<StorageClass> {
        self.class.map(StorageClass::from)
    }
}

/// An object that arrives damaged is created again, up to this many creates.
const DAMAGED_MAX: u32 = 5;

impl Requests {
    /// Creates an object unless there is one of its name.
    pub(super) async fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, Failure> {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let starts = |prefix: &String| name.starts_with(prefix.as_str());
        let classes = &self.options().storage_classes;
        let class = classes.iter().find(|(prefix, _)| starts(prefix)).map(|(_, class)| class.as_str());
        let uncontested = self.options().uncontested_prefixes.iter().any(starts);
        let key = self.key(name);
        let mut damaged = 0;
        loop {
            // A new id each time, so that a late arrival of the damaged object isn't taken for this one.
            let id = random_id()?;
            let new = NewObject { key: &key, parts, bytes, id: &id, class };
            let created = if uncontested && bytes >= self.options().multipart_from_bytes.max(1) {
                self.create_in_parts(new).await
            } else {
                self.create_whole(new).await
            };
            let Err(failure) = created else { return created };
            if failure.class != Class::StoredDamaged {
                return Err(failure);
            }
            damaged += 1;
            // Another writer may already have been told that a contested name is taken. That must stay true.
            if !uncontested {
                let message = format!(
                    "{}: remove it with the store's own tools and run the command again; something between this \
                     machine and the store changes what is sent, and the store doesn't check it",
                    failure.message
                );
                return Err(Failure { message, ..failure });
            }
            self.remove(name).await?;
            if damaged == DAMAGED_MAX {
                let message = format!(
                    "{}; this happened {DAMAGED_MAX} times, and each such object was removed: something between \
                     this machine and the store changes what is sent, and the store doesn't check it: use https, \
                     or another network",
                    failure.message
                );
                return Err(Failure { message, ..failure });
            }
            add(&self.counters.retries, 1);
        }
    }

    /// Creates an object with one request, if no try fails.
    async fn create_whole(&self, new: NewObject<'_>) -> Result<Created, Failure> {
        let mut backoff = Backoff::new(self);
        // Whether an earlier try may have made the object.
        let mut in_doubt = false;
        loop {
            if in_doubt {
                match self.maker(new).await {
                    Ok(Maker::ThisCall) => return Ok(Created::New),
                    Ok(Maker::Another) => return Ok(Created::AlreadyThere),
                    Ok(Maker::None) => in_doubt = false,
                    Err(failure) => {
                        backoff.wait(failure).await?;
                        continue;
                    }
                }
            }
            match self.put(new).await {
                Ok(()) => return Ok(Created::New),
                Err(failure) if failure.class == Class::Taken => {
                    match self.created_by(new, &mut backoff).await? {
                        Some(created) => return Ok(created),
                        // The object has been removed since.
                        None => backoff.wait(failure).await?,
                    }
                }
                Err(failure) => {
                    in_doubt = failure.class == Class::Unknown;
                    backoff.wait(failure).await?;
                }
            }
        }
    }

    /// Answers a create by the call that made the object. `None` if there is no object.
    pub(super) async fn created_by(
        &self,
        new: NewObject<'_>,
        backoff: &mut Backoff<'_>,
    ) -> Result<Option<Created>, Failure> {
        loop {
            match self.maker(new).await {
                Ok(Maker::ThisCall) => return Ok(Some(Created::New)),
                Ok(Maker::Another) => return Ok(Some(Created::AlreadyThere)),
                Ok(Maker::None) => return Ok(None),
                Err(failure) => backoff.wait(failure).await?,
            }
        }
    }

    /// One try to write the whole object.
    async fn put(&self, new: NewObject<'_>) -> Result<(), Failure> {
        let progress = Progress::default();
        let (stream, pieces) = body(new.bytes, &progress);
        let mut request = self
            .client()
            .put_object()
            .bucket(&self.options().bucket)
            .key(new.key)
            .if_none_match("*")
            .metadata(CREATE_ID, new.id)
            .set_storage_class(new.storage_class())
            .content_length(signed(new.bytes))
            .content_type("application/octet-stream")
            .body(stream);
        let by_md5 = self.connection.checksum.is(Checksum::MD5);
        let crc32 = (!by_md5).then(|| crc32_of(new.parts));
        request = match &crc32 {
            None => request.content_md5(content_md5(new.parts)),
            Some(crc32) => request.checksum_crc32(crc32),
        };
        let sent = self.ask(&self.counters.puts, &progress, request.send());
        let answer = self.while_feeding(sent, new.parts, pieces, &progress).await;
        add(&self.counters.bytes_up, progress.bytes());
        match answer {
            Ok(answer) => {
                if self.connection.checksum.is(Checksum::UNTRIED) {
                    let checked = answer.checksum_crc32().is_some();
                    self.connection.checksum.set(if checked { Checksum::CRC32 } else { Checksum::MD5 });
                }
                let stored = Stored { crc32: answer.checksum_crc32, e_tag: answer.e_tag };
                self.check_arrival(new.key, new.parts, &stored, crc32.as_deref()).await
            }
            // A store may refuse a checksum that it doesn't know. Another thread may have found that out since.
            Err(failure)
                if !by_md5
                    && !self.connection.checksum.is(Checksum::CRC32)
                    && matches!(failure.status, Some(400 | 501))
                    && matches!(failure.class, Class::Final(Kind::Other | Kind::Unsupported)) =>
            {
                self.connection.checksum.set(Checksum::MD5);
                Box::pin(self.put(new)).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Runs a request, and feeds its body at the same time.
    pub(super) async fn while_feeding<T>(
        &self,
        request: impl Future<Output = T>,
        parts: &[&[u8]],
        pieces: mpsc::Sender<Bytes>,
        progress: &Progress,
    ) -> T {
        let feeding = async {
            feed(parts, pieces, async |bytes| self.pass(&self.upload, bytes, progress).await).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = request => answer,
            () = feeding => unreachable!("it never ends"),
        }
    }

    /// Finds out which call made the object.
    async fn maker(&self, new: NewObject<'_>) -> Result<Maker, Failure> {
        let request = self.client().head_object().bucket(&self.options().bucket).key(new.key);
        let found = match self.ask(&self.counters.gets, &Progress::default(), request.send()).await {
            Ok(found) => found,
            Err(failure) if failure.class == Class::NotFound => return Ok(Maker::None),
            Err(failure) if failure.class == Class::Final(Kind::Denied) => {
                return Err(Failure {
                    message: format!(
                        "{}; without permission to read the object it is impossible to know whether this run made it",
                        failure.message
                    ),
                    ..failure
                });
            }
            Err(failure) => return Err(failure),
        };
        let same_size = found.content_length() == Some(signed(new.bytes));
        match found.metadata().and_then(|metadata| metadata.get(CREATE_ID)) {
            Some(id) if id == new.id && same_size => {
                let stored = Stored { crc32: None, e_tag: found.e_tag };
                self.check_arrival(new.key, new.parts, &stored, None).await.map(|()| Maker::ThisCall)
            }
            Some(id) if id == new.id => Err(Failure::new(
                Class::Final(Kind::Untrustworthy),
                "the store accepted the object and reports another size: don't trust this store with data",
            )),
            Some(_) => Ok(Maker::Another),
            // The store drops metadata, so that only the bytes can decide.
            None if !same_size => Ok(Maker::Another),
            None => {
                let mut there = Vec::new();
                match self.get_once(new.key, new.bytes, &mut there).await {
                    Ok(()) if is_same(&there, new.parts) => Ok(Maker::ThisCall),
                    Ok(()) => Ok(Maker::Another),
                    Err(failure) if failure.class == Class::NotFound => Ok(Maker::None),
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// The bytes of one part of an upload.
    pub(super) fn part<'p>(&self, new: NewObject<'p>, number: u64) -> Vec<&'p [u8]> {
        cut(new.parts, number * self.options().part_bytes, self.options().part_bytes)
    }
}

/// A length as the SDK's type. No object's length comes near its maximum.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn random_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no random bytes: {error}");
        Failure::new(Class::Final(Kind::Other), message)
    })?;
    Ok(HEXLOWER.encode(&bytes))
}
