//! Reads, lists and removes objects.

use std::ops::ControlFlow;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::ChecksumMode;

use super::backoff::Backoff;
use super::body::{Progress, unless_stalled};
use super::failure::{Class, Failure};
use super::grace::cancelled;
use super::requests::Requests;
use crate::traffic::add;
use crate::{BackendErrorKind as Kind, Found, Listed, NAME_BYTES_MAX, NotAnObject, Odd, Unusable};

/// At most this much memory is reserved before any bytes have arrived.
const RESERVED_BYTES_MAX: usize = 256 << 20;

/// Messages show this many characters of a name that is too long for an object.
const NAME_SHOWN: usize = 100;

/// A part of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub offset: u64,
    /// At least 1.
    pub bytes: u64,
}

impl Range {
    /// HTTP has no empty range, and even an empty read must check that the object exists.
    pub(super) fn of(offset: u64, length: usize) -> Self {
        Self { offset, bytes: length.max(1) as u64 }
    }
}

/// Takes an answer's bytes as they arrive.
pub(super) trait Sink {
    /// Announces this many bytes.
    fn expect(&mut self, _bytes: u64) {}

    /// Takes a piece. `Break` means that it has enough.
    fn take(&mut self, piece: &[u8]) -> ControlFlow<()>;
}

impl Sink for Vec<u8> {
    fn expect(&mut self, bytes: u64) {
        self.reserve_exact(at_most(bytes, RESERVED_BYTES_MAX));
    }

    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        self.extend_from_slice(piece);
        ControlFlow::Continue(())
    }
}

/// Passes pieces on.
pub(super) struct PieceByPiece<'t>(pub &'t mut dyn FnMut(&[u8]) -> ControlFlow<()>);

impl Sink for PieceByPiece<'_> {
    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        (self.0)(piece)
    }
}

/// The state of one request for bytes.
struct Receiving<'s> {
    sink: &'s mut dyn Sink,
    /// Bytes at the beginning that weren't asked for.
    skip: u64,
    /// Bytes that are still wanted.
    left: u64,
    /// Bytes that the sink got.
    done: u64,
}

