//! Reading, listing and removing.

use std::io;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::ChecksumMode;

use super::Store;
use super::body::{Progress, unless_stalled};
use super::failure::{Class, Failure};
use super::patience::Patience;
use crate::Listed;
use crate::traffic::add;

/// Room that is made before anything has come, at most.
const RESERVED_BYTES_MAX: u64 = 256 << 20;

/// A part of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub offset: u64,
    /// At least 1.
    pub bytes: u64,
}

impl Store {
    /// A whole object, or a range of it.
    pub(super) async fn get(
        &self,
        name: &str,
        range: Option<Range>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, Failure> {
        let key = self.key(name);
        let mut patience = Patience::new(self);
        loop {
            match self.get_once(&key, range, bytes_max).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) if failure.class == Class::BeyondEnd && range.is_some() => return Ok(Vec::new()),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }

    /// One try to read.
    pub(super) async fn get_once(
        &self,
        key: &str,
        range: Option<Range>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, Failure> {
        let progress = Progress::default();
        let mut request = self.client.get_object().bucket(&self.options.bucket).key(key);
        request = match range {
            Some(Range { offset, bytes }) => {
                request.range(format!("bytes={offset}-{}", offset.saturating_add(bytes - 1)))
            }
            // Stores that keep a checksum send it, and the SDK compares.
            None => request.checksum_mode(ChecksumMode::Enabled),
        };
        let mut answer = self.ask(&self.counters.gets, &progress, request.send()).await?;
        let announced = answer.content_length().and_then(|length| u64::try_from(length).ok());
        // A store that doesn't know ranges sends everything.
        let skip = match (range, answer.content_range()) {
            (None, _) => 0,
            (Some(range), None) => range.offset,
            (Some(range), Some(sent)) if starts_at(sent, range.offset) => 0,
            (Some(_), Some(sent)) => {
                return Err(Failure::new(Class::Unknown, format!("the store sent another range: {sent}")));
            }
        };
        let wanted = range.map_or(u64::MAX, |range| skip.saturating_add(range.bytes));
        if range.is_none() && announced.is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let expected = announced.map(|length| length.min(wanted));
        let mut bytes = Vec::with_capacity(expected.unwrap_or(0).min(RESERVED_BYTES_MAX) as usize);
        let receive = async {
            while (bytes.len() as u64) < wanted {
                match answer.body.next().await {
                    None => break,
                    Some(Err(error)) => {
                        let why = format!(
                            "the answer broke off or was spoilt after {} bytes: {error}",
                            bytes.len()
                        );
                        return Err(Failure::new(Class::Unknown, why));
                    }
                    Some(Ok(piece)) => {
                        progress.add(piece.len());
                        add(&self.counters.bytes_down, piece.len() as u64);
                        bytes.extend_from_slice(&piece);
                        if range.is_none() && bytes.len() as u64 > bytes_max {
                            return Err(too_large());
                        }
                        self.down.pass(piece.len()).await;
                    }
                }
            }
            Ok(())
        };
        unless_stalled(&progress, self.options.stall_timeout, receive)
            .await
            .map_err(|_| self.stalled())??;
        if expected.is_some_and(|expected| (bytes.len() as u64) < expected) {
            return Err(Failure::new(
                Class::Unknown,
                format!("the answer broke off after {} bytes", bytes.len()),
            ));
        }
        if let Some(range) = range {
            bytes.drain(..(skip as usize).min(bytes.len()));
            bytes.truncate(range.bytes as usize);
        }
        Ok(bytes)
    }

    /// All objects whose names begin with `prefix`. Only tokens lead from page to page: a
    /// name isn't a safe place to go on from where names aren't listed in their order.
    pub(super) async fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), Failure> {
        let own = self.key("");
        let mut token: Option<String> = None;
        loop {
            let mut patience = Patience::new(self);
            let page = loop {
                let request = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.options.bucket)
                    .prefix(format!("{own}{prefix}"))
                    .max_keys(self.options.page_objects.into())
                    .set_continuation_token(token.clone());
                match self.ask(&self.counters.lists, &Progress::default(), request.send()).await {
                    Ok(page) if is_whole(&page) => break page,
                    Ok(_) => {
                        let why = "a page of a listing came without its end";
                        patience.wait(Failure::new(Class::Unknown, why)).await?;
                    }
                    // A listing of nothing is empty; only a bucket can be missing.
                    Err(failure) if failure.class == Class::NotFound => {
                        return Err(Failure { class: Class::Final(io::ErrorKind::Other), ..failure });
                    }
                    Err(failure) => patience.wait(failure).await?,
                }
            };
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(own.as_str()));
                let Some(name) = name.filter(|name| name.starts_with(prefix) && !name.ends_with('/')) else {
                    continue;
                };
                let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found(Listed { name: name.to_owned(), bytes });
            }
            let next = page.next_continuation_token;
            match (page.is_truncated == Some(true), next) {
                (false, _) => return Ok(()),
                (true, Some(next)) if token.as_ref() != Some(&next) => token = Some(next),
                (true, _) => {
                    return Err(Failure::new(
                        Class::Final(io::ErrorKind::InvalidData),
                        "the store says that a listing goes on and not where: it can't be trusted with a repository",
                    ));
                }
            }
        }
    }

    /// Removes an object; one that isn't there is fine.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Failure> {
        let key = self.key(name);
        let mut patience = Patience::new(self);
        loop {
            let request = self.client.delete_object().bucket(&self.options.bucket).key(&key);
            match self.ask(&self.counters.deletes, &Progress::default(), request.send()).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.class == Class::NotFound => return Ok(()),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }
}

/// Whether a page has come to its end. The SDK takes a document that is cut off as one that
/// has no more to say, and a listing that lacks objects would be believed.
fn is_whole(page: &ListObjectsV2Output) -> bool {
    let listed = page.contents().len() + page.common_prefixes().len();
    page.is_truncated().is_some()
        && page.key_count().is_none_or(|count| usize::try_from(count) == Ok(listed))
        && page.contents().iter().all(|object| object.key().is_some() && object.size().is_some())
}

fn too_large() -> Failure {
    Failure::new(Class::Final(io::ErrorKind::FileTooLarge), "it is larger than such an object can be")
}

/// Whether `bytes 5-9/20` begins where it should.
fn starts_at(content_range: &str, offset: u64) -> bool {
    let sent = content_range.strip_prefix("bytes ").and_then(|rest| rest.split('-').next());
    sent.and_then(|start| start.parse::<u64>().ok()) == Some(offset)
}
