//! Creates large objects in parts: only the part that failed is sent again.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::backoff::Backoff;
use super::body::{Progress, body};
use super::create::{CREATE_ID, NewObject, signed};
use super::digest::content_md5;
use super::failure::{Class, Failure};
use super::requests::Requests;
use crate::Created;
use crate::traffic::add;

/// How an upload ended without a failure.
enum Ended {
    /// The object exists, made by this call or another.
    With(Created),
    /// The upload is gone, or conflicted with another one: a new upload may work.
    Again(Failure),
}

impl Requests {
    /// Creates an object as [`Requests::create`] does. An upload that fails is aborted, so that no parts are
    /// left.
    pub(super) async fn create_in_parts(&self, new: NewObject<'_>) -> Result<Created, Failure> {
        let mut backoff = Backoff::new(self);
        loop {
            let upload = self.begin_upload(new).await?;
            let ended = self.upload_parts(new, &upload).await;
            if !matches!(ended, Ok(Ended::With(Created::New))) {
                self.abort(new, &upload).await;
            }
            match ended? {
                Ended::With(created) => return Ok(created),
                Ended::Again(failure) => backoff.wait(failure).await?,
            }
        }
    }

    async fn begin_upload(&self, new: NewObject<'_>) -> Result<String, Failure> {
        let mut backoff = Backoff::new(self);
        loop {
            let request = self
                .client()
                .create_multipart_upload()
                .bucket(&self.options().bucket)
                .key(new.key)
                .metadata(CREATE_ID, new.id)
                .set_storage_class(new.storage_class())
                .content_type("application/octet-stream");
            match self.ask(&self.counters.puts, &Progress::default(), request.send()).await {
                Ok(begun) => match begun.upload_id {
                    Some(upload) => return Ok(upload),
                    None => {
                        let failure = Failure::new(Class::Unknown, "the store began an upload without an id");
                        backoff.wait(failure).await?;
                    }
                },
                Err(failure) => backoff.wait(failure).await?,
            }
        }
    }

    async fn upload_parts(&self, new: NewObject<'_>, upload: &str) -> Result<Ended, Failure> {
        let mut done = Vec::new();
        // S3 counts from 1.
        for (number, at) in (1_i32..).zip(0..new.bytes.div_ceil(self.options().part_bytes)) {
            let parts = self.part(new, at);
            let mut backoff = Backoff::new(self);
            loop {
                match self.upload_part(new, upload, number, &parts).await {
                    Ok(part) => break done.push(part),
                    Err(failure) if failure.class == Class::UploadGone => return Ok(Ended::Again(failure)),
                    Err(failure) => backoff.wait(failure).await?,
                }
            }
        }
        self.complete(new, upload, done).await
    }

    async fn upload_part(
        &self,
        new: NewObject<'_>,
        upload: &str,
        number: i32,
        parts: &[&[u8]],
    ) -> Result<CompletedPart, Failure> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let progress = Progress::default();
        let (stream, pieces) = body(bytes, &progress);
        let request = self
            .client()
            .upload_part()
            .bucket(&self.options().bucket)
            .key(new.key)
            .upload_id(upload)
            .part_number(number)
            .content_length(signed(bytes))
            .content_md5(content_md5(parts))
            .body(stream);
        let sent = self.ask(&self.counters.puts, &progress, request.send());
        let answer = self.while_feeding(sent, parts, pieces, &progress).await;
        add(&self.counters.bytes_up, progress.bytes());
        let e_tag = answer?.e_tag;
        self.check_part(e_tag.as_deref(), parts)?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(e_tag).build())
    }

    async fn complete(
        &self,
        new: NewObject<'_>,
        upload: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Ended, Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut backoff = Backoff::new(self);
        loop {
            let request = self
                .client()
                .complete_multipart_upload()
                .bucket(&self.options().bucket)
                .key(new.key)
                .upload_id(upload)
                .if_none_match("*")
                .multipart_upload(parts.clone());
            let failure = match self.ask(&self.counters.puts, &Progress::default(), request.send()).await {
                Ok(_) => return Ok(Ended::With(Created::New)),
                Err(failure) => failure,
            };
            // Every failure but a plain refusal may come after the upload was completed.
            if matches!(failure.class, Class::Taken | Class::UploadGone | Class::Unknown | Class::NotFound)
                && let Some(created) = self.created_by(new, &mut backoff).await?
            {
                return Ok(Ended::With(created));
            }
            match failure.class {
                Class::NotFound => return Ok(Ended::Again(Failure { class: Class::UploadGone, ..failure })),
                // S3 asks for a new upload after a conflict.
                Class::Taken | Class::UploadGone | Class::Conflict => return Ok(Ended::Again(failure)),
                _ => backoff.wait(failure).await?,
            }
        }
    }

    /// Removes the uploaded parts. If that fails, the bucket's own rules must remove them.
    async fn abort(&self, new: NewObject<'_>, upload: &str) {
        for _ in 0..3 {
            let request = self
                .client()
                .abort_multipart_upload()
                .bucket(&self.options().bucket)
                .key(new.key)
                .upload_id(upload);
            match self.ask(&self.counters.deletes, &Progress::default(), request.send()).await {
                Ok(_) => return,
                Err(failure) if matches!(failure.class, Class::Unknown | Class::Throttled) => {}
                Err(_) => return,
            }
        }
    }
}