impl Receiving<'_> {
    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        let skipped = at_most(self.skip, piece.len());
        self.skip -= skipped as u64;
        let piece = &piece[skipped..];
        let piece = &piece[..at_most(self.left, piece.len())];
        self.left -= piece.len() as u64;
        self.done += piece.len() as u64;
        if !piece.is_empty() {
            self.sink.take(piece)?;
        }
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Requests {
    /// Reads a whole object into `bytes`.
    pub(super) async fn get(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let key = self.key(name);
        let mut backoff = Backoff::new(self);
        loop {
            bytes.clear();
            match self.get_once(&key, bytes_max, bytes).await {
                Ok(()) => return Ok(()),
                Err(failure) => backoff.wait(failure).await?,
            }
        }
    }

    /// One try to read a whole object. `bytes` must be empty.
    pub(super) async fn get_once(
        &self,
        key: &str,
        bytes_max: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let mut receiving = Receiving { sink: bytes, skip: 0, left: u64::MAX, done: 0 };
        self.receive(key, None, bytes_max, &mut receiving).await
    }

    /// Reads a range of an object, or as much of it as there is. After a failure the next request asks for the
    /// bytes that are still missing.
    pub(super) async fn get_range(
        &self,
        name: &str,
        range: Range,
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let key = self.key(name);
        let mut backoff = Backoff::new(self);
        let mut done = 0;
        loop {
            let rest = Range { offset: range.offset + done, bytes: range.bytes - done };
            let mut receiving = Receiving { sink: &mut *sink, skip: 0, left: rest.bytes, done: 0 };
            let failure = match self.receive(&key, Some(rest), u64::MAX, &mut receiving).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.class == Class::BeyondEnd => return Ok(()),
                Err(failure) => failure,
            };
            if receiving.done > 0 {
                done += receiving.done;
                backoff = Backoff::new(self);
            }
            backoff.wait(failure).await?;
        }
    }

    /// One request for an object or a range of it.
    async fn receive(
        &self,
        key: &str,
        range: Option<Range>,
        bytes_max: u64,
        receiving: &mut Receiving<'_>,
    ) -> Result<(), Failure> {
        let progress = Progress::default();
        let mut request = self.client().get_object().bucket(&self.options().bucket).key(key);
        request = match range {
            Some(Range { offset, bytes }) => {
                request.range(format!("bytes={offset}-{}", offset.saturating_add(bytes - 1)))
            }
            // A store that keeps a checksum sends it, and the SDK compares it.
            None => request.checksum_mode(ChecksumMode::Enabled),
        };
        let mut answer = self.ask(&self.counters.gets, &progress, request.send()).await?;
        let announced = answer.content_length().and_then(|length| u64::try_from(length).ok());
        // A store that doesn't support ranges sends the whole object.
        let sent = answer.content_range().map(|sent| (sent, first_and_count(sent)));
        receiving.skip = match (range, sent) {
            (None, _) => 0,
            (Some(range), None) => range.offset,
            (Some(range), Some((_, Some((first, count)))))
                if first == range.offset && announced.is_none_or(|announced| announced == count) =>
            {
                0
            }
            (Some(_), Some((sent, _))) => {
                return Err(Failure::new(Class::Unknown, format!("the store sent another range: {sent}")));
            }
        };
        if range.is_none() && announced.is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let expected = announced.map(|length| length.saturating_sub(receiving.skip).min(receiving.left));
        receiving.sink.expect(expected.unwrap_or(0));
        let receive = async {
            loop {
                match answer.body.next().await {
                    None => return Ok(false),
                    Some(Err(error)) => {
                        let done = receiving.done;
                        let why = format!("the answer broke off or was damaged after {done} bytes: {error}");
                        return Err(Failure::new(Class::Unknown, why));
                    }
                    Some(Ok(piece)) => {
                        progress.add(piece.len());
                        add(&self.counters.bytes_down, piece.len() as u64);
                        if range.is_none() && receiving.done + piece.len() as u64 > bytes_max {
                            return Err(too_large());
                        }
                        if receiving.take(&piece).is_break() {
                            return Ok(true);
                        }
                        self.pass(&self.download, piece.len(), &progress).await;
                    }
                }
            }
        };
        let enough = unless_stalled(&progress, || self.stall_timeout(), receive)
            .await
            .map_err(|_| self.stalled())??;
        if !enough && expected.is_some_and(|expected| receiving.done < expected) {
            let done = receiving.done;
            return Err(Failure::new(Class::Unknown, format!("the answer broke off after {done} bytes")));
        }
        Ok(())
    }

    /// Lists all objects whose names begin with `prefix`. Only tokens lead from page to page: the last name isn't
    /// a safe place to continue from, because some stores don't list names in order.
    pub(super) async fn list(&self, prefix: &str, found: &mut dyn FnMut(Found)) -> Result<(), Failure> {
        let own = self.key("");
        let mut token: Option<String> = None;
        let mut tokens = Tokens::default();
        loop {
            // A store may send pages without end.
            if self.grace.is_cancelled() {
                return Err(cancelled());
            }
            let mut backoff = Backoff::new(self);
            let page = loop {
                let request = self
                    .client()
                    .list_objects_v2()
                    .bucket(&self.options().bucket)
                    .prefix(format!("{own}{prefix}"))
                    .max_keys(self.options().page_objects.into())
                    .set_continuation_token(token.clone());
                match self.ask(&self.counters.lists, &Progress::default(), request.send()).await {
                    Ok(page) if is_whole(&page) => break page,
                    Ok(_) => {
                        let why = "a page of a listing arrived incomplete";
                        backoff.wait(Failure::new(Class::Unknown, why)).await?;
                    }
                    // A listing without objects is empty. Only a bucket can be missing.
                    Err(failure) if failure.class == Class::NotFound => {
                        return Err(Failure { class: Class::Final(Kind::Other), ..failure });
                    }
                    Err(failure) => backoff.wait(failure).await?,
                }
            };
            for object in page.contents() {
                let Some(name) = object.key().and_then(|key| key.strip_prefix(own.as_str())) else {
                    continue;
                };
                if !name.starts_with(prefix) || name.is_empty() {
                    continue;
                }
                let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found(entry(name, bytes));
            }
            if page.is_truncated != Some(true) {
                return Ok(());
            }
            token = page.next_continuation_token.filter(|next| tokens.is_new(next));
            if token.is_none() {
                return Err(Failure::new(
                    Class::Final(Kind::Untrustworthy),
                    "the store says that a listing continues and not where: this store can't be trusted with a repository",
                ));
            }
        }
    }

    /// Removes an object. It isn't an error if the object isn't there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Failure> {
        let key = self.key(name);
        let mut backoff = Backoff::new(self);
        loop {
            let request = self.client().delete_object().bucket(&self.options().bucket).key(&key);
            match self.ask(&self.counters.deletes, &Progress::default(), request.send()).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.class == Class::NotFound => return Ok(()),
                Err(failure) => backoff.wait(failure).await?,
            }
        }
    }
}

/// The smaller of two numbers of bytes.
fn at_most(bytes: u64, max: usize) -> usize {
    usize::try_from(bytes).map_or(max, |bytes| bytes.min(max))
}

/// An entry of a page.
fn entry(name: &str, bytes: u64) -> Found {
    if name.len() > NAME_BYTES_MAX {
        let name = name.chars().take(NAME_SHOWN).collect();
        Found::Odd(Odd { name, what: NotAnObject::StrangeName })
    } else if name.ends_with('/') {
        Found::Odd(Odd { name: name.to_owned(), what: NotAnObject::FolderMarker })
    } else {
        Found::Object(Listed { name: name.to_owned(), bytes })
    }
}

/// The tokens of a listing's pages. A token that comes again would make the listing endless. One token is
/// kept, and replaced by a later one after a growing number of pages: so a circle of any length is noticed after
/// a few rounds.
#[derive(Debug, Default)]
struct Tokens {
    kept: Option<String>,
    pages: u64,
    keep_next_at: u64,
}

impl Tokens {
    fn is_new(&mut self, token: &str) -> bool {
        if self.kept.as_deref() == Some(token) {
            return false;
        }
        self.pages += 1;
        if self.pages > self.keep_next_at {
            self.kept = Some(token.to_owned());
            self.keep_next_at = self.pages * 2;
        }
        true
    }
}

/// Whether a page is complete. The SDK accepts a document that is cut off as if it had ended, and a listing
/// that lacks objects would be believed.
fn is_whole(page: &ListObjectsV2Output) -> bool {
    let listed = page.contents().len() + page.common_prefixes().len();
    page.is_truncated().is_some()
        && page.key_count().is_none_or(|count| usize::try_from(count) == Ok(listed))
        && page.contents().iter().all(|object| object.key().is_some() && object.size().is_some())
}

fn too_large() -> Failure {
    Failure::new(Class::Final(Kind::Unusable(Unusable::TooLarge)), "it is larger than such an object can be")
}

/// The offset and the number of bytes of a range such as `bytes 5-9/20`.
fn first_and_count(content_range: &str) -> Option<(u64, u64)> {
    let (first, rest) = content_range.strip_prefix("bytes ")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, rest.split('/').next()?.parse().ok()?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    #[test]
    fn a_circle_of_pages_is_noticed_and_a_long_listing_is_none() {
        for circle in [1_u64, 2, 3, 7, 100] {
            for before in [0, 1, 5, 50] {
                let token = |page: u64| if page < before { page } else { before + (page - before) % circle };
                let mut tokens = Tokens::default();
                let noticed = (0..10_000).find(|page| !tokens.is_new(&token(*page).to_string()));
                let limit = 4 * (before + circle) + 4;
                assert!(noticed.is_some_and(|page| page <= limit), "{circle} after {before}: {noticed:?}");
            }
        }
        let mut tokens = Tokens::default();
        assert!((0..100_000).all(|page: u64| tokens.is_new(&page.to_string())));
    }
}
